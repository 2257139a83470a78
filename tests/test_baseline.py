"""A run against a baseline: as good, worse, not shown, not alike."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from caodiem import baseline, observations, plan, run, studies
from caodiem.dossier import Outcome
from caodiem.errors import InvalidRun, UsageError
from caodiem.progress import bars
from caodiem.verdict import Result
from tests.conftest import make_plan
from tests.test_observations import row

STEPS = 400
MACHINE = {"system": "Linux", "processor": "x86_64", "cores": 2}


def made(folder: Path, scale: float = 1.0, steps: int = STEPS, **manifest: object) -> Path:
    """A finished run whose steps took exponentially spread times of mean `scale` seconds."""
    planned = make_plan([n / 10 for n in range(steps)])
    took_s = np.random.default_rng(3).exponential(scale, steps)
    rows = []
    for number in range(steps):
        values = list(row(planned, number, Outcome.OK))
        values[11] = values[8] + took_s[number]  # finished_s
        rows.append(tuple(values))
    execution = run.Execution(folder / "level-85" / "replayed")
    execution.folder.mkdir(parents=True)
    plan.write(planned, folder / "level-85" / "plan.parquet")
    observations.write(observations.close_accounts(planned, observations.table_of(rows)), execution.observations)
    told = {"scenario": "a", "scenario_hash": "f" * 64, "options": {"scale": 0.1}, "state": "finished"}
    run.write_json(folder / "manifest.json", {**told, "machine": MACHINE, **manifest})
    run.write_json(folder / "verdict.json", {"result": "pass", "exit_code": 0, "levels": []})
    return folder


@pytest.fixture
def known(tmp_path: Path) -> Path:
    path = tmp_path / "baseline.json"
    run.write_json(path, baseline.take(made(tmp_path / "reviewed")))
    return path


def test_a_baseline_keeps_the_quantiles_of_the_rows(known: Path) -> None:
    kept = run.read_json(known)["response_s"]["level-85"]["all"]
    took_s = np.sort(np.random.default_rng(3).exponential(1.0, STEPS))
    assert kept["p95"] == pytest.approx(took_s[379])
    # Only four of 400 lie beyond the last percentile.
    assert set(kept) == {"p50", "p95"}


@pytest.mark.parametrize(
    ("scale", "result"), [(1.0, Result.PASS), (1.2, Result.PASS), (1.28, Result.INVALID), (2.5, Result.FAIL)]
)
def test_only_what_is_shown_fails_and_only_what_is_good_passes(
    known: Path, tmp_path: Path, scale: float, result: Result
) -> None:
    assert baseline.result(baseline.hold(made(tmp_path / "now", scale), known)) is result


def test_what_a_review_tolerates_stays_when_a_baseline_is_taken_anew(known: Path, tmp_path: Path) -> None:
    reviewed = {**run.read_json(known), "tolerated": {"response_percent": 200.0, "capacity_percent": 5.0}}
    run.write_json(known, reviewed)
    again = baseline.take(made(tmp_path / "later", 2.5), known)
    assert again["tolerated"] == reviewed["tolerated"]
    assert again["response_s"] != reviewed["response_s"]


def test_what_is_not_alike_is_invalid(known: Path, tmp_path: Path) -> None:
    for number, other in enumerate(
        [{"scenario_hash": "e" * 64}, {"options": {"scale": 0.2}}, {"machine": {}}, {"state": "interrupted"}]
    ):
        with pytest.raises(InvalidRun):
            baseline.hold(made(tmp_path / f"other-{number}", **other), known)
    few = made(tmp_path / "few", steps=20)
    with pytest.raises(InvalidRun, match=r"plans: .*; expected "):
        baseline.hold(few, known)
    (few / "level-85" / "plan.parquet").write_bytes((tmp_path / "reviewed/level-85/plan.parquet").read_bytes())
    assert baseline.result(baseline.hold(few, known)) is Result.INVALID


def test_the_same_plan_replayed_in_the_same_way_is_alike_wherever_it_was_kept(known: Path, tmp_path: Path) -> None:
    whole = {
        "command": "run",
        "file": "own.toml",
        "scale": 0.1,
        "plans_from": "yesterday",
        "start_s": 0.0,
        "length_s": None,
        "speed": 1.0,
        "journeys": [],
    }
    assert baseline.result(baseline.hold(made(tmp_path / "again", options=whole), known)) is Result.PASS
    alone = {"scale": 0.1, "plan": "a/plan.parquet", "slo_from": "a/slo.toml"}
    assert baseline.result(baseline.hold(made(tmp_path / "alone", options=alone), known)) is Result.PASS
    trusting = made(tmp_path / "trusting", options={"scale": 0.1, "generator": {"host": "https://h", "ca": "a/ca.pem"}})
    run.write_json(tmp_path / "trusting.json", baseline.take(trusting))
    other = made(tmp_path / "other", options={"scale": 0.1, "generator": {"host": "https://h", "ca": "b/ca.pem"}})
    assert baseline.result(baseline.hold(other, tmp_path / "trusting.json")) is Result.PASS
    elsewhere = {**whole, "generator": {"host": "https://other.example", "portal": None}}
    with pytest.raises(InvalidRun, match=r"options: .*other\.example"):
        baseline.hold(made(tmp_path / "elsewhere", options=elsewhere), known)


SIZED = """
title = "A desk"
arrivals = { rate = 2 }
slo = [{ quantile = 95, response = 2 }]
stations = [{ name = "desk", servers = 3, service = 0.5 }]
run = { horizon = 100, most_replications = 10 }
"""


@pytest.fixture(scope="module")
def sized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of `caodiem size`."""
    folder = tmp_path_factory.mktemp("sized")
    (folder / "desk.toml").write_text(SIZED)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with bars() as shown:
            return studies.size(Path("desk.toml"), 1.0, shown)[0].folder.resolve()


def times(sized: Path, by: float, folder: Path, beyond: bool = False) -> Path:
    """The same run, had its capacity been so many times as high, or `beyond` the last rate that was tried."""
    shutil.copytree(sized, folder)
    figures = run.read_json(folder / "capacity.json")
    factor = figures["cases"][0]["capacity"]["factor"]
    factor |= {name: by * value for name, value in factor.items()}
    factor |= {"value": None, "high": None} if beyond else {}
    run.write_json(folder / "capacity.json", figures)
    return folder


@pytest.mark.parametrize(
    ("by", "result"),
    [(1.0, Result.PASS), (2.0, Result.PASS), (0.5, Result.FAIL), (0.0, Result.FAIL), (None, Result.INVALID)],
)
def test_capacity_is_worse_only_where_its_interval_shows_it(
    sized: Path, tmp_path: Path, by: float | None, result: Result
) -> None:
    known = tmp_path / "baseline.json"
    run.write_json(known, baseline.take(sized))
    factor = run.read_json(sized / "capacity.json")["cases"][0]["capacity"]["factor"]
    assert run.read_json(known)["capacity_factor"] == {"A desk": factor}
    # None: the value just misses the limit, and the interval's upper end does not.
    now = times(sized, 0.8999 if by is None else by, tmp_path / "now")
    (rule,) = baseline.hold(now, known)
    assert (rule.level, rule.figure, rule.baseline) == ("A desk", "factor", factor["value"])
    assert rule.limit == pytest.approx(0.9 * factor["value"])
    assert rule.result is result
    (now / "capacity.json").unlink()
    assert [rule.result for rule in baseline.hold(now, known)] == [Result.INVALID]


@pytest.mark.parametrize(("by", "result"), [(1.0, Result.PASS), (0.5, Result.INVALID)])
def test_a_capacity_beyond_what_was_tried_is_held_by_what_is_sure(
    sized: Path, tmp_path: Path, by: float, result: Result
) -> None:
    far, now = times(sized, 1.0, tmp_path / "far", beyond=True), times(sized, by, tmp_path / "now", beyond=True)
    sure = run.read_json(sized / "capacity.json")["cases"][0]["capacity"]["factor"]["low"]
    run.write_json(tmp_path / "baseline.json", baseline.take(far))
    (rule,) = baseline.hold(now, tmp_path / "baseline.json")
    assert (rule.baseline, rule.result) == (sure, result)
    (rule,) = baseline.hold(times(sized, 0.5, tmp_path / "worse"), tmp_path / "baseline.json")
    assert rule.result is Result.FAIL


def test_a_run_that_proves_nothing_is_no_baseline(tmp_path: Path) -> None:
    folder = made(tmp_path / "run")
    run.write_json(folder / "verdict.json", {"result": "invalid"})
    with pytest.raises(InvalidRun, match="verdict is invalid"):
        baseline.take(folder)
    run.write_json(tmp_path / "old.json", {"schema_version": 0})
    with pytest.raises(UsageError, match="schema_version"):
        baseline.hold(made(tmp_path / "other"), tmp_path / "old.json")
