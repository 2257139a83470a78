"""Failures: what two workers told adds up, and the first of each kind is the one that was due first."""

from caodiem.dossier import Outcome
from loadtests.failures import Failures, First
from loadtests.ledger import Ledger
from loadtests.portals import Answer
from tests.loadtests.test_ledger import journey


def test_what_workers_tell_adds_up() -> None:
    master, one, other = Failures(), Failures(), Failures()
    one.note("pay_fee", Outcome.FAILED, "answer 500", First(3.0, 30, 500))
    one.note("pay_fee", Outcome.FAILED, "answer 500", First(4.0, 40, 500))
    other.note("pay_fee", Outcome.FAILED, "answer 500", First(2.0, 20, 500))
    other.note("pay_fee", Outcome.TIMED_OUT, "no answer in time", First(1.0, 10, 0))
    for each in (one, other):
        master.add([(*kind, list(first)) for *kind, first in each.told()])  # msgpack makes lists of tuples
    assert master.as_json() == [
        {
            "operation": "pay_fee",
            "outcome": "failed",
            "error": "answer 500",
            "steps": 3,
            "first": {"due_s": 2.0, "arrival": 20, "status": 500},
        },
        {
            "operation": "pay_fee",
            "outcome": "timed_out",
            "error": "no answer in time",
            "steps": 1,
            "first": {"due_s": 1.0, "arrival": 10, "status": 0},
        },
    ]


def test_the_most_frequent_kinds_are_kept() -> None:
    failures = Failures()
    for kind in range(30):
        for _ in range(kind + 1):
            failures.note("pay_fee", Outcome.FAILED, f"kind {kind}", First(0.0, 0, 500))
    assert [each["error"] for each in failures.as_json()] == [f"kind {kind}" for kind in range(29, 9, -1)]


def test_a_ledger_counts_what_was_answered_badly_and_nothing_else() -> None:
    ledger = Ledger("machine-0")
    ledger.record(journey(7, "H01"), (0.1, 0.2, 0.3, 0.4), Answer(Outcome.OK, 200))
    ledger.record(journey(8, "H01", 1), (0.5, 0.5, 0.6, 0.7), Answer(Outcome.REFUSED, 503, error="answer 503"))
    ledger.record(journey(9, "H01", 1), (0.6, 0.6, float("nan"), float("nan")), Answer(Outcome.DROPPED, 0))
    told = ledger.take().failures.told()
    assert told == [("file_dossier", "refused", "answer 503", 1, First(0.5, 8, 503))]
    assert ledger.take().failures.told() == []
