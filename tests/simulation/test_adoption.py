"""The adoption path and the agencies' shares: through every point, monotone, groups' means kept exactly."""

from datetime import date

import numpy as np
import pytest

from caodiem.dossier import Group
from caodiem.errors import UsageError
from caodiem.scenario import Scenario
from simulation import adoption, agencies, projection
from tests.conftest import ROOT

AGENCIES = ROOT / "scenarios" / "agencies.csv"


def test_the_path_goes_through_every_point_and_never_falls(scenario: Scenario) -> None:
    path = adoption.path(scenario)
    for point in scenario.adoption.points:
        assert path.shares(point.on.toordinal())[point.group] == pytest.approx(point.share.value / 100, abs=1e-12)
    days = np.arange(path.first.toordinal(), path.last.toordinal() + 1)
    for group in Group:
        along = np.array([path.shares(day)[group] for day in days])
        assert (np.diff(along) >= -1e-12).all()


def test_levels_are_reached_when_the_group_shares_say_so(scenario: Scenario) -> None:
    path = adoption.path(scenario)
    assert date.fromordinal(round(adoption.reached_on(path, 43))) == date(2024, 8, 31)
    assert path.national(adoption.reached_on(path, 60)) == pytest.approx(0.6, abs=1e-9)
    assert date.fromordinal(round(adoption.reached_on(path, 85))) == date(2026, 12, 31)
    for level in (5, 86):
        with pytest.raises(UsageError, match="a level off the path"):
            adoption.reached_on(path, level)


def test_the_country_has_22_ministries_and_63_provinces(scenario: Scenario) -> None:
    known = agencies.load(AGENCIES, scenario)
    assert len(known.of(Group.MINISTRIES)) == 22
    assert len(known.of(Group.LOCALITIES)) == 63
    assert len(set(known.code)) == len(set(known.name_vi)) == 85
    assert known.volume_per_day.sum() == pytest.approx(88_000)
    provinces = known.volume_per_day[known.of(Group.LOCALITIES)]
    assert provinces.max() / provinces.min() == pytest.approx(43)
    assert known.name_en[int(known.of(Group.LOCALITIES)[np.argmax(provinces)])] == "Ho Chi Minh City"
    assert known.name_en[int(known.of(Group.LOCALITIES)[np.argmin(provinces)])] == "Dien Bien"


@pytest.mark.parametrize("means", [(0.63, 0.179), (0.7, 0.3), (0.999, 0.001), (1.0, 0.0)])
def test_group_means_weighted_by_dossiers_are_kept_exactly(scenario: Scenario, means: tuple[float, float]) -> None:
    known = agencies.load(AGENCIES, scenario)
    wanted = dict(zip(Group, means, strict=True))
    shares = agencies.online_shares(known, scenario, wanted)
    assert ((shares >= 0) & (shares <= 1)).all()
    for group, mean in wanted.items():
        members = known.of(group)
        found = np.average(shares[members], weights=known.volume_per_day[members])
        assert found == pytest.approx(mean, abs=1e-12)


def test_the_spread_comes_near_the_published_extremes(scenario: Scenario) -> None:
    """Ha Nam 68.54% and Da Nang 58.89% led in 2024, the two largest cities stood below 10%."""
    known = agencies.load(AGENCIES, scenario)
    shares = 100 * agencies.online_shares(known, scenario, {Group.MINISTRIES: 0.63, Group.LOCALITIES: 0.179})
    by_name = dict(zip(known.name_en, shares, strict=True))
    assert by_name["Ha Nam"] == pytest.approx(68.54, abs=3)
    assert by_name["Da Nang"] == pytest.approx(58.89, abs=3)
    assert by_name["Ha Noi"] < 10
    assert by_name["Ho Chi Minh City"] < 10


def test_the_projection_adds_up(scenario: Scenario) -> None:
    known = agencies.load(AGENCIES, scenario)
    found = projection.project(scenario, known)
    assert [level["percent"] for level in found["levels"]] == scenario.levels
    for level in found["levels"]:
        online = sum(each["dossiers_per_day"] * each["online_percent"] for each in level["agencies"])
        assert online / 88_000 == pytest.approx(level["percent"], abs=1e-6)
    weeks = found["dossiers_per_day"]
    columns = [weeks[f"{group.value}_{channel}"] for group in Group for channel in ("online", "counter")]
    assert {len(column) for column in columns} == {len(weeks["week_from"])}
    # Over a whole calendar year all channels of all groups come to the volume asked for.
    year = [n for n, week in enumerate(weeks["week_from"]) if week.startswith("2025")]
    total = np.mean([sum(column[n] for column in columns) for n in year])
    assert total == pytest.approx(88_000, rel=0.01)


def test_a_broken_agencies_file_says_what_it_should_hold(scenario: Scenario, tmp_path) -> None:
    path = tmp_path / "agencies.csv"
    path.write_text("code,group\nG01,ministries\n")
    with pytest.raises(UsageError, match="expected a CSV file with the columns"):
        agencies.load(path, scenario)
    path.write_text("code,group,name_vi,name_en,volume_rank,share_rank\nG01,ministries,a,a,1,1\n")
    with pytest.raises(UsageError, match="no agency of the group 'localities'"):
        agencies.load(path, scenario)
