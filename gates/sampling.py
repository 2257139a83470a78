"""One ring of fresh processes, base and head twice each, and what it measured: rows of log ratios.

A ring is [base, head, head, base] or the reverse, as drawn: two pairs, and base against base for control. Making a
process ready (imports, keys, a database) costs seconds where a round costs milliseconds, so a process measures every
benchmark that is still open, and the four make ready side by side; their rounds take turns.
"""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from caodiem.errors import InvalidRun
from gates import probe, turns

MODULE = "caodiem_gate_probe"
MEASURED_S = 0.15
ROUNDS_MIN = 16
ROUND_MIN_S = 0.001
RING_MAX_S = 300.0
# One pass of the ring. `base-2` is a checkout of its own, so base against base shows what a checkout alone changes.
ARMS = ("base-1", "head-1", "head-1", "base-2")
_TOLD = 1500
# Plugins of pytest that take a second to import in each process, and that no benchmark needs.
_NOT_NEEDED = ("cacheprovider", "hypothesispytest", "schemathesis")
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
    """By benchmark: its pairs, and the log ratio of base against base; what went wrong with a benchmark, by side."""

    pairs: dict[str, list[Pair]]
    control: dict[str, float]
    problems: dict[str, str]


class Laboratory:
    """Runs pytest in checkouts with the probe on the path, from the folder `work`."""

    def __init__(self, work: Path, root: Path, sides: dict[str, Side]) -> None:
        self._work, self._root, self._sides = work, root, sides
        self._plugins = work / "plugins"
        self._plugins.mkdir()
        shutil.copyfile(probe.__file__, self._plugins / f"{MODULE}.py")

    def collect(self, tests: str) -> dict[str, list[str]]:
        """Every side's benchmarks below `tests`; InvalidRun when a side cannot be collected."""
        there = [name for name, side in self._sides.items() if (side.checkout / tests.split("::")[0]).exists()]
        found = self._run([(name, []) for name in there], [tests, "--collect-only"])
        for name, taken in zip(there, found, strict=True):
            if taken is None or taken["broken"]:
                raise InvalidRun(f"{name}: its benchmarks could not be collected:\n{self.told(name)}")
        collected = {name: taken["collected"] for name, taken in zip(there, found, strict=True) if taken}
        return {name: collected.get(name, []) for name in self._sides}

    def ring(self, benchmarks: list[str], reverse: bool) -> Ring:
        """Measure in the order of ARMS, or with base and head exchanged. A ring that hangs is stopped in the end."""
        order = [1, 0, 3, 2] if reverse else [0, 1, 2, 3]
        found = self._run([(ARMS[place], []) for place in order], [*benchmarks, *_options()])
        by_arm = [found[order.index(place)] for place in range(len(ARMS))]
        problems = {name: what for name in benchmarks for what in [_problem(name, by_arm)] if what}
        for place, taken in enumerate(by_arm):
            if taken is None:
                told = self.told(ARMS[place])
                problems = dict.fromkeys(benchmarks, f"{ARMS[place]} crashed:\n{told}")
        if any(taken is None for taken in by_arm):
            return Ring({}, {}, problems)
        good = [probe.REFERENCE, *(name for name in benchmarks if name not in problems)]
        rows = {name: [taken["benchmarks"][name] for taken in by_arm if taken is not None] for name in good}
        pairs = {name: [_pair(row[0], row[1]), _pair(row[3], row[2])] for name, row in rows.items()}
        return Ring(pairs, {name: _pair(row[0], row[3]).log_ratio for name, row in rows.items()}, problems)

    def told(self, side: str) -> str:
        """The end of what the last process of a side printed."""
        logs = sorted(self._work.glob(f"{side}*.log"), key=lambda path: path.stat().st_mtime)
        return logs[-1].read_text(encoding="utf-8", errors="replace")[-_TOLD:] if logs else ""

    def count(self, valgrind: list[str], words: list[str], limit_s: float) -> list[dict[str, Any] | None]:
        """Base and head in a process each that counts instructions; None for what crashed or took too long."""
        more = {probe.COUNT_VARIABLE: "yes", "PYTHONHASHSEED": "0"}
        arms = [(side, [*valgrind, f"--callgrind-out-file={self.dumps(side)}"]) for side in ("base-1", "head-1")]
        return self._run(arms, words, more, limit_s)

    def dumps(self, side: str) -> Path:
        """The stem of the files that callgrind writes."""
        return self._work / f"{side}.callgrind"

    def _run(
        self,
        arms: list[tuple[str, list[str]]],
        words: list[str],
        more: dict[str, str] | None = None,
        limit_s: float = RING_MAX_S,
    ) -> list[dict[str, Any] | None]:
        """What each process left; None for one that crashed. InvalidRun when one imported another's code."""
        commands, outputs = [], []
        for place, (name, before) in enumerate(arms):
            side, output = self._sides[name], self._work / f"{name}-{place}.json"
            output.unlink(missing_ok=True)
            outputs.append(output)
            paths = [self._plugins, *_roots(side.checkout)]
            environment = {
                **os.environ,
                "PYTHONPATH": os.pathsep.join(map(str, paths)),
                probe.OUTPUT_VARIABLE: str(output),
                **_core(),
                **(more or {}),
            }
            run = [*before, str(side.python), "-m", "pytest", *_quiet(), *words]
            commands.append(turns.Command(run, side.checkout, environment, output.with_suffix(".log")))
        turns.run(commands, limit_s)
        found = [json.loads(each.read_text(encoding="utf-8")) if each.is_file() else None for each in outputs]
        for (name, _), taken in zip(arms, found, strict=True):
            if taken is not None:
                self.check_modules(name, taken["modules"])
        return found

    def check_modules(self, name: str, modules: dict[str, str]) -> None:
        """InvalidRun when a module of the checkout's came from somewhere else, as editable installs may have it."""
        side = self._sides[name]
        own = side.checkout.resolve()
        prefix = side.python.parent.parent.resolve()
        for module, file in modules.items():
            path = Path(file).resolve()
            if path.is_relative_to(own) or path.is_relative_to(self._plugins.resolve()):
                continue
            top = module.split(".")[0]
            is_ours = any(
                (root / top / "__init__.py").is_file() or (root / f"{top}.py").is_file() for root in _roots(own)
            )
            is_astray = path.is_relative_to(self._root) and not path.is_relative_to(prefix)
            if is_ours or is_astray:
                raise InvalidRun(f"{name}: module {module} was imported from {path}; expected {own} only")


def _roots(checkout: Path) -> list[Path]:
    return [each for each in (checkout, checkout / "src") if each.is_dir()]


def _quiet() -> list[str]:
    without = [word for plugin in _NOT_NEEDED for word in ("-p", f"no:{plugin}")]
    return ["-q", "-p", MODULE, *without, "-m", "", "--benchmark-quiet"]


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


def _problem(name: str, by_arm: list[dict[str, Any] | None]) -> str | None:
    for arm, taken in zip(ARMS, by_arm, strict=True):
        if taken is not None and name not in taken["benchmarks"]:
            return f"{arm}: {taken['failed'].get(name, 'was not measured')}"
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
