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
    "citizen_withdraws": ("sign_in", "withdraw_dossier"),
    "citizen_signs": ("sign_remotely",),
    "citizen_reuses": ("reuse_document",),
    "citizen_asks": ("ask_support",),
    "portal_looks_up": ("exchange_data", "look_up_citizen"),
    "officer_receives": ("receive_dossier",),
    "officer_refuses": ("refuse_dossier",),
    "officer_starts": ("start_handling",),
    "officer_asks": ("ask_supplement",),
    "officer_finishes": ("finish_dossier",),
    "officer_returns": ("return_result",),
    "officer_digitises": ("digitise_paper",),
    "officer_asks_payment": ("ask_payment",),
    "officer_stops": ("stop_dossier",),
    "agency_sends": ("send_document",),
    "agency_fetches": ("fetch_documents",),
    "office_sends": ("send_work_document",),
    "agency_syncs": ("push_sync",),
    "bank_reconciles": ("reconcile_payments",),
    "monitor_reads": ("read_indicators",),
    # Last: a journey's place is part of the year's draws, which stay what they are when one more comes.
    "officer_files": ("file_at_counter",),
}
REMOTE = (Channel.ONLINE, Channel.PARTLY)
_COUNTER = (Channel.COUNTER,)
_PARTLY = (Channel.PARTLY,)
_ALL = tuple(Channel)


@dataclass(frozen=True, slots=True)
class Start:
    """An event of a dossier filed in one of these ways starts a journey.

    `share` names the key of `traffic` that says for how many percent of such events; None for all. A later journey
    comes after the scenario's pause.
    """

    event: Event
    channels: tuple[Channel, ...]
    journey: str
    share: str | None = None
    later: bool = False


STARTS = (
    Start(Event.FILED, REMOTE, "citizen_files"),
    Start(Event.FILED, REMOTE, "citizen_signs", "remote_signing"),
    Start(Event.FILED, REMOTE, "portal_looks_up"),
    # The portal must have the dossier before a paper can be put to it.
    Start(Event.FILED, REMOTE, "citizen_reuses", "reuse", later=True),
    Start(Event.FILED, REMOTE, "citizen_asks", "support"),
    # With the scans of its papers, so that none is digitised later.
    Start(Event.FILED, _COUNTER, "officer_files"),
    Start(Event.SIGNATURES_FAILED, REMOTE, "citizen_asks", "support_after_failure"),
    Start(Event.FILED_AGAIN, REMOTE, "citizen_files"),
    Start(Event.FILED_AGAIN, REMOTE, "citizen_signs", "remote_signing"),
    Start(Event.PAID, REMOTE, "citizen_pays"),
    Start(Event.SUPPLEMENTED, REMOTE, "citizen_supplements"),
    Start(Event.SUPPLEMENTED, _COUNTER, "officer_starts"),
    Start(Event.OBLIGATION_PAID, REMOTE, "citizen_pays"),
    Start(Event.OBLIGATION_PAID, _COUNTER, "officer_starts"),
    Start(Event.WITHDRAWN, _ALL, "citizen_withdraws"),
    Start(Event.RECEIVED, _ALL, "officer_receives"),
    Start(Event.RECEIVED, _PARTLY, "officer_digitises"),
    Start(Event.NOT_RECEIVED, _ALL, "officer_refuses"),
    Start(Event.NOT_RECEIVED, _ALL, "citizen_asks", "support_after_failure"),
    Start(Event.STARTED, _ALL, "officer_starts"),
    Start(Event.STARTED, _ALL, "agency_sends", "consulted"),
    Start(Event.STARTED, _ALL, "office_sends", "work_documents"),
    Start(Event.SUPPLEMENT_ASKED, _ALL, "officer_asks"),
    Start(Event.PAYMENT_DUE, _ALL, "officer_asks_payment"),
    Start(Event.STOPPED, _ALL, "officer_stops"),
    Start(Event.STOPPED, _ALL, "citizen_asks", "support_after_failure"),
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


@dataclass(frozen=True, slots=True)
class Gathered:
    """Events that wait for the next pass of their agency, which is one journey, or one for each full batch.

    `period` and `batch` name keys of `traffic`; without a batch a pass takes whatever there is.
    """

    events: tuple[Event, ...]
    journey: str
    period: str
    batch: str | None = None


GATHERED = (
    Gathered(SYNCED, "agency_syncs", "sync_period", "sync_batch"),
    Gathered((Event.STARTED,), "agency_fetches", "fetch_period"),
    Gathered((Event.PAID, Event.OBLIGATION_PAID), "bank_reconciles", "reconcile_period"),
    Gathered((Event.FINISHED,), "monitor_reads", "indicator_period"),
)
# Journeys that come by an agency's clock: in a sample of the country they are smaller before they are fewer.
BY_THE_CLOCK = tuple(each.journey for each in GATHERED)
