"""The verdict: each rule can fail, and nothing that proves nothing is a pass."""

import math
from collections.abc import Callable

import pyarrow as pa
import pytest

from caodiem import observations, plan, verdict
from caodiem.dossier import Outcome
from caodiem.scenario import Scenario
from caodiem.verdict import Result
from tests.conftest import make_plan

Change = Callable[[int, dict[str, object]], None]


def observed(planned: plan.Plan, change: Change = lambda number, row: None) -> pa.Table:
    """A replay of the plan in which every step took 20 ms, but for what `change` does to a row."""
    rows = []
    for number, step in enumerate(planned.table.to_pylist()):
        row = {name: step[name] for name in plan.SCHEMA.names[:8]}
        due_s = step["due_s"]
        row |= {"due_s": due_s, "released_s": due_s, "started_s": due_s, "finished_s": due_s + 0.02}
        row |= {"outcome": "ok", "status": 200, "attempt": 1, "worker": "w"}
        change(number, row)
        rows.append(tuple(row.values()))
    return observations.close_accounts(planned, observations.table_of([row for row in rows if row[15] != "gone"]))


def judged(
    scenario: Scenario, operation: str = "file_dossier", count: int = 200, change: Change | None = None
) -> Result:
    planned = make_plan([n / 100 for n in range(count)], (operation,))
    rows = observed(planned, change) if change else observed(planned)
    return verdict.judge(scenario, planned, rows, reached_end=True).result


def test_a_good_replay_passes(scenario: Scenario) -> None:
    assert judged(scenario) is Result.PASS


def slow(number: int, row: dict[str, object]) -> None:
    if number % 10 == 0:
        row["finished_s"] = float(str(row["due_s"])) + 3


def failing(number: int, row: dict[str, object]) -> None:
    if number % 10 == 0:
        row |= {"outcome": Outcome.FAILED.value, "status": 500}


def late(number: int, row: dict[str, object]) -> None:
    if number % 10 == 0:
        row |= {"released_s": float(str(row["due_s"])) + 0.5}


def dropping(number: int, row: dict[str, object]) -> None:
    if number == 7:
        row |= {"outcome": Outcome.DROPPED.value, "attempt": 0, "finished_s": math.nan}


def losing(number: int, row: dict[str, object]) -> None:
    if number == 7:
        row["worker"] = "gone"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (slow, Result.FAIL),
        (failing, Result.FAIL),
        (late, Result.INVALID),
        (dropping, Result.INVALID),
        (losing, Result.INVALID),
    ],
)
def test_each_rule_can_fail(scenario: Scenario, change: Change, expected: Result) -> None:
    assert judged(scenario, change=change) is expected


def test_too_few_steps_and_no_step_of_an_objective_prove_nothing(scenario: Scenario) -> None:
    assert judged(scenario, count=99) is Result.INVALID
    assert judged(scenario, operation="look_up_status") is Result.INVALID


def test_a_replay_that_was_stopped_proves_nothing(scenario: Scenario) -> None:
    planned = make_plan([n / 100 for n in range(200)], ("file_dossier",))
    assert verdict.judge(scenario, planned, observed(planned), reached_end=False).result is Result.INVALID


@pytest.mark.parametrize(("filings", "expected"), [(4, Result.INVALID), (5, Result.PASS)])
def test_an_objective_needs_steps_of_its_own(scenario: Scenario, filings: int, expected: Result) -> None:
    """The 80% quantile of fewer than five steps would be the slowest of them."""
    planned = make_plan([n / 100 for n in range(200)], ("look_up_status",))
    words = ["file_dossier" if n < filings else "look_up_status" for n in range(200)]
    table = planned.table.set_column(3, "operation", pa.array(words).dictionary_encode())
    mixed = plan.make(table, planned.meta)
    assert verdict.judge(scenario, mixed, observed(mixed), reached_end=True).result is expected


def test_service_times_do_not_save_a_late_answer(scenario: Scenario) -> None:
    def queued(number: int, row: dict[str, object]) -> None:
        due_s = float(str(row["due_s"]))
        row |= {"started_s": due_s + 2.98, "finished_s": due_s + 3}

    assert judged(scenario, change=queued) is Result.FAIL


def test_a_run_is_as_good_as_its_worst_level() -> None:
    assert verdict.worst([]) is Result.INVALID
    assert verdict.worst([Result.PASS, Result.FAIL]) is Result.FAIL
    assert verdict.worst([Result.FAIL, Result.INVALID, Result.PASS]) is Result.INVALID
    assert [result.exit_code for result in (Result.PASS, Result.FAIL, Result.INVALID)] == [0, 1, 3]


def test_accounts_that_do_not_add_up_prove_nothing(scenario: Scenario) -> None:
    planned = make_plan([n / 100 for n in range(200)], ("file_dossier",))
    found = verdict.judge(scenario, planned, observed(planned).slice(1), reached_end=True)
    assert {rule.name for rule in found.rules if rule.result is Result.INVALID} == {"unaccounted"}
    assert found.result is Result.INVALID
