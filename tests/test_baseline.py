"""A run against a baseline: as good, worse, not shown, not alike."""

from pathlib import Path

import numpy as np
import pytest

from caodiem import baseline, observations, plan, run
from caodiem.dossier import Outcome
from caodiem.errors import InvalidRun, UsageError
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


def test_capacity_is_held_too(tmp_path: Path) -> None:
    reviewed, now = made(tmp_path / "reviewed"), made(tmp_path / "now")
    for folder, factor in ((reviewed, 2.0), (now, 1.7)):
        run.write_json(folder / "capacity.json", {"cases": [{"case": "a", "capacity": {"factor": factor}}]})
    run.write_json(tmp_path / "baseline.json", baseline.take(reviewed))
    rules = baseline.hold(now, tmp_path / "baseline.json")
    assert [rule.result for rule in rules if rule.name == "capacity"] == [Result.FAIL]
    (now / "capacity.json").unlink()
    assert baseline.result(baseline.hold(now, tmp_path / "baseline.json")) is Result.INVALID


def test_a_run_that_proves_nothing_is_no_baseline(tmp_path: Path) -> None:
    folder = made(tmp_path / "run")
    run.write_json(folder / "verdict.json", {"result": "invalid"})
    with pytest.raises(InvalidRun, match="verdict is invalid"):
        baseline.take(folder)
    run.write_json(tmp_path / "old.json", {"schema_version": 0})
    with pytest.raises(UsageError, match="schema_version"):
        baseline.hold(made(tmp_path / "other"), tmp_path / "old.json")
