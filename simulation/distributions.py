"""Distributions of times in seconds, each by inversion: one uniform draw in, one time out.

By inversion and not by rejection, so that a time costs one keyed draw whatever it is (see caodiem/draws.py), and two
networks that differ in a mean share their randomness.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import gammaincinv, ndtri

from caodiem.behaviour import SECONDS, Time, seconds

Floats = np.ndarray

# The least and the greatest uniform draw that caodiem.draws makes.
_LEAST, _MOST = 2.0**-54, 1 - 2.0**-53


class Distribution(Protocol):
    """What a station or a client needs to know of a time."""

    @property
    def mean_s(self) -> float: ...

    def times_s(self, chance: Floats) -> Floats:
        """A time for each uniform draw inside (0, 1)."""
        ...


@dataclass(frozen=True, slots=True)
class Fixed:
    """Always the same."""

    mean_s: float

    def times_s(self, chance: Floats) -> Floats:
        return np.full(len(chance), self.mean_s)


@dataclass(frozen=True, slots=True)
class Exponential:
    """Memoryless."""

    mean_s: float

    def times_s(self, chance: Floats) -> Floats:
        return -self.mean_s * np.log(chance)


@dataclass(frozen=True, slots=True)
class Gamma:
    """By mean and `variation` = standard deviation over mean; shape 1/variation², scale mean·variation²."""

    mean_s: float
    variation: float

    def times_s(self, chance: Floats) -> Floats:
        # The same to the last bit as scipy.stats.gamma.ppf, which spends time on checks of its arguments.
        return np.asarray(gammaincinv(self.variation**-2, chance) * (self.mean_s * self.variation**2))


@dataclass(frozen=True, slots=True)
class Lognormal:
    """By mean and `variation` = standard deviation over mean: its logarithm has variance ln(1 + variation²)."""

    mean_s: float
    variation: float

    def times_s(self, chance: Floats) -> Floats:
        variance = math.log1p(self.variation**2)
        return self.mean_s * np.exp(math.sqrt(variance) * ndtri(chance) - variance / 2)


@dataclass(frozen=True, slots=True)
class Uniform:
    """Anything between two times alike."""

    low_s: float
    high_s: float

    @property
    def mean_s(self) -> float:
        return (self.low_s + self.high_s) / 2

    def times_s(self, chance: Floats) -> Floats:
        return self.low_s + (self.high_s - self.low_s) * chance


@dataclass(frozen=True, slots=True)
class Empirical:
    """One of the times that were measured, each as likely as the others."""

    values_s: tuple[float, ...]

    @property
    def mean_s(self) -> float:
        return math.fsum(self.values_s) / len(self.values_s)

    def times_s(self, chance: Floats) -> Floats:
        values = np.sort(np.array(self.values_s))
        return values[(chance * len(values)).astype(np.int64)]


@dataclass(frozen=True, slots=True)
class Mixture:
    """One of `parts`, chosen by `weights`; what is left of the draw that chose is the part's own draw."""

    parts: tuple[Distribution, ...]
    weights: tuple[float, ...]

    @property
    def mean_s(self) -> float:
        weighted = (weight * part.mean_s for weight, part in zip(self.weights, self.parts, strict=True))
        return math.fsum(weighted) / math.fsum(self.weights)

    def times_s(self, chance: Floats) -> Floats:
        edges = np.concatenate([[0.0], np.cumsum(self.weights) / math.fsum(self.weights)])
        edges[-1] = 1.0
        chosen = np.searchsorted(edges, chance, side="right") - 1
        times = np.empty(len(chance))
        for number, part in enumerate(self.parts):
            rows = chosen == number
            rest = (chance[rows] - edges[number]) / (edges[number + 1] - edges[number])
            times[rows] = part.times_s(np.clip(rest, _LEAST, _MOST))
        return times


def by_variation(mean_s: float, variation: float) -> Distribution:
    """The gamma distribution of a mean and a variation; exponential at variation 1, fixed at 0."""
    if variation == 0 or mean_s == 0:
        return Fixed(mean_s)
    return Exponential(mean_s) if variation == 1 else Gamma(mean_s, variation)


def of(given: Time) -> Distribution:
    """The distribution that a file describes."""
    match given.distribution:
        case "exponential":
            return Exponential(seconds(given.mean))
        case "gamma":
            # Its inverse is not defined at mean 0.
            return Fixed(0.0) if given.is_nothing else Gamma(seconds(given.mean), given.variation.value)
        case "lognormal":
            return Lognormal(seconds(given.mean), given.variation.value)
        case "uniform":
            return Uniform(seconds(given.low), seconds(given.high))
        case "empirical":
            factor = SECONDS[given.values.unit]
            return Empirical(tuple(value * factor for value in given.values.value))
        case "mixture":
            parts = tuple(of(part) for part in given.parts)
            weighted = [(part, weight) for part, weight in zip(parts, given.weights.value, strict=True) if weight > 0]
            return Mixture(tuple(part for part, _ in weighted), tuple(weight for _, weight in weighted))
        case _:
            return Fixed(seconds(given.mean))
