"""The master's end, however it comes: workers stop sending, the accounts are closed, nobody is left running."""

import signal
import time
from collections.abc import Callable

import numpy as np
import psutil
import pyarrow as pa
import pytest

from caodiem import observations
from tests.faults.conftest import Machines, ended, wait_for
from tests.loadtests import replay_plans

pytestmark = pytest.mark.slow
Make = Callable[..., Machines]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_master_that_is_told_to_stop_closes_the_accounts(machines: Make, number: signal.Signals) -> None:
    at = machines(replay_plans.evenly(50, 30))
    master, *workers = at.master(), at.worker(), at.worker()
    at.wait_until_played(2.0)
    master.send_signal(number)
    code, said = ended(master)
    _, outcomes = at.accounts()
    assert code == 3 and f"stopped by {number.name}" in said
    assert outcomes["ok"] > 50 and outcomes["lost"] > 1000
    assert at.info["stopped_because"] == f"stopped by {number.name}"
    for worker in workers:
        ended(worker)
    wait_for(lambda: not at.alive())


def assert_nothing_told_in_vain(rows: pa.Table, killed_s: float) -> None:
    """What workers told a master that was dead, or died before it had written it, is in the accounts as well."""
    due_s, outcome = rows["due_s"].to_numpy(), np.array(rows["outcome"].to_pylist())
    last_sent_s = float(np.nanmax(rows["started_s"].to_numpy()))
    assert last_sent_s > killed_s  # they go on for a second or so
    assert set(outcome[due_s < last_sent_s - 1.0]) <= {"ok", "dropped"}  # later ones may have been under way


def test_when_the_master_is_killed_the_last_worker_closes_the_accounts(
    machines: Make, record_property: Callable[[str, object], None]
) -> None:
    at = machines(replay_plans.evenly(50, 40, ["search"]))
    master, *workers = at.master(), at.worker(), at.worker()
    at.wait_until_played(3.0)
    master.kill()
    master.communicate()
    killed_at = time.monotonic()
    said = []
    for worker in workers:
        code, words = ended(worker)
        said.append(words)
        assert code == 3
    record_property("closed_after_s", time.monotonic() - killed_at)
    rows, outcomes = at.accounts()
    assert "nothing heard from the master" in said[0] and "nothing heard from the master" in said[1]
    assert sum("arrivals:" in words for words in said) == 1
    assert_nothing_told_in_vain(rows, 3.0)
    sent_s = rows["started_s"].to_numpy()
    assert outcomes["ok"] > 100 and outcomes["lost"] > 1000 and outcomes["ok"] + outcomes["lost"] == at.planned.arrivals
    # Workers sent on until they missed its answers, and not longer; what they sent in that time is in the accounts.
    assert sent_s[sent_s == sent_s].max() < 3.0 + 4.0
    assert not at.info["reached_end"] and "nothing heard" in at.info["stopped_because"]
    wait_for(lambda: not at.alive())


def test_forked_workers_go_with_a_killed_master(machines: Make) -> None:
    at = machines(replay_plans.evenly(50, 40, ["search"]))
    master = at.start("--processes", "2", *at.replay_words())
    at.wait_until_played(2.0)
    assert len(psutil.Process(master.pid).children()) == 2
    master.kill()
    wait_for(lambda: not at.alive(), 40)
    rows, outcomes = at.accounts()
    assert_nothing_told_in_vain(rows, 2.0)
    assert outcomes["ok"] > 50 and outcomes["lost"] > 1000


def test_ctrl_c_at_a_terminal_reaches_master_and_forked_workers(machines: Make) -> None:
    at = machines(replay_plans.evenly(50, 40))
    master = at.start("--processes", "2", *at.replay_words())
    at.wait_until_played(2.0)
    for process in at.alive():  # as a terminal does: to everybody at once
        process.send_signal(signal.SIGINT)
    code, said = ended(master)
    _, outcomes = at.accounts()
    assert code == 3 and "stopped by SIGINT" in said
    assert outcomes["ok"] > 50 and outcomes["lost"] > 1000
    wait_for(lambda: not at.alive())


def test_rows_are_readable_while_the_replay_goes_on(machines: Make) -> None:
    at = machines(replay_plans.evenly(50, 20, ["search"]))
    at.start("--processes", "2", *at.replay_words())
    at.wait_until_played(3.0)
    rows, _ = observations.read_parts(at.into.parts)
    assert rows.num_rows > 50 and len(set(rows["worker"].to_pylist())) == 2
