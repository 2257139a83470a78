"""Uptake: linear, logistic, Gompertz and Bass curves fitted to observed shares, and a projection with its band.

Uptake need not be S-shaped, and few points never tell the four apart: all are fitted and shown. The criterion is the
root mean square error, in percentage points, of foretelling each observed point from those before it (rolling
origins: Tashman 2000, doi 10.1016/S0169-2070(00)00065-0). Formulas of the curves are in growth.py; here they have two
free parameters each, since the ceiling is given.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from caodiem.errors import UsageError
from simulation import growth

Floats = np.ndarray
Share = Callable[[float], float]

_LEAST_POINTS = 2
# An error of less than a point on so few of them is luck.
_LEAST_ERROR = 0.01


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve fitted to all points given. `share` is 0 to 1 by days since the start; `error` is infinite where there
    were too few points to judge it by."""

    name: str
    share: Share
    error: float
    weight: float


@dataclass(frozen=True, slots=True)
class Uptake:
    """The four curves of a group, the best foreteller first, and how far shares wander from them.

    `wander` is the variance of the error of foretelling, a day ahead; NaN where nothing could be foretold.
    """

    curves: list[Curve]
    wander: float
    last_day: float
    ceiling: float

    def share(self, day: float) -> float:
        """The curves' mean by weight: a smaller error weighs more, as its inverse square; alike where none is known."""
        return sum(curve.weight * curve.share(day) for curve in self.curves)

    def band(self, day: float) -> tuple[float, float]:
        """The 90% band: the spread between the curves, and after the last point `wander` for each day since."""
        middle = self.share(day)
        variance = sum(curve.weight * (curve.share(day) - middle) ** 2 for curve in self.curves)
        if not math.isnan(self.wander):
            variance += self.wander * max(day - self.last_day, 0)
        half = growth.Z90 * math.sqrt(variance)
        return max(middle - half, 0.0), min(middle + half, self.ceiling)


def fit(days: Floats, shares: Floats, ceiling: float) -> Uptake:
    """The curves through or near `shares` (0 to 1) on `days` since the start, none of them ever above `ceiling`.

    UsageError for fewer than two points, days that do not rise, or shares that fall or reach the ceiling.
    """
    if len(days) < _LEAST_POINTS:
        raise UsageError(f"{len(days)} observed points to fit: expected at least {_LEAST_POINTS} in each group")
    if days[0] <= 0 or (np.diff(days) <= 0).any() or (np.diff(shares) < 0).any():
        raise UsageError("observed points to fit: expected days after the start, rising, and shares that do not fall")
    if not (shares[0] > 0 and shares[-1] < ceiling):
        raise UsageError(f"observed shares to fit: expected more than 0 and less than the ceiling, {100 * ceiling:g}%")
    misses = {name: _misses(name, days, shares, ceiling) for name in NAMES}
    errors = {name: max(_rms(found[:, 0]), _LEAST_ERROR) if len(found) else math.inf for name, found in misses.items()}
    judged = len(days) > _LEAST_POINTS
    raw = {name: error**-2 if judged else 1.0 for name, error in errors.items()}
    weights = {name: each / sum(raw.values()) for name, each in raw.items()}
    curves = [Curve(name, _fitted(name, days, shares, ceiling), errors[name], weights[name]) for name in NAMES]
    wander = math.nan
    if judged:
        wander = sum(weights[name] * float(np.mean(each[:, 0] ** 2 / each[:, 1])) for name, each in misses.items())
    return Uptake(sorted(curves, key=lambda curve: curve.error), wander, float(days[-1]), ceiling)


def _misses(name: str, days: Floats, shares: Floats, ceiling: float) -> Floats:
    """(error, days ahead) of foretelling each point from those before it."""
    rows = [
        (_fitted(name, days[:known], shares[:known], ceiling)(float(days[known])) - shares[known],
         days[known] - days[known - 1])
        for known in range(_LEAST_POINTS, len(days))
    ]  # fmt: skip
    return np.array(rows, dtype=np.float64).reshape(-1, 2)


def _rms(values: Floats) -> float:
    return math.sqrt(float(np.mean(values**2)))


def _fitted(name: str, days: Floats, shares: Floats, ceiling: float) -> Share:
    count = _FITS[name](days, shares, ceiling)
    return lambda day: min(max(count(day), 0.0), ceiling)


def _line(days: Floats, shares: Floats, ceiling: float) -> growth.Count:
    return growth.linear(days, shares)


def _below(
    shape: Callable[[Floats, Floats], Floats], *starts: tuple[float, float]
) -> Callable[[Floats, Floats, float], growth.Count]:
    """A fit of one of growth's curves with its ceiling given; `starts` holds its other parameters to try from."""

    def fit_curve(days: Floats, shares: Floats, ceiling: float) -> growth.Count:
        def share(day: Floats, parameters: Floats) -> Floats:
            return shape(day, np.array([math.log(ceiling), *parameters]))

        return growth.by_least_squares(share, lambda days, shares: [list(np.log(each)) for each in starts])(
            days, shares
        )

    return fit_curve


_FITS: dict[str, Callable[[Floats, Floats, float], growth.Count]] = {
    "linear": _line,
    "logistic": _below(growth.logistic, (0.005, 1700.0), (0.0005, 3000.0)),
    "Gompertz": _below(growth.gompertz, (1000.0, 0.005), (20.0, 0.001)),
    "Bass": _below(growth.bass, (1e-6, 0.005), (1e-4, 0.001)),
}
NAMES = tuple(_FITS)
