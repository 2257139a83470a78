"""Both engines against closed forms of queueing theory, at utilisations up to 0.95, through networks in TOML.

Each case has a fixed seed, and its closed form must lie in the 99% interval over replications; so the test says how
precise it is instead of choosing a tolerance. The compiled engine runs each case long, the reference shorter; that the
two are the same engine, visit by visit, is held by tests/simulation/test_compiled.py.
"""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from caodiem.network import NetworkScenario
from caodiem.scenario_file import load_document
from simulation import queueing, replications

Expected = dict[str, float]


def station(name: str, servers: int | str, mean: float, more: str = "", distribution: str = "exponential") -> str:
    given = f'{{ distribution = "{distribution}", mean = {mean} }}'
    return f'[[stations]]\nname = "{name}"\nservers = {json.dumps(servers)}\nservice = {given}\n{more}\n'


def arrivals(rate: float, more: str = "") -> str:
    return f"[arrivals]\nrate = {rate}\n{more}\n"


def erlang_a() -> Expected:
    found = queueing.erlang_a(9.5, 1, 10, 2)
    return {
        "stations.a.waited": found.waits,
        "stations.a.number_waiting": found.waiting,
        "stations.a.wait_s.mean": found.wait_s,
        "abandoned share": found.abandons,
    }


def cobham() -> Expected:
    waits = queueing.priorities([0.36, 0.54], [1, 1], [2, 2])
    return {"journeys.first.waits.a": waits[0], "journeys.second.waits.a": waits[1]}


def breaker(rate: float, served_per_s: float, open_s: float) -> Expected:
    """One server, no queue, a breaker that the first refusal opens: a renewal cycle from one closing to the next.

    Closed, idle and busy take turns until somebody is refused, rate/(rate + served_per_s) each turn. Each opening ends
    with a probe, which finds the same service under way with probability `again` and then opens it once more.
    """
    turns = (rate + served_per_s) / rate
    again = math.exp(-served_per_s * open_s) * rate / (rate + served_per_s)
    openings = 1 / (1 - again)
    cycle_s = turns * (1 / rate + 1 / (rate + served_per_s)) + openings * (open_s + 1 / rate) + 1 / served_per_s
    cut_off = openings * rate * open_s + rate / served_per_s
    return {
        "refused share": (openings + cut_off) / (cycle_s * rate),
        "stations.a.utilisation": (turns + 1) / served_per_s / cycle_s,
    }


MM1_Q = {f"system.response_s.p{p}": queueing.mm1_response_quantile(0.5, 1, p / 100) for p in (50, 90, 95, 99)}
CLASSES = """
[[journeys]]
name = "first"
share = {first}
priority = 1
route = [{{ station = "a", service = {{ distribution = "exponential", mean = {first_s} }} }}]
[[journeys]]
name = "second"
share = {second}
priority = 2
route = [{{ station = "a", service = {{ distribution = "exponential", mean = {second_s} }} }}]
"""
MIXTURE = (
    'service = { distribution = "mixture", weights = [3, 1], parts = ['
    '{ distribution = "exponential", mean = 8 }, { distribution = "exponential", mean = 3 }] }'
)
WALK = """
[[routes]]
from = "a"
to = "b"
probability = 0.5
[[routes]]
from = "b"
to = "a"
probability = 0.4
"""
VISITS = '[[journeys]]\nname = "j"\nroute = [{ station = "a", visits = 16 }, { station = "b", visits = 7 }, '
VISITS += '{ station = "c", visits = 8 }]\n'

# name: (file, seconds of one replication, {figure: closed form})
CASES: dict[str, tuple[str, float, Expected]] = {
    "M/M/1 at .9": (arrivals(0.9) + station("a", 1, 1), 1e6, {"system.response_s.mean": 10, "stations.a.number": 9}),
    "M/M/1 at .95": (arrivals(0.95) + station("a", 1, 1), 1.5e6, {"system.response_s.mean": 20}),
    "M/M/1 quantiles": (arrivals(0.5) + station("a", 1, 1), 4e5, MM1_Q),
    "M/M/2": (arrivals(9) + station("a", 2, 0.2), 1e5, {
        "stations.a.number_waiting": 7.674, "system.response_s.mean": queueing.mmc(9, 0.2, 2).response_s}),
    "M/M/4": (arrivals(9) + station("a", 4, 0.2), 3e4, {
        "stations.a.number_waiting": queueing.mmc(9, 0.2, 4).waiting,
        "system.response_s.mean": queueing.mmc(9, 0.2, 4).response_s}),
    "M/M/4 at .95": (arrivals(3.8) + station("a", 4, 1), 3e5, {
        "system.response_s.mean": queueing.mmc(3.8, 1, 4).response_s, "stations.a.utilisation": 0.95}),
    "M/M/2/5": (arrivals(3) + station("a", 2, 0.5, "queue = 3"), 5e4, {
        "refused share": 0.085113, "stations.a.number": 2.00595, "stations.a.wait_s.mean": 0.230857}),
    "M/M/3/7": (arrivals(40) + station("a", 3, 1 / 30, "queue = 4"), 5e3, {"system.response_s.mean": 0.036517}),
    "M/M/1/11": (arrivals(9) + station("a", 1, 0.1, "queue = 10"), 3e4, {"stations.a.number": 4.2769}),
    "Erlang C, 14": (arrivals(10 / 3) + station("a", 14, 3), 5e4, {"stations.a.waited": 0.174132}),
    "Erlang C, 15": (arrivals(10 / 3) + station("a", 15, 3), 5e4, {"stations.a.waited": queueing.erlang_c(15, 10)}),
    "Erlang B, 1": (arrivals(1) + station("a", 1, 1, "queue = 0"), 5e4, {"refused share": 0.5}),
    "Erlang B, 2": (arrivals(1) + station("a", 2, 1, "queue = 0"), 5e4, {"refused share": 0.2}),
    "Erlang B, 14, of fixed times": (
        arrivals(10) + station("a", 14, 1, "queue = 0", "fixed"), 2e4, {"refused share": queueing.erlang_b(14, 10)}),
    "M/M/infinite": (arrivals(7) + station("a", "infinite", 2), 2e4, {"stations.a.number": 14}),
    "M/D/1": (arrivals(0.8) + station("a", 1, 1, "", "fixed"), 3e5, {
        "system.response_s.mean": queueing.mg1(0.8, 1, 0).response_s}),
    "M/G/1, gamma": (
        arrivals(0.8) + station("a", 1, 1).replace('"exponential", mean = 1', '"gamma", mean = 1, variation = 0.5'),
        3e5, {"system.response_s.mean": queueing.mg1(0.8, 1, 0.5).response_s}),
    "M/G/1, lognormal": (
        arrivals(0.7) + station("a", 1, 1).replace('"exponential", mean = 1', '"lognormal", mean = 1, variation = 1.5'),
        4e5, {"system.response_s.mean": queueing.mg1(0.7, 1, 1.5).response_s}),
    "Erlang A": (
        arrivals(9.5) + station("a", 10, 1, 'patience = { distribution = "exponential", mean = 2 }'), 2e4, erlang_a()),
    "Cobham": (
        arrivals(0.9) + '[[stations]]\nname = "a"\nservers = 1\n'
        + CLASSES.format(first=0.4, second=0.6, first_s=1, second_s=1), 8e5, cobham()),
    "tandem": (arrivals(0.5) + station("a", 1, 1) + station("b", 1, 1 / 1.5), 3e5, {
        "stations.a.response_s.mean": 2, "stations.b.response_s.mean": 1, "system.response_s.mean": 3}),
    "visits 16, 7, 8": (
        arrivals(3) + station("a", 1, 0.01) + station("b", 1, 0.02) + station("c", 1, 0.03) + VISITS, 1e4, {
            "stations.a.response_s.mean": 0.01 / 0.52, "stations.b.response_s.mean": 0.02 / 0.58,
            "stations.c.response_s.mean": 0.03 / 0.28}),
    # Arrival rates from the traffic equations: a = 0.5 + 0.4 b, b = 0.5 a.
    "Jackson with feedback": (arrivals(0.5) + station("a", 1, 1) + station("b", 1, 2) + WALK, 3e5, {
        "stations.a.response_s.mean": queueing.mmc(0.625, 1, 1).response_s,
        "stations.b.response_s.mean": queueing.mmc(0.3125, 2, 1).response_s}),
    # A waiting room before a network is the queue before its servers, and a rate limit is a server of fixed times.
    "entrance of M/M/1": (
        arrivals(0.8) + "[admission]\ninside = 1\n" + station("a", 1, 1), 3e5, {
            "stations.entrance.wait_s.mean": queueing.mmc(0.8, 1, 1).wait_s, "system.response_s.mean": 5,
            "stations.entrance.utilisation": 0.8, "stations.a.wait_s.mean": 0}),
    "entrance of M/M/2/5": (
        arrivals(3) + "[admission]\ninside = 2\nroom = 3\n" + station("a", "infinite", 0.5), 5e4, {
            "refused share": 0.085113, "stations.entrance.number": 2.00595,
            "stations.entrance.wait_s.mean": 0.230857}),
    "entrance of Erlang A": (
        arrivals(9.5) + '[admission]\ninside = 10\npatience = { distribution = "exponential", mean = 2 }\n'
        + station("a", "infinite", 1), 2e4, {
            "stations.entrance.number_waiting": queueing.erlang_a(9.5, 1, 10, 2).waiting,
            "abandoned share": queueing.erlang_a(9.5, 1, 10, 2).abandons}),
    "a rate limit as M/D/1": (arrivals(0.8) + station("a", "infinite", 5, "pace = { rate = 1 }"), 3e5, {
        "stations.a.wait_s.mean": queueing.mg1(0.8, 1, 0).wait_s}),
    "admission by rate as M/D/1": (arrivals(0.8) + "[admission]\nrate = 1\n" + station("a", "infinite", 5), 3e5, {
        "stations.entrance.wait_s.mean": queueing.mg1(0.8, 1, 0).wait_s}),
    "waits of M/M/2": (arrivals(9) + station("a", 2, 0.2), 1e5, {
        f"stations.a.wait_s.p{p}": queueing.wait_quantile(9, 0.2, 2, p / 100) for p in (50, 90, 95, 99)}),
    "M/H/1, a mixture": (
        arrivals(0.5) + station("a", 1, 1).replace(
            '"exponential", mean = 1', '"mixture", weights = [9, 1], parts = ['
            '{ distribution = "exponential", mean = 0.5 }, { distribution = "exponential", mean = 5.5 }]'), 4e5, {
            # E[S²] = 0.9 · 2 · 0.25 + 0.1 · 2 · 30.25 = 6.5
            "stations.a.wait_s.mean": 0.5 * 6.5 / 2 / 0.5}),
    "M/U/1": (
        arrivals(0.8) + station("a", 1, 1).replace('"exponential", mean = 1', '"uniform", low = 0, high = 2'), 3e5, {
            "stations.a.wait_s.mean": queueing.mg1(0.8, 1, 3**-0.5).wait_s}),
    "E/M/1, gamma gaps": (
        '[arrivals]\ninterval = { distribution = "gamma", mean = 1.25, variation = 0.5 }\n' + station("a", 1, 1), 3e5, {
            "stations.a.wait_s.mean": queueing.gm1_wait(lambda s: (1 + 1.25 * s / 4) ** -4, 1)}),
    "M/M/1 with fixed patience": (arrivals(0.8) + station("a", 1, 1, "patience = 3"), 2e5, {
        "abandoned share": queueing.mm1_fixed_patience(0.8, 1, 3)}),
    "M/G/infinite": (
        arrivals(7) + station("a", "infinite", 2).replace(
            '"exponential", mean = 2', '"lognormal", mean = 2, variation = 2'), 3e4, {"stations.a.number": 14}),
    "M(t)/M/infinite": (
        '[arrivals]\npoints = [[0, 0], [50, 10], [100, 0]]\nrepeat = 100\n' + station("a", "infinite", 5), 2e4, {
            # 5/s in the mean; who came in the last seconds of the horizon is counted only up to it.
            "stations.a.number": 25, "system.response_s.mean": 5}),
    "Cobham, three classes of unequal services": (
        arrivals(0.8) + '[[stations]]\nname = "a"\nservers = 1\n'
        + CLASSES.format(first=0.5, second=0.375, first_s=0.5, second_s=1)
        + '[[journeys]]\nname = "third"\nshare = 0.125\npriority = 3\n'
        'route = [{ station = "a", service = { distribution = "exponential", mean = 2 } }]\n', 5e5, {
            f"journeys.{name}.waits.a": wait for name, wait in zip(
                ("first", "second", "third"),
                queueing.priorities([0.4, 0.3, 0.1], [0.5, 1, 2], [0.5, 2, 8]), strict=True)}),
    "Cobham, three servers": (
        arrivals(2.7) + '[[stations]]\nname = "a"\nservers = 3\n'
        + CLASSES.format(first=1, second=2, first_s=1, second_s=1), 2e5, {
            f"journeys.{name}.waits.a": wait for name, wait in zip(
                ("first", "second"), queueing.priorities_mmc([0.9, 1.8], 1, 3), strict=True)}),
    "two-class loss": (
        arrivals(3 / 20) + '[[stations]]\nname = "a"\nservers = 1\nqueue = 0\n'
        + CLASSES.format(first=0.75, second=0.25, first_s=8, second_s=3), 4e5, {
            "stations.a.number": 0.50311, "refused share": 0.50311}),
    "two-class loss as a mixture": (
        arrivals(3 / 20) + f'[[stations]]\nname = "a"\nservers = 1\nqueue = 0\n{MIXTURE}\n', 4e5,
        {"stations.a.number": 0.50311}),
    # Franx 2001 (doi 10.1016/S0167-6377(01)00108-0), from the numbers present at times one service apart.
    "M/D/3 at .9": (arrivals(2.7) + station("a", 3, 1, "", "fixed"), 1e5, {
        "stations.a.wait_s.mean": 1.3779120, "stations.a.waited": 0.8076807, "stations.a.wait_s.p50": 0.8704430,
        "stations.a.wait_s.p90": 3.4636450, "stations.a.wait_s.p99": 7.1688890}),
    # Batches of geometric size: gaps of 0 make GI/M/1 with sigma = 0.95, the root of 0.75 + 0.25 / (6 - 5 sigma).
    "M/M/1 of geometric batches": (
        '[arrivals]\ninterval = { distribution = "mixture", weights = [3, 1], parts = [0, '
        '{ distribution = "exponential", mean = 5 }] }\n' + station("a", 1, 1), 4e5, {
            "stations.a.waited": 0.95, "stations.a.wait_s.mean": 19, "stations.a.number": 16}),
    # Kolmogorov's equations over a period, those in service at closing told apart from those who wait.
    "M/M/2, closed two fifths of the time": (
        arrivals(0.9) + station("a", 2, 1, "calendar = { period = 100, open = [{ from = 10, to = 70 }] }"), 1e5, {
            "stations.a.number": 14.205709, "stations.a.wait_s.mean": 14.784121, "stations.a.utilisation": 0.75}),
    # The Markov chain of (first, second, outside).
    "three inside a tandem": (
        arrivals(0.6) + "[admission]\ninside = 3\n" + station("a", 1, 1) + station("b", 1, 0.8), 2e5, {
            "stations.entrance.wait_s.mean": 1.5845337, "stations.a.number": 1.0704560,
            "stations.b.number": 0.7731211, "system.response_s.mean": 4.6571622}),
    "a circuit breaker": (
        arrivals(1.2) + station("a", 1, 1, "queue = 0\nbreaker = { share = 1, calls = 1, open = 2 }"), 1e5,
        breaker(1.2, 1, 2)),
    "regular arrivals, D/M/1": (
        "[arrivals]\ninterval = 2\n" + station("a", 1, 1), 4e5,
        # σ solves σ = exp(-(1 - σ)·2), W = σ / (1 - σ).
        {"stations.a.wait_s.mean": 0.20318787 / (1 - 0.20318787)}),
}  # fmt: skip


def figure(found: dict[str, Any], name: str) -> dict[str, float]:
    if name.endswith(" share"):
        kind, one = name.removesuffix(" share"), found["system"]
        # Arrivals hardly vary over replications; their number does not widen the interval.
        return {key: value / one["arrivals"]["value"] for key, value in one[kind].items()}
    for key in name.split("."):
        found = found[key]
    return found


def held_against(tmp_path: Path, engine: str, name: str, share: float) -> dict[str, Any]:
    text, horizon_s, expected = CASES[name]
    path = tmp_path / "case.toml"
    run = f'[run]\nhorizon = {horizon_s * share}\nreplications = 20\nconfidence = 0.99\nseed = 2\nengine = "{engine}"\n'
    path.write_text(text + run)
    found = replications.simulate(load_document(path, NetworkScenario))
    assert found["engine"] == engine
    for key, value in expected.items():
        interval = figure(found, key)
        assert interval["low"] <= value <= interval["high"], (name, key, value, interval)
    return found


# Of the others the quick run would show nothing that these do not.
LONG = {
    "M/H/1, a mixture",
    "M/U/1",
    "E/M/1, gamma gaps",
    "M/G/infinite",
    "waits of M/M/2",
    "admission by rate as M/D/1",
}
LONG |= {"M/D/3 at .9", "M/M/1 of geometric batches", "three inside a tandem"}
LONG |= {"Cobham, three classes of unequal services", "Cobham, three servers", "entrance of Erlang A"}


@pytest.mark.parametrize("name", [name for name in CASES if name not in LONG])
def test_the_compiled_engine(tmp_path: Path, name: str) -> None:
    held_against(tmp_path, "compiled", name, share=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_compiled_engine_for_long(tmp_path: Path, name: str) -> None:
    held_against(tmp_path, "compiled", name, share=1)


@pytest.mark.slow
def test_the_mean_of_mm1_at_nine_tenths_is_known_to_one_percent(tmp_path: Path) -> None:
    """It holds the closed form in an interval that is itself no wider than 1% of it on either side."""
    found = held_against(tmp_path, "compiled", "M/M/1 at .9", share=2)
    interval = figure(found, "system.response_s.mean")
    assert (interval["high"] - interval["low"]) / 2 <= 0.01 * 10, interval


@pytest.mark.parametrize("name", ["M/M/4", "M/M/2/5", "Erlang A", "tandem", "two-class loss"])
def test_the_reference_engine(tmp_path: Path, name: str) -> None:
    held_against(tmp_path, "reference", name, share=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_reference_engine_for_long(tmp_path: Path, name: str) -> None:
    held_against(tmp_path, "reference", name, share=0.04)
