"""Figures from tables made by hand: accounts, stalls, hidden waiting, what was never answered."""

import math
from pathlib import Path

import pytest

from caodiem import summary
from caodiem.report import figures
from caodiem.report.material import LevelMaterial, gather
from caodiem.scenario import point_kind
from tests.report.small_run import LENGTH_S, PER_S, SERVICE_S, Serve, add_level, at_once, make_run, never, paused

ARRIVALS = int(LENGTH_S * PER_S)


def level_of(folder: Path, serve: Serve) -> LevelMaterial:
    run = make_run(folder)
    add_level(run, 43.0, replayed=serve)
    return gather(run).levels[0]


def waiting(level: LevelMaterial) -> figures.Waiting:
    assert level.replayed is not None
    return figures.waiting(level.replayed.rows, LENGTH_S)


def test_a_steady_portal_hides_nothing(tmp_path: Path) -> None:
    found = waiting(level_of(tmp_path, at_once))
    assert found.stall is None and not found.is_hidden
    assert found.longest_response_s == pytest.approx(SERVICE_S)
    assert (found.never, found.steps, found.arrivals) == (0, 2 * ARRIVALS, ARRIVALS)


def test_a_pause_is_found_with_its_arrivals_and_its_waiting(tmp_path: Path) -> None:
    found = waiting(level_of(tmp_path, paused(8.0, 13.0)))
    assert found.is_hidden
    assert found.longest_response_s == pytest.approx(5 + SERVICE_S, abs=0.06)
    assert found.longest_service_s == pytest.approx(SERVICE_S)
    assert found.stall is not None
    assert found.stall.from_s == pytest.approx(8, abs=0.3) and found.stall.to_s == pytest.approx(13.05)
    assert found.stall.arrivals == pytest.approx(5 * PER_S, abs=1)


def test_a_quiet_stretch_of_the_plan_is_no_stall(tmp_path: Path) -> None:
    # Two seconds without an answer, but only one arrival fell due in them.
    rows = level_of(tmp_path, at_once).replayed
    assert rows is not None
    first = rows.rows.filter(rows.rows["arrival"].to_numpy() % (10 * PER_S) == 0)
    assert figures.waiting(first, LENGTH_S).stall is None


def test_nothing_answered_is_one_stall_and_infinite_times(tmp_path: Path) -> None:
    level = level_of(tmp_path, never)
    found = waiting(level)
    assert found.never == found.steps and math.isinf(found.longest_response_s)
    assert found.stall == figures.Stall(0.0, LENGTH_S, ARRIVALS)
    assert level.replayed is not None
    everything = figures.operation_times(level.replayed.rows, None, {})[0]
    assert everything.measured is not None and math.isinf(everything.measured.p50_s)
    assert everything.service is not None and everything.service.p50_s == pytest.approx(SERVICE_S)


def test_operations_stand_in_the_domains_order_after_all(tmp_path: Path) -> None:
    level = level_of(tmp_path, at_once)
    assert level.replayed is not None and level.simulated is not None
    locust = {"locust_statistics": [{"name": "sign_in", "p95_ms": 50}, {"name": "Aggregated", "p95_ms": 60}]}
    found = figures.operation_times(level.replayed.rows, level.simulated.rows, locust)
    assert [row.operation for row in found] == ["all", "sign_in", "file_dossier"]
    assert [row.locust_p95_s for row in found] == [0.06, 0.05, None]


def test_what_no_station_serves_is_not_foretold(tmp_path: Path) -> None:
    level = level_of(tmp_path, at_once)
    assert level.replayed is not None
    rows = level.replayed.rows
    for column in ("released_s", "started_s", "finished_s"):
        rows = rows.set_column(rows.schema.get_field_index(column), column, rows["due_s"])
    for found in figures.operation_times(None, rows, {}):
        assert found.predicted is None and found.service is None and found.steps


def test_rates_add_up_to_the_arrivals(tmp_path: Path) -> None:
    level = level_of(tmp_path, at_once)
    assert level.plan is not None and level.replayed is not None
    found = figures.arrival_rates(level.plan, level.replayed.rows)
    for series in (found.planned, found.released, found.finished):
        assert series.sum() * found.bin_s == ARRIVALS
    assert found.planned[0] == PER_S
    # A journey's two steps stand a second apart.
    assert found.finished[0] == 0


def test_accounts_agree_with_the_tables(tmp_path: Path) -> None:
    level = level_of(tmp_path, never)
    assert level.replayed is not None
    found = figures.account(43.0, "replayed", level.plan, level.replayed.rows)
    assert found.outcomes == summary.arrival_outcomes(level.replayed.rows)
    assert found.outcomes["failed"] == found.planned == found.total == ARRIVALS
    assert found.is_balanced


def test_accounts_of_a_plan_that_cannot_be_read_do_not_balance(tmp_path: Path) -> None:
    level = level_of(tmp_path, at_once)
    assert level.replayed is not None
    assert not figures.account(43.0, "replayed", None, level.replayed.rows).is_balanced


@pytest.mark.parametrize(
    ("evidence", "source", "kind"),
    [
        ("seed", "x", "observed"),
        ("seed", "a-target-2025", "target"),
        ("assumed", "x", "assumed"),
        ("derived", "x", "derived"),
    ],
)
def test_points_are_told_apart(evidence: str, source: str, kind: str) -> None:
    assert point_kind(source, evidence) == kind
