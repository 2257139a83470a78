"""Random small networks and the work for them, for the tests that hold over all of them."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

from simulation import work as works
from simulation.distributions import Distribution, Exponential, Fixed
from simulation.network import (
    Breaker,
    Calendar,
    Network,
    Operation,
    Outage,
    Pace,
    Retries,
    Slowdown,
    Station,
    Visit,
)

# Few times, all of them multiples of a half: so that many things happen at one instant.
GRID = st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, 3.0])
POSITIVE = st.sampled_from([0.5, 1.0, 2.0, 3.0])


def times() -> st.SearchStrategy[Distribution]:
    return st.one_of(st.builds(Fixed, GRID), st.builds(Exponential, POSITIVE))


@st.composite
def spans(draw: st.DrawFn) -> list[tuple[float, float]]:
    """Intervals in order, some of them touching, one perhaps from second 0."""
    edges = sorted(draw(st.lists(st.sampled_from([k / 2 for k in range(24)]), max_size=6, unique=True)))
    apart = list(zip(edges[::2], edges[1::2], strict=False))
    return list(pairwise(edges)) if draw(st.booleans()) else apart


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    starts = sorted({0.0, *draw(st.lists(st.sampled_from([1.0, 2.5, 4.0, 5.5]), max_size=3))})
    servers = draw(st.lists(st.integers(0, 3), min_size=len(starts), max_size=len(starts)))
    if not any(servers):
        servers[-1] = 1
    if draw(st.booleans()):
        return Calendar(tuple(starts), tuple(servers), period_s=6.0)
    return Calendar(tuple(starts), (*servers[:-1], max(servers[-1], 1)))


@st.composite
def breakers(draw: st.DrawFn) -> Breaker:
    calls = draw(st.integers(1, 4))
    share, open_s = draw(st.sampled_from([0.1, 0.5, 1.0])), draw(GRID)
    return Breaker(share, calls, draw(st.integers(1, calls)), open_s, draw(st.integers(1, 3)))


def paces() -> st.SearchStrategy[Pace]:
    return st.builds(Pace, st.sampled_from([0.5, 1.0, 2.0]), st.integers(1, 3))


@st.composite
def entrances(draw: st.DrawFn, network: Network) -> tuple[Network, Operation]:
    """The network with an entrance as its last station, and the operation that every journey begins with."""
    entrance = Station(
        "entrance",
        draw(st.integers(1, 4)),
        draw(st.one_of(st.none(), st.integers(0, 3))),
        pace=draw(st.one_of(st.none(), paces())),
        entrance=True,
    )
    visit = Visit(len(network.stations), Fixed(0.0), draw(st.one_of(st.none(), times())))
    return Network((*network.stations, entrance)), Operation((visit,))


@st.composite
def stations(draw: st.DrawFn, name: str) -> Station:
    outages = [Outage(a, b, draw(st.integers(0, 1)), draw(st.booleans())) for a, b in draw(spans())]
    slowdowns = [Slowdown(a, b, draw(POSITIVE)) for a, b in draw(spans())]
    return Station(
        name,
        draw(st.integers(1, 3)),
        draw(st.one_of(st.none(), st.integers(0, 3))),
        draw(st.one_of(st.none(), calendars())),
        tuple(outages),
        tuple(slowdowns),
        draw(st.one_of(st.none(), breakers())),
        draw(st.one_of(st.none(), paces())),
    )


@st.composite
def retries(draw: st.DrawFn) -> Retries:
    return Retries(
        attempts=draw(st.integers(1, 4)),
        pause_s=draw(GRID),
        factor=draw(st.sampled_from([1.0, 2.0])),
        longest_s=draw(st.sampled_from([1.0, 100.0])),
        jitter=draw(st.sampled_from([0.0, 0.5])),
        budget=draw(st.sampled_from([0.1, 0.5, float("inf")])),
        burst=draw(st.sampled_from([0.0, 2.0])),
    )


@st.composite
def operations(draw: st.DrawFn, count: int) -> Operation:
    visit = st.builds(Visit, st.integers(0, count - 1), times(), st.one_of(st.none(), times()))
    return Operation(
        tuple(draw(st.lists(visit, max_size=3))),
        draw(st.integers(0, 2)),
        draw(st.sampled_from([float("inf"), 0.0, 1.5, 4.0])),
        draw(st.one_of(st.none(), retries())),
    )


@st.composite
def work(draw: st.DrawFn) -> tuple[Network, works.Work]:
    """A network and at most 40 journeys of up to three steps through it."""
    count = draw(st.integers(1, 3))
    made = draw(st.lists(operations(count), min_size=1, max_size=3))
    network = Network(tuple(draw(stations(f"s{number}")) for number in range(count)))
    gaps = draw(st.lists(GRID, min_size=1, max_size=40))
    lengths = np.array(draw(st.lists(st.integers(1, 3), min_size=len(gaps), max_size=len(gaps))))
    first = np.concatenate([[0], np.cumsum(lengths)])
    rows = int(first[-1])
    pick = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kinds = pick.integers(0, len(made), rows)
    if draw(st.booleans()):
        network, enter = draw(entrances(network))
        kinds[first[:-1]] = len(made)
        made = [*made, enter]
    steps = works.Steps(
        due_s=np.cumsum(gaps),
        first=first,
        arrival=np.repeat(np.arange(len(gaps)), lengths),
        step=np.arange(rows) - np.repeat(first[:-1], lengths),
        kind=kinds,
        think_s=pick.integers(0, 4, rows) / 2,
    )
    return network, works.draw(network, tuple(made), steps, seed=draw(st.integers(0, 3)))


def endless(network: Network) -> Network:
    """The same network without limits, hours, outages: everybody is served."""
    return replace(network, stations=tuple(Station(each.name, each.servers) for each in network.stations))
