"""A portal that answers in odd ways: every step gets the outcome that it had, and the replay goes on.

Portals that are paused, killed or redirect to a forbidden host are in tests/loadtests/test_replay.py.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from caodiem import plan, run
from loadtests.replay import replay
from tests.faults.odd_portal import SLOW_S
from tests.loadtests import replay_plans
from tests.loadtests.test_replay import check_accounts


@pytest.fixture
def odd(request: pytest.FixtureRequest) -> Iterator[str]:
    command = [sys.executable, str(Path(__file__).with_name("odd_portal.py")), request.param]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


@pytest.mark.parametrize(
    ("odd", "outcome"),
    [
        ("reset", "failed"),
        pytest.param("garbage", "failed", marks=pytest.mark.slow),
        pytest.param("half", "failed", marks=pytest.mark.slow),
        pytest.param("wrong", "failed", marks=pytest.mark.slow),
        pytest.param("lead", "failed", marks=pytest.mark.slow),
        pytest.param("slow", "ok", marks=pytest.mark.slow),
    ],
    indirect=["odd"],
)
def test_every_third_answer_is_odd(odd: str, outcome: str, tmp_path: Path) -> None:
    planned = replay_plans.evenly(60, 2, ["search"])
    plan.write(planned, tmp_path / "plan.parquet")
    into = run.Execution(tmp_path / "replayed")
    # Every answer slow would need a pool of 30.
    assert replay(tmp_path / "plan.parquet", into, odd, "admin", 100, 5.0, None) == 0
    rows, outcomes = check_accounts(planned, into)
    if outcome == "ok":
        assert outcomes["ok"] == planned.arrivals
        service_s = rows["finished_s"].to_numpy() - rows["started_s"].to_numpy()
        assert (service_s >= SLOW_S).sum() == planned.arrivals // 3
    else:
        assert outcomes["failed"] == planned.arrivals // 3
        assert outcomes["ok"] == planned.arrivals - planned.arrivals // 3
        assert run.read_json(into.info)["locust_statistics"][-1]["num_failures"] == planned.arrivals // 3
