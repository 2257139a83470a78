"""The search for the highest rate that holds, on generators whose limit is known."""

import random

import pytest

from tests.benchmarks.rates import TRIES, WITHIN, highest

FIRST_PER_S = 12_000.0


@pytest.mark.parametrize("limit_per_s", [150.0, 9_000.0, 12_000.0, 18_300.0, 90_000.0])
def test_it_comes_close_to_a_sharp_limit_from_below(limit_per_s: float) -> None:
    tried: list[float] = []

    def holds(rate_per_s: float) -> bool:
        tried.append(rate_per_s)
        return rate_per_s <= limit_per_s

    found = highest(holds, FIRST_PER_S)
    assert limit_per_s / WITHIN <= found <= limit_per_s
    assert tried.count(found) == TRIES
    assert len(tried) <= (15 if 9_000 <= limit_per_s <= 20_000 else 50)


def test_a_lucky_try_is_not_enough() -> None:
    """Between 15,000 and 25,000 a second every other try holds: what is found seldom lies far in there."""
    chance = random.Random(5)

    def holds(rate_per_s: float) -> bool:
        return rate_per_s <= 15_000 or (rate_per_s <= 25_000 and chance.random() < 0.5)

    found = [highest(holds, FIRST_PER_S) for _ in range(400)]
    assert min(found) >= 15_000 / WITHIN
    assert sum(rate <= 17_500 for rate in found) / len(found) > 0.6
    assert sum(rate > 20_000 for rate in found) / len(found) < 0.15


def test_a_generator_that_holds_nothing_is_said() -> None:
    with pytest.raises(AssertionError, match="held 3 times"):
        highest(lambda rate_per_s: False, FIRST_PER_S)
