"""The measurement of the gate itself: what is asked in which order, what its figures are."""

import math
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from gates import power


def test_every_kind_comes_round_with_and_without_a_competitor() -> None:
    trials = list(islice(power.schedule(["verification", "sync"]), 48))
    assert len(set(trials)) == 48
    for path in ("verification", "sync"):
        own = [trial for trial in trials if trial.path == path]
        for share in (0.0, *power.SHARES):
            of_share = [trial for trial in own if trial.share == share]
            assert sum(trial.has_competitor for trial in of_share) == len(of_share) / 2


def test_intervals_are_those_of_scipy() -> None:
    for hits, runs in [(0, 10), (3, 10), (10, 10), (1, 100)]:
        expected = binomtest(hits, runs).proportion_ci(0.95, method="exact")
        assert power.share_interval(hits, runs) == pytest.approx((expected.low, expected.high))


def test_figures_count_what_the_lines_say(tmp_path: Path) -> None:
    def row(share: float, outcome: str, path: str = "sync") -> dict[str, object]:
        benchmarks = {
            "test_a": {"outcome": outcome, "median_log_ratio": share, "log_ratios": [0.1, 0.2, 0.3, 0.4, 0.2, 0.1]}
        }
        return {
            "path": path,
            "share": share,
            "has_competitor": False,
            "number": 0,
            "outcome": outcome,
            "benchmarks": benchmarks,
        }

    rows = [row(0.0, "same"), row(0.0, "slower"), row(0.0, "inconclusive", "verification"), row(0.1, "slower")]
    rows[0]["comparison_alarm"], rows[3]["comparison_alarm"] = True, False
    found = power.figures(rows)
    assert (found["aa_runs"], found["false_alarms"]) == (3, 1)
    assert (found["planted_10_percent"]["runs"], found["planted_10_percent"]["caught"]) == (1, 1)
    assert found["verification"]["aa_runs"] == 1
    assert found["pytest_benchmark_compare"]["false_alarms"] == 1
    assert found["pytest_benchmark_compare"]["caught"] == 0
    assert found["aa_benchmarks"]["sync: test_a"] == {
        "same": 1,
        "faster": 0,
        "slower": 1,
        "inconclusive": 0,
        "ratio": 1,
    }
    assert found["sync"]["planted_10_percent"]["benchmarks"]["sync: test_a"]["ratio"] == pytest.approx(math.exp(0.1))


def test_pairs_that_go_together_are_seen() -> None:
    drawn = np.random.default_rng(1).normal(size=400)
    for log_ratios, of_one_ring in ((drawn, 0), (np.repeat(drawn, 2), 1)):
        found = power._correlations([{"benchmarks": {"test_a": {"log_ratios": list(log_ratios)}}}])
        assert found["of_one_ring"] == pytest.approx(of_one_ring, abs=0.15)
        assert found["of_rings_in_turn"] == pytest.approx(0, abs=0.15)


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    (tmp_path / "lines.jsonl").write_text('{"share": 0.0}\n{"sha')
    assert power.read(tmp_path / "lines.jsonl") == [{"share": 0.0}]
