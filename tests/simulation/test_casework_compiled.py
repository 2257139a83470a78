"""The compiled casework does what the reference says, row by row, bit for bit, at once or day by day."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulation import casework_compiled, casework_reference
from simulation.cases import CASE, NUMBER, ROW, Event
from simulation.casework_compiled import Office
from simulation.desks import Desks
from simulation.office import OfficeClock
from tests.simulation.offices import AGENCIES, work

Work = tuple[OfficeClock, Desks, np.ndarray, float]


def in_order(rows: np.ndarray) -> bytes:
    """In order of time and dossier, and as they happened to each dossier: what the casework's table keeps."""
    rows = rows[np.lexsort((rows["dossier"], rows["at_s"]))]
    return b"".join(rows[name].tobytes() for name in ROW.names)


@settings(max_examples=250, deadline=None)
@given(work())
def test_both_engines_write_the_same_rows(drawn: Work) -> None:
    meant, tally = casework_reference.run(*drawn)
    found, counted = casework_compiled.run(*drawn)
    assert in_order(found) == in_order(meant)
    assert counted.tobytes() == tally.tobytes()


@pytest.mark.slow
@settings(max_examples=5_000, deadline=None)
@given(work())
def test_both_engines_write_the_same_rows_however_long_one_tries(drawn: Work) -> None:
    assert in_order(casework_reference.run(*drawn)[0]) == in_order(casework_compiled.run(*drawn)[0])


@settings(max_examples=80, deadline=None)
@given(work(), st.lists(st.sampled_from([0.5, 1.0, 2.5, 3.0]), min_size=1, max_size=6))
def test_an_office_does_the_same_whole_or_piece_by_piece(drawn: Work, steps_s: list[float]) -> None:
    clock, desks, cases, term_s = drawn
    for agency in range(AGENCIES):
        mine = cases[cases["agency"] == agency]
        # Whoever comes first was filed first: so that they can be told in order.
        mine = mine[np.argsort(mine["ready_s"], kind="stable")]
        whole = np.concatenate([*Office(clock, desks, agency, term_s).advance(mine, np.inf)])
        office, rows, told = Office(clock, desks, agency, term_s), [], 0
        for until_s in [*np.cumsum(steps_s), np.inf]:
            known = int(np.sum(mine["ready_s"] < until_s)) if until_s < np.inf else len(mine)
            rows += office.advance(mine[told:known], until_s)
            told = known
        assert in_order(np.concatenate(rows)) == in_order(whole)
        assert office.under_way == 0


def test_a_row_that_differs_in_one_bit_is_another() -> None:
    rows = np.zeros(3, dtype=ROW)
    other = rows.copy()
    other["at_s"][1] = np.nextafter(0.0, 1)
    assert in_order(rows) != in_order(other)


def test_all_that_can_happen_at_a_desk_happens_in_random_work() -> None:
    """The strategy reaches every branch: else the tests above prove little."""
    seen: set[int] = set()

    @settings(max_examples=100, deadline=None, database=None)
    @given(work())
    def collect(drawn: Work) -> None:
        seen.update(casework_compiled.run(*drawn)[0]["event"].tolist())

    collect()
    before = {Event.FILED, Event.SIGNATURES_FAILED, Event.FILED_AGAIN, Event.CHECKED, Event.PAID}
    assert seen == {NUMBER[event] for event in set(Event) - before}


def test_more_rows_than_one_piece_has_room_for() -> None:
    count = 17_000
    cases = np.zeros(count, dtype=CASE)
    cases["dossier"], cases["ready_s"] = np.arange(count), np.arange(count)
    cases["withdrawn_s"] = cases["withdraws_s"] = np.inf
    cases["receive_s"] = cases["handle_s"] = cases["return_s"] = 0.25
    clock = OfficeClock(np.array([0.0]), np.array([1e9]), np.array([0.0]))
    desks = Desks(np.array([[1, 1]]), np.ones(1), np.ones(1), np.ones(1), 1.0)
    pieces = list(Office(clock, desks, 0, 1.0).advance(cases, np.inf))
    assert len(pieces) > 1
    assert in_order(np.concatenate(pieces)) == in_order(casework_reference.run(clock, desks, cases, 1.0)[0])
    assert pa.array(np.concatenate(pieces)["dossier"]).value_counts().field("counts").unique().to_pylist() == [4]
