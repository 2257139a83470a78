"""The adoption path: the share of dossiers filed fully online, by group, from observed points through the targets.

A monotone cubic (PCHIP: Fritsch and Butland 1984) goes through every point of the scenario: it invents no overshoot
between them. It is a path through targets, not a forecast.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.optimize import brentq

from caodiem.dossier import Group
from caodiem.errors import UsageError
from caodiem.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Path:
    """Shares between 0 and 1 as functions of the day. Outside its points a path keeps its first or last share."""

    curves: dict[Group, PchipInterpolator]
    ministry_dossier_share: float
    first: date
    last: date

    def shares(self, day: float) -> dict[Group, float]:
        """The share of each group on a day (ordinal, fractions allowed)."""
        inside = float(np.clip(day, self.first.toordinal(), self.last.toordinal()))
        return {group: float(curve(inside)) for group, curve in self.curves.items()}

    def national(self, day: float) -> float:
        """The share of the whole country on a day."""
        return national(self.shares(day), self.ministry_dossier_share)


def national(shares: dict[Group, float], ministry_dossier_share: float) -> float:
    """The country's share from its groups': their mean weighted by dossiers."""
    return ministry_dossier_share * shares[Group.MINISTRIES] + (1 - ministry_dossier_share) * shares[Group.LOCALITIES]


def path(scenario: Scenario) -> Path:
    """The path through the scenario's points."""
    adoption = scenario.adoption
    curves, days = {}, []
    for group in Group:
        points = [(point.on.toordinal(), point.share.value / 100) for point in adoption.points if point.group is group]
        ordinals, shares = zip(*points, strict=True)
        curves[group] = PchipInterpolator(ordinals, shares)
        days.append((ordinals[0], ordinals[-1]))
    first, last = max(start for start, _ in days), min(end for _, end in days)
    share = adoption.ministry_dossier_share.value / 100
    return Path(curves, share, date.fromordinal(first), date.fromordinal(last))


def reached_on(path: Path, level_percent: float) -> float:
    """The first day (ordinal, with fractions) on which the country reaches a level; UsageError when it never does."""
    days = np.arange(path.first.toordinal(), path.last.toordinal() + 1)
    shares = np.array([path.national(float(day)) for day in days])
    # Rounding alone must not put the last point out of reach.
    target = level_percent / 100 - 1e-12
    reached = np.flatnonzero(shares >= target)
    if not len(reached) or target < shares[0] - 1e-9:
        raise UsageError(
            f"levels: {level_percent:g} = a level off the path: expected {100 * shares[0]:.1f} to "
            f"{100 * shares.max():.1f} percent, which the points of `adoption` reach"
        )
    after = int(reached[0])
    if after == 0:
        return float(days[0])
    return float(brentq(lambda day: path.national(day) - target, days[after - 1], days[after], xtol=1e-9))
