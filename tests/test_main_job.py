"""The main job from the command line: scenario in, verdict and report out, and nothing left behind however it ends.

Real parts throughout: casework, PostgreSQL, the portal, Locust. The scenario is the main one, cut short.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from caodiem import observations, plan, run, summary
from tests import marked
from tests.conftest import ROOT

QUICK = """
extends = "adoption-43-to-85.toml"
levels = [85]
[casework]
warm_up = { value = 1, unit = "working days", source = "assumed-casework", evidence = "assumed" }
[replay]
window = { value = 4, unit = "seconds", source = "assumed-replay", evidence = "assumed" }
pool = { value = 4, unit = "servers", source = "assumed-replay", evidence = "assumed" }
greatest_lateness = { value = 10, unit = "seconds", source = "assumed-replay", evidence = "assumed" }
[validity]
least_steps = { value = 20, unit = "events", source = "assumed-validity", evidence = "assumed" }
[[slo]]
operation = "all"
quantile = { value = 95, unit = "percent", source = "assumed-slo", evidence = "assumed" }
response = { value = 1, unit = "seconds", source = "assumed-slo", evidence = "assumed" }
"""
SCALE = "0.1"


class Desk:
    """A folder of its own to run `caodiem` in, and a mark on every process that comes of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = uuid.uuid4().hex
        # Short, for PostgreSQL's sockets lie in it and their paths may have 107 characters.
        self.temporary = Path("/tmp") / f"cd-{self.mark[:8]}"
        (folder / "scenarios").mkdir()
        for path in (ROOT / "scenarios").iterdir():
            (folder / "scenarios" / path.name).write_bytes(path.read_bytes())
        (folder / "scenarios" / "quick.toml").write_text(QUICK)

    def start(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        self.temporary.mkdir(exist_ok=True)
        environment = {**os.environ, marked.VARIABLE: self.mark, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.temporary)}
        environment |= variables
        command = [sys.executable, "-m", "caodiem.cli", *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, cwd=self.folder, env=environment, text=True, start_new_session=True, **pipes)

    def call(self, *words: str) -> tuple[int, str, str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=180)
        return process.returncode, out, err

    def runs(self) -> list[run.Run]:
        return [run.Run(path) for path in sorted((self.folder / "results" / "runs").glob("*"))]

    def alive(self) -> list[psutil.Process]:
        """Processes that descend from a command started here, whoever their parent is now."""
        return marked.alive(self.mark)

    def left_behind(self) -> list[str]:
        """Database servers that still run in our temporary folder, and what lies in it."""
        servers = [
            " ".join(each.info["cmdline"] or ())
            for each in psutil.process_iter(["cmdline"])
            if str(self.temporary) in " ".join(each.info["cmdline"] or ())
        ]
        return servers + [str(path) for path in self.temporary.iterdir()]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    for process in made.alive():
        process.kill()
    shutil.rmtree(made.temporary, ignore_errors=True)


def wait_for(condition: Callable[[], object], within_s: float = 60) -> None:
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.05)


def assert_accounts_balance(level: run.Level) -> dict[str, int]:
    """Plan and observations read back from their files: every arrival and every step has one outcome."""
    planned = plan.read(level.plan)
    rows = observations.read(level.executed("replayed").observations)
    counted = summary.arrival_outcomes(rows)
    assert sum(counted.values()) == planned.arrivals
    assert sum(summary.count_outcomes(summary.last_attempts(rows)).values()) == planned.steps
    return counted


def test_from_scenario_to_verdict_and_report(desk: Desk) -> None:
    code, out, err = desk.call("run", "scenarios/quick.toml", "--scale", SCALE)
    assert code == 0, err
    made = run.Run(desk.folder / out.strip().splitlines()[-1])
    manifest = run.read_json(made.manifest)
    assert (manifest["state"], manifest["exit_code"]) == ("finished", 0)
    (level,) = made.levels
    counted = assert_accounts_balance(level)
    assert counted["ok"] == plan.read(level.plan).arrivals
    assert run.read_json(made.verdict)["result"] == "pass"
    assert made.report.stat().st_size > 10_000
    # The seed and the options come first, so that a run that dies can be repeated.
    assert f"seed {manifest['options']['seed']}" in err.splitlines()[1]
    assert not desk.alive()

    # Once more: the same plan, replayed into a run of its own; the first run stays as it was.
    code, out, err = desk.call("replay", str(made.folder), "--json")
    assert code == 0, err
    said = json.loads(out)
    again = run.Run(desk.folder / said["run"])
    assert again.folder != made.folder
    assert plan.read_meta(again.levels[0].plan).plan_hash == plan.read_meta(level.plan).plan_hash
    assert_accounts_balance(again.levels[0])

    # A part of one level's plan: its first half, twice as fast, with predictions and accounts of its own.
    code, out, err = desk.call("replay", str(level.plan), "--window", "0+2", "--speed", "2", "--pool", "7")
    assert code in (0, 3), err  # few steps may be too few to prove anything
    assert "window 0+2 s, scale 1, speed 2" in err.splitlines()[2] and "pool 7" in err.splitlines()[3]
    part = run.Run(desk.folder / out.strip().splitlines()[-1]).levels[0]
    played, whole = plan.read(part.plan), plan.read(level.plan)
    assert played.meta.length_s == 1.0 and 0 < played.arrivals < whole.arrivals
    assert_accounts_balance(part)
    predicted = observations.read(part.executed("simulated").observations)
    assert predicted.num_rows == played.steps
    info = run.read_json(part.executed("replayed").info)
    assert (info["pool"], info["plan_hash"]) == (7, played.meta.plan_hash)


@pytest.mark.slow
def test_a_plan_from_a_log_is_replayed_into_a_run_of_its_own(desk: Desk) -> None:
    asked = "GET /dossiers/H01-20260504-000000"
    lines = [f'- - - [04/May/2026:09:00:0{n // 40} +0700] "{asked}{n % 7} HTTP/1.1" 200 9\n' for n in range(120)]
    (desk.folder / "access.log").write_text("".join(lines))
    assert desk.call("plan", "from-log", "access.log", "--out", "yesterday.parquet")[0] == 0
    code, out, err = desk.call("replay", "yesterday.parquet", "--scenario", "scenarios/quick.toml")
    assert code in (0, 3), err  # a busy machine may be late
    made = run.Run(desk.folder / out.strip().splitlines()[-1])
    (level,) = made.levels
    assert assert_accounts_balance(level)["ok"] == 120
    assert plan.read(level.plan).meta == plan.read_meta(desk.folder / "yesterday.parquet")
    assert observations.read(level.executed("simulated").observations).num_rows == 120
    assert made.report.exists()


def test_mistakes_end_with_2_and_write_nothing(desk: Desk) -> None:
    text = (
        QUICK.replace('value = 4, unit = "servers"', 'value = 0, unit = "servers"')
        .replace("working days", "days")
        .replace('"quick', '"')
    )
    text = (
        text.replace("levels", "level")
        .replace('"assumed-slo"', '"assumed-slow"', 1)
        .replace("value = 95", "value = 195")
    )
    (desk.folder / "scenarios" / "bad.toml").write_text(text)
    for command in ("run", "check", "simulate"):
        code, out, err = desk.call(command, "scenarios/bad.toml")
        assert code == 2
        assert out == ""
        for key in (
            "casework.warm_up.unit",
            "replay.pool.value",
            "slo[0].quantile.value",
            "slo[0].quantile.source",
            "level ",
        ):
            assert f"scenarios/bad.toml: {key}" in err
        assert err.count("expected") == 5
    assert not (desk.folder / "results").exists()


@pytest.mark.parametrize(
    "words", [["run"], ["run", "x.toml", "--scale", "much"], ["fly"], ["run", "scenarios/quick.toml", "--scale", "0"]]
)
def test_bad_usage_ends_with_2(desk: Desk, words: list[str]) -> None:
    code, _, err = desk.call(*words)
    assert code == 2
    assert err


@pytest.mark.slow
@pytest.mark.parametrize("unbuffered", ["1", ""])
def test_whoever_stops_reading_changes_no_exit_code(desk: Desk, unbuffered: str) -> None:
    """As in `caodiem check … | true`: 1 would say that an SLO was missed."""
    process = desk.start("check", "scenarios/network-one-desk.toml", PYTHONUNBUFFERED=unbuffered)
    assert process.stdout is not None
    process.stdout.close()
    assert (process.wait(timeout=60), process.stderr and process.stderr.read()) == (0, "")


@pytest.mark.slow
def test_nor_does_it_where_an_error_is_told(desk: Desk) -> None:
    process = desk.start("check", "scenarios/none.toml", "--json")
    for pipe in (process.stdout, process.stderr):
        assert pipe is not None
        pipe.close()
    assert process.wait(timeout=60) == 2


def test_a_host_that_is_not_allowed_ends_with_4(desk: Desk) -> None:
    code, _, err = desk.call("run", "scenarios/quick.toml", "--scale", "0.01", "--host", "http://dichvucong.gov.vn")
    assert code == 4
    assert "may not be loaded" in err
    assert not desk.alive()


def _replaying(desk: Desk) -> bool:
    """Whether a replay has written its first rows."""
    return any(desk.folder.glob("results/runs/*/level-*/replayed/parts/observations-*.parquet"))


def _simulating(desk: Desk) -> bool:
    return any(desk.folder.glob("results/runs/*/projection.json"))


@pytest.mark.parametrize("moment", [_simulating, pytest.param(_replaying, marks=pytest.mark.slow)])
def test_ctrl_c_leaves_a_readable_run_and_no_process(desk: Desk, moment: Callable[[Desk], bool]) -> None:
    process = desk.start("run", "scenarios/quick.toml", "--scale", SCALE)
    wait_for(lambda: moment(desk))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    wait_for(lambda: not desk.alive(), 10)
    wait_for(lambda: not desk.left_behind(), 10)
    (made,) = desk.runs()
    assert run.read_json(made.manifest)["state"] == "interrupted"
    assert run.read_json(made.verdict)["result"] == "invalid"
    if moment is _replaying:
        assert_accounts_balance(made.levels[0])
    code, _, err = desk.call("report", str(made.folder))
    assert code == 0, err


@pytest.mark.slow
def test_a_level_that_is_killed_for_memory_is_told_as_such(desk: Desk) -> None:
    def levels() -> list[psutil.Process]:
        return [each for each in desk.alive() if "multiprocessing.spawn" in " ".join(each.cmdline())]

    process = desk.start("simulate", "scenarios/quick.toml", "--scale", SCALE)
    wait_for(levels)
    for each in levels():
        each.kill()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert "ended early" in err and "a smaller --scale" in err and "Traceback" not in err
    (made,) = desk.runs()
    assert run.read_json(made.manifest)["state"] == "failed"
    wait_for(lambda: not desk.alive(), 10)


@pytest.mark.slow
def test_a_portal_that_is_killed_is_no_pass(desk: Desk) -> None:
    process = desk.start("run", "scenarios/quick.toml", "--scale", SCALE)
    wait_for(lambda: _replaying(desk))
    for each in desk.alive():
        if "staging" in each.cmdline() or any("granian" in word for word in each.cmdline()):
            each.kill()
    out, err = process.communicate(timeout=120)
    assert process.returncode in (1, 3), err
    made = run.Run(desk.folder / out.strip().splitlines()[-1])
    counted = assert_accounts_balance(made.levels[0])
    assert counted["failed"] + counted["timed_out"] + counted["lost"] > 0
    assert run.read_json(made.verdict)["result"] != "pass"
    assert made.report.exists()
    wait_for(lambda: not desk.alive(), 10)


@pytest.mark.slow
def test_a_paused_portal_shows_in_response_times_from_due(desk: Desk) -> None:
    """The portal stands still for 2 s: whoever falls due meanwhile waits, and service times hide most of it."""
    process = desk.start("run", "scenarios/quick.toml", "--scale", SCALE)
    wait_for(lambda: _replaying(desk))
    workers = [each for each in desk.alive() if "multiprocessing.spawn" in " ".join(each.cmdline())]
    assert workers
    for each in workers:
        each.suspend()
    time.sleep(2)
    for each in workers:
        each.resume()
    out, _ = process.communicate(timeout=120)
    made = run.Run(desk.folder / out.strip().splitlines()[-1])
    level = made.levels[0]
    assert_accounts_balance(level)
    rows = observations.read(level.executed("replayed").observations)
    began_s, ended_s = _pause(rows["finished_s"].to_numpy())
    due_s, response_s = rows["due_s"].to_numpy(), summary.response_s(rows)
    meanwhile = (due_s > began_s) & (due_s < ended_s)
    assert ended_s - began_s > 1.5
    assert meanwhile.sum() >= 5
    assert (response_s[meanwhile] >= ended_s - due_s[meanwhile] - 0.001).all()
    # The pool holds four requests; everybody else's service time began only when the portal answered again.
    service_s = rows["finished_s"].to_numpy() - rows["started_s"].to_numpy()
    assert (service_s > 1).sum() <= 4 < meanwhile.sum()
    assert "service times do not show the waiting that people had" in made.report.read_text(encoding="utf-8")


def _pause(finished_s: np.ndarray) -> tuple[float, float]:
    """The longest time in which nothing finished."""
    ordered = np.sort(finished_s[~np.isnan(finished_s)])
    longest = int(np.argmax(np.diff(ordered)))
    return float(ordered[longest]), float(ordered[longest + 1])
