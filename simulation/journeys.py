"""Journeys: which requests follow each other, and which event of a dossier starts which journey.

Only names; the busiest day (traffic.py) and the year (national.py) draw from the same tables.
"""

from dataclasses import dataclass

from simulation.cases import Channel, Event

# The steps of each journey.
JOURNEYS: dict[str, tuple[str, ...]] = {
    "citizen_files": ("sign_in", "search_catalogue", "file_dossier"),
    "citizen_pays": ("sign_in", "pay_fee"),
    "citizen_supplements": ("sign_in", "supplement_dossier"),
    "citizen_tracks": ("sign_in", "look_up_status"),
    "citizen_browses": ("search_catalogue", "search_catalogue"),
    "officer_receives": ("receive_dossier",),
    "officer_refuses": ("refuse_dossier",),
    "officer_starts": ("start_handling",),
    "officer_asks": ("ask_supplement",),
    "officer_finishes": ("finish_dossier",),
    "officer_returns": ("return_result",),
    "agency_syncs": ("push_sync",),
}
REMOTE = (Channel.ONLINE, Channel.PARTLY)
_COUNTER = (Channel.COUNTER,)
_ALL = tuple(Channel)


@dataclass(frozen=True, slots=True)
class Start:
    """An event of a dossier filed in one of these ways starts a journey."""

    event: Event
    channels: tuple[Channel, ...]
    journey: str


STARTS = (
    Start(Event.FILED, REMOTE, "citizen_files"),
    Start(Event.FILED_AGAIN, REMOTE, "citizen_files"),
    Start(Event.PAID, REMOTE, "citizen_pays"),
    Start(Event.SUPPLEMENTED, REMOTE, "citizen_supplements"),
    Start(Event.SUPPLEMENTED, _COUNTER, "officer_starts"),
    Start(Event.OBLIGATION_PAID, REMOTE, "citizen_pays"),
    Start(Event.OBLIGATION_PAID, _COUNTER, "officer_starts"),
    Start(Event.RECEIVED, _ALL, "officer_receives"),
    Start(Event.NOT_RECEIVED, _ALL, "officer_refuses"),
    Start(Event.STARTED, _ALL, "officer_starts"),
    Start(Event.SUPPLEMENT_ASKED, _ALL, "officer_asks"),
    Start(Event.FINISHED, _ALL, "officer_finishes"),
    Start(Event.RETURNED, _ALL, "officer_returns"),
)
# A change of the national record that the agency reports.
SYNCED = (
    Event.RECEIVED,
    Event.NOT_RECEIVED,
    Event.STARTED,
    Event.SUPPLEMENT_ASKED,
    Event.PAYMENT_DUE,
    Event.WITHDRAWN,
    Event.STOPPED,
    Event.FINISHED,
    Event.RETURNED,
)
