"""Growth of a cumulative count: curves fitted to the points known until a day, and a projection with its band.

All curves are fitted and shown: few points never tell them apart for sure. Each is judged by how well it would have
foretold the known points from those before them, and the projection is their median, weighted by that. The band adds
that the daily rate drifts.

Curves: Bass 1969 (doi 10.1287/mnsc.15.5.215); logistic and Gompertz as in Meade and Islam 2006
(doi 10.1016/j.ijforecast.2006.01.005); judging by rolling origins: Tashman 2000 (doi 10.1016/S0169-2070(00)00065-0);
the median: Petropoulos and Svetunkov, International Journal of Forecasting 36, 2020.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from caodiem.errors import UsageError
from caodiem.series import LEAST_POINTS

Floats = np.ndarray
Count = Callable[[float], float]

# 90% of a normal distribution lies within so many standard deviations.
Z90 = 1.6449
# An error of less than a fifth on so few points is luck.
_LEAST_ERROR = 0.2


@dataclass(frozen=True, slots=True)
class Curve:
    """A way in which a count may grow; `fit` takes days since the start and counts, and returns the count on a day."""

    name: str
    least_points: int
    fit: Callable[[Floats, Floats], Count]


@dataclass(frozen=True, slots=True)
class Fit:
    """A curve fitted to all known points. `error` is the root mean square of the logarithm of foretold over true
    additions; infinite, and `weight` 0, where there were too few points to judge it by."""

    name: str
    count: Count
    error: float
    weight: float


@dataclass(frozen=True, slots=True)
class Projection:
    """The count expected on a day and the 90% band around it."""

    expected: float
    low: float
    high: float


def fit(days: Floats, counts: Floats) -> list[Fit]:
    """Every curve fitted to cumulative `counts` on `days` since the start, the one that foretold best first.

    UsageError for fewer than three points, or days or counts that do not rise.
    """
    if len(days) < LEAST_POINTS:
        raise UsageError(f"{len(days)} points to fit: expected at least {LEAST_POINTS}")
    if (np.diff(days) <= 0).any() or (np.diff(counts) <= 0).any() or days[0] <= 0:
        raise UsageError("points to fit: expected days after the start and cumulative counts, both of them rising")
    errors = {curve.name: _foretelling_error(curve, days, counts) for curve in CURVES}
    total = sum(error**-2 for error in errors.values())
    fitted = [
        Fit(curve.name, curve.fit(days, counts), errors[curve.name], errors[curve.name] ** -2 / total)
        for curve in CURVES
        if curve.least_points <= len(days)
    ]
    return sorted(fitted, key=lambda each: each.error)


def project(fits: list[Fit], days: Floats, counts: Floats, day: float) -> Projection:
    """The cumulative count on a later `day`: the last one known and what is added from there."""
    more = added(fits, days, counts, float(days[-1]), day)
    last = float(counts[-1])
    return Projection(last + more.expected, last + more.low, last + more.high)


def added(fits: list[Fit], days: Floats, counts: Floats, from_day: float, to_day: float) -> Projection:
    """What is added between two days, neither of them before the last one known.

    Every curve says how much; the weighted median is expected, since a curve that has reached its ceiling too early
    would drag a mean down without end. The variance of the curves' logarithms around it plus sigma^2 (a + h / 3) makes
    the band, `a` days after the last known one and over h days: the logarithm of the daily rate is taken for a random
    walk of variance sigma^2 a day, and its mean over those days has that variance.
    """
    if not days[-1] <= from_day < to_day:
        raise UsageError(
            f"days {from_day:g} to {to_day:g} to project: expected two days in order, from {days[-1]:g} on, "
            "the last one fitted"
        )
    logs = np.array([_log_added(each.count, days, counts, from_day, to_day) for each in fits])
    weights = np.array([each.weight for each in fits])
    middle = float(np.quantile(logs, 0.5, weights=weights, method="inverted_cdf"))
    drifted = from_day - float(days[-1]) + (to_day - from_day) / 3
    variance = float(weights @ (logs - middle) ** 2) + rate_variance(days, counts) * drifted
    spread = Z90 * math.sqrt(variance)
    return Projection(math.exp(middle), math.exp(middle - spread), math.exp(middle + spread))


def rate_variance(days: Floats, counts: Floats) -> float:
    """sigma^2: the variance a day of the logarithm of the daily rate, from the rates between successive points.

    Seen from the day between two adjoining spans of h and k days, the mean of a random walk over either has the
    variance sigma^2 h / 3 or sigma^2 k / 3, and the two are independent: means differ by one of sigma^2 (h + k) / 3.
    """
    rates = np.log(np.diff(counts) / np.diff(days))
    return float(np.mean(3 * np.diff(rates) ** 2 / (days[2:] - days[:-2])))


def _log_added(count: Count, days: Floats, counts: Floats, from_day: float, to_day: float) -> float:
    """The logarithm of what a curve adds between two days."""
    # A curve that has reached its ceiling still adds something: a hundredth of the mean rate.
    least = 0.01 * counts[-1] / days[-1] * (to_day - from_day)
    return math.log(max(count(to_day) - count(from_day), least))


def _foretelling_error(curve: Curve, days: Floats, counts: Floats) -> float:
    """How well each known point was foretold from those before it."""
    errors = []
    for known in range(curve.least_points, len(days)):
        before, then = days[:known], counts[:known]
        foretold = _log_added(curve.fit(before, then), before, then, float(before[-1]), float(days[known]))
        errors.append(foretold - math.log(counts[known] - counts[known - 1]))
    if not errors:
        return math.inf
    return max(math.sqrt(sum(error**2 for error in errors) / len(errors)), _LEAST_ERROR)


def _last_rate(days: Floats, counts: Floats) -> Count:
    """The rate between the last two points goes on."""
    rate = (counts[-1] - counts[-2]) / (days[-1] - days[-2])
    return lambda day: float(counts[-1] + rate * (day - days[-1]))


def linear(days: Floats, counts: Floats) -> Count:
    """The straight line of least squares."""
    slope, start = np.polyfit(days, counts, 1)
    return lambda day: float(start + slope * day)


def by_least_squares(
    count: Callable[[Floats, Floats], Floats], starts: Callable[[Floats, Floats], list[list[float]]]
) -> Callable[[Floats, Floats], Count]:
    """A fit of `count(days, parameters)` that makes the squared logarithms of its errors least; parameters are
    logarithms too, so they stay positive. Several starts, since the surface has more than one valley."""

    def fit_curve(days: Floats, counts: Floats) -> Count:
        def residuals(parameters: Floats) -> Floats:
            with np.errstate(all="ignore"):
                found = np.log(count(days, parameters)) - np.log(counts)
            return np.nan_to_num(found, nan=1e3, posinf=1e3, neginf=-1e3)

        tries = [least_squares(residuals, start, x_scale="jac", max_nfev=2000) for start in starts(days, counts)]
        best = min(tries, key=lambda each: each.cost).x
        return lambda day: float(count(np.array([day]), best)[0])

    return fit_curve


def _power(day: Floats, p: Floats) -> Floats:
    return np.exp(p[0]) * day ** np.exp(p[1])


def logistic(day: Floats, p: Floats) -> Floats:
    """Counts on days; `p` holds the logarithms of ceiling, rate a day and the middle's day."""
    ceiling, rate, middle = np.exp(p)
    return ceiling / (1 + np.exp(-rate * (day - middle)))


def gompertz(day: Floats, p: Floats) -> Floats:
    """Counts on days; `p` holds the logarithms of ceiling, displacement and rate a day."""
    ceiling, displacement, rate = np.exp(p)
    return ceiling * np.exp(-displacement * np.exp(-rate * day))


def bass(day: Floats, p: Floats) -> Floats:
    """Counts on days since the start; `p` holds the logarithms of ceiling, innovation and imitation a day."""
    ceiling, innovation, imitation = np.exp(p)
    decay = np.exp(-(innovation + imitation) * day)
    return ceiling * (1 - decay) / (1 + imitation / innovation * decay)


def _from_ceilings(*rest: float) -> Callable[[Floats, Floats], list[list[float]]]:
    """Starts with ceilings at 1.5, 5 and 50 times the last count, and these other parameters."""

    def starts(days: Floats, counts: Floats) -> list[list[float]]:
        return [[math.log(factor * counts[-1]), *np.log(rest)] for factor in (1.5, 5, 50)]

    return starts


CURVES = (
    Curve("last rate", 2, _last_rate),
    Curve("linear", 2, linear),
    Curve("power", 2, by_least_squares(_power, lambda days, counts: [[math.log(counts[-1] / days[-1]), 0.0]])),
    Curve("logistic", 3, by_least_squares(logistic, _from_ceilings(0.02, 200.0))),
    Curve("Gompertz", 3, by_least_squares(gompertz, _from_ceilings(5.0, 0.005))),
    Curve("Bass", 3, by_least_squares(bass, _from_ceilings(1e-3, 1e-2))),
)
