"""Keyed draws: uniform, independent between streams and keys, and the same whoever asks in whatever order."""

import numpy as np
import pytest
from scipy.stats import kstest

from caodiem.draws import uniform


def test_draws_do_not_depend_on_order_or_company() -> None:
    keys = np.arange(1000) * 7 + 202605040000000
    whole = uniform(5, "think", keys, 3)
    assert np.array_equal(uniform(5, "think", keys[::-1], 3)[::-1], whole)
    assert uniform(5, "think", int(keys[17]), 3)[0] == whole[17]


@pytest.mark.parametrize("keys", [np.arange(100_000), np.arange(100_000) * 10_000_000, -np.arange(1, 100_001)])
def test_draws_are_uniform_for_regular_keys(keys: np.ndarray) -> None:
    assert kstest(uniform(1, "a", keys), "uniform").pvalue > 1e-3


def test_neighbouring_keys_streams_and_seeds_are_uncorrelated() -> None:
    keys = np.arange(200_000)
    base = uniform(1, "a", keys)
    others = [uniform(1, "a", keys + 1), uniform(1, "b", keys), uniform(2, "a", keys), uniform(1, "a", keys, 1)]
    for other in others:
        # Five standard errors of a correlation of independent draws.
        assert abs(np.corrcoef(base, other)[0, 1]) < 5 / np.sqrt(len(keys))


def test_draws_stay_inside_zero_and_one() -> None:
    drawn = uniform(3, "edge", np.arange(1_000_000))
    assert drawn.min() > 0
    assert drawn.max() < 1
