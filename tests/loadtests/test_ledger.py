"""The ledger: what was recorded is what stands in the table, value for value."""

import math

from caodiem.dossier import Outcome
from caodiem.observations import SCHEMA
from loadtests.journeys import Journey, Step
from loadtests.ledger import Ledger
from loadtests.portals import Answer

NAN = math.nan


def journey(arrival: int, agency: str, position: int = 0) -> Journey:
    steps = (Step(0, "sign_in", "identity", 1), Step(1, "file_dossier", "national_portal", 3))
    return Journey(arrival, "citizen_files", agency, 202605040000000 + arrival, 0.1, steps, (2.5,), position)


def test_rows_come_out_as_they_went_in() -> None:
    ledger = Ledger("machine-0")
    ledger.record(journey(7, "H01"), (0.1, 0.2, 0.3, 0.4 + 1e-15), Answer(Outcome.OK, 200))
    ledger.record(journey(2**40, "G02", 1), (1 / 3, 0.5, NAN, NAN), Answer(Outcome.DROPPED, 0))
    held = ledger.take()
    ledger.record(journey(8, "H03"), (1.0, 2.0, 3.0, 4.0), Answer(Outcome.REFUSED, 503))
    table = ledger.table(held)
    assert table.schema == SCHEMA
    first, second = table.to_pylist()
    assert first == {
        "arrival": 7, "step": 0, "journey": "citizen_files", "operation": "sign_in", "agency": "H01",
        "system": "identity", "dossier": 202605040000007, "items": 1, "due_s": 0.1, "released_s": 0.2,
        "started_s": 0.3, "finished_s": 0.4 + 1e-15, "outcome": "ok", "status": 200, "attempt": 1,
        "worker": "machine-0",
    }  # fmt: skip
    assert (second["arrival"], second["agency"], second["operation"], second["items"]) == (
        2**40,
        "G02",
        "file_dossier",
        3,
    )
    assert (second["outcome"], second["attempt"], second["due_s"]) == ("dropped", 0, 1 / 3)
    assert math.isnan(second["started_s"]) and math.isnan(second["finished_s"])
    (third,) = ledger.table(ledger.take()).to_pylist()
    assert (third["outcome"], third["status"], third["agency"]) == ("refused", 503, "H03")
    assert ledger.table(ledger.take()).num_rows == 0


def test_components_go_with_their_step() -> None:
    ledger = Ledger("w")
    answer = Answer(Outcome.OK, 200, components=(("database", 0.001, 0.002), ("verify", 0.0, 0.01)))
    ledger.record(journey(7, "H01", 1), (0.0, 0.0, 0.0, 1.0), answer)
    assert ledger.take().components == [(7, 1, "database", 0.001, 0.002), (7, 1, "verify", 0.0, 0.01)]
