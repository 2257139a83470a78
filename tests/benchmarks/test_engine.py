"""The engines on five M/M/c stations in tandem at 80% utilisation.

The reference draws its service times, runs and makes its two tables; the peer is the same model as one writes it in
SimPy when only the response times are asked for, and is given the service times. So the ratio is what our tables,
keys and draws cost. Both must end every journey at the same instant, bit for bit.
"""

from collections.abc import Iterator

import numpy as np
import pytest
import simpy
from pytest_benchmark.fixture import BenchmarkFixture

from caodiem import plan
from simulation import reference
from simulation import work as works
from simulation.distributions import Exponential
from simulation.network import Network, Operation, Station, Visit
from tests.benchmarks import plans

pytestmark = [pytest.mark.slow, pytest.mark.benchmark(group="engine")]

ARRIVALS = 10_000
SERVERS = (1, 2, 4, 8, 16)
RATE_PER_S = 100.0
UTILISATION = 0.8
VISITS = ARRIVALS * len(SERVERS)

TANDEM = Network(
    tuple(Station(f"station {number}", servers) for number, servers in enumerate(SERVERS)),
    {
        "sign_in": Operation(
            tuple(Visit(n, Exponential(UTILISATION * servers / RATE_PER_S)) for n, servers in enumerate(SERVERS))
        )
    },
)


@pytest.fixture(scope="module")
def drawn() -> plan.Plan:
    return plans.draw(ARRIVALS, 1, RATE_PER_S)


@pytest.fixture(scope="module")
def finished_s(drawn: plan.Plan) -> np.ndarray:
    """When each journey must end, by the recursion of a first-come first-served queue: no engine at work."""
    services = works.of_plan(TANDEM, drawn).service_s.reshape(-1, len(SERVERS))
    leaves_s = drawn.table["due_s"].to_numpy().copy()
    for station, servers in enumerate(SERVERS):
        free_s = np.zeros(servers)
        for journey in np.argsort(leaves_s, kind="stable"):
            server = free_s.argmin()
            leaves_s[journey] = max(leaves_s[journey], free_s[server]) + services[journey, station]
            free_s[server] = leaves_s[journey]
    return leaves_s


def test_reference(benchmark: BenchmarkFixture, drawn: plan.Plan, finished_s: np.ndarray) -> None:
    benchmark.extra_info |= {"unit": "visits", "units_per_round": VISITS}
    rows, components = benchmark(reference.execute, TANDEM, drawn)
    assert components.num_rows == VISITS
    assert np.array_equal(rows["finished_s"].to_numpy(), finished_s)


def test_plain_simpy(benchmark: BenchmarkFixture, drawn: plan.Plan, finished_s: np.ndarray) -> None:
    benchmark.extra_info |= {"unit": "visits", "units_per_round": VISITS}
    dues_s = drawn.table["due_s"].to_pylist()
    services_s = works.of_plan(TANDEM, drawn).service_s.reshape(-1, len(SERVERS)).tolist()
    found = benchmark(run_plain_simpy, dues_s, services_s)
    assert np.array_equal(found, finished_s)


def run_plain_simpy(dues_s: list[float], services_s: list[list[float]]) -> list[float]:
    """When each journey ended."""
    env = simpy.Environment()
    stations = [simpy.Resource(env, capacity=servers) for servers in SERVERS]
    finished_s = [0.0] * len(dues_s)

    def journey(number: int) -> Iterator[simpy.Event]:
        for station, service_s in zip(stations, services_s[number], strict=True):
            with station.request() as turn:
                yield turn
                yield env.timeout(service_s)
        finished_s[number] = env.now

    def arrive() -> Iterator[simpy.Event]:
        for number, due_s in enumerate(dues_s):
            yield env.timeout(due_s - env.now)
            env.process(journey(number))

    env.process(arrive())
    env.run()
    return finished_s
