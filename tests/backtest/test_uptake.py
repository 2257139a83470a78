"""Shares foretold from what was known before, against what was published later (scenarios/sources.csv).

"Submitted online" (2022, 2025) is wider than "handled end to end" (2023, 2024): the two series are kept apart.
"""

from datetime import date

import numpy as np
import pytest

from simulation import uptake

STARTS = date(2019, 12, 9)


def foretold(points: list[tuple[date, float]], day: date) -> tuple[float, float, float]:
    """(expected, low, high) in percent on a later day."""
    days = np.array([float((on - STARTS).days) for on, _ in points])
    found = uptake.fit(days, np.array([share / 100 for _, share in points]), 1.0)
    ahead = float((day - STARTS).days)
    low, high = found.band(ahead)
    return 100 * found.share(ahead), 100 * low, 100 * high


def test_august_2024_from_the_points_before_it() -> None:
    """End to end, the country: 17.2 at the end of 2023 and 42 in June 2024 were followed by 43 in August."""
    expected, low, _ = foretold([(date(2023, 12, 31), 17.2), (date(2024, 6, 30), 42.0)], date(2024, 8, 31))
    # A plain miss: growth broke off, which no curve through two points can know.
    assert expected == pytest.approx(51.5, abs=0.5)
    assert low > 43


def test_localities_in_august_2024() -> None:
    expected, _, _ = foretold([(date(2023, 12, 31), 7.16), (date(2024, 7, 31), 17.0)], date(2024, 8, 31))
    assert expected == pytest.approx(17.9, abs=1.0)


def test_the_share_submitted_online_in_summer_2025() -> None:
    """43.2 in 2022, 14.57 points up on the year before; 74.7 from 1 July to 19 August 2025."""
    expected, low, high = foretold([(date(2021, 5, 31), 28.63), (date(2022, 5, 31), 43.2)], date(2025, 7, 25))
    assert low < 74.7 < high
    assert expected == pytest.approx(81.3, abs=0.5)
