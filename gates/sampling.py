"""One ring of fresh processes, base and head twice each, and what it measured: rows of log ratios.

A ring is [base, head, head, base] or the reverse, as drawn: two pairs, and base against base for control. Making a
process ready (imports, keys, a database) costs seconds where a round costs milliseconds, so a process measures every
benchmark that is still open, and the four make ready side by side; their rounds take turns.
"""

import json
import os
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from caodiem.errors import InvalidRun
from gates import origins, probe, turns

MODULE = "caodiem_gate_probe"
MEASURED_S = 0.15
ROUNDS_MIN = 16
ROUND_MIN_S = 0.001
PROCESS_MAX_S = 300.0  # what takes longer hangs
# One pass of the ring. `base-2` is a checkout of its own, so base against base shows what a checkout alone changes.
ARMS = ("base-1", "head-1", "head-1", "base-2")
_TOLD = 1500
# Plugins of pytest: two that take a second to import and that no benchmark needs, one that gives each process an order
# of its own.
_WITHOUT = ("hypothesispytest", "schemathesis", "randomly")
_LEAST_S = 1e-9

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Side:
    """A checkout, and the interpreter that runs it."""

    checkout: Path
    python: Path


@dataclass(frozen=True, slots=True)
class Pair:
    """Head against base in one pair of processes. Times in seconds a round, as medians; ratios as logarithms."""

    log_ratio: float  # of own time, see `_own_s`
    log_cpu_ratio: float  # of the process and its children
    more_waiting: float  # seconds that head waited more for anything but a core, over base's time
    more_queueing: float  # seconds that head waited more for a core, over base's time
    base_s: float
    head_s: float
    counters: tuple[dict[str, float], dict[str, float]]


@dataclass(frozen=True)
class Ring:
    """By benchmark: its pairs, and the log ratio of base against base; what went wrong with a benchmark, by side.

    In one that `is_late`, a problem may be no more than that its time was over.
    """

    pairs: dict[str, list[Pair]]
    control: dict[str, float]
    problems: dict[str, str]
    is_late: bool = False


@dataclass(frozen=True)
class Left:
    """What a process left: what the probe found, None when it crashed; the end of what it printed."""

    name: str
    found: dict[str, Any] | None
    told: str


class Laboratory:
    """Runs pytest in checkouts with the probe on the path, from the folder `work`."""

    def __init__(self, work: Path, root: Path, sides: dict[str, Side]) -> None:
        self._work, self._root, self._sides = work, root, sides
        self._plugins = work / "plugins"
        self._plugins.mkdir()
        shutil.copyfile(probe.__file__, self._plugins / f"{MODULE}.py")

    def collect(self, tests: str, limit_s: float) -> dict[str, list[str]]:
        """Every side's benchmarks below `tests`; InvalidRun when a side cannot be collected in `limit_s`."""
        there = [name for name, side in self._sides.items() if (side.checkout / tests.split("::")[0]).exists()]
        end_s = time.monotonic() + limit_s
        collected = {}
        for left in self._run([(name, []) for name in there], [tests, "--collect-only"], limit_s):
            if time.monotonic() >= end_s:
                raise InvalidRun(f"the benchmarks were not collected in the {max(limit_s, 0):.0f} s that there were")
            if left.found is None or left.found["broken"]:
                raise InvalidRun(f"{left.name}: its benchmarks could not be collected:\n{left.told}")
            collected[left.name] = left.found["collected"]
        return {name: collected.get(name, []) for name in self._sides}

    def ring(self, benchmarks: list[str], reverse: bool, limit_s: float) -> Ring:
        """Measure in the order of ARMS, or with base and head exchanged; what is not done in `limit_s` is stopped."""
        limit_s = min(limit_s, PROCESS_MAX_S)
        order = [1, 0, 3, 2] if reverse else [0, 1, 2, 3]
        end_s = time.monotonic() + limit_s
        left = self._run([(ARMS[place], []) for place in order], [*benchmarks, *_options()], limit_s)
        is_late = time.monotonic() >= end_s
        arms = [left[order.index(place)] for place in range(len(ARMS))]
        problems = {name: what for name in benchmarks for what in [_problem(name, arms)] if what}
        if is_late:
            problems = dict.fromkeys(problems, f"was not measured in the {limit_s:.0f} s that there were")
        found = [arm.found for arm in arms if arm.found is not None and probe.REFERENCE in arm.found["benchmarks"]]
        if len(found) < len(arms):
            return Ring({}, {}, problems, is_late)
        good = [probe.REFERENCE, *(name for name in benchmarks if name not in problems)]
        rows = {name: [each["benchmarks"][name] for each in found] for name in good}
        pairs = {name: [_pair(row[0], row[1]), _pair(row[3], row[2])] for name, row in rows.items()}
        control = {name: _pair(row[0], row[3]).log_ratio for name, row in rows.items()}
        return Ring(pairs, control, problems, is_late)

    def count(self, valgrind: list[str], words: list[str], limit_s: float) -> list[Left]:
        """Base and head in a process each that counts instructions, side by side; stopped within `limit_s`, they leave
        what they have counted by then.
        """
        more = {probe.COUNT_VARIABLE: "yes", "PYTHONHASHSEED": "0"}
        arms = [(side, [*valgrind, f"--callgrind-out-file={self.dumps(side)}"]) for side in ("base-1", "head-1")]
        return self._run(arms, words, limit_s - turns.STOP_S, more)

    def dumps(self, side: str) -> Path:
        """The stem of the files that callgrind writes."""
        return self._work / f"{side}.callgrind"

    def _run(
        self, arms: list[tuple[str, list[str]]], words: list[str], limit_s: float, more: dict[str, str] | None = None
    ) -> list[Left]:
        """What each process left. InvalidRun when one imported another's code."""
        commands, outputs = [], []
        for place, (name, before) in enumerate(arms):
            side, output = self._sides[name], self._work / f"{name}-{place}.json"
            output.unlink(missing_ok=True)
            outputs.append(output)
            paths = [self._plugins, *origins.roots(side.checkout)]
            environment = {
                **os.environ,
                "PYTHONPATH": os.pathsep.join(map(str, paths)),
                probe.OUTPUT_VARIABLE: str(output),
                **_core(),
                **(more or {}),
            }
            run = [*before, str(side.python), "-m", "pytest", *self._quiet(side.checkout), *words]
            commands.append(turns.Command(run, side.checkout, environment, output.with_suffix(".log")))
        codes = turns.run(commands, limit_s)
        names = [name for name, _ in arms]
        left = [_left(*each) for each in zip(names, outputs, commands, codes, strict=True)]
        for each in left:
            if each.found is not None:
                self._check_modules(each.name, each.found["modules"])
        return left

    def _quiet(self, checkout: Path) -> list[str]:
        """Options that make pytest name tests from the top of the checkout, whatever its own settings say."""
        without = [word for plugin in _WITHOUT for word in ("-p", f"no:{plugin}")]
        places = [f"--rootdir={checkout}", "-o", f"cache_dir={self._work / 'cache'}"]
        return [
            "-q",
            "-p",
            MODULE,
            *without,
            *places,
            "-m",
            "",
            "--benchmark-enable",
            "--benchmark-only",
            "--benchmark-quiet",
        ]

    def _check_modules(self, name: str, modules: dict[str, str]) -> None:
        side = self._sides[name]
        plugins = self._plugins.resolve()
        others = {module: file for module, file in modules.items() if not Path(file).resolve().is_relative_to(plugins)}
        origins.check(name, side.checkout, side.python.parent.parent, self._root, others)


def _left(name: str, output: Path, command: turns.Command, code: int) -> Left:
    told = command.log.read_text(encoding="utf-8", errors="replace")[-_TOLD:]
    if output.is_file():
        return Left(name, json.loads(output.read_text(encoding="utf-8")), told)
    ended = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return Left(name, None, f"{told}\n{ended}")


def _core() -> dict[str, str]:
    """The core for every round. Two cores of a virtual machine are often one core's threads, and either may be slowed
    by what the other does; and processes that change cores pay for it at random.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return {probe.CORE_VARIABLE: str(cores[-1])} if len(cores) > 1 else {}


def _options() -> list[str]:
    return [
        f"--benchmark-timer={MODULE}.clock",
        f"--benchmark-min-rounds={ROUNDS_MIN}",
        f"--benchmark-max-time={MEASURED_S}",
        f"--benchmark-min-time={ROUND_MIN_S}",
    ]


def _problem(name: str, arms: list[Left]) -> str | None:
    """Why a benchmark has no pair of rounds; None when it has."""
    for arm in arms:
        if arm.found is None:
            return f"{arm.name} crashed:\n{arm.told}"
        if name in arm.found["failed"]:
            return f"{arm.name}: {arm.found['failed'][name]}"
        if name not in arm.found["benchmarks"]:
            return f"{arm.name}: was not measured"
        if not arm.found["benchmarks"][name]["rounds"]:
            return f"{arm.name}: no round was timed; expected a test that sets no timer of its own"
    return None


def _pair(base: dict[str, Any], head: dict[str, Any]) -> Pair:
    """Round against round, in the order in which they took turns; then the median, which disturbances move least."""
    count = min(len(base["rounds"]), len(head["rounds"]))
    ours, theirs = np.array(base["rounds"][:count]), np.array(head["rounds"][:count])
    base_own_s, head_own_s = _own_s(ours), _own_s(theirs)
    base_cpu_s, head_cpu_s = _cpu_s(ours), _cpu_s(theirs)
    base_s = float(np.median(base_own_s))
    return Pair(
        float(np.median(np.log(head_own_s / base_own_s))),
        float(np.median(np.log(head_cpu_s / base_cpu_s))),
        float(np.median(head_own_s - head_cpu_s) - np.median(base_own_s - base_cpu_s)) / base_s,
        float(np.mean(_queued_s(theirs)) - np.mean(_queued_s(ours))) / base_s,
        base_s,
        float(np.median(head_own_s)),
        (base.get("counters", {}), head.get("counters", {})),
    )


def _own_s(rounds: Floats) -> Floats:
    """Wall less the time in which others had the core: the processor's time, and waiting for a sleep or a disk."""
    return np.maximum(rounds[:, 0] - _queued_s(rounds), _LEAST_S)


def _queued_s(rounds: Floats) -> Floats:
    """How long the thread was ready and somebody else had the core, who was not one of its own children."""
    return np.maximum(rounds[:, 2] - rounds[:, 3], 0.0)


def _cpu_s(rounds: Floats) -> Floats:
    return np.maximum(rounds[:, 1] + rounds[:, 3], _LEAST_S)
