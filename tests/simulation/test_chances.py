"""Draws in compiled loops are those of caodiem/draws.py; quantiles are SciPy's."""

import numpy as np
import pytest
from numba import njit
from scipy.special import ndtri

from caodiem.draws import uniform
from simulation import chances

DOSSIERS = 202605110000000 + np.arange(-3, 20_000)


@njit
def _drawn(word, numbers, others):  # type: ignore[no-untyped-def]
    one = np.array([chances.chance(word, chances.mixed(number)) for number in numbers])
    two = np.empty(len(numbers))
    for place in range(len(numbers)):
        two[place] = chances.chance_of_two(word, chances.mixed(numbers[place]), chances.mixed(others[place]))
    return one, two


def test_a_chance_is_that_of_the_numpy_version() -> None:
    others = DOSSIERS % 7 - 3
    one, two = _drawn(chances.words(5, ("fee",))[0], DOSSIERS, others)
    assert one.tobytes() == uniform(5, "fee", DOSSIERS).tobytes()
    assert two.tobytes() == uniform(5, "fee", DOSSIERS, others).tobytes()


def test_normal_quantiles_are_exact_in_the_middle_and_in_the_tails() -> None:
    chance = np.concatenate(
        [np.linspace(1e-4, 1 - 1e-4, 9999), 2.0 ** -np.arange(14, 54), 1 - 2.0 ** -np.arange(14, 53)]
    )
    found = np.array([chances.normal_quantile(each) for each in chance])
    assert found == pytest.approx(ndtri(chance), rel=1e-13, abs=1e-14)


@pytest.mark.parametrize("variation", [0.3, 0.7, 1.5])
def test_lognormal_times_have_mean_one_and_the_variation_asked_for(variation: float) -> None:
    sigma = chances.sigma_of(variation)
    drawn = np.exp(sigma * ndtri((np.arange(2_000_000) + 0.5) / 2_000_000) - sigma**2 / 2)
    some = np.linspace(0.001, 0.999, 999)
    assert [chances.lognormal(sigma, each) for each in some] == pytest.approx(
        np.exp(sigma * ndtri(some) - sigma**2 / 2)
    )
    assert drawn.mean() == pytest.approx(1, rel=0.01)
    assert drawn.std() == pytest.approx(variation, rel=0.05)
