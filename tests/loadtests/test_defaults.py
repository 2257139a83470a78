"""What `locust` alone falls back on, with stand-ins for the commands that it runs."""

import sys
from pathlib import Path

import pytest

from caodiem import plan, run
from caodiem.errors import InvalidRun, UsageError
from loadtests import defaults
from tests.loadtests import replay_plans

SERVES = """
import sys
print('[INFO] starting')
print('{"url": "http://127.0.0.1:1", "admin_token": "t", "pid": 1}', flush=True)
sys.stdin.read()
"""


def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    path = tmp_path / "stand_in.py"
    path.write_text(code)
    monkeypatch.setattr(defaults, "_COMMAND", [sys.executable, str(path)])


def a_run(runs: Path) -> run.Run:
    made = run.create("test", "0" * 64, {}, runs)
    for percent in (43, 85):
        made.level(percent).folder.mkdir()
        plan.write(replay_plans.evenly(1, 1), made.level(percent).plan)
    return made


def test_a_plan_may_be_a_file_or_a_runs_highest_level(tmp_path: Path) -> None:
    made = a_run(tmp_path)
    low, high = made.level(43).plan, made.level(85).plan
    assert defaults.plan_file(str(low)) == low
    assert defaults.plan_file(str(made.folder)) == high
    with pytest.raises(UsageError, match="expected a folder"):
        defaults.plan_file(str(tmp_path))


def test_without_a_name_it_is_the_newest_run_or_a_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="--plan"):
        stand_in(tmp_path, monkeypatch, "raise SystemExit(2)")
        defaults.plan_file("")
    drawn = a_run(tmp_path / "elsewhere")
    stand_in(tmp_path, monkeypatch, f"print('progress'); print({str(drawn.folder)!r})")
    assert defaults.plan_file("") == drawn.level(85).plan
    newest = a_run(run.RUNS)
    assert defaults.plan_file("") == newest.level(85).plan


def test_a_staging_portal_is_started_and_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = []
    monkeypatch.setattr(defaults.atexit, "register", lambda stop, portal: stopped.append((stop, portal)))
    stand_in(tmp_path, monkeypatch, SERVES)
    assert defaults.staging_portal() == ("http://127.0.0.1:1", "t")
    stop, portal = stopped[0]
    assert portal.poll() is None
    stop(portal)
    assert portal.poll() is not None


def test_a_staging_portal_that_does_not_start_is_an_invalid_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(defaults.atexit, "register", lambda *_: None)
    stand_in(tmp_path, monkeypatch, "raise SystemExit(1)")
    with pytest.raises(InvalidRun, match="--host"):
        defaults.staging_portal()
