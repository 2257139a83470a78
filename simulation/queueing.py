"""Closed forms of queueing theory: what the engines are held against, and first guesses for a planner.

Rates are per second, times in seconds, loads a = λS in erlangs. Steady state throughout; ValueError where there is
none.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Queue:
    """Means of one station in steady state."""

    wait_s: float  # of those who are let in
    response_s: float
    waiting: float
    number: float
    refused: float = 0.0  # share of those who come


def erlang_b(servers: int, load: float) -> float:
    """P(all servers busy) of M/G/c/c (Erlang 1917), by B(c) = aB(c-1) / (c + aB(c-1)): no factorial overflows."""
    blocked = 1.0
    for number in range(1, servers + 1):
        blocked = load * blocked / (number + load * blocked)
    return blocked


def erlang_c(servers: int, load: float) -> float:
    """P(wait) of M/M/c (Erlang 1917), from Erlang B."""
    _steady(load / servers)
    blocked = erlang_b(servers, load)
    return blocked / (1 - load / servers * (1 - blocked))


def mmc(rate: float, mean_s: float, servers: int) -> Queue:
    """M/M/c: W = C(c, a) · S / (c - a)."""
    load = rate * mean_s
    wait_s = erlang_c(servers, load) * mean_s / (servers - load)
    return Queue(wait_s, wait_s + mean_s, rate * wait_s, rate * (wait_s + mean_s))


def waits_longer(rate: float, mean_s: float, servers: int, than_s: float) -> float:
    """P(wait > t) of M/M/c: C(c, a) · exp(-(c - a)t / S). 1 minus it is the service level."""
    load = rate * mean_s
    return erlang_c(servers, load) * math.exp(-(servers - load) * than_s / mean_s)


def mm1_response_quantile(rate: float, mean_s: float, q: float) -> float:
    """The sojourn of M/M/1 is exponential with mean S / (1 - ρ)."""
    _steady(rate * mean_s)
    return -math.log(1 - q) * mean_s / (1 - rate * mean_s)


def mmck(rate: float, mean_s: float, servers: int, room: int) -> Queue:
    """M/M/c/K, K = `room` in service and waiting: a birth-death chain with K + 1 states."""
    weights = [1.0]
    for number in range(1, room + 1):
        weights.append(weights[-1] * rate * mean_s / min(number, servers))
    total = math.fsum(weights)
    chances = [weight / total for weight in weights]
    number = math.fsum(n * chance for n, chance in enumerate(chances))
    waiting = math.fsum(max(n - servers, 0) * chance for n, chance in enumerate(chances))
    let_in = rate * (1 - chances[-1])
    return Queue(waiting / let_in, number / let_in, waiting, number, chances[-1])


def mg1(rate: float, mean_s: float, variation: float) -> Queue:
    """M/G/1 (Pollaczek, Khinchine): W = ρS(1 + c²) / (2(1 - ρ)). Variation 0 is M/D/1."""
    busy = rate * mean_s
    _steady(busy)
    wait_s = busy * mean_s * (1 + variation**2) / (2 * (1 - busy))
    return Queue(wait_s, wait_s + mean_s, rate * wait_s, rate * (wait_s + mean_s))


def priorities(rates: list[float], means_s: list[float], squares_s2: list[float]) -> list[float]:
    """Mean wait of each class of a non-preemptive M/G/1 with priorities, the first class first (Cobham 1954).

    W_k = (Σ λE[S²] / 2) / ((1 - σ_{k-1})(1 - σ_k)), σ_k the load of classes up to k; `squares_s2` are the E[S²].
    """
    left = math.fsum(rate * square for rate, square in zip(rates, squares_s2, strict=True)) / 2
    waits, above = [], 0.0
    for rate, mean_s in zip(rates, means_s, strict=True):
        upto = above + rate * mean_s
        _steady(upto)
        waits.append(left / ((1 - above) * (1 - upto)))
        above = upto
    return waits


def priorities_mmc(rates: list[float], mean_s: float, servers: int) -> list[float]:
    """Mean wait of each class of a non-preemptive M/M/c with priorities and one service rate (Cobham 1954).

    W_k = C(c, a) · S / (c(1 - σ_{k-1})(1 - σ_k)), σ_k the load of classes up to k for each server.
    """
    shared = erlang_c(servers, math.fsum(rates) * mean_s) * mean_s / servers
    upto = [math.fsum(rates[:number]) * mean_s / servers for number in range(len(rates) + 1)]
    return [shared / ((1 - above) * (1 - with_it)) for above, with_it in pairwise(upto)]


def wait_quantile(rate: float, mean_s: float, servers: int, q: float) -> float:
    """The wait of M/M/c that a share q does not exceed: from P(wait > t) = C(c, a) · exp(-(c - a)t / S)."""
    load = rate * mean_s
    waits = erlang_c(servers, load)
    return math.log(waits / (1 - q)) * mean_s / (servers - load) if waits > 1 - q else 0.0


def gm1_wait(transform: Callable[[float], float], mean_s: float) -> float:
    """Mean wait of GI/M/1: W = Sσ / (1 - σ), σ in (0, 1) the root of σ = A*((1 - σ) / S) (Kendall 1953).

    `transform` is A*(s) = E[exp(-sA)] of the gaps A between arrivals. Iterated from 0, from where it rises to the root.
    """
    root = 0.0
    while (higher := transform((1 - root) / mean_s)) - root > 1e-15:
        root = higher
    return mean_s * root / (1 - root)


def mm1_fixed_patience(rate: float, mean_s: float, patience_s: float) -> float:
    """Share of those who come to M/M/1+D that give up: who is not served within `patience_s` leaves (Barrer 1957).

    ρ(1 - ρ)x / (1 - ρ²x) with x = exp(-(1 - ρ) · patience / S), from the density of the virtual wait.
    """
    busy = rate * mean_s
    left = math.exp(-(1 - busy) * patience_s / mean_s)
    return busy * (1 - busy) * left / (1 - busy**2 * left)


@dataclass(frozen=True, slots=True)
class Impatient:
    """Means of Erlang A in steady state."""

    waits: float  # share of those who come
    abandons: float  # share of those who come
    waiting: float
    wait_s: float  # of all who come, those who give up included


def erlang_a(rate: float, mean_s: float, servers: int, patience_s: float) -> Impatient:
    """M/M/c+M (Palm 1957; Mandelbaum, Zeltyn 2007): who waits gives up after an exponential time.

    A birth-death chain whose death rate is n/S up to c servers and c/S + (n - c)/θ above; the sum over the queue is
    the series A = Σ_j Π_k λ / (c/S + k/θ), which converges for every load.
    """
    blocked = erlang_b(servers, rate * mean_s)
    terms, number = [1.0], 0
    while terms[-1] > 1e-18 * math.fsum(terms):
        number += 1
        terms.append(terms[-1] * rate / (servers / mean_s + number / patience_s))
    series = math.fsum(terms)
    # Relative to the state of c busy servers and nobody waiting; the states below weigh 1/B - 1.
    total = 1 / blocked - 1 + series
    waiting = math.fsum(n * term for n, term in enumerate(terms)) / total
    return Impatient(series / total, waiting / patience_s / rate, waiting, waiting / rate)


def jackson(rate: float, visits: list[float], means_s: list[float], servers: list[int]) -> list[Queue]:
    """An open Jackson network (1957): each station is an M/M/c with the arrival rate rate · visits."""
    return [mmc(rate * v, s, c) for v, s, c in zip(visits, means_s, servers, strict=True)]


def _steady(busy: float) -> None:
    if not busy < 1:
        raise ValueError(f"utilisation {busy:g}: expected less than 1, else there is no steady state")
