"""Ten minutes of everything at once: throughput, p99 and memory at the end are what they were at the beginning.

The load is the closed loop of test_durability.py: citizens who file, pay and are received, an agency that reports.
Minutes are compared with one another: a slow machine is slow in all of them. `MIXED_LOAD_S` shortens the run.
"""

import os
import statistics
import time
from pathlib import Path

import psutil
import pytest

from staging.service import Portal, running
from tests.staging.calls import Caller, Reply
from tests.staging.test_durability import Load

LENGTH_S = float(os.environ.get("MIXED_LOAD_S", "600"))
PARTS = 10
# Neighbours on the machine move the first two, and hardly the others.
LEAST_SHARE, GREATEST_P99, GREATEST_CPU, GREATEST_GROWTH = 0.5, 3.0, 1.3, 1.2


class Measured(Load):
    """The same load; says of each request when it was answered and how long that took."""

    def __init__(self, portal: Portal, folder: Path) -> None:
        self.answers: list[tuple[float, float]] = []  # when, seconds
        super().__init__(portal, folder)

    def _ask(self, caller: Caller, path: str, content: object) -> Reply | None:
        began_s = time.monotonic()
        reply = super()._ask(caller, path, content)
        ended_s = time.monotonic()
        self.answers.append((ended_s, ended_s - began_s))
        return reply


def memory_bytes(portal: Portal) -> int:
    """Of the supervisor and its workers, without what they share."""
    processes = [psutil.Process(portal.pid), *psutil.Process(portal.pid).children()]
    return sum(each.memory_full_info().uss for each in processes if each.name() != "postgres")


def cpu_s(portal: Portal) -> float:
    """Processor time of the portal and of PostgreSQL so far."""
    times = [each.cpu_times() for each in psutil.Process(portal.pid).children(recursive=True)]
    return sum(each.user + each.system for each in times)


@pytest.mark.slow
def test_throughput_p99_and_memory_stay_flat(tmp_path: Path, kept: Path) -> None:
    memory, cpu, part_s = [], [], LENGTH_S / PARTS
    with running(tmp_path / "log.txt", keep=kept, workers=2) as portal:
        with Measured(portal, kept) as load:
            began_s, before_s = time.monotonic(), cpu_s(portal)
            for part in range(PARTS):
                time.sleep(max(began_s + (part + 1) * part_s - time.monotonic(), 0))
                memory.append(memory_bytes(portal))
                now_s = cpu_s(portal)
                cpu.append(now_s - before_s)
                before_s = now_s
        load.check()
    parts: list[list[float]] = [[] for _ in range(PARTS)]
    for at_s, took_s in load.answers:
        parts[min(int((at_s - began_s) / part_s), PARTS - 1)].append(took_s)
    rates = [len(part) / part_s for part in parts]
    p99s = [statistics.quantiles(part, n=100)[98] for part in parts]
    print("requests/s", [round(rate) for rate in rates])
    print("p99 ms", [round(1000 * p99_s) for p99_s in p99s], "MB", [round(each / 1e6) for each in memory])
    costs = [used_s / len(part) for used_s, part in zip(cpu, parts, strict=True)]
    print("processor ms a request", [round(1000 * cost_s, 2) for cost_s in costs])
    # The first part warms up.
    middle, end = slice(1, PARTS // 2), slice(PARTS // 2, PARTS)
    assert statistics.median(rates[end]) > LEAST_SHARE * statistics.median(rates[middle])
    assert statistics.median(p99s[end]) < GREATEST_P99 * statistics.median(p99s[middle])
    assert statistics.median(costs[end]) < GREATEST_CPU * statistics.median(costs[middle])
    assert max(memory[end]) < GREATEST_GROWTH * max(memory[middle])
