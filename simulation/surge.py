"""A surge: dossiers that come on top of the usual ones, because something was announced or falls due.

The rate is an exponential of the time since the announcement, or to the deadline, times the hours at which citizens
file. Its integral is known in each hour, so it is inverted exactly: no draw is ever rejected.
"""

from dataclasses import dataclass

import numpy as np

from caodiem.scenario import Scenario, Surge

Floats = np.ndarray
DAY_S = 86_400
_HOUR_S = 3600
# So many decay times hold all but 3 in 10,000 of a surge; what lies beyond is left out.
_LONGEST = 8


@dataclass(frozen=True, slots=True)
class Shape:
    """Where a surge's dossiers lie in time, in seconds from midnight of the day of `at`.

    Between two `edges_s` citizens file alike; `total` is the share of the surge (0 to 1) that came until each edge.
    """

    at_s: float
    decay_s: float
    is_deadline: bool
    edges_s: Floats
    hours: Floats
    total: Floats

    def until(self, time_s: Floats) -> Floats:
        """The share of the surge (0 to 1) that has come until a time."""
        time_s = np.clip(time_s, self.edges_s[0], self.edges_s[-1])
        piece = self._piece(self.edges_s, time_s)
        grown = self._grown(time_s) - self._grown(self.edges_s[piece])
        return np.asarray(self.total[piece] + self.hours[piece] * grown)

    def time(self, share: Floats) -> Floats:
        """The time until which a share of the surge has come: the inverse of `until`."""
        piece = self._piece(self.total, share)
        grown = self._grown(self.edges_s[piece]) + (share - self.total[piece]) / self.hours[piece]
        if self.is_deadline:
            return np.asarray(self.at_s + self.decay_s * np.log(grown))
        return np.asarray(self.at_s - self.decay_s * np.log1p(-grown))

    def _grown(self, time_s: Floats) -> Floats:
        """The integral of the exponential alone, up to a constant."""
        if self.is_deadline:
            return np.asarray(np.exp((time_s - self.at_s) / self.decay_s))
        return np.asarray(-np.expm1((self.at_s - time_s) / self.decay_s))

    def _piece(self, edges: Floats, value: Floats) -> np.ndarray:
        """The piece that holds a value; pieces in which nothing comes hold none."""
        return np.clip(np.searchsorted(edges, value, side="right") - 1, 0, len(self.hours) - 1)


def shape(scenario: Scenario, surge: Surge) -> Shape:
    """The surge's shape, with the hours at which citizens file online."""
    hours = np.array(scenario.demand.hours_online.value)
    at_s = float(surge.at.hour * _HOUR_S + surge.at.minute * 60 + surge.at.second)
    decay_s, is_deadline = surge.decay.value * _HOUR_S, surge.kind == "deadline"
    first_s, last_s = (at_s - _LONGEST * decay_s, at_s) if is_deadline else (at_s, at_s + _LONGEST * decay_s)
    whole = _HOUR_S * np.arange(np.floor(first_s / _HOUR_S) + 1, np.ceil(last_s / _HOUR_S))
    edges_s = np.concatenate([[first_s], whole, [last_s]])
    weight = hours[(np.floor((edges_s[:-1] + edges_s[1:]) / 2 / _HOUR_S) % 24).astype(int)]
    bare = Shape(at_s, decay_s, is_deadline, edges_s, weight, np.zeros(len(edges_s)))
    mass = weight * np.diff(bare._grown(edges_s))
    total = np.concatenate([[0.0], np.cumsum(mass)]) / mass.sum()
    return Shape(at_s, decay_s, is_deadline, edges_s, weight / mass.sum(), total)


def share_on(found: Shape, days_after: int) -> tuple[float, float]:
    """The shares of the surge that have come when a day begins and when it ends, so many days after that of `at`."""
    begin, end = found.until(np.array([days_after * DAY_S, (days_after + 1) * DAY_S], dtype=np.float64))
    return float(begin), float(end)
