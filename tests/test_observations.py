"""The observations: nothing in a plan stays unaccounted for, whatever was written before a run ended."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caodiem import observations, plan, summary
from caodiem.dossier import Outcome
from caodiem.errors import UsageError
from tests.conftest import make_plan

NAN = float("nan")


def row(planned: plan.Plan, number: int, outcome: Outcome, attempt: int = 1) -> observations.Row:
    """What a replay would write about row `number` of a plan."""
    step = planned.table.slice(number, 1).to_pylist()[0]
    keys = tuple(step[name] for name in plan.SCHEMA.names[:8])
    due_s = step["due_s"] + step["step"]
    return (*keys, due_s, due_s, due_s, due_s + 0.1, outcome.value, 200, attempt, "w")


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_accounts_balance_whatever_was_observed(data: st.DataObject) -> None:
    planned = make_plan([n / 10 for n in range(12)], ("sign_in", "search_catalogue", "file_dossier"))
    rows = []
    for arrival in range(12):
        # Each journey got so far; its last step may have come to no good, or nobody knows.
        reached = data.draw(st.integers(0, 3))
        for step in range(reached):
            last = step == reached - 1
            outcome = data.draw(st.sampled_from(list(Outcome))) if last else Outcome.OK
            rows.append(row(planned, 3 * arrival + step, outcome))
            if outcome is not Outcome.OK and data.draw(st.booleans()):
                rows.append(row(planned, 3 * arrival + step, outcome, attempt=2))
    closed = observations.close_accounts(planned, observations.table_of(rows))
    settled = summary.last_attempts(closed)
    assert settled.num_rows == planned.steps
    assert sum(summary.count_outcomes(settled).values()) == planned.steps
    assert sum(summary.arrival_outcomes(closed).values()) == planned.arrivals
    assert closed.num_rows - settled.num_rows == sum(1 for each in rows if each[14] == 2)


def test_a_step_never_reached_takes_the_outcome_that_ended_its_journey() -> None:
    planned = make_plan([0.0, 1.0], ("sign_in", "search_catalogue", "file_dossier"))
    rows = [row(planned, 0, Outcome.OK), row(planned, 1, Outcome.TIMED_OUT), row(planned, 3, Outcome.OK)]
    closed = observations.close_accounts(planned, observations.table_of(rows)).to_pylist()
    assert [each["outcome"] for each in closed] == ["ok", "timed_out", "timed_out", "ok", "lost", "lost"]
    assert [each["attempt"] for each in closed] == [1, 1, 0, 1, 0, 0]


def test_parts_are_readable_while_others_are_still_to_come(tmp_path: Path) -> None:
    planned = make_plan([0.0, 1.0])
    ok, failed = (observations.table_of([row(planned, *told)]) for told in ((0, Outcome.OK), (1, Outcome.FAILED)))
    told = observations.table_of([(0, 0, "database", 0.001, 0.002)], observations.COMPONENTS_SCHEMA)
    for _ in range(2):  # a part may be written again
        observations.write_part(tmp_path, "w1", 1, observations.packed(ok), observations.packed(told))
    rows, components = observations.read_parts(tmp_path)
    assert rows.num_rows == components.num_rows == 1
    observations.write_part(tmp_path, "w2", 1, observations.packed(failed))
    observations.write_part(tmp_path, "w1", 2, observations.packed(failed.slice(0, 0)))
    assert observations.read_parts(tmp_path)[0].num_rows == 2
    assert not list(tmp_path.glob(".*"))


def test_no_rows_at_all_is_all_lost() -> None:
    planned = make_plan([0.0, 1.0, 2.0])
    closed = observations.close_accounts(planned, observations.SCHEMA.empty_table())
    assert Counter(closed["outcome"].to_pylist()) == {"lost": 3}


def test_a_damaged_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "observations.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(UsageError, match="cannot be read"):
        observations.read(tmp_path / "observations.parquet")
    with pytest.raises(UsageError, match="no such file"):
        observations.read(tmp_path / "none.parquet")


def test_a_written_table_comes_back(tmp_path: Path) -> None:
    planned = make_plan([0.0])
    table = observations.table_of([row(planned, 0, Outcome.OK)])
    observations.write(table, tmp_path / "o.parquet")
    assert observations.read(tmp_path / "o.parquet").to_pylist() == table.to_pylist()
    assert pa.types.is_dictionary(table.schema.field("outcome").type)
