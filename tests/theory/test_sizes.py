"""Sizing held against textbook formulas: the fewest servers, the shares of bad journeys, the capacity of today's.

The formulas stand here, in NumPy and SciPy alone. Seeds are fixed; a share must lie in the interval of its decision.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from caodiem.network import NetworkScenario
from caodiem.scenario_file import load_document
from simulation import capacity
from simulation.objectives import Decision
from simulation.subject import OwnNetwork
from simulation.trials import Trials

Servers = tuple[int, ...]


@dataclass(frozen=True)
class Case:
    """A network, and the share of bad journeys when its arrivals are `factor` times as many, for a size."""

    text: str
    allowed: float
    bad: Callable[[float, Servers], float]
    today: Servers
    fewest: list[Servers]  # every size of the least total that will do, by the formula


def states(rate: float, servers: int, room: int, leaves: float = 0.0) -> np.ndarray:
    """Of a birth-death chain with service rate 1 (Erlang): chances of 0 to `room` there; who waits leaves at a rate."""
    present = np.arange(1, room + 1)
    deaths = np.minimum(present, servers) + leaves * np.maximum(present - servers, 0)
    weights = np.concatenate([[0.0], np.cumsum(np.log(rate / deaths))])
    chances = np.exp(weights - weights.max())
    return np.asarray(chances / chances.sum())


def gives_up(rate: float, servers: int, patience_s: float) -> float:
    """Share of M/M/c+M that leaves: those in the queue, each at the rate of patience, over those who come (Palm)."""
    room = servers + 200
    waiting = np.maximum(np.arange(room + 1) - servers, 0) @ states(rate, servers, room, 1 / patience_s)
    return float(waiting / patience_s / rate)


def gives_up_at(rate: float, servers: int, patience_s: float) -> float:
    """Share of M/M/c+D that leaves, by the density of the virtual wait (Baccelli, Hebuterne 1981)."""
    idle = np.array([rate**n / math.factorial(n) for n in range(servers)])
    spare, last = servers - rate, idle[-1]
    within = rate * last * (patience_s if spare == 0 else (1 - math.exp(-spare * patience_s)) / spare)
    beyond = rate * last * math.exp(-spare * patience_s) / servers
    return float(beyond / (idle.sum() + within + beyond))


def longer_than(rate: float, stations: list[tuple[float, int]], than_s: float, ahead: float | None = None) -> float:
    """P(response > t) of stations (service rate, servers) in a row, each an M/M/c (Burke 1969).

    `ahead`: the rate of those who go first, whose response it is then, of all who come (Cobham 1954).
    """
    if any(rate >= mu * servers for mu, servers in stations):
        return 1.0
    size = 2 * len(stations)
    flows, begins = np.zeros((size, size)), np.zeros(size)
    for place, (mu, servers) in enumerate(stations):
        # P(wait) by Erlang C, from the states of no room beyond the servers; two phases: wait, then service.
        blocked = states(rate / mu, servers, servers)[-1]
        waits = blocked / (1 - rate / mu / servers * (1 - blocked))
        spare, at = mu * servers - (rate if ahead is None else ahead), 2 * place
        flows[at, at], flows[at, at + 1], flows[at + 1, at + 1] = -spare, spare, -mu
        if place:
            flows[at - 1, at : at + 2] = stations[place - 1][0] * np.array([waits, 1 - waits])
        else:
            begins[:2] = waits, 1 - waits
    return float((begins @ expm(flows * than_s)).sum())


def lost(rates: list[tuple[float, float]], servers: int, mean_s: float) -> float:
    """Share lost of Mt/M/c/c that begins empty, its rate linear between (second, rate): Kolmogorov's equations."""
    times, heights = zip(*rates, strict=True)

    def change(time_s: float, state: np.ndarray) -> np.ndarray:
        chances, rate = state[:-1], np.interp(time_s, times, heights)
        up, down = rate * chances[:-1], np.arange(1, servers + 1) / mean_s * chances[1:]
        moved = np.zeros_like(state)
        moved[:servers] -= up - down
        moved[1 : servers + 1] += up - down
        moved[-1] = rate * chances[-1]
        return moved

    begin = np.zeros(servers + 2)
    begin[0] = 1
    found = solve_ivp(change, (0, times[-1]), begin, rtol=1e-8, atol=1e-11, max_step=times[-1] / 200)
    return float(found.y[-1, -1] / np.trapezoid(heights, times))


EXPONENTIAL = '{ distribution = "exponential", mean = 1 }'


def one(arrivals: str, slo: str, servers: int, horizon: int, service: str = EXPONENTIAL, more: str = "") -> str:
    station = f'[[stations]]\nname = "a"\nservers = {servers}\nservice = {service}\n{more}\n'
    return f"arrivals = {arrivals}\nslo = [{slo}]\n{station}[run]\nhorizon = {horizon}\n"


RISE = [(0.0, 0.2), (400.0, 1.2), (600.0, 1.2), (1200.0, 0.1)]
CASES = {
    "M/M/c, p95 of the response": Case(
        one("{ rate = 50 }", "{ quantile = 95, response = 3.3 }", 60, 800),
        0.05, lambda f, s: longer_than(50 * f, [(1, s[0])], 3.3), (60,), [(53,)],
    ),
    "M/M/c at 98%": Case(
        one("{ rate = 19.6 }", "{ quantile = 95, response = 6 }", 20, 4000),
        0.05, lambda f, s: longer_than(19.6 * f, [(1, s[0])], 6), (20,), [(21,)],
    ),
    "M/G/c/c": Case(
        one("{ rate = 20 }", "{ refused = 1 }", 20, 2500,
            '{ distribution = "lognormal", mean = 1, variation = 2 }', "queue = 0"),
        0.01, lambda f, s: states(20 * f, s[0], s[0])[-1], (20,), [(30,)],
    ),
    "M/M/c/K": Case(
        one("{ rate = 9 }", "{ refused = 2 }", 9, 5000, more="queue = 5"),
        0.02, lambda f, s: states(9 * f, s[0], s[0] + 5)[-1], (9,), [(12,)],
    ),
    "M/M/c+M": Case(
        one("{ rate = 40 }", "{ abandoned = 1 }", 40, 1200, more=f"patience = {EXPONENTIAL}"),
        0.01, lambda f, s: gives_up(40 * f, s[0], 1), (40,), [(48,)],
    ),
    "M/M/c+D": Case(
        one("{ rate = 3 }", "{ abandoned = 2 }", 3, 15_000, more="patience = 2"),
        0.02, lambda f, s: gives_up_at(3 * f, s[0], 2), (3,), [(4,)],
    ),
    "Mt/M/c/c": Case(
        one(f"{{ points = {[list(each) for each in RISE]} }}", "{ refused = 2 }", 8, 1200,
            EXPONENTIAL.replace("1 }", "10 }"), "queue = 0") + "replications = 40\nmost_replications = 400\n",
        0.02, lambda f, s: lost([(at, f * rate) for at, rate in RISE], s[0], 10), (8,), [(17,)],
    ),
    "three stations in a row": Case(
        one("{ rate = 0.8 }", "{ quantile = 90, response = 9 }", 1, 20_000).replace(
            "[run]",
            '[[stations]]\nname = "b"\nservers = 1\nservice = { distribution = "exponential", mean = 0.2 }\n'
            '[[stations]]\nname = "c"\nservers = 2\nservice = { distribution = "exponential", mean = 2 }\n[run]',
        ),
        0.1, lambda f, s: longer_than(0.8 * f, [(1, s[0]), (5, s[1]), (0.5, s[2])], 9), (1, 1, 2), [(2, 1, 3)],
    ),
    "who goes first": Case(
        one("{ rate = 5.4 }", '{ journey = "urgent", quantile = 95, response = 3.5 }', 6, 8000).replace(
            "[run]",
            '[[journeys]]\nname = "urgent"\nroute = ["a"]\npriority = -1\n'
            '[[journeys]]\nname = "usual"\nroute = ["a"]\nshare = 2\n[run]',
        ),
        0.05, lambda f, s: longer_than(5.4 * f, [(1, s[0])], 3.5, ahead=1.8 * f), (6,), [(6,)],
    ),
}  # fmt: skip


def greatest_factor(case: Case) -> float:
    low, high = 1 / 64, 64.0
    while high / low > 1.0001:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if case.bad(middle, case.today) <= case.allowed else (low, middle)
    return low


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_fewest_servers_and_the_capacity_are_those_of_the_formula(tmp_path: Path, name: str) -> None:
    case, file = CASES[name], tmp_path / "network.toml"
    file.write_text(case.text)
    found = capacity.find(Trials(OwnNetwork(load_document(file, NetworkScenario))))
    assert found.needed is not None
    needed = found.needed.trial
    assert needed.sizes in case.fewest
    assert found.needed.least_in_total
    # The formula agrees that these are the fewest.
    assert case.bad(1.0, needed.sizes) <= case.allowed
    for trial in found.needed.neighbours.values():
        assert case.bad(1.0, trial.sizes) > case.allowed
        assert trial.decision is not Decision.MET
    for trial in (found.today, needed, *found.needed.neighbours.values()):
        share, exact = trial.judged[0].bad_share, case.bad(1.0, trial.sizes)
        assert trial.overloaded or share["low"] <= exact <= share["high"] or exact == 1.0
    assert found.rate.low <= greatest_factor(case) <= found.rate.high
    assert found.rate.high / found.rate.low < 1.06
