"""The reference engine against closed forms of queueing theory, at utilisations up to 0.95.

Each case is one long run from a fixed seed. The interval is a 99% one from 20 batch means of the run after its
warm-up, and the closed form must lie in it; so the test says how precise it is instead of choosing a tolerance.
"""

import math

import numpy as np
import pyarrow as pa
import pytest

from caodiem import plan
from caodiem.draws import uniform
from simulation import reference
from simulation.distributions import by_variation
from simulation.network import Network, Operation, Station, Visit

BATCHES = 20
# Student's t with 19 degrees of freedom, 99.5%.
T = 2.861


def erlang_c(servers: int, load: float) -> float:
    """P(wait) of M/M/c (Erlang 1917), by the stable recursion of Erlang B."""
    blocked = 1.0
    for number in range(1, servers + 1):
        blocked = load * blocked / (number + load * blocked)
    utilisation = load / servers
    return blocked / (1 - utilisation + utilisation * blocked)


def poisson_plan(rate_per_s: float, count: int, seed: int, stations: int = 1) -> plan.Plan:
    """`count` arrivals of a Poisson process, each one step."""
    due_s = np.cumsum(-np.log(uniform(seed, "gap", np.arange(count))) / rate_per_s)
    words = {"journey": "citizen_tracks", "operation": "look_up_status", "agency": "H01", "system": "national_portal"}
    columns = {
        "arrival": np.arange(count),
        "step": np.zeros(count, dtype=np.int16),
        **{name: np.full(count, word) for name, word in words.items()},
        "dossier": np.arange(count),
        "items": np.ones(count, dtype=np.int32),
        "due_s": due_s,
        "think_s": np.zeros(count),
    }
    meta = plan.PlanMeta("0" * 64, seed, "2026-05-04T09:00:00", float(due_s[-1]) + 1, 1.0, 43.0)
    return plan.make(pa.table({name: columns[name] for name in plan.SCHEMA.names}), meta)


def responses_s(rate: float, count: int, servers: list[int], means: list[float], variation: float = 1.0) -> np.ndarray:
    stations = tuple(Station(f"s{number}", each) for number, each in enumerate(servers))
    visits = tuple(Visit(number, by_variation(mean, variation)) for number, mean in enumerate(means))
    network = Network(stations, {"look_up_status": Operation(visits)})
    rows, components = reference.execute(network, poisson_plan(rate, count, seed=1))
    assert components.num_rows == count * len(servers)
    return rows["finished_s"].to_numpy() - rows["due_s"].to_numpy()


def interval(values: np.ndarray, warm_up: int) -> tuple[float, float]:
    batches = values[warm_up:][: (len(values) - warm_up) // BATCHES * BATCHES].reshape(BATCHES, -1).mean(axis=1)
    half = T * batches.std(ddof=1) / math.sqrt(BATCHES)
    return float(batches.mean() - half), float(batches.mean() + half)


@pytest.mark.parametrize(
    ("rate", "servers", "mean", "count"),
    [
        (0.5, 1, 1.0, 60_000),
        (9.0, 2, 0.2, 120_000),
        (9.0, 4, 0.2, 60_000),
        pytest.param(0.9, 1, 1.0, 300_000, marks=pytest.mark.slow),
        pytest.param(3.8, 4, 1.0, 300_000, marks=pytest.mark.slow),
    ],
)
def test_mean_response_of_m_m_c(rate: float, servers: int, mean: float, count: int) -> None:
    load = rate * mean
    expected = mean + erlang_c(servers, load) * mean / (servers - load)
    low, high = interval(responses_s(rate, count, [servers], [mean]), warm_up=count // 20)
    assert low <= expected <= high


def test_the_quantiles_of_m_m_1() -> None:
    """The sojourn of M/M/1 is exponential with rate mu - lambda."""
    taken = responses_s(0.5, 120_000, [1], [1.0])[5_000:]
    for q, expected in ((0.5, 1.3863), (0.9, 4.6052), (0.95, 5.9915), (0.99, 9.2103)):
        assert np.quantile(taken, q) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("variation", [0.0, 0.5, 2.0])
def test_mean_wait_of_m_g_1(variation: float) -> None:
    """Pollaczek and Khinchine: W = rho S (1 + c^2) / (2 (1 - rho))."""
    rate, mean, count = 0.8, 1.0, 150_000
    expected = mean + rate * mean * mean * (1 + variation**2) / (2 * (1 - rate * mean))
    low, high = interval(responses_s(rate, count, [1], [mean], variation), warm_up=count // 20)
    assert low <= expected <= high


def test_the_tandem_is_a_jackson_network() -> None:
    taken = responses_s(0.5, 80_000, [1, 1], [1.0, 1 / 1.5])
    low, high = interval(taken, warm_up=4_000)
    assert low <= 2 + 1 <= high


def test_a_plan_that_never_queues_takes_its_service_times() -> None:
    taken = responses_s(0.0001, 500, [1, 1], [1.0, 2.0], variation=0.0)
    assert taken == pytest.approx(np.full(500, 3.0))
