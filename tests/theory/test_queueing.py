"""The closed forms, each computed a second way: by solving the chain, by a sum, by the figure that a book prints."""

import math

import numpy as np
import pytest

from simulation import queueing


def birth_death(births: list[float], deaths: list[float]) -> np.ndarray:
    """The stationary distribution of a birth-death chain from its generator: a linear system, no closed form."""
    count = len(births) + 1
    generator = np.zeros((count, count))
    for state, (birth, death) in enumerate(zip(births, deaths, strict=True)):
        generator[state, state + 1], generator[state + 1, state] = birth, death
    generator -= np.diag(generator.sum(axis=1))
    system = np.vstack([generator.T, np.ones(count)])
    return np.linalg.lstsq(system, np.append(np.zeros(count), 1.0), rcond=None)[0]


@pytest.mark.parametrize(("load", "servers", "expected"), [(1, 1, 0.5), (1, 2, 0.2), (10, 14, 0.056819)])
def test_erlang_b(load: float, servers: int, expected: float) -> None:
    found = queueing.erlang_b(servers, load)
    chain = birth_death([load] * servers, [float(n) for n in range(1, servers + 1)])
    assert found == pytest.approx(chain[-1], rel=1e-9)
    assert found == pytest.approx(expected, rel=2e-5)


def test_erlang_c_and_the_service_level() -> None:
    """10 erlangs, handling 3, target 1/3, and 14 or 15 servers."""
    found = queueing.erlang_c(14, 10)
    assert found == pytest.approx(0.174132, abs=5e-7)
    by_sum = 10**14 / math.factorial(14) / (1 - 10 / 14)
    assert found == pytest.approx(by_sum / (sum(10**n / math.factorial(n) for n in range(14)) + by_sum))
    assert 1 - queueing.waits_longer(10 / 3, 3, 14, 1 / 3) == pytest.approx(0.888350, abs=5e-7)
    assert queueing.erlang_c(15, 10) == pytest.approx(0.1020, abs=5e-5)


@pytest.mark.parametrize(("servers", "waiting", "response_s"), [(2, 7.674, 1.053), (4, 0.105, 0.212)])
def test_mmc(servers: int, waiting: float, response_s: float) -> None:
    found = queueing.mmc(9, 0.2, servers)
    assert found.waiting == pytest.approx(waiting, abs=5e-4)
    assert found.response_s == pytest.approx(response_s, abs=5e-4)
    chain = birth_death([9.0] * 600, [5.0 * min(n, servers) for n in range(1, 601)])
    assert found.number == pytest.approx((chain * np.arange(601)).sum(), rel=1e-6)


@pytest.mark.parametrize(
    ("rate", "mean_s", "servers", "room", "expected"),
    [
        (3, 1 / 2, 2, 5, {"refused": 0.085113, "number": 2.00595, "wait_s": 0.230857}),
        (40, 1 / 30, 3, 7, {"response_s": 0.036517}),
        (9, 1 / 10, 1, 11, {"number": 4.2769}),
    ],
)
def test_mmck(rate: float, mean_s: float, servers: int, room: int, expected: dict[str, float]) -> None:
    found = queueing.mmck(rate, mean_s, servers, room)
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, rel=2e-5), name
    chain = birth_death([float(rate)] * room, [min(n, servers) / mean_s for n in range(1, room + 1)])
    assert found.number == pytest.approx((chain * np.arange(room + 1)).sum())
    assert found.refused == pytest.approx(chain[-1])


def test_mm1_quantiles() -> None:
    for q, expected in ((0.5, 1.3863), (0.9, 4.6052), (0.95, 5.9915), (0.99, 9.2103)):
        assert queueing.mm1_response_quantile(0.5, 1, q) == pytest.approx(expected, abs=5e-5)


def test_mg1_is_mm1_at_variation_1_and_half_of_its_wait_at_0() -> None:
    assert queueing.mg1(0.9, 1, 1).response_s == pytest.approx(10)
    assert queueing.mg1(0.9, 1, 0).wait_s == pytest.approx(queueing.mmc(0.9, 1, 1).wait_s / 2)


def test_priorities_conserve_work() -> None:
    """Kleinrock's conservation law: Σ ρW does not depend on the order of the classes."""
    rates, means, squares = [0.3, 0.5], [1.0, 0.8], [2.0, 1.28]
    there = queueing.priorities(rates, means, squares)
    back = queueing.priorities(rates[::-1], means[::-1], squares[::-1])[::-1]
    busy = [rate * mean for rate, mean in zip(rates, means, strict=True)]
    assert np.dot(busy, there) == pytest.approx(np.dot(busy, back))
    assert queueing.priorities([0.9], [1], [2]) == pytest.approx([9])


@pytest.mark.parametrize(("rate", "servers", "patience_s"), [(9.5, 10, 2.0), (14.0, 10, 0.5), (2.0, 1, 1.0)])
def test_erlang_a(rate: float, servers: int, patience_s: float) -> None:
    found = queueing.erlang_a(rate, 1.0, servers, patience_s)
    deaths = [min(n, servers) + max(n - servers, 0) / patience_s for n in range(1, 151)]
    chain = birth_death([rate] * 150, deaths)
    waiting = (chain * np.maximum(np.arange(151) - servers, 0)).sum()
    assert found.waiting == pytest.approx(waiting, rel=1e-7)
    assert found.waits == pytest.approx(chain[servers:].sum(), rel=1e-7)
    assert found.abandons == pytest.approx(waiting / patience_s / rate, rel=1e-7)


def test_priorities_of_several_servers() -> None:
    """One server is Cobham's other formula; over all classes the mean wait is that of M/M/c."""
    assert queueing.priorities_mmc([0.3, 0.5], 1, 1) == pytest.approx(queueing.priorities([0.3, 0.5], [1, 1], [2, 2]))
    rates = [0.5, 1.0, 0.9]
    waits = queueing.priorities_mmc(rates, 1, 3)
    assert np.dot(rates, waits) / sum(rates) == pytest.approx(queueing.mmc(sum(rates), 1, 3).wait_s)


def test_wait_quantiles_are_where_so_many_wait_longer() -> None:
    for q in (0.5, 0.9, 0.99):
        than_s = queueing.wait_quantile(9, 0.2, 2, q)
        assert queueing.waits_longer(9, 0.2, 2, than_s) == pytest.approx(1 - q)
    assert queueing.wait_quantile(1, 0.1, 2, 0.9) == 0


def test_gm1() -> None:
    """Exponential gaps make it M/M/1; fixed gaps of 2 have σ = 0.20318787 (Kleinrock 1975)."""
    assert queueing.gm1_wait(lambda s: 0.8 / (0.8 + s), 1) == pytest.approx(queueing.mmc(0.8, 1, 1).wait_s)
    assert queueing.gm1_wait(lambda s: math.exp(-2 * s), 1) == pytest.approx(0.20318787 / (1 - 0.20318787))


@pytest.mark.parametrize("patience_s", [0.5, 3.0])
def test_fixed_patience(patience_s: float) -> None:
    """By the virtual wait's density, integrated numerically: λP0·exp(-(μ - λ)t) to the patience, then decaying by μ."""
    waits = np.linspace(0, 60, 2_000_001)
    grows = np.exp(-0.3 * np.minimum(waits, patience_s)) * np.exp(-np.maximum(waits - patience_s, 0))
    mass = 0.7 * grows * (waits[1] - waits[0])
    expected = mass[waits > patience_s].sum() / (1 + mass.sum())
    assert queueing.mm1_fixed_patience(0.7, 1, patience_s) == pytest.approx(expected, rel=1e-4)


def test_jackson() -> None:
    """Open, visits (16, 7, 8), service (.01, .02, .03), rate 3; and the tandem."""
    found = queueing.jackson(3, [16, 7, 8], [0.01, 0.02, 0.03], [1, 1, 1])
    assert [each.response_s for each in found] == pytest.approx([0.0192, 0.0345, 0.107], rel=3e-3)
    assert [each.response_s for each in queueing.jackson(0.5, [1, 1], [1, 1 / 1.5], [1, 1])] == pytest.approx([2, 1])


@pytest.mark.parametrize("servers", [9, 10])
def test_what_has_no_steady_state_is_refused(servers: int) -> None:
    with pytest.raises(ValueError, match="expected less than 1"):
        queueing.mmc(10, 1, servers)
