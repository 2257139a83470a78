"""What pairs of measurements say: pure functions of log ratios, head over base. Knows no process and no clock.

**Evidence.** If a benchmark's median log ratio were at most θ, each pair would lie above θ with a probability p of at
most one half, whatever the noise looks like. Against that stands a bet on p > 1/2, spread over Beta(1/2, 1/2): after k
of n pairs above θ it has multiplied its stake by

    e(k, n) = 2^n · 2 · ∫ p^k (1 - p)^(n - k) dBeta(p; 1/2, 1/2),  p from 1/2 to 1.

Such a stake is a test martingale: under the hypothesis the chance that it *ever* reaches 1/α is at most α (Ville 1939;
Shafer and Vovk 2019; Ramdas, Grünwald, Vovk and Shafer, "Game-theoretic statistics and safe anytime-valid inference",
2023; the interval is that of Howard and Ramdas, "Sequential estimation of quantiles", 2022, with this mixture). So one
may look after every pair and stop at will: no α is spent on looking. Nothing is assumed of the noise but that pairs are
independent; the random order within a pair makes up for what drifts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

import numpy as np
from scipy.special import betaln
from scipy.stats import beta

ALPHA = 0.1  # chance of a wrong bound in a block, for each benchmark and side; slower needs two blocks
SMALLEST = math.log(1.01)  # a slow-down must be proven to be more than this
TOLERATED = math.log(1.05)  # "same" is proven when the ratio is within this
PAIRS_AT_ONCE = 2  # what is measured side by side; a block begins after it


class Outcome(StrEnum):
    SAME = "same"
    FASTER = "faster"
    SLOWER = "slower"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Interval:
    """The median log ratio of `pairs` pairs and the bounds that have not been refuted; infinite where none has."""

    median: float
    low: float
    high: float
    pairs: int


@cache
def log_evidence(above: int, pairs: int) -> float:
    """ln e(above, pairs) against a median of at most θ, where `above` of the pairs lie above θ."""
    first, second = above + 0.5, pairs - above + 0.5
    upper_half = float(beta.logsf(0.5, first, second))
    return pairs * math.log(2) + math.log(2) + float(betaln(first, second)) - math.log(math.pi) + upper_half


def interval(log_ratios: Sequence[float], alpha: float = ALPHA) -> Interval:
    """The medians that the pairs do not refute: each bound is wrong with a chance of at most `alpha`, at any time."""
    values, pairs = np.sort(np.asarray(log_ratios, dtype=float)), len(log_ratios)
    if not pairs:
        return Interval(math.nan, -math.inf, math.inf, 0)
    enough = [above for above in range(pairs + 1) if log_evidence(above, pairs) >= -math.log(alpha)]
    if not enough:
        return Interval(float(np.median(values)), -math.inf, math.inf, pairs)
    outside = pairs - min(enough)
    return Interval(float(np.median(values)), float(values[outside]), float(values[-1 - outside]), pairs)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a benchmark's pairs come to. `second` is the confirming block, empty where there was nothing to confirm."""

    outcome: Outcome
    first: Interval
    second: Interval
    is_settled: bool  # further pairs would change nothing


def judge(log_ratios: Sequence[float]) -> Finding:
    """The finding on pairs in the order in which they were measured, PAIRS_AT_ONCE at a time.

    Slower needs two blocks of pairs, one after the other, each of which proves more than SMALLEST by itself: the
    second was not yet measured when the first raised the suspicion. If it proves "same" instead, that is dropped.
    """
    nothing = interval([])
    for count in range(1, len(log_ratios) + 1):
        first = interval(log_ratios[:count])
        if first.high < -SMALLEST:
            return Finding(Outcome.FASTER, first, nothing, True)
        if first.low > SMALLEST:
            return _confirm(first, log_ratios[count + -count % PAIRS_AT_ONCE :])
        if _is_same(first):
            return Finding(Outcome.SAME, first, nothing, True)
    return Finding(Outcome.INCONCLUSIVE, interval(log_ratios), nothing, False)


def _confirm(first: Interval, log_ratios: Sequence[float]) -> Finding:
    for count in range(1, len(log_ratios) + 1):
        second = interval(log_ratios[:count])
        if second.low > SMALLEST:
            return Finding(Outcome.SLOWER, first, second, True)
        if _is_same(second):
            return Finding(Outcome.SAME, first, second, True)
    return Finding(Outcome.INCONCLUSIVE, first, interval(log_ratios), False)


def _is_same(found: Interval) -> bool:
    return found.low > -TOLERATED and found.high < TOLERATED


def moved(log_ratios: Sequence[float]) -> bool:
    """Whether a control, whose median should be 0, is proven to be more than SMALLEST away from it."""
    found = interval(log_ratios)
    return found.low > SMALLEST or found.high < -SMALLEST
