"""When arrivals come: Poisson by inversion of the cumulative rate, regular, or as listed.

The n-th arrival of a Poisson process is where its cumulative rate reaches the sum of n unit exponentials: exact for
any rate, without rejected draws, and the n-th draw belongs to the n-th arrival.
"""

import math

import numpy as np

from caodiem.draws import uniform
from caodiem.errors import UsageError
from simulation.distributions import Distribution

Floats = np.ndarray
# So many gaps may be drawn where far fewer are to be expected.
_MOST_UNEVEN = 5_000_000


def poisson(rate: float, horizon_s: float, seed: int, stream: str) -> Floats:
    """A constant rate, per second."""
    return _units(rate * horizon_s, seed, stream) / rate if rate else np.empty(0)


def by_rate(points: list[tuple[float, float]], repeat_s: float, horizon_s: float, seed: int, stream: str) -> Floats:
    """A rate that is linear between `points` (second, per second), stays after the last one, or repeats."""
    rates = _rates(points, repeat_s, horizon_s)
    due = rates.times(_units(rates.expected(horizon_s), seed, stream))
    return due[due < horizon_s]


def expected_by_rate(points: list[tuple[float, float]], repeat_s: float, horizon_s: float) -> float:
    """How many `by_rate` draws in the mean."""
    return _rates(points, repeat_s, horizon_s).expected(horizon_s)


def renewal(interval: Distribution, horizon_s: float, seed: int, stream: str) -> Floats:
    """Independent gaps between arrivals, the first one before the first arrival.

    UsageError where nearly all gaps are so short, and the others so long, that the mean says nothing of their number.
    """
    due = np.empty(0)
    expected = horizon_s / interval.mean_s
    most = 10 * expected + _MOST_UNEVEN
    while not len(due) or due[-1] < horizon_s:
        if expected > most:
            raise UsageError(
                f"arrivals: the first {len(due):.2g} gaps come to {due[-1]:.2g} of {horizon_s:g} seconds; "
                f"expected gaps of {interval.mean_s:g} seconds in the mean that are less uneven"
            )
        expected = 1.2 * expected + 100
        due = np.cumsum(interval.times_s(uniform(seed, stream, np.arange(math.ceil(expected)))))
    return due[due < horizon_s]


def _rates(points: list[tuple[float, float]], repeat_s: float, horizon_s: float) -> "_Rates":
    return _Rates(points, horizon_s if math.isinf(repeat_s) else repeat_s)


class _Rates:
    """A piecewise-linear rate over one turn and the integral of it."""

    def __init__(self, points: list[tuple[float, float]], length_s: float) -> None:
        times = np.array([time for time, _ in points])
        rates = np.array([rate for _, rate in points])
        kept = times < length_s
        # Where the rate jumps at the end of a turn, the turn ends with the rate before the jump.
        upto_end = np.searchsorted(times, length_s) + 1
        end = np.interp(length_s, times[:upto_end], rates[:upto_end])
        self.times_s = np.append(times[kept], length_s)
        self.rates = np.append(rates[kept], end)
        self.length_s = length_s
        areas = np.diff(self.times_s) * (self.rates[1:] + self.rates[:-1]) / 2
        self.cumulated = np.concatenate([[0.0], np.cumsum(areas)])
        self.whole = float(self.cumulated[-1])

    def upto(self, time_s: float) -> float:
        """Arrivals expected in the first `time_s` of a turn."""
        place = min(int(np.searchsorted(self.times_s, time_s, side="right")) - 1, len(self.times_s) - 2)
        gone = time_s - self.times_s[place]
        rise = (self.rates[place + 1] - self.rates[place]) / max(self.times_s[place + 1] - self.times_s[place], 1e-300)
        return float(self.cumulated[place] + gone * (self.rates[place] + gone * rise / 2))

    def expected(self, horizon_s: float) -> float:
        """Arrivals expected until the horizon."""
        turns = math.floor(horizon_s / self.length_s)
        return turns * self.whole + self.upto(horizon_s - turns * self.length_s)

    def times(self, expected: Floats) -> Floats:
        """Where the cumulative rate reaches each of `expected`, by the quadratic formula in its stable form."""
        turn = np.floor(expected / self.whole)
        left = expected - turn * self.whole
        place = np.clip(np.searchsorted(self.cumulated, left, side="right") - 1, 0, len(self.cumulated) - 2)
        start, width = self.times_s[place], np.diff(self.times_s)[place]
        rate, area = self.rates[place], left - self.cumulated[place]
        with np.errstate(divide="ignore", invalid="ignore"):
            rise = np.where(width > 0, (self.rates[place + 1] - rate) / width, 0.0)
            gone = 2 * area / (rate + np.sqrt(np.maximum(rate**2 + 2 * rise * area, 0.0)))
        return turn * self.length_s + start + np.where(area > 0, gone, 0.0)


def _units(total: float, seed: int, stream: str) -> Floats:
    """The points of a Poisson process of rate 1 on [0, total)."""
    count = total
    points = np.empty(0)
    while not len(points) or points[-1] < total:
        count = count + 6 * math.sqrt(count) + 20
        points = np.cumsum(-np.log(uniform(seed, stream, np.arange(math.ceil(count)))))
    return points[points < total]
