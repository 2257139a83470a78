"""The adoption path: the share of dossiers filed fully online, by group.

Through the scenario's points, observed ones and targets, goes a monotone cubic (PCHIP: Fritsch and Butland 1984): it
invents no overshoot between them. That is a path through targets, not a forecast. Or the path is a curve fitted to the
observed points alone (uptake.py): a forecast that knows no targets.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.optimize import brentq

from caodiem.dossier import Group
from caodiem.errors import UsageError
from caodiem.scenario import Scenario
from simulation.uptake import Uptake, fit

THROUGH_POINTS, AVERAGED = "through points", "averaged"


@dataclass(frozen=True, slots=True)
class Path:
    """Shares between 0 and 1 as functions of the day. Outside its points a path keeps its first or last share."""

    curves: dict[Group, Callable[[float], float]]
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
    """The path that the scenario asks for, over the days for which both groups have points."""
    adoption = scenario.adoption
    days = {group: [point.on for point in adoption.points if point.group is group] for group in Group}
    first, last = max(each[0] for each in days.values()), min(each[-1] for each in days.values())
    curves = through_points(scenario) if adoption.curve == THROUGH_POINTS else _fitted(scenario, adoption.curve)
    return Path(curves, adoption.ministry_dossier_share.value / 100, first, last)


def through_points(scenario: Scenario) -> dict[Group, Callable[[float], float]]:
    """The monotone cubic of each group, by ordinal day."""
    curves = {}
    for group in Group:
        points = [point for point in scenario.adoption.points if point.group is group]
        ordinals, shares = zip(*((point.on.toordinal(), point.share.value / 100) for point in points), strict=True)
        curves[group] = PchipInterpolator(ordinals, shares)
    return curves


def uptakes(scenario: Scenario) -> dict[Group, Uptake]:
    """The four curves of each group, fitted to its observed points; days count from `adoption.starts`."""
    adoption, found = scenario.adoption, {}
    for group in Group:
        seen = [point for point in adoption.points if point.group is group and point.is_observed]
        days = np.array([float((point.on - adoption.starts).days) for point in seen])
        shares = np.array([point.share.value / 100 for point in seen])
        found[group] = fit(days, shares, adoption.ceiling.value / 100)
    return found


def _fitted(scenario: Scenario, name: str) -> dict[Group, Callable[[float], float]]:
    """One of the fitted curves of each group, or their mean, by ordinal day."""
    start = scenario.adoption.starts.toordinal()

    def shifted(share: Callable[[float], float]) -> Callable[[float], float]:
        return lambda day: share(day - start)

    curves = {}
    for group, uptake in uptakes(scenario).items():
        by_name = {curve.name: curve.share for curve in uptake.curves} | {AVERAGED: uptake.share}
        curves[group] = shifted(by_name[name])
    return curves


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
            f"{100 * shares.max():.1f} percent, which the path of `adoption` reaches"
        )
    after = int(reached[0])
    if after == 0:
        return float(days[0])
    return float(brentq(lambda day: path.national(day) - target, days[after - 1], days[after], xtol=1e-9))
