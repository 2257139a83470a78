"""Cases: what becomes of a dossier, and every draw that decides it, made before an engine runs.

    filed ─► signatures checked ─► paid ─► received ─► in process ─► finished ─► returned
      └ signatures failed ─► filed again     └► not received  └► supplement asked ─► supplemented ┐
                         └► not received                      └► payment due ─► obligation paid  ─┤
                                                                             └► stopped           └► in process

A citizen may withdraw until the dossier is finished. One who is asked (for mended papers, a supplement, a payment) and
does not answer within the term ends it. What happens before a dossier comes to a desk needs no engine: `draw` says it.
Draws are keyed by dossier.
"""

from collections.abc import Callable
from enum import IntEnum, StrEnum
from typing import Any

import numpy as np
import pyarrow as pa

from caodiem.dossier import Status
from caodiem.scenario import Scenario
from simulation.agencies import Agencies
from simulation.chances import chance, exponential, lognormal, mixed, sigma_of, words
from simulation.compiling import inlined, machine_code
from simulation.demand import DAY_S, Filings
from simulation.desks import Desks
from simulation.office import OfficeClock, to_office


class Event(StrEnum):
    """What happens to a dossier; the casework table has a row for each."""

    FILED = "filed"
    SIGNATURES_FAILED = "signatures_failed"
    FILED_AGAIN = "filed_again"
    CHECKED = "signatures_checked"
    PAID = "paid"
    RECEIVED = "received"
    NOT_RECEIVED = "not_received"
    STARTED = "in_process"
    SUPPLEMENT_ASKED = "supplement_asked"
    SUPPLEMENTED = "supplemented"
    PAYMENT_DUE = "payment_due"
    OBLIGATION_PAID = "obligation_paid"
    WITHDRAWN = "withdrawn"
    STOPPED = "stopped"
    FINISHED = "finished"
    RETURNED = "returned"


# The status that an event leads to; the others leave the status as it is.
STATUS = {
    Event.FILED: Status.REGISTERED,
    Event.RECEIVED: Status.RECEIVED,
    Event.NOT_RECEIVED: Status.NOT_RECEIVED,
    Event.STARTED: Status.IN_PROCESS,
    Event.SUPPLEMENT_ASKED: Status.SUPPLEMENT_ASKED,
    Event.SUPPLEMENTED: Status.IN_PROCESS,
    Event.PAYMENT_DUE: Status.PAYMENT_DUE,
    Event.OBLIGATION_PAID: Status.IN_PROCESS,
    Event.WITHDRAWN: Status.WITHDRAWN,
    Event.STOPPED: Status.STOPPED,
    Event.FINISHED: Status.FINISHED,
    Event.RETURNED: Status.RETURNED,
}
ENDS = (Event.NOT_RECEIVED, Event.WITHDRAWN, Event.STOPPED, Event.RETURNED)
NUMBER = {event: number for number, event in enumerate(Event)}


class Channel(IntEnum):
    """How a dossier is filed and returned."""

    ONLINE = 0  # from end to end
    PARTLY = 1  # filed online; papers are shown and the result is fetched at a counter
    COUNTER = 2


# What an engine needs of a case. Times at desks and of processing are office seconds, those of citizens wall seconds.
CASE = np.dtype(
    [
        ("dossier", "i8"),
        ("last_s", "f8"),  # wall time of what happened last: nothing later is written down as earlier
        ("ready_s", "f8"),  # office time at which it comes to its desk; NaN when it ended before
        ("withdrawn_s", "f8"),  # wall time; infinite when nobody withdraws it
        ("withdraws_s", "f8"),  # the same in office time
        ("receive_s", "f8"),
        ("handle_s", "f8"),
        ("processing_s", "f8"),
        ("answer_s", "f8"),  # until the supplement comes; infinite when it never does
        ("handle_again_s", "f8"),
        ("pay_s", "f8"),  # until the obligation is paid; infinite when it never is
        ("settle_s", "f8"),
        ("return_s", "f8"),
        # The office clock of the promise: from receipt, less the time during which the citizen was asked.
        ("received_s", "f8"),
        ("asked_s", "f8"),
        ("paused_s", "f8"),
        ("agency", "i4"),
        ("channel", "i1"),
        ("components", "i1"),
        ("refused", "i1"),
        ("supplements", "i1"),
        ("owes", "i1"),
    ],
    align=True,
)
# An event as engines write it down; `at_s` is wall time from midnight of the first day simulated.
ROW = np.dtype(
    [("at_s", "f8"), ("dossier", "i8"), ("agency", "i2"), ("event", "i1"), ("channel", "i1"), ("components", "i1")],
    align=True,
)
SCHEMA = pa.schema(
    [
        ("dossier", pa.int64()),
        ("agency", pa.dictionary(pa.int32(), pa.string())),
        ("channel", pa.dictionary(pa.int32(), pa.string())),
        ("components", pa.int32()),
        ("event", pa.dictionary(pa.int32(), pa.string())),
        ("at_s", pa.float64()),  # wall time from midnight of the first day simulated
    ]
)
# Filed, failed, filed again, checked, paid, ended.
MOST_BEFORE_DESK = 6

_QUANTITIES = (
    "components", "bad signature", "mending", "mending unanswered", "fee", "payment", "papers shown",
    "withdrawn", "withdrawal", "not received", "supplement", "answer", "answer unanswered", "payment due",
    "due answer", "due unanswered", "processing", "receive", "handle", "handle again", "settle", "return",
)  # fmt: skip
(
    _COMPONENTS, _BAD, _MENDING, _UNMENDED, _FEE, _PAYMENT, _SHOWN, _WITHDRAWN, _WITHDRAWAL, _NOT_RECEIVED,
    _SUPPLEMENT, _ANSWER, _UNANSWERED, _DUE, _DUE_ANSWER, _UNPAID, _PROCESSING, _RECEIVE, _HANDLE, _AGAIN, _SETTLE,
    _RETURN,
) = range(len(_QUANTITIES))  # fmt: skip
_RULES = np.dtype(
    [
        (name, "f8")
        for name in (
            "one_component", "two_components", "check_s", "bad_signature", "mending_s", "unanswered",
            "term_s", "fee", "pause_s", "payment_s", "papers_shown_s", "withdrawn", "withdrawal_s", "not_received",
            "supplement", "answer_s", "payment_due", "due_answer_s", "processing_s", "processing_sigma", "desk_sigma",
        )
    ]
)  # fmt: skip
_PARTLY_ONLINE, _COUNTER = int(Channel.PARTLY), int(Channel.COUNTER)
_FILED, _FAILED, _AGAIN_FILED = NUMBER[Event.FILED], NUMBER[Event.SIGNATURES_FAILED], NUMBER[Event.FILED_AGAIN]
_CHECKED, _PAID = NUMBER[Event.CHECKED], NUMBER[Event.PAID]
_IS_WITHDRAWN, _IS_NOT_RECEIVED = NUMBER[Event.WITHDRAWN], NUMBER[Event.NOT_RECEIVED]


def rules(scenario: Scenario) -> np.ndarray:
    """The scenario's word on cases, in seconds and shares (0 to 1): one record."""
    work = scenario.casework
    weights = np.cumsum(work.components.value) / np.sum(work.components.value)
    found = np.zeros(1, dtype=_RULES)
    for name, value in {
        "one_component": weights[0],
        "two_components": weights[1],
        "check_s": work.signature_check.value,
        "bad_signature": work.bad_signature.value / 100,
        "mending_s": work.mending.value * DAY_S,
        "unanswered": work.unanswered.value / 100,
        "term_s": work.answer_term.value * DAY_S,
        "fee": work.fee.value / 100,
        "pause_s": work.pause.value,
        "payment_s": 60 * work.payment.value,
        "papers_shown_s": work.papers_shown.value * DAY_S,
        "withdrawn": work.withdrawn.value / 100,
        "withdrawal_s": work.withdrawal.value * DAY_S,
        "not_received": work.not_received.value / 100,
        "supplement": work.supplement.value / 100,
        "answer_s": work.supplement_answer.value * DAY_S,
        "payment_due": work.payment_due.value / 100,
        "due_answer_s": work.payment_due_answer.value * DAY_S,
        "processing_s": 3600 * work.processing.value,
        "processing_sigma": sigma_of(work.processing_variation.value),
        "desk_sigma": sigma_of(work.desk_variation.value),
    }.items():
        found[name] = value
    return found


def draw(
    scenario: Scenario,
    clock: OfficeClock,
    filings: Filings,
    desks: Desks,
    empty: Callable[[int, np.dtype[Any]], np.ndarray] = np.empty,
) -> tuple[np.ndarray, np.ndarray]:
    """(cases, rows), arrays of `empty`: a `CASE` for each filing, and its events before any desk as `ROW`s."""
    cases = empty(len(filings.dossier), CASE)
    rows = empty(MOST_BEFORE_DESK * len(cases), ROW)
    count = draw_into(
        cases, rows, filings.dossier, filings.agency, channels(filings), filings.filed_s, rules(scenario),
        words(scenario.seed, _QUANTITIES), clock.opens_s, clock.closes_s, clock.begins_s,
        desks.receive_s, desks.handle_s, desks.return_s,
    )  # fmt: skip
    return cases, rows[:count]


def channels(filings: Filings) -> np.ndarray:
    """The `Channel` (int8) of each filing."""
    remote = np.where(filings.partly, Channel.PARTLY, Channel.COUNTER)
    return np.where(filings.online, Channel.ONLINE, remote).astype(np.int8)


def table(agencies: Agencies, rows: np.ndarray) -> pa.Table:
    """Rows of `ROW` as a table (columns as `SCHEMA`), in order of time, then of dossier, then as they happened."""
    rows = rows[np.lexsort((rows["dossier"], rows["at_s"]))]

    def words_of(column: str, known: list[str]) -> pa.DictionaryArray:
        return pa.DictionaryArray.from_arrays(rows[column].astype(np.int32), known)

    return pa.table(
        {
            "dossier": rows["dossier"],
            "agency": words_of("agency", agencies.code),
            "channel": words_of("channel", [channel.name.lower() for channel in Channel]),
            "components": rows["components"].astype(np.int32),
            "event": words_of("event", list(NUMBER)),
            "at_s": rows["at_s"],
        }
    ).cast(SCHEMA)


@machine_code
def draw_into(
    cases, rows, dossier, agency, channel, filed_s, given, word, opens_s, closes_s, begins_s,
    receive_s, handle_s, return_s,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Fill `cases`, write the rows before any desk; returns how many rows."""
    rule = given[0]
    count = 0
    for number in range(len(dossier)):
        case = cases[number]
        key = mixed(dossier[number])
        case.dossier, case.agency = dossier[number], agency[number]
        drawn = chance(word[_COMPONENTS], key)
        case.components = 1 + (rule.one_component < drawn) + (rule.two_components < drawn)
        case.channel = channel[number]
        case.withdrawn_s = np.inf
        if chance(word[_WITHDRAWN], key) < rule.withdrawn:
            case.withdrawn_s = filed_s[number] + exponential(rule.withdrawal_s, chance(word[_WITHDRAWAL], key))
        count = _before_desk(case, rows, count, filed_s[number], rule, word, key)
        case.withdraws_s = to_office(case.withdrawn_s, opens_s, closes_s, begins_s)
        if not np.isnan(case.ready_s):
            case.ready_s = to_office(case.ready_s, opens_s, closes_s, begins_s)
            if case.withdraws_s <= case.ready_s:
                # Between its citizen's last step and the next opening.
                case.ready_s = np.nan
                count = write(rows, count, case, _IS_WITHDRAWN, case.withdrawn_s)
        case.received_s, case.asked_s, case.paused_s = 0.0, 0.0, 0.0
        _at_desk(case, rule, word, key, receive_s[agency[number]], handle_s[agency[number]], return_s[agency[number]])
    return count


def texts(casework: pa.Table, column: str) -> np.ndarray:
    """A column of words of the casework table as an array of str."""
    found = casework[column].unify_dictionaries().combine_chunks()
    found = found.chunk(0) if isinstance(found, pa.ChunkedArray) else found
    return np.array(found.dictionary.to_pylist(), dtype=str)[found.indices.to_numpy()]


@inlined
def _before_desk(case, rows, count, filed_s, rule, word, key):  # type: ignore[no-untyped-def]
    """Write what happens before the desk; `ready_s` is then the wall time at which the case comes there, or NaN."""
    begun = count
    count = write(rows, count, case, _FILED, filed_s)
    at_s, end_s, end = filed_s, np.inf, _IS_NOT_RECEIVED
    if case.channel != _COUNTER:
        at_s += case.components * rule.check_s
        if chance(word[_BAD], key) < rule.bad_signature:
            count = write(rows, count, case, _FAILED, at_s)
            pause_s = exponential(rule.mending_s, chance(word[_MENDING], key))
            if chance(word[_UNMENDED], key) < rule.unanswered or pause_s > rule.term_s:
                at_s = end_s = at_s + rule.term_s
            else:
                count = write(rows, count, case, _AGAIN_FILED, at_s + pause_s)
                at_s += pause_s + case.components * rule.check_s
        if end_s == np.inf:
            count = write(rows, count, case, _CHECKED, at_s)
            if chance(word[_FEE], key) < rule.fee:
                at_s += rule.pause_s + exponential(rule.payment_s, chance(word[_PAYMENT], key))
                count = write(rows, count, case, _PAID, at_s)
            if case.channel == _PARTLY_ONLINE:
                at_s += exponential(rule.papers_shown_s, chance(word[_SHOWN], key))
    case.ready_s = at_s
    if case.withdrawn_s < at_s:
        # Nothing happens to it after that.
        while count > begun and rows[count - 1].at_s > case.withdrawn_s:
            count -= 1
        end_s, end = case.withdrawn_s, _IS_WITHDRAWN
    if end_s < np.inf:
        case.ready_s = np.nan
        count = write(rows, count, case, end, end_s)
    case.last_s = rows[count - 1].at_s
    return count


@inlined
def _at_desk(case, rule, word, key, receive_s, handle_s, return_s):  # type: ignore[no-untyped-def]
    """What desks, the processing and the citizen will take, and which way the case goes."""
    sigma = rule.desk_sigma
    case.receive_s = receive_s * lognormal(sigma, chance(word[_RECEIVE], key))
    case.handle_s = handle_s * lognormal(sigma, chance(word[_HANDLE], key))
    case.return_s = return_s * lognormal(sigma, chance(word[_RETURN], key))
    case.processing_s = rule.processing_s * lognormal(rule.processing_sigma, chance(word[_PROCESSING], key))
    case.refused = chance(word[_NOT_RECEIVED], key) < rule.not_received
    case.supplements = chance(word[_SUPPLEMENT], key) < rule.supplement
    case.owes = chance(word[_DUE], key) < rule.payment_due
    case.answer_s, case.handle_again_s, case.pay_s, case.settle_s = 0.0, 0.0, 0.0, 0.0
    if case.supplements:
        case.answer_s = _answers(rule.answer_s, rule, word[_ANSWER], word[_UNANSWERED], key)
        case.handle_again_s = handle_s * lognormal(sigma, chance(word[_AGAIN], key))
    if case.owes:
        case.pay_s = _answers(rule.due_answer_s, rule, word[_DUE_ANSWER], word[_UNPAID], key)
        case.settle_s = handle_s * lognormal(sigma, chance(word[_SETTLE], key))


@inlined
def _answers(mean_s, rule, word, never, key):  # type: ignore[no-untyped-def]
    """Seconds until a citizen answers; infinite when that is not within the term."""
    pause_s = exponential(mean_s, chance(word, key))
    return np.inf if pause_s > rule.term_s or chance(never, key) < rule.unanswered else pause_s


@inlined
def write(rows, count, case, event, at_s):  # type: ignore[no-untyped-def]
    """One row more; returns how many there are now."""
    row = rows[count]
    row.at_s, row.dossier, row.agency = at_s, case.dossier, case.agency
    row.event, row.channel, row.components = event, case.channel, case.components
    return count + 1
