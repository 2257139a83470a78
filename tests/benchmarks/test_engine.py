"""The engines on five M/M/c stations in tandem at 80% utilisation, and on a network with all that can happen.

Ours execute the same work, drawn beforehand, and log every visit; `test_compiled_with_draws` draws it too, as ciw and
cimba do while they run. ciw keeps a record of each visit as ours do; cimba counts visits and keeps no times; plain
SimPy is the tandem as one writes it when only the response times are asked for, and is given the service times.
`compiled_is_times_as_fast`, in what is written of a peer, is taken by turns, which a busy machine distorts less.
The first call of the compiled engine compiles or reads its cache; `compile_s` says how long it took without a cache.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import cimba
import ciw
import numpy as np
import pytest
import simpy
from pytest_benchmark.fixture import BenchmarkFixture

from caodiem.draws import uniform
from simulation import compiled, reference
from simulation import work as works
from simulation.distributions import Exponential
from simulation.log import End, Log
from simulation.network import Breaker, Calendar, Network, Operation, Outage, Retries, Station, Visit
from tests.benchmarks.tandem_cimba import Tandem  # here, because cimba must be imported before Numba compiles
from tests.conftest import ROOT

pytestmark = pytest.mark.slow
engine = pytest.mark.benchmark(group="engine")
engine_full = pytest.mark.benchmark(group="engine_full")

ARRIVALS = 20_000
ROUNDS, REPEATS = 9, 20
SERVERS = (1, 2, 4, 8, 16)
RATE_PER_S = 100.0
UTILISATION = 0.8
VISITS = ARRIVALS * len(SERVERS)
MEANS_S = [UTILISATION * servers / RATE_PER_S for servers in SERVERS]

TANDEM = Network(
    tuple(Station(f"station {number}", servers) for number, servers in enumerate(SERVERS)),
    {"visit": Operation(tuple(Visit(number, Exponential(mean_s)) for number, mean_s in enumerate(MEANS_S)))},
)

# Offices that close, clients who give up or time out and try again, an outage, a breaker: every client has several
# timers.
FULL = Network(
    (
        Station(
            "web",
            8,
            queue=200,
            outages=(Outage(60.0, 70.0, refuses=True),),
            breaker=Breaker(share=0.5, calls=50, least=50, open_s=1.0),
        ),
        Station("database", 4, queue=100),
        Station("desk", 30, calendar=Calendar((0.0, 20.0), (30, 0), period_s=25.0)),
    ),
    {
        "visit": Operation(
            (
                Visit(0, Exponential(0.07), Exponential(5.0)),
                Visit(1, Exponential(0.035), Exponential(5.0)),
                Visit(2, Exponential(0.2), Exponential(8.0)),
            ),
            timeout_s=10.0,
            retries=Retries(attempts=3, pause_s=1.0, jitter=0.5, budget=0.2, burst=10),
        )
    },
)


def arrive(arrivals: int) -> works.Steps:
    due_s = np.cumsum(-np.log(uniform(1, "gap", np.arange(arrivals))) / RATE_PER_S)
    zeros = np.zeros(arrivals, dtype=np.int64)
    return works.Steps(due_s, np.arange(arrivals + 1), np.arange(arrivals), zeros, zeros, np.zeros(arrivals))


def draw(network: Network, steps: works.Steps) -> works.Work:
    return works.draw(network, tuple(network.operations.values()), steps, seed=1)


@pytest.fixture(scope="module")
def tandem() -> works.Work:
    return draw(TANDEM, arrive(ARRIVALS))


@pytest.fixture(scope="module")
def full() -> works.Work:
    return draw(FULL, arrive(ARRIVALS))


@pytest.fixture(scope="module")
def finished_s(tandem: works.Work) -> np.ndarray:
    """When each journey must end, by the recursion of a first-come first-served queue: no engine at work."""
    services = tandem.service_s.reshape(-1, len(SERVERS))
    leaves_s = tandem.due_s.copy()
    for station, servers in enumerate(SERVERS):
        free_s = np.zeros(servers)
        for journey in np.argsort(leaves_s, kind="stable"):
            server = free_s.argmin()
            leaves_s[journey] = max(leaves_s[journey], free_s[server]) + services[journey, station]
            free_s[server] = leaves_s[journey]
    return leaves_s


@pytest.fixture(scope="module")
def compile_s(tmp_path_factory: pytest.TempPathFactory) -> float:
    """Seconds that the first run takes on a machine without a cache, by a process of its own."""
    code = (
        "import time; from tests.benchmarks import test_engine as t; from simulation import compiled;"
        "work = t.draw(t.TANDEM, t.arrive(1)); began = time.perf_counter(); compiled.run(t.TANDEM, work);"
        "print(time.perf_counter() - began)"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path_factory.mktemp("numba")), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def times_as_fast(ours: Callable[[], object], peer: Callable[[], object]) -> float:
    """The median over rounds of the peer's time over ours, both of one round taken one after the other.

    What else a machine does in the meantime slows both, so this holds where times of different minutes do not. Ours
    is repeated within a round, to last more nearly as long as the peer and to be slowed by as much.
    """
    ratios = []
    for _ in range(ROUNDS):
        began_s = time.perf_counter()
        for _ in range(REPEATS):
            ours()
        between_s = time.perf_counter()
        peer()
        ratios.append((time.perf_counter() - between_s) / (between_s - began_s) * REPEATS)
    return round(statistics.median(ratios), 1)


def counted(benchmark: BenchmarkFixture, visits: int) -> None:
    benchmark.extra_info |= {"unit": "visits", "units_per_round": visits}


@engine
def test_compiled(benchmark: BenchmarkFixture, tandem: works.Work, finished_s: np.ndarray, compile_s: float) -> None:
    counted(benchmark, VISITS)
    benchmark.extra_info["compile_s"] = round(compile_s, 2)
    compiled.run(TANDEM, tandem)
    log = benchmark(compiled.run, TANDEM, tandem)
    assert np.array_equal(log.attempts["ended_s"], finished_s)


@engine
def test_compiled_with_draws(benchmark: BenchmarkFixture, finished_s: np.ndarray) -> None:
    counted(benchmark, VISITS)
    steps = arrive(ARRIVALS)
    log = benchmark(lambda: compiled.run(TANDEM, draw(TANDEM, steps)))
    assert np.array_equal(log.attempts["ended_s"], finished_s)


@engine
def test_reference(benchmark: BenchmarkFixture, tandem: works.Work, finished_s: np.ndarray) -> None:
    counted(benchmark, VISITS)
    benchmark.extra_info["compiled_is_times_as_fast"] = times_as_fast(
        lambda: compiled.run(TANDEM, tandem), lambda: reference.run(TANDEM, tandem)
    )
    log = benchmark(reference.run, TANDEM, tandem)
    assert np.array_equal(log.attempts["ended_s"], finished_s)


@engine
def test_plain_simpy(benchmark: BenchmarkFixture, tandem: works.Work, finished_s: np.ndarray) -> None:
    counted(benchmark, VISITS)
    services_s = tandem.service_s.reshape(-1, len(SERVERS)).tolist()
    found = benchmark(run_plain_simpy, tandem.due_s.tolist(), services_s)
    # Not equal to the bit: SimPy adds gaps to its clock where ours takes the due time itself.
    assert np.allclose(found, finished_s, rtol=0, atol=1e-6)


@engine
def test_ciw(benchmark: BenchmarkFixture) -> None:
    counted(benchmark, VISITS)
    described = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(RATE_PER_S), *(None for _ in SERVERS[1:])],
        service_distributions=[ciw.dists.Exponential(1 / mean_s) for mean_s in MEANS_S],
        number_of_servers=list(SERVERS),
        routing=np.eye(len(SERVERS), k=1).tolist(),
    )

    def run() -> int:
        ciw.seed(1)
        simulated = ciw.Simulation(described)
        simulated.simulate_until_max_customers(ARRIVALS)
        return len(simulated.get_all_records())

    # Also visits of those who are still there when the last of so many has left.
    assert benchmark(run) >= VISITS


@engine
def test_cimba(benchmark: BenchmarkFixture, tandem: works.Work) -> None:
    model = Tandem()
    window = cimba.Window(duration=ARRIVALS / RATE_PER_S)

    def run() -> float:
        return float(cimba.Experiment(model, window=window, seed=1).run()[model].visits.values[0, 0])

    visits = run()
    counted(benchmark, int(visits))
    ratio = times_as_fast(lambda: compiled.run(TANDEM, tandem), run)
    benchmark.extra_info["compiled_is_times_as_fast"] = round(ratio * VISITS / visits, 1)
    assert benchmark(run) == visits
    assert visits == pytest.approx(VISITS, rel=0.05)


@engine_full
def test_compiled_full(benchmark: BenchmarkFixture, full: works.Work) -> None:
    log = compiled.run(FULL, full)
    counted(benchmark, visits_of(log))
    assert benchmark(compiled.run, FULL, full).same_as(log)


@engine_full
def test_reference_full(benchmark: BenchmarkFixture, full: works.Work) -> None:
    log = compiled.run(FULL, full)
    counted(benchmark, visits_of(log))
    benchmark.extra_info["compiled_is_times_as_fast"] = times_as_fast(
        lambda: compiled.run(FULL, full), lambda: reference.run(FULL, full)
    )
    assert benchmark(reference.run, FULL, full).same_as(log)


def visits_of(log: Log) -> int:
    """Visits made; that some of each kind are among them makes the network a full one."""
    ends = log.visits["end"]
    assert set(ends.tolist()) == {int(end) for end in End}
    return int((ends != End.NONE).sum())


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

    def come() -> Iterator[simpy.Event]:
        for number, due_s in enumerate(dues_s):
            yield env.timeout(due_s - env.now)
            env.process(journey(number))

    env.process(come())
    env.run()
    return finished_s
