"""Replays one plan: runs Locust headless as a process of its own and hands back closed accounts, whatever happens.

Locust patches the standard library when it is imported, so this module never imports it.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from caodiem import plan as plans
from caodiem import run, targets
from caodiem.errors import ExitCode
from loadtests import accounts, portals

Progress = Callable[[float], None]

_ROOT = Path(__file__).resolve().parents[1]
_LOOK_EVERY_S = 0.25
_TERMINATE_WITHIN_S = 10.0
# A pool of ten thousand would take 100 s at the rate at which Locust begins to warn.
_SPAWN_RATE_PER_S, _POOL_WITHIN_S = 100, 10.0


def replay(
    plan: Path,
    into: run.Execution,
    host: str,
    admin_token: str,
    pool: int,
    greatest_lateness_s: float,
    progress: Progress | None,
    abort: Sequence[str] = (),
    portal: str = portals.REFERENCE,
    ca: str = "",
) -> int:
    """Replay `plan` against `host` and leave observations, components and info in `into`; returns the exit code.

    `portal` (module:Class) knows the portal's requests; `ca` is a file of authorities to trust over TLS. `abort` holds
    rules that stop it (caodiem.abort); without any, those of the host's kind apply.
    0 when it was replayed to its end, 3 when it ended early, 4 when it was refused or stopped for safety. `progress`
    hears now and then how many seconds of the plan have been played. An earlier replay in `into` is overwritten. An
    exception, Ctrl-C among them, stops Locust, closes the accounts from what was written and is raised again.
    """
    planned = plans.read(plan)
    into.folder.mkdir(parents=True, exist_ok=True)
    accounts.clear(into)
    began_s = time.monotonic()
    command = _command(plan, into, host, pool, greatest_lateness_s, portal, ca, abort)
    with (into.folder / "locust.log").open("wb") as log:
        locust = subprocess.Popen(
            command,
            env=_environment(admin_token),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches only us
        )
        try:
            _watch(locust, into, progress)
        finally:
            _end(locust)
            asked = {"target": targets.without_secrets(host), "pool": pool, "greatest_lateness_s": greatest_lateness_s}
            info = _close(planned, into, locust.returncode, {**asked, "wall_s": time.monotonic() - began_s})
    return _exit_code(info)


def _command(
    plan: Path,
    into: run.Execution,
    host: str,
    pool: int,
    greatest_lateness_s: float,
    portal: str,
    ca: str,
    abort: Sequence[str],
) -> list[str]:
    """Everything that matters is said here, also where it is nothing: Locust takes what is left out from ~/.locust.conf
    and the working folder's locust.conf and pyproject.toml."""
    options: Mapping[str, Any] = {
        "--locustfile": _ROOT / "loadtests" / "locustfile.py",
        "--plan": plan.resolve(),
        "--window": "",
        "--scale": 1,
        "--speed": 1,
        "--journeys": "",
        "--observations": into.folder.resolve(),
        "--host": host,
        "--users": pool,
        "--spawn-rate": min(pool, max(_SPAWN_RATE_PER_S, round(pool / _POOL_WITHIN_S))),
        "--run-time": 0,
        "--processes": 0,
        "--greatest-lateness": greatest_lateness_s,
        "--portal": portal,
        "--ca": ca,
    }
    words = [f"{option}={value}" for option, value in options.items()]
    words += [f"--abort={rule}" for rule in abort or [""]]
    return [sys.executable, "-m", "locust", "--headless", "--only-summary", *words]


def _environment(admin_token: str) -> dict[str, str]:
    """Ours without Locust's variables, which change options; the token goes here, since arguments are public.

    Without a token in the call the one in our own environment stays.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    paths = [str(_ROOT), *filter(None, [kept.get("PYTHONPATH")])]
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(paths),
        "CAODIEM_ADMIN_TOKEN": admin_token or kept.get("CAODIEM_ADMIN_TOKEN", ""),
        "CAODIEM_PARENT_PID": str(os.getpid()),
    }


def _watch(locust: "subprocess.Popen[bytes]", into: run.Execution, progress: Progress | None) -> None:
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            locust.wait(_LOOK_EVERY_S)
            return
        if progress is not None:
            with contextlib.suppress(OSError, ValueError, KeyError):
                progress(float(json.loads(accounts.progress_file(into.folder).read_text())["played_s"]))


def _end(locust: "subprocess.Popen[bytes]") -> None:
    """Gracefully, so that Locust writes what it holds and closes the accounts; hard when it takes too long."""
    if locust.poll() is None:
        locust.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            locust.wait(_TERMINATE_WITHIN_S)
    # Also after a good end: a killed Locust may have left workers in its group.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(locust.pid, signal.SIGKILL)
    locust.wait()


def _close(planned: plans.Plan, into: run.Execution, exit_code: int, known: dict[str, Any]) -> dict[str, Any]:
    """Locust closes the accounts itself; where it could not, do it here from the parts."""
    if not into.info.is_file():
        reason = _last_words(into.folder / "locust.log") if exit_code >= 0 else f"Locust died of signal {-exit_code}"
        ended = {
            "executor": "locust",
            "plan_hash": planned.meta.plan_hash,
            "reached_end": False,
            "stopped_because": reason,
            "stopped_for_safety": exit_code == ExitCode.SAFETY,
            "locust_statistics": [],
        }
        accounts.settle(planned, into, {**ended, **known})
    info = {**run.read_json(into.info), **known, "locust_exit_code": exit_code}
    if info["plan_hash"] != planned.meta.plan_hash:
        another = f"replayed another plan ({info['plan_hash'][:12]}) than was asked ({planned.meta.plan_hash[:12]})"
        info |= {"reached_end": False, "stopped_because": another}
    run.write_json(into.info, info)
    return info


def _exit_code(info: dict[str, Any]) -> int:
    if info["stopped_for_safety"]:
        return int(ExitCode.SAFETY)
    return int(ExitCode.PASS if info["reached_end"] else ExitCode.INVALID)


def _last_words(log: Path) -> str:
    """What Locust said before it ended without a replay; the last line of an error is the one that tells."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("error: ")]
    return lines[-1].removeprefix("error: ") if lines else f"Locust ended before the replay began; see {log}"
