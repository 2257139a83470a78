"""The board against summary.py over the same rows, taken in as they are written."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from caodiem import plan, summary
from caodiem.observations import SCHEMA, packed, write_part
from caodiem.scenario import Scenario
from caodiem.scenario_file import load
from loadtests.board import RECENT_S, Board
from tests.loadtests import replay_plans

SCENARIO = Path(__file__).parents[2] / "scenarios" / "adoption-43-to-85.toml"


@pytest.fixture(scope="module")
def planned() -> plan.Plan:
    return replay_plans.evenly(50, 100, ["search", "sync"])


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return load(SCENARIO)


def rows_of(planned: plan.Plan, service_s: float = 0.02, refused_of: int = 20) -> pa.Table:
    """Every step released late by up to 5 ms and answered after `service_s`; one of `refused_of` refused."""
    steps = planned.steps
    due_s = planned.table["due_s"].to_numpy()
    released_s = due_s + np.random.default_rng(1).uniform(0, 0.005, steps)
    outcome = np.where(np.arange(steps) % refused_of == 0, "refused", "ok")
    return pa.table(
        {
            **{name: planned.table[name] for name in SCHEMA.names[:8]},
            "due_s": due_s,
            "released_s": released_s,
            "started_s": released_s + 0.001,
            "finished_s": released_s + 0.001 + service_s * np.random.default_rng(2).exponential(1, steps),
            "outcome": outcome,
            "status": np.where(outcome == "ok", 200, 503).astype(np.int16),
            "attempt": np.ones(steps, dtype=np.int16),
            "worker": np.full(steps, "w"),
        }
    ).cast(SCHEMA)


def test_a_board_says_what_the_summary_says(planned: plan.Plan, scenario: Scenario, tmp_path: Path) -> None:
    rows = rows_of(planned)
    board = Board(planned, tmp_path, scenario)
    for second in range(0, 100, 5):
        due_s = rows["due_s"].to_numpy()
        write_part(tmp_path, "w-0", second, packed(rows.filter(pa.array((due_s >= second) & (due_s < second + 5)))))
        found = board.figures(second + 5.0)
    whole = summary.summarise(rows)
    assert found["outcomes"] == whole["all"]["outcomes"]
    assert found["planned_so_far"] == planned.steps
    assert {each["name"]: each["ok"] for each in found["by_operation"]} == {
        name: each["outcomes"]["ok"] for name, each in whole["operations"].items()
    }
    assert sum(found["seconds"]["released"]) == sum(found["seconds"]["finished"]) == planned.steps

    # Times are of the last minute.
    recent = summary.summarise(rows.filter(pa.array(rows["due_s"].to_numpy() >= 100 - RECENT_S)))
    for each in found["by_operation"]:
        of_operation = recent["operations"][each["name"]]
        assert each["recent"] == of_operation["steps"]
        assert each["response_p50_s"] == of_operation["response_s"]["p50"]
        assert each["service_p95_s"] == of_operation["service_s"]["p95"]


def test_a_second_long_past_keeps_its_quantile(planned: plan.Plan, tmp_path: Path) -> None:
    rows = rows_of(planned, refused_of=planned.steps)
    write_part(tmp_path, "w-0", 1, packed(rows))
    seconds = Board(planned, tmp_path, None).figures(100.0)["seconds"]
    due_s = rows["due_s"].to_numpy()
    for second in (1, 20, 99):
        own = rows.filter(pa.array((due_s >= second) & (due_s < second + 1)))
        assert seconds["response_p95_s"][second] == summary.quantile(summary.response_s(own), 0.95)


def test_rules_so_far_are_those_of_the_verdict(planned: plan.Plan, scenario: Scenario, tmp_path: Path) -> None:
    rows = rows_of(planned)
    write_part(tmp_path, "w-0", 1, packed(rows))
    found = Board(planned, tmp_path, scenario).figures(100.0)
    responses_s = summary.response_s(rows)
    for rule in (rule for rule in found["rules"] if rule["name"] == "slo" and rule["operation"] == "all"):
        assert rule["steps"] == planned.steps
        assert rule["met"] == (summary.quantile(responses_s, rule["needed"]) <= rule["limit_s"])
    p95, p99 = (rule for rule in found["rules"] if rule["operation"] == "all" and rule["name"] == "slo")
    # One step of 20 was refused: 95% were answered, 99% were not.
    assert p95["met"] and not p99["met"]
    assert [rule["met"] for rule in found["rules"] if rule["operation"] == "file_dossier"] == [None]


def test_what_was_never_answered_is_a_word_and_what_is_missing_nothing(planned: plan.Plan, tmp_path: Path) -> None:
    rows = rows_of(planned, refused_of=2)
    write_part(tmp_path, "w-0", 1, packed(rows.slice(0, 500)))
    found = Board(planned, tmp_path, None).figures(20.0)
    assert found["seconds"]["response_p95_s"][3] == "never"
    assert found["seconds"]["response_p95_s"][50] is None
    assert found["rules"] == []
