"""Fitted curves of uptake: known ones are found again, none passes its ceiling, and the band grows with time."""

import math
from datetime import date

import numpy as np
import pytest

from caodiem.dossier import Group
from caodiem.errors import UsageError
from caodiem.scenario import Scenario
from simulation import adoption, uptake

DAYS = np.array([100.0, 400.0, 700.0, 1000.0, 1300.0])


def logistic(day: float) -> float:
    return 1 / (1 + math.exp(-0.004 * (day - 900)))


def test_a_known_logistic_is_found_again_and_judged_best() -> None:
    found = uptake.fit(DAYS, np.array([logistic(day) for day in DAYS]), 1.0)
    assert found.curves[0].name in ("logistic", "Bass")  # Bass without innovators is a logistic
    logistics = next(curve for curve in found.curves if curve.name == "logistic")
    for day in (50.0, 550.0, 2000.0):
        assert logistics.share(day) == pytest.approx(logistic(day), abs=1e-4)
    assert sum(curve.weight for curve in found.curves) == pytest.approx(1)


def test_a_known_bass_curve_is_found_again() -> None:
    """Bass 1969, equation 9, at p = 0.0002 and q = 0.003 a day."""

    def bass(day: float) -> float:
        decay = math.exp(-0.0032 * day)
        return (1 - decay) / (1 + 15 * decay)

    found = uptake.fit(DAYS, np.array([bass(day) for day in DAYS]), 1.0)
    fitted = next(curve for curve in found.curves if curve.name == "Bass")
    assert fitted.share(1800) == pytest.approx(bass(1800), abs=1e-4)
    assert fitted.error == 0.01  # the least error taken for real


def test_two_points_judge_nobody() -> None:
    days = np.array([1483.0, 1727.0])
    found = uptake.fit(days, np.array([0.252, 0.63]), 1.0)
    assert {curve.weight for curve in found.curves} == {0.25}
    assert all(math.isinf(curve.error) for curve in found.curves)
    assert all(curve.share(days[1]) == pytest.approx(0.63, abs=1e-4) for curve in found.curves)


@pytest.mark.parametrize("name", uptake.NAMES)
def test_no_curve_passes_the_ceiling_or_falls(scenario: Scenario, name: str) -> None:
    changed = scenario.adoption.model_copy(update={"curve": name})
    path = adoption.path(scenario.model_copy(update={"adoption": changed}))
    days = range(path.first.toordinal(), path.last.toordinal() + 1, 5)
    for group in Group:
        shares = np.array([path.shares(day)[group] for day in days])
        assert (np.diff(shares) >= 0).all()
        assert shares.max() <= 1


def test_the_band_holds_the_mean_and_grows(scenario: Scenario) -> None:
    found = adoption.uptakes(scenario)[Group.LOCALITIES]
    start = scenario.adoption.starts.toordinal()
    days = [float(date(year, 12, 31).toordinal() - start) for year in (2024, 2025, 2026)]
    widths = []
    for day in days:
        low, high = found.band(day)
        assert low <= found.share(day) <= high
        widths.append(high - low)
    assert widths == sorted(widths)
    assert widths[0] > 0


@pytest.mark.parametrize(
    ("days", "shares", "message"),
    [
        ([100.0], [0.2], "expected at least 2"),
        ([100.0, 90.0], [0.2, 0.3], "rising"),
        ([100.0, 200.0], [0.3, 0.2], "do not fall"),
        ([100.0, 200.0], [0.3, 1.0], "less than the ceiling"),
    ],
)
def test_points_that_cannot_be_fitted_are_named(days: list[float], shares: list[float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        uptake.fit(np.array(days), np.array(shares), 1.0)
