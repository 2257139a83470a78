"""What `locust` alone falls back on: the newest run's plan, or a small new one, and a staging portal of its own.

Starts our other parts as commands, never by import.
"""

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from caodiem import run
from caodiem.errors import InvalidRun, UsageError

_COMMAND = [sys.executable, "-m", "caodiem.cli"]
_SIMULATE = ["simulate", "scenarios/adoption-43-to-85.toml", "--scale", "0.02"]
_STAGING = ["staging", "--json", "--port", "0"]
_STOP_TIMEOUT_S = 10.0


def plan_file(given: str) -> Path:
    """The plan that `--plan` names: a Parquet file, or a run's folder, whose highest level is meant.

    Without a name it is the newest run's; without any run a small one is simulated. UsageError when there is none.
    """
    if not given:
        newest = run.latest()
        return _highest(newest if newest is not None else run.Run(_simulate()))
    path = Path(given)
    return _highest(run.open_run(path)) if path.is_dir() else path


def staging_portal() -> tuple[str, str]:
    """(address, admin token) of a staging portal that lives as long as this process. InvalidRun when it won't start."""
    print("no --host: starting the staging portal", file=sys.stderr)
    # Its standard input stays open as long as we live; in a session of its own, Ctrl-C reaches only us.
    portal = subprocess.Popen(
        [*_COMMAND, *_STAGING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    atexit.register(_stop, portal)
    assert portal.stdout is not None
    for line in portal.stdout:
        # The portal's server may say things of its own before.
        if line.startswith(b"{"):
            ready = json.loads(line)
            # Nobody listens to what comes later, but a pipe that is never read fills and blocks its writer.
            threading.Thread(target=portal.stdout.read, daemon=True).start()
            return ready["url"], ready["admin_token"]
    raise InvalidRun(f"caodiem {' '.join(_STAGING)} did not start; give the portal to load with --host")


def _stop(portal: "subprocess.Popen[bytes]") -> None:
    if portal.poll() is not None:
        return
    portal.terminate()
    try:
        portal.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(portal.pid, signal.SIGKILL)


def _simulate() -> Path:
    print(f"no plan in {run.RUNS}: caodiem {' '.join(_SIMULATE)}", file=sys.stderr)
    done = subprocess.run([*_COMMAND, *_SIMULATE], stdout=subprocess.PIPE, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        raise UsageError(f"no plan in {run.RUNS}, and none could be drawn; give one with --plan")
    return Path(lines[-1])


def _highest(found: run.Run) -> Path:
    planned = [level.plan for level in found.levels if level.plan.is_file()]
    if not planned:
        raise UsageError(f"{found.folder}: no level-*/plan.parquet; expected a run that `caodiem simulate` made")
    return planned[-1]
