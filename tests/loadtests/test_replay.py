"""Whole replays by Locust in processes of its own, against small portals that are paused, killed or lead astray.

Locust is never imported here: it would patch the test process.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from caodiem import observations, operation_map, part, plan, plan_from_log, run, summary
from loadtests import accounts
from loadtests.replay import _close, replay
from staging.service import Portal, running
from tests.loadtests import replay_plans
from tests.loadtests.conftest import Served

ROOT = Path(__file__).resolve().parents[2]
Serve = Callable[..., Served]
AT_ONCE_S = 0.4  # a service time that no portal of these tests has unless it is paused


@pytest.fixture
def into(tmp_path: Path) -> run.Execution:
    return run.Execution(tmp_path / "level-85" / "replayed")


def written(planned: plan.Plan, into: run.Execution) -> Path:
    path = into.folder.parent / "plan.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    plan.write(planned, path)
    return path


def play(
    planned: plan.Plan,
    into: run.Execution,
    url: str,
    pool: int = 50,
    late_s: float = 1.0,
    progress: Any = None,
    abort: tuple[str, ...] = (),
) -> int:
    return replay(written(planned, into), into, url, "admin", pool, late_s, progress, abort)


def check_accounts(planned: plan.Plan, into: run.Execution) -> tuple[pa.Table, dict[str, int]]:
    """Rows and arrivals by outcome as they stand in the files, which must add up and hold nothing half done."""
    rows = observations.read(into.observations)
    outcomes = summary.arrival_outcomes(rows)
    assert sum(outcomes.values()) == planned.arrivals
    assert rows.num_rows == planned.steps
    assert run.read_json(into.info)["arrival_outcomes"] == outcomes
    observations.read_components(into.components)
    assert {path.name for path in into.folder.iterdir()} == {
        "observations.parquet", "components.parquet", "info.json", "locust.log"
    }  # fmt: skip
    return rows, outcomes


def once(when_s: float, act: Callable[[], object]) -> Callable[[float], None]:
    """Progress that calls `act` the first time that `when_s` seconds of the plan have been played."""
    done: list[bool] = []

    def progress(played_s: float) -> None:
        if played_s >= when_s and not done:
            done.append(True)
            act()

    return progress


def calling(planned: plan.Plan, into: run.Execution, url: str) -> "subprocess.Popen[bytes]":
    """A process that calls `replay` and prints its progress."""
    code = f"""
from pathlib import Path
from caodiem.run import Execution
from loadtests.replay import replay
into = Execution(Path({str(into.folder)!r}))
replay(Path({str(written(planned, into))!r}), into, {url!r}, "admin", 9, 1.0, print)
"""
    command = [sys.executable, "-c", code]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def locust_below(pid: int) -> psutil.Process:
    return next(child for child in psutil.Process(pid).children() if "locust" in child.cmdline())


@contextlib.contextmanager
def listening() -> Iterator[tuple[str, socket.socket]]:
    """An address that is not allowed, though it is this machine, and the socket that anyone who tries it reaches."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        server.setblocking(False)
        yield f"http://0.0.0.0:{server.getsockname()[1]}", server


def assert_nobody_came(server: socket.socket) -> None:
    with pytest.raises(BlockingIOError):
        server.accept()


@pytest.fixture
def config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A .locust.conf at home, which Locust reads whatever its command line says, and that asks for another replay."""
    options = {"speed": 0.5, "scale": 0.1, "window": "0+1", "journeys": "ask", "run-time": "1s", "processes": 2}
    options |= {"ca": "none.pem", "abort": "p1 > 1 ms for 1 s"}
    (tmp_path / ".locust.conf").write_text("".join(f"{option} = {value}\n" for option, value in options.items()))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.usefixtures("config_file")
def test_every_step_is_sent_when_due_and_answered(serve: Serve, into: run.Execution) -> None:
    planned = replay_plans.evenly(100, 2)
    assert play(planned, into, serve().url) == 0
    rows, outcomes = check_accounts(planned, into)
    assert outcomes["ok"] == planned.arrivals
    lateness_s = rows["released_s"].to_numpy() - rows["due_s"].to_numpy()
    assert lateness_s.min() >= 0
    assert summary.quantile(lateness_s, 0.99) < 0.1  # about 1.5 ms on an idle machine
    first = rows["step"].to_numpy() == 0
    assert np.allclose(rows["due_s"].to_numpy()[first], np.arange(planned.arrivals) / 100)
    before, later = np.flatnonzero(~first) - 1, np.flatnonzero(~first)
    think_s = planned.table.sort_by([("arrival", "ascending"), ("step", "ascending")])["think_s"].to_numpy()
    assert np.allclose(rows["due_s"].to_numpy()[later], rows["finished_s"].to_numpy()[before] + think_s[later])
    components = observations.read_components(into.components)
    assert components.num_rows == planned.steps
    assert components["station"].unique().to_pylist() == ["portal"]
    assert set(components["wait_s"].to_pylist()) == {0.0005}
    check_info(planned, into)


def check_info(planned: plan.Plan, into: run.Execution) -> None:
    """Locust's statistics count each attempted step once, and the token stands nowhere."""
    info = run.read_json(into.info)
    told = {entry["name"]: entry for entry in info["locust_statistics"]}
    assert told["Aggregated"]["num_requests"] == planned.steps
    assert told["sign_in"]["num_requests"] == 2 * planned.arrivals / 5 and told["sign_in"]["method"] == "POST"
    assert (info["reached_end"], info["locust_exit_code"], info["workers"], info["pool"]) == (True, 0, 1, 50)
    assert (info["plan_hash"], info["abort_rules"]) == (planned.meta.plan_hash, [])
    assert "admin" not in json.dumps(info) + (into.folder / "locust.log").read_text()


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """The staging portal; each replay prepares it for its own plan."""
    with running(tmp_path_factory.mktemp("portal") / "log.txt") as portal:
        yield portal


def test_the_staging_portal_answers_every_operation_well(portal: Portal, into: run.Execution) -> None:
    planned = replay_plans.evenly(20, 1)
    assert replay(written(planned, into), into, portal.url, portal.admin_token, 20, 5.0, None) == 0
    rows, outcomes = check_accounts(planned, into)
    assert outcomes["ok"] == planned.arrivals, summary.summarise(rows)["operations"]
    assert observations.read_components(into.components).num_rows >= planned.steps


@pytest.mark.slow
def test_a_portal_that_speaks_tls_is_verified(tmp_path: Path, into: run.Execution) -> None:
    planned = replay_plans.evenly(20, 1)
    with running(tmp_path / "portal.log", tls=True) as portal:
        assert portal.url.startswith("https://")
        code = replay(written(planned, into), into, portal.url, portal.admin_token, 20, 5.0, None, ca=portal.ca)
        assert code == 0
        _, outcomes = check_accounts(planned, into)
        assert outcomes["ok"] == planned.arrivals
        # Whom nobody vouches for is not asked.
        assert replay(written(planned, into), into, portal.url, portal.admin_token, 20, 5.0, None) == 3
        assert "CERTIFICATE_VERIFY_FAILED" in run.read_json(into.info)["stopped_because"]
        # Nor by a class that has nothing to prepare: that each step failed would say nothing of the portal.
        unprepared = "tests.loadtests.raising_portal:PreparesNothing"
        assert replay(written(planned, into), into, portal.url, "", 20, 5.0, None, portal=unprepared) == 3
        assert "expected --ca FILE" in run.read_json(into.info)["stopped_because"]


@pytest.mark.slow
def test_a_plan_from_a_log_is_replayed_against_the_staging_portal(
    portal: Portal, tmp_path: Path, into: run.Execution
) -> None:
    requests = [f"GET /dossiers/H01-20260504-000000{n % 5}" for n in range(20)]
    requests += ["POST /dossiers", "POST /dossiers/H01-20260504-0000008/payment", "GET /catalogue?q=a", "POST /sync"]
    requests += ["POST /accounts/sign-in", "POST /cases/G02-20260504-0000009/receive"]
    log = tmp_path / "access.log"
    log.write_text(
        "".join(f'- - - [04/May/2026:09:00:0{n % 2} +0700] "{r} HTTP/1.1" 200 9\n' for n, r in enumerate(requests))
    )
    known = operation_map.load(ROOT / "loadtests" / "portals" / "reference.toml")
    planned = plan_from_log.to_plan(plan_from_log.read(log, known), log, 1, 1.0)
    assert replay(written(planned, into), into, portal.url, portal.admin_token, 20, 5.0, None) == 0
    rows, outcomes = check_accounts(planned, into)
    assert outcomes["ok"] == planned.arrivals == len(requests), summary.summarise(rows)["operations"]


def test_a_pause_shows_in_response_times_from_due_and_not_in_locusts(serve: Serve, into: run.Execution) -> None:
    url, portal = serve()
    pause_s, pool = 2.0, 4

    def pause() -> None:
        portal.send_signal(signal.SIGSTOP)
        threading.Timer(pause_s, portal.send_signal, [signal.SIGCONT]).start()

    planned = replay_plans.evenly(50, 4, ["search"])
    assert play(planned, into, url, pool, 10.0, once(0.5, pause)) == 0
    rows, outcomes = check_accounts(planned, into)
    assert outcomes["ok"] == planned.arrivals
    due_s, started_s, finished_s = (rows[name].to_numpy() for name in ("due_s", "started_s", "finished_s"))
    resumed_s = finished_s[np.argmax(finished_s - started_s)]
    meanwhile = (due_s > resumed_s - pause_s + 0.1) & (due_s < resumed_s - 0.1)
    assert meanwhile.sum() > 80
    assert (summary.response_s(rows)[meanwhile] >= resumed_s - due_s[meanwhile] - 0.05).all()
    # All but the few that were under way look quick to a clock that starts when a request is sent.
    assert (summary.service_s(rows) > AT_ONCE_S).sum() <= pool
    total = run.read_json(into.info)["locust_statistics"][-1]
    assert total["p95_ms"] < AT_ONCE_S * 1000 < 1000 < 1000 * summary.quantile(summary.response_s(rows), 0.9)


def test_what_comes_too_late_is_dropped_and_counted(serve: Serve, into: run.Execution) -> None:
    planned = replay_plans.evenly(20, 1.5, ["ask"])
    assert play(planned, into, serve("--service-s", "0.2").url, pool=1, late_s=0.3) == 0
    rows, outcomes = check_accounts(planned, into)
    assert outcomes["dropped"] > 10 and outcomes["ok"] > 0
    dropped = rows.filter(pc.equal(rows["outcome"].cast(pa.string()), "dropped"))
    assert np.isnan(dropped["started_s"].to_numpy()).all() and set(dropped["attempt"].to_pylist()) == {0}
    assert run.read_json(into.info)["locust_exit_code"] == 3


def test_a_portal_that_dies_fails_the_rest(serve: Serve, into: run.Execution) -> None:
    url, portal = serve()
    planned = replay_plans.evenly(50, 2)
    assert play(planned, into, url, progress=once(0.5, portal.kill)) == 0
    _, outcomes = check_accounts(planned, into)
    assert outcomes["failed"] > 10 and outcomes["ok"] > 10 and outcomes["lost"] == 0


def test_what_a_killed_locust_held_is_lost(serve: Serve, into: run.Execution) -> None:
    planned = replay_plans.evenly(50, 5)
    killed: list[psutil.Process] = []

    def kill_once_rows_are_written(_played_s: float) -> None:
        if not killed and observations.read_parts(into.parts)[0].num_rows > 40:
            killed.append(locust_below(os.getpid()))
            killed[0].kill()

    assert play(planned, into, serve().url, progress=kill_once_rows_are_written) == 3
    _, outcomes = check_accounts(planned, into)
    assert outcomes["lost"] > 50 and outcomes["ok"] > 20
    info = run.read_json(into.info)
    assert info["stopped_because"] == "Locust died of signal 9" and not info["reached_end"]


def test_ctrl_c_leaves_closed_accounts_and_no_process(serve: Serve, into: run.Execution) -> None:
    planned = replay_plans.evenly(50, 30)
    caller = calling(planned, into, serve().url)
    assert caller.stdout is not None
    while float(caller.stdout.readline()) < 0.5:
        pass
    locust = locust_below(caller.pid)
    caller.send_signal(signal.SIGINT)
    _, errors = caller.communicate(timeout=20)
    assert b"KeyboardInterrupt" in errors
    assert not locust.is_running()
    _, outcomes = check_accounts(planned, into)
    assert outcomes["lost"] > 1000 and outcomes["ok"] > 10
    assert run.read_json(into.info)["stopped_because"] == "stopped by SIGTERM"


@pytest.mark.slow
def test_a_replay_stops_when_its_caller_is_killed(serve: Serve, into: run.Execution) -> None:
    planned = replay_plans.evenly(50, 30, ["search"])
    caller = calling(planned, into, serve().url)
    assert caller.stdout is not None
    caller.stdout.readline()
    locust = locust_below(caller.pid)
    caller.kill()
    caller.communicate()
    locust.wait(10)
    check_accounts(planned, into)


def test_a_host_that_is_not_allowed_gets_no_packet(into: run.Execution) -> None:
    planned = replay_plans.evenly(10, 1)
    with listening() as (url, server):
        assert play(planned, into, url) == 4
        assert_nobody_came(server)
    _, outcomes = check_accounts(planned, into)
    assert outcomes["lost"] == planned.arrivals
    assert "may not be loaded" in run.read_json(into.info)["stopped_because"]


def test_a_redirect_to_a_host_that_is_not_allowed_stops_the_run(serve: Serve, into: run.Execution) -> None:
    planned = replay_plans.evenly(20, 10, ["ask"])
    with listening() as (elsewhere, server):
        assert play(planned, into, serve("--redirect-to", f"{elsewhere}/login").url) == 4
        assert_nobody_came(server)
    _, outcomes = check_accounts(planned, into)
    assert outcomes["lost"] > 100
    assert "0.0.0.0" in run.read_json(into.info)["stopped_because"]


def test_failures_above_their_limit_stop_the_run(serve: Serve, into: run.Execution) -> None:
    url, portal = serve()
    planned = replay_plans.evenly(50, 20)
    # What failed was never answered, which the second rule would count too, were its time not longer than the run.
    rules = ("failures > 20% for 2 s", "p95 > 5 s for 60 s")
    assert play(planned, into, url, progress=once(2.0, portal.kill), abort=rules) == 4
    rows, outcomes = check_accounts(planned, into)
    assert outcomes["failed"] > 10 and outcomes["ok"] > 50 and outcomes["lost"] > 500
    info = run.read_json(into.info)
    broken = info["abort_rule_broken"]
    assert info["abort_rules"] == list(rules) and broken["rule"] == rules[0] and info["stopped_for_safety"]
    assert broken["bad"] > 0.2 * broken["steps"] and broken["share"] == broken["bad"] / broken["steps"]
    assert rules[0] in info["stopped_because"] and f"{broken['bad']} of {broken['steps']}" in info["stopped_because"]
    sent_s = rows["started_s"].to_numpy()
    assert np.nanmax(sent_s) <= broken["at_s"] + 0.5  # not a step more once the rule was broken


def test_a_portal_that_stands_still_breaks_a_response_time_rule(serve: Serve, into: run.Execution) -> None:
    url, portal = serve()
    planned = replay_plans.evenly(50, 20, ["search"])
    pause = once(1.0, lambda: portal.send_signal(signal.SIGSTOP))
    assert play(planned, into, url, 10, 10.0, pause, ("p90 > 500 ms for 3 s",)) == 4
    _, outcomes = check_accounts(planned, into)
    assert outcomes["ok"] > 20 and outcomes["lost"] > 500
    assert run.read_json(into.info)["abort_rule_broken"]["at_s"] < 10


def test_a_rule_that_is_none_is_refused_before_the_first_packet(into: run.Execution) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert play(replay_plans.evenly(10, 1), into, url, abort=("errors > 5%",)) == 3
        assert_nobody_came(server)
    assert "'failures > 5% for 10 s'" in run.read_json(into.info)["stopped_because"]


def test_a_portal_that_cannot_be_prepared_ends_the_run(serve: Serve, into: run.Execution) -> None:
    planned = replay_plans.evenly(10, 1)
    assert replay(written(planned, into), into, serve().url, "wrong", 5, 1.0, None) == 3
    said = run.read_json(into.info)["stopped_because"]
    assert "/admin/prepare: 401" in said and "expected the portal's admin token in CAODIEM_ADMIN_TOKEN" in said


def test_another_plan_than_was_asked_proves_nothing(into: run.Execution) -> None:
    """Even where arrivals and steps are the same: at half the speed it is half the load."""
    asked = replay_plans.evenly(20, 1)
    replayed = part.parse("", 1.0, 0.5, "").of(asked)
    accounts.clear(into)
    ended = {"plan_hash": replayed.meta.plan_hash, "reached_end": True, "stopped_for_safety": False}
    accounts.settle(asked, into, ended)
    info = _close(asked, into, 0, {})
    assert info == run.read_json(into.info)
    assert not info["reached_end"] and "another plan" in info["stopped_because"]


def locust(planned: plan.Plan, into: run.Execution, url: str, *options: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "locust", "--host", url, "--plan", str(written(planned, into))]
    command += ["--observations", str(into.folder), *options]
    environment = {**os.environ, "CAODIEM_ADMIN_TOKEN": "admin"}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)


def test_locust_replays_a_part_of_a_plan_and_writes_it_down(serve: Serve, into: run.Execution) -> None:
    whole = replay_plans.evenly(50, 10, ["ask"])
    words = ("--headless", "--window", "2+4", "--scale", "0.5", "--speed", "4", "--abort", "failures > 50% for 60 s")
    started = locust(whole, into, serve().url, *words)
    _, errors = started.communicate(timeout=40)
    assert started.returncode == 0, errors.decode()
    played = plan.read(into.plan)
    assert played.meta.length_s == 1.0 and 60 < played.arrivals < 140
    rows = observations.read(into.observations)
    assert rows.num_rows == played.steps and summary.arrival_outcomes(rows)["ok"] == played.arrivals
    info = run.read_json(into.info)
    assert info["plan_hash"] == played.meta.plan_hash != whole.meta.plan_hash
    said = errors.decode()
    assert said.index("seed 1, window 2+4 s, scale 0.5, speed 4") < said.index("Ramping to 100 users")
    assert f"{played.arrivals} arrivals" in said and "abort rules: failures > 50% for 60 s" in said


@pytest.mark.slow
def test_workers_share_the_plan(serve: Serve, into: run.Execution) -> None:
    planned = replay_plans.evenly(50, 1)
    started = locust(planned, into, serve().url, "--headless", "--processes", "2")
    _, errors = started.communicate(timeout=40)
    assert started.returncode == 0, errors.decode()
    rows = observations.read(into.observations)
    assert summary.arrival_outcomes(rows)["ok"] == planned.arrivals
    worker = [str(name) for name in rows["worker"].to_pylist()]
    assert {int(name.rpartition("-")[2]) for name in worker} == {0, 1}
    assert all(int(name[-1]) == arrival % 2 for name, arrival in zip(worker, rows["arrival"].to_pylist(), strict=True))
    assert run.read_json(into.info)["locust_statistics"][-1]["num_requests"] == planned.steps
    assert f"arrivals: ok {planned.arrivals}" in errors.decode()


@contextlib.contextmanager
def web_ui(planned: plan.Plan, into: run.Execution, url: str) -> "Iterator[tuple[str, subprocess.Popen[bytes]]]":
    """Where the form is sent to that starts a replay, and Locust's process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    started = locust(planned, into, url, "--web-host", "127.0.0.1", "--web-port", str(port))
    try:
        yield f"http://127.0.0.1:{port}/swarm", started
    finally:
        started.terminate()
        started.communicate(timeout=20)


def start_in_web_ui(address: str, **form: object) -> dict[str, Any]:
    """What the web UI answers to its form, once it is there."""
    for _ in range(400):
        with contextlib.suppress(urllib.error.URLError):
            with urllib.request.urlopen(address, urllib.parse.urlencode(form).encode(), timeout=5) as answer:
                said: dict[str, Any] = json.load(answer)
            return said
        time.sleep(0.1)
    raise AssertionError(f"nobody answers at {address}")


@pytest.mark.slow
def test_the_web_ui_replays_again(serve: Serve, into: run.Execution) -> None:
    """As often as somebody presses its button; the pool of the last replay is not lost with it."""
    url = serve().url
    planned = replay_plans.evenly(20, 1, ["search"])
    with web_ui(planned, into, url) as (address, _):
        for _ in range(2):
            into.info.unlink(missing_ok=True)
            assert start_in_web_ui(address, user_count=5, spawn_rate=5, host=url)["success"]
            deadline_s = time.monotonic() + 30
            while not into.info.is_file() and time.monotonic() < deadline_s:
                time.sleep(0.1)
            assert run.read_json(into.info)["arrival_outcomes"]["ok"] == planned.arrivals


def test_the_web_ui_cannot_change_the_host(serve: Serve, into: run.Execution) -> None:
    with listening() as (elsewhere, server):
        with web_ui(replay_plans.evenly(20, 10, ["search"]), into, serve().url) as (address, started):
            said = start_in_web_ui(address, user_count=5, spawn_rate=5, host=elsewhere)
            assert not said["success"] and "closed" in said["message"]
            time.sleep(1)
        assert_nobody_came(server)
    assert started.returncode == 3
    assert not into.observations.exists()
