"""Rows by code: the same however many codes there are."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from simulation import own
from simulation.groups import places


@pytest.mark.parametrize("count", [1, 5, 8, 9, 300, 40_000])
def test_rows_of_each_code_are_those_in_which_it_stands(count: int) -> None:
    codes = np.random.default_rng(count).integers(0, count, size=500)
    found = places(codes, count)
    assert len(found) == count
    for code in np.unique(codes):
        assert np.array_equal(found[code], np.flatnonzero(codes == code))
    assert sum(len(rows) for rows in found) == len(codes)
    assert all(len(rows) == 0 for rows in places(np.empty(0, dtype=np.int64), count))


def test_who_goes_on_to_where_is_told_by_the_cumulated_shares() -> None:
    drawn = np.random.default_rng(1)
    shares = drawn.random((20, 20)) * (drawn.random((20, 20)) < 0.3)
    shares /= 1.2 * np.maximum(shares.sum(axis=1), 1)[:, None]
    here, chance = drawn.integers(0, 20, size=5000), drawn.random(5000)
    by_definition = (np.cumsum(shares, axis=1)[here] <= chance[:, None]).sum(axis=1)
    assert np.array_equal(own._onward(csr_array(shares), here, chance), by_definition)
    assert 0 < np.count_nonzero(by_definition == 20) < 5000
