"""The pacer's policy alone, woken for each deadline as swarm.py wakes it; every answer comes at once.

No clock and no sleeping: the time is always that of the next deadline. The peer is the least that can do the work,
merging the same steps with a bare heap, and keeps no account of lateness.
"""

import heapq
import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from caodiem import plan
from loadtests import journeys
from loadtests.pacer import Pacer
from tests.benchmarks import plans

pytestmark = [pytest.mark.slow, pytest.mark.benchmark(group="pacer")]

ARRIVALS, STEPS = 25_000, 4
RATE_PER_S = 500.0

# A journey under way: its arrival, and the step that is due.
State = tuple[int, int]
Released = list[tuple[float, State]]


@pytest.fixture(scope="module")
def drawn() -> plan.Plan:
    return plans.draw(ARRIVALS, STEPS, RATE_PER_S)


def measure(
    benchmark: BenchmarkFixture, drawn: plan.Plan, pace: Callable[[list[float], list[list[float]]], Released]
) -> None:
    """Time the pacing of the whole plan, then see that each step came once, in order, when it was due."""
    benchmark.extra_info |= {"unit": "steps", "units_per_round": ARRIVALS * STEPS}
    think_s = drawn.table["think_s"].to_numpy().reshape(ARRIVALS, STEPS)
    dues_s = drawn.table["due_s"].to_numpy().reshape(ARRIVALS, STEPS)[:, 0]
    released = benchmark(pace, dues_s.tolist(), think_s.tolist())
    times_s = np.array([due_s for due_s, _ in released])
    assert np.all(np.diff(times_s) >= 0)
    by_step = np.lexsort(np.array([(step, arrival) for _, (arrival, step) in released]).T)
    assert times_s[by_step] == pytest.approx(journeys.nominal_due_s(drawn.table), abs=1e-6)


def test_ours(benchmark: BenchmarkFixture, drawn: plan.Plan) -> None:
    def pace(dues_s: list[float], think_s: list[list[float]]) -> Released:
        firsts: Iterator[tuple[float, State]] = ((due_s, (arrival, 0)) for arrival, due_s in enumerate(dues_s))
        pacer = Pacer[State](greatest_lateness_s=1.0)
        pacer.add(firsts)
        released: Released = []
        while (now_s := pacer.next_due_s) < math.inf:
            release, drop = pacer.take(now_s)
            assert not drop
            for due in release:
                released.append(due)
                arrival, step = due[1]
                if step + 1 < STEPS:
                    pacer.put_back(due[0], think_s[arrival][step + 1], (arrival, step + 1))
        return released

    measure(benchmark, drawn, pace)


def test_bare_heap(benchmark: BenchmarkFixture, drawn: plan.Plan) -> None:
    def pace(dues_s: list[float], think_s: list[list[float]]) -> Released:
        waiting = [(due_s, (arrival, 0)) for arrival, due_s in enumerate(dues_s)]
        released: Released = []
        while waiting:
            due_s, (arrival, step) = waiting[0]
            released.append(waiting[0])
            if step + 1 < STEPS:
                heapq.heapreplace(waiting, (due_s + think_s[arrival][step + 1], (arrival, step + 1)))
            else:
                heapq.heappop(waiting)
        return released

    measure(benchmark, drawn, pace)
