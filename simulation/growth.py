"""Growth of a cumulative count: curves fitted to the points known until a day, and a projection with its band.

Five curves are fitted to the logarithms of the counts and all of them are shown: few points never tell them apart for
sure. Their projections are averaged with Akaike weights. The band adds what no fit sees: that the daily rate drifts.

Formulas: Bass 1969 (doi 10.1287/mnsc.15.5.215), AICc and weights: Burnham and Anderson 2002, chapter 2.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from caodiem.errors import UsageError

Floats = np.ndarray

# 90% of a normal distribution lies within so many standard deviations.
_Z90 = 1.6449
_LEAST_POINTS = 3


@dataclass(frozen=True, slots=True)
class Curve:
    """A cumulative count as a function of days since the start and of parameters, all of them logarithms."""

    name: str
    count: Callable[[Floats, Floats], Floats]
    guesses: Callable[[Floats, Floats], list[list[float]]]


@dataclass(frozen=True, slots=True)
class Fit:
    """A curve with its parameters. `weight` is the Akaike weight among the curves that the points can tell apart."""

    curve: Curve
    parameters: Floats
    aicc: float
    weight: float

    def count(self, day: float) -> float:
        return float(self.curve.count(np.array([day]), self.parameters)[0])


@dataclass(frozen=True, slots=True)
class Projection:
    """The count expected on a day and the 90% band around it."""

    expected: float
    low: float
    high: float


def _linear(day: Floats, p: Floats) -> Floats:
    return np.exp(p[0]) * day


def _power(day: Floats, p: Floats) -> Floats:
    return np.exp(p[0]) * day ** np.exp(p[1])


def _logistic(day: Floats, p: Floats) -> Floats:
    ceiling, rate, middle = np.exp(p)
    return ceiling / (1 + np.exp(-rate * (day - middle)))


def _gompertz(day: Floats, p: Floats) -> Floats:
    ceiling, displacement, rate = np.exp(p)
    return ceiling * np.exp(-displacement * np.exp(-rate * day))


def _bass(day: Floats, p: Floats) -> Floats:
    ceiling, innovation, imitation = np.exp(p)
    decay = np.exp(-(innovation + imitation) * day)
    return ceiling * (1 - decay) / (1 + imitation / innovation * decay)


def _ceilings(counts: Floats) -> list[float]:
    return [math.log(factor * float(counts[-1])) for factor in (1.5, 5, 50)]


CURVES = (
    Curve("linear", _linear, lambda days, counts: [[math.log(counts[-1] / days[-1])]]),
    Curve("power", _power, lambda days, counts: [[math.log(counts[-1] / days[-1]), 0.0]]),
    Curve(
        "logistic", _logistic, lambda days, counts: [[c, math.log(0.02), math.log(days[-1])] for c in _ceilings(counts)]
    ),
    Curve("Gompertz", _gompertz, lambda days, counts: [[c, math.log(5), math.log(0.005)] for c in _ceilings(counts)]),
    Curve("Bass", _bass, lambda days, counts: [[c, math.log(1e-3), math.log(1e-2)] for c in _ceilings(counts)]),
)


def fit(days: Floats, counts: Floats) -> list[Fit]:
    """Every curve fitted to cumulative `counts` on `days` since the start, the likeliest first.

    A curve with so many parameters that AICc has no value for so few points has weight 0. UsageError for fewer than
    three points, or counts that fall.
    """
    if len(days) < _LEAST_POINTS:
        raise UsageError(f"{len(days)} points to fit: expected at least {_LEAST_POINTS}")
    if (np.diff(days) <= 0).any() or (np.diff(counts) <= 0).any() or days[0] <= 0:
        raise UsageError("points to fit: expected days after the start and cumulative counts, both of them rising")
    found = [(curve, *_fit_one(curve, days, counts)) for curve in CURVES]
    least = min(aicc for _, _, aicc in found)
    likelihood = [math.exp((least - aicc) / 2) if math.isfinite(aicc) else 0.0 for _, _, aicc in found]
    fits = [
        Fit(curve, parameters, aicc, each / sum(likelihood))
        for (curve, parameters, aicc), each in zip(found, likelihood, strict=True)
    ]
    return sorted(fits, key=lambda each: -each.weight)


def project(fits: list[Fit], days: Floats, counts: Floats, day: float) -> Projection:
    """The count on a later `day`, from the last point known.

    Every curve says how much is added to the last count; the logarithms of these additions are averaged by weight.
    Their variance between the curves, plus sigma^2 h / 3, makes the band: the logarithm of the daily rate is taken for
    a random walk of variance sigma^2 a day, whose mean over h days has that variance.
    """
    ahead = day - days[-1]
    if ahead <= 0:
        raise UsageError(f"day {day:g} to project: expected a day after the last one fitted, {days[-1]:g}")
    usable = [each for each in fits if each.weight > 0]
    # A curve that has reached its ceiling still adds something: a hundredth of the last mean rate.
    least = 0.01 * counts[-1] / days[-1] * ahead
    added = np.array([max(each.count(day) - each.count(float(days[-1])), least) for each in usable])
    weights = np.array([each.weight for each in usable])
    mean = float(weights @ np.log(added))
    between = float(weights @ (np.log(added) - mean) ** 2)
    spread = _Z90 * math.sqrt(between + rate_variance(days, counts) * ahead / 3)
    last = float(counts[-1])
    return Projection(last + math.exp(mean), last + math.exp(mean - spread), last + math.exp(mean + spread))


def rate_variance(days: Floats, counts: Floats) -> float:
    """sigma^2: the variance a day of the logarithm of the daily rate, from the rates between successive points."""
    rates = np.log(np.diff(counts, prepend=0.0) / np.diff(days, prepend=0.0))
    middles = (np.concatenate([[0.0], days[:-1]]) + days) / 2
    return float(np.mean(np.diff(rates) ** 2 / np.diff(middles)))


def _fit_one(curve: Curve, days: Floats, counts: Floats) -> tuple[Floats, float]:
    """(parameters, AICc) of the best of several starts; residuals are those of the logarithms."""

    def residuals(parameters: Floats) -> Floats:
        with np.errstate(all="ignore"):
            found = np.log(curve.count(days, parameters)) - np.log(counts)
        return np.nan_to_num(found, nan=1e3, posinf=1e3, neginf=-1e3)

    starts = curve.guesses(days, counts)
    tries = [least_squares(residuals, start, x_scale="jac", max_nfev=2000) for start in starts]
    best = min(tries, key=lambda each: each.cost)
    count, parameters = len(days), len(best.x) + 1  # the residuals' variance is one more
    if count - parameters - 1 <= 0:
        return best.x, math.inf
    likelihood = count * math.log(max(2 * best.cost / count, 1e-12))
    return best.x, likelihood + 2 * parameters + 2 * parameters * (parameters + 1) / (count - parameters - 1)
