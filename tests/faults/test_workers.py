"""Workers that die, sleep, come late, go early, or have another clock: every arrival is accounted for, and once.

Figures are kept as properties of the tests (`--junit-xml FILE -o junit_family=xunit1`). The portal counts what reaches
it, so what was sent twice would show.
"""

import signal
import time
from collections.abc import Callable

import numpy as np
import pytest

from caodiem import verdict
from caodiem.scenario import Scenario
from tests.faults.conftest import Machines, ended, wait_for
from tests.loadtests import replay_plans

pytestmark = pytest.mark.slow
Make = Callable[..., Machines]
Record = Callable[[str, object], None]
RATE_PER_S = 50.0


def test_a_killed_worker_takes_along_only_what_was_due(
    machines: Make, scenario: Scenario, record_property: Record
) -> None:
    at = machines(replay_plans.evenly(RATE_PER_S, 12, ["search"]))
    master, first, second = at.master(), at.worker(), at.worker()
    at.wait_until_played(4.0)
    second.kill()
    code, said = ended(master)
    rows, outcomes = at.accounts()
    due_s, outcome = rows["due_s"].to_numpy(), np.array(rows["outcome"].to_pylist())
    (gone,) = [each for each in at.info["by_worker"] if each["gone_at_s"] is not None]
    record_property("lost", outcomes["lost"])
    record_property("gone_at_s", gone["gone_at_s"])
    assert 0 < outcomes["lost"] < 4.5 * RATE_PER_S / 2  # half the rate, for as long as it took to be missed
    assert due_s[outcome == "lost"].max() <= gone["gone_at_s"]
    assert set(outcome[due_s > gone["gone_at_s"]]) == {"ok"}
    assert code == 3 and f"worker {gone['worker']} is silent" in said and f"lost {outcomes['lost']}" in said
    judged = verdict.judge(scenario, at.planned, rows, reached_end=at.info["reached_end"])
    (lost,) = [rule for rule in judged.rules if rule.name == "lost"]
    assert judged.result is verdict.Result.INVALID and lost.found == outcomes["lost"]
    ended(first)
    wait_for(lambda: not at.alive())


def test_a_worker_that_slept_does_not_send_what_others_were_given(machines: Make, record_property: Record) -> None:
    at = machines(replay_plans.evenly(RATE_PER_S, 14, ["search"]))
    master, first, second = at.master("--greatest-lateness", "10"), at.worker(), at.worker()
    at.wait_until_played(3.0)
    second.send_signal(signal.SIGSTOP)
    time.sleep(5)
    second.send_signal(signal.SIGCONT)
    code, said = ended(master)
    rows, outcomes = at.accounts()
    arrivals = rows["arrival"].to_numpy()
    assert len(set(arrivals)) == len(arrivals)  # closing accounts would keep a second row of a step that was sent twice
    total = at.info["locust_statistics"][-1]["num_requests"]
    assert total == at.planned.arrivals - outcomes["dropped"] - outcomes["lost"], said
    lateness_s = rows["released_s"].to_numpy() - rows["due_s"].to_numpy()
    record_property("lateness_s_max", float(np.nanmax(lateness_s)))
    assert np.nanmax(lateness_s) > 1.5  # its own due ones waited for it; nothing was hidden
    assert "is silent" in said and code in (0, 3)
    # It was given leases again: somebody sent each of the last second's arrivals, and it was among them.
    late = rows["due_s"].to_numpy() > 13
    assert len(set(np.array(rows["worker"].to_pylist())[late])) == 2
    for worker in (first, second):
        ended(worker)


def test_the_end_waits_for_what_a_sleeping_worker_holds(machines: Make) -> None:
    """It is told to stop while the last arrivals are due, and goes on when everybody else has long come to the end."""
    at = machines(replay_plans.evenly(RATE_PER_S, 6, ["search"]))
    master, first, second = at.master("--greatest-lateness", "30"), at.worker(), at.worker()
    at.wait_until_played(5.0)
    second.send_signal(signal.SIGSTOP)
    at.wait_until_played(6.0)
    time.sleep(4)
    second.send_signal(signal.SIGCONT)
    code, said = ended(master)
    _, outcomes = at.accounts()
    assert "is silent" in said
    assert code == 0 and outcomes["ok"] == at.planned.arrivals, said
    for worker in (first, second):
        ended(worker)


def test_a_worker_that_comes_late_gets_its_share(machines: Make) -> None:
    at = machines(replay_plans.evenly(RATE_PER_S, 20, ["ask"]))
    master, first = at.master(workers=1), at.worker()
    at.wait_until_played(1.0)
    second = at.worker()
    code, said = ended(master)
    rows, outcomes = at.accounts()
    assert code == 0 and outcomes["ok"] == at.planned.arrivals, said
    due_s, worker = rows["due_s"].to_numpy(), np.array(rows["worker"].to_pylist())
    assert len(set(worker[due_s < 1])) == 1
    last = worker[due_s >= 19]
    assert sorted(np.unique(last, return_counts=True)[1] / len(last)) == pytest.approx([0.5, 0.5], abs=0.05)
    ended(first)
    ended(second)


RAISING = ("--portal", "tests.loadtests.raising_portal:RaisesOnOneMachine")
SAID = f"{RAISING[1]}: use: LookupError at raising_portal.py"


def test_a_worker_that_cannot_take_its_orders_ends_the_replay_before_it_begins(machines: Make) -> None:
    at = machines(replay_plans.evenly(RATE_PER_S, 30, ["search"]))
    master, first, second = at.master(*RAISING), at.worker(), at.worker(CANNOT="1")
    code, said = ended(master)
    _, outcomes = at.accounts()
    assert code == 2 and SAID in said and SAID in at.info["stopped_because"]
    assert outcomes["ok"] == 0 and outcomes["lost"] == at.planned.arrivals
    for worker in (first, second):
        ended(worker)
    wait_for(lambda: not at.alive())


def test_a_late_worker_that_cannot_take_its_orders_is_left_out(machines: Make) -> None:
    at = machines(replay_plans.evenly(RATE_PER_S, 12, ["search"]))
    master, first = at.master(*RAISING, workers=1), at.worker()
    at.wait_until_written(rows=1)
    second = at.worker(CANNOT="1")
    code, said = ended(master)
    rows, outcomes = at.accounts()
    assert SAID in said and "the others go on without it" in said
    assert outcomes["ok"] + outcomes["dropped"] == at.planned.arrivals, said
    assert code == (0 if outcomes["dropped"] == 0 else 3)
    assert len({worker for worker in rows["worker"].to_pylist() if worker}) == 1
    for worker in (first, second):
        ended(worker)


def test_a_worker_that_is_told_to_stop_hands_over(machines: Make, record_property: Record) -> None:
    at = machines(replay_plans.evenly(RATE_PER_S, 10, ["search"]))
    master, first, second = at.master(), at.worker(), at.worker()
    at.wait_until_played(3.0)
    second.send_signal(signal.SIGTERM)
    assert "stopped by SIGTERM" in ended(second)[1]
    code, said = ended(master)
    _, outcomes = at.accounts()
    record_property("lost", outcomes["lost"])
    # What was under way at that moment is all that may be missing.
    assert outcomes["ok"] >= at.planned.arrivals - 5, said
    assert code == (0 if outcomes["lost"] == 0 else 3)
    ended(first)


def test_no_worker_left_ends_the_replay(machines: Make) -> None:
    at = machines(replay_plans.evenly(RATE_PER_S, 30, ["search"]))
    master, only = at.master(workers=1), at.worker()
    at.wait_until_written(rows=21)
    only.kill()
    code, _ = ended(master)
    _, outcomes = at.accounts()
    assert code == 3 and outcomes["lost"] > 1000 and outcomes["ok"] > 20
    assert not at.info["reached_end"] and "before the plan's end" in at.info["stopped_because"]
    wait_for(lambda: not at.alive())


def test_where_every_worker_sleeps_the_accounts_are_closed_without_them(machines: Make) -> None:
    """Locust stops the test when it misses the last worker; what that one says when it wakes changes nothing."""
    at = machines(replay_plans.evenly(RATE_PER_S, 30, ["search"]))
    master, only = at.master(workers=1), at.worker()
    at.wait_until_written(rows=21)
    only.send_signal(signal.SIGSTOP)
    code, said = ended(master)
    _, outcomes = at.accounts()
    told = at.info["stopped_because"]
    assert code == 3 and told == "no worker is left: stopped before the plan's end" and told in said
    only.send_signal(signal.SIGCONT)
    ended(only)
    assert at.accounts()[1] == outcomes and outcomes["ok"] > 20 and outcomes["lost"] > 1000
    wait_for(lambda: not at.alive())


@pytest.mark.parametrize("shift_s", [86_400.0, -1000.0, 0.5])
def test_workers_with_other_clocks_send_when_the_master_says(
    machines: Make, record_property: Record, shift_s: float
) -> None:
    at = machines(replay_plans.evenly(RATE_PER_S, 4, ["search"]))
    master, first = at.master(), at.worker()
    second = at.worker(locustfile="tests/faults/shifted_locustfile.py", SHIFT_S=str(shift_s))
    code, said = ended(master)
    rows, outcomes = at.accounts()
    clocks = [each["clock"] for each in at.info["by_worker"]]
    (shifted,) = [clock for clock in clocks if clock["offset_s"] != 0]
    record_property("clock", shifted)
    assert abs(shifted["offset_s"] + shift_s) <= shifted["uncertainty_s"]
    if shifted["error_s_max"] <= 0.010:
        assert code == 0 and outcomes["ok"] == at.planned.arrivals, said
    lateness_s = rows["released_s"].to_numpy() - rows["due_s"].to_numpy()
    assert lateness_s.min() >= 0
    assert len(set(rows["worker"].to_pylist())) == 2
    ended(first)
    ended(second)


def test_a_clock_that_runs_away_proves_nothing(machines: Make) -> None:
    at = machines(replay_plans.evenly(RATE_PER_S, 6, ["search"]))
    master = at.master(workers=1)
    worker = at.worker(locustfile="tests/faults/shifted_locustfile.py", SHIFT_S="0", DRIFT="0.01")
    code, said = ended(master)
    at.accounts()
    assert code == 3 and "the clock of worker" in said and "expected at most 0.01 s" in said
    assert not at.info["reached_end"]
    ended(worker)
