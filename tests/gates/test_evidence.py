"""The bounds hold as often as they say, also when one looks after every pair; findings follow from pairs."""

import math

import numpy as np
import pytest
from scipy import integrate

from gates import evidence
from gates.evidence import Outcome


def test_the_stake_is_that_of_the_integral() -> None:
    def stake(p: float, above: int, pairs: int) -> float:
        density = 1 / (math.pi * math.sqrt(p * (1 - p)))
        return 2**pairs * 2 * p**above * (1 - p) ** (pairs - above) * density

    for above, pairs in [(8, 8), (3, 8), (14, 17), (20, 40)]:
        expected, _ = integrate.quad(stake, 0.5, 1.0, args=(above, pairs))
        assert math.exp(evidence.log_evidence(above, pairs)) == pytest.approx(expected, rel=1e-5)


def test_the_stake_of_a_fair_coin_is_expected_to_stay_one() -> None:
    for pairs in (1, 5, 20):
        expected = sum(
            math.comb(pairs, above) / 2**pairs * math.exp(evidence.log_evidence(above, pairs))
            for above in range(pairs + 1)
        )
        assert expected == pytest.approx(1.0)


@pytest.mark.parametrize("noise", ["standard_normal", "standard_cauchy"])
def test_looking_after_every_pair_is_wrong_no_more_often_than_promised(noise: str) -> None:
    draws, wrong, runs = np.random.default_rng(5), 0, 400
    for _ in range(runs):
        pairs = getattr(draws, noise)(30)
        wrong += any(evidence.interval(pairs[:count]).low > 0 for count in range(1, 31))
    # 400 runs at 10% are 40 expected; 60 or more come once in a thousand times.
    assert wrong < 60


def test_five_pairs_of_one_sign_are_the_least_that_proves_anything() -> None:
    assert evidence.interval([0.1] * 4).low == -math.inf
    assert evidence.interval([0.1, 0.2, *[0.3] * 3]).low == pytest.approx(0.1)


def test_slower_needs_a_second_block_that_agrees() -> None:
    block = [0.1] * 5
    beside = [0.1]  # measured side by side with the last pair of the first block, so it is of neither
    assert evidence.judge(block).outcome is Outcome.INCONCLUSIVE
    assert evidence.judge(block + beside + [0.1] * 4).outcome is Outcome.INCONCLUSIVE
    found = evidence.judge(block + beside + block)
    assert (found.outcome, found.first.pairs, found.second.pairs) == (Outcome.SLOWER, 5, 5)
    assert evidence.judge(block + beside + [0.0] * 5).outcome is Outcome.SAME


def test_same_is_proven_not_assumed() -> None:
    assert evidence.judge([0.001, -0.001] * 2).outcome is Outcome.INCONCLUSIVE
    assert evidence.judge([0.001, -0.001] * 3).outcome is Outcome.SAME
    assert evidence.judge([0.1, -0.1] * 20).outcome is Outcome.INCONCLUSIVE
    assert evidence.judge([-0.1] * 5).outcome is Outcome.FASTER


def test_a_control_that_moves_is_seen() -> None:
    assert evidence.moved([0.05] * 5)
    assert evidence.moved([-0.05] * 5)
    assert not evidence.moved([0.05, -0.05] * 6)
