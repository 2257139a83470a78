"""How many instructions a round takes, counted by valgrind's callgrind: the same on a busy machine as on a quiet one.

Counts what the benchmark's own thread and process do in user space; system calls, waiting and other processes (a
database) are not in it. Needs valgrind on the path and an x86-64 processor; without them there is no count.
"""

import math
import platform
import re
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

from gates.sampling import MODULE, Laboratory

_ROUNDS = 3
_SPREAD_MAX = 0.01  # of the two rounds of a process that are most alike
_TOTALS = re.compile(r"^(?:totals|summary): (\d+)", re.MULTILINE)


def missing() -> str:
    """Why nothing can be counted here; empty when it can."""
    if platform.machine() != "x86_64":
        return f"instructions not counted: the processor is {platform.machine()}; expected x86_64"
    return "" if shutil.which("valgrind") else "instructions not counted: no valgrind on the path"


def count(laboratory: Laboratory, benchmarks: list[str], limit_s: float) -> dict[str, tuple[float, float]]:
    """(base's, head's) instructions of a round: of the two most alike, so what only one round needs is left out.

    None for a benchmark that crashes under valgrind, whose rounds are not alike, or that is not done in `limit_s`,
    taken in this order.
    """
    valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no"]
    options = [f"--benchmark-timer={MODULE}.clock", "--benchmark-max-time=0", "--benchmark-min-time=1e-9"]
    words = [*benchmarks, *options, f"--benchmark-min-rounds={_ROUNDS}", "--benchmark-disable-gc"]
    sides = laboratory.count(valgrind, words, limit_s)
    by_side = [_counted(laboratory.dumps(side.name), side.found["benchmarks"]) if side.found else {} for side in sides]
    return {name: (by_side[0][name], by_side[1][name]) for name in by_side[0] if name in by_side[1]}


def _counted(stem: Path, benchmarks: dict[str, Any]) -> dict[str, float]:
    counted = {}
    for name, taken in benchmarks.items():
        rounds = sorted(_dumped(stem, number) / taken["iterations"] for number in range(*taken["dumps"]))
        fewer, more = min(pairwise(rounds), key=lambda pair: pair[1] / pair[0], default=(1.0, math.inf))
        if more < fewer * (1 + _SPREAD_MAX):
            counted[name] = fewer
    return counted


def _dumped(stem: Path, number: int) -> int:
    """The total of a dump; callgrind numbers them from 1."""
    return int(_TOTALS.findall(stem.with_name(f"{stem.name}.{number + 1}").read_text(encoding="utf-8"))[-1])
