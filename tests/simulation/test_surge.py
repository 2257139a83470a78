"""Surges: their times follow the rate, their counts the size, and they change no other dossier."""

from datetime import date, datetime
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import kstest

from caodiem.errors import UsageError
from caodiem.quantity import Quantity
from caodiem.scenario import Scenario, Surge
from simulation import agencies, demand, projection, surge
from tests.conftest import ROOT

DAY_S = 86_400
FIRST, LAST = date(2026, 8, 26), date(2026, 8, 30)


def number(value: float, unit: str) -> Quantity:
    return Quantity(value=value, unit=unit, source="assumed-surge", evidence="assumed")


def surge_of(kind: str, at: datetime, size: float = 40_000, agency: str | None = None, name: str = "gift") -> Surge:
    return Surge(
        name=name, kind=kind, at=at, size=number(size, "dossiers"), decay=number(5, "hours"),
        online=number(90, "percent"), agency=agency,
    )  # fmt: skip


def surging(scenario: Scenario, *found: Surge) -> Scenario:
    return scenario.model_copy(update={"demand": scenario.demand.model_copy(update={"surges": list(found)})})


def filed(scenario: Scenario, scale: float = 1.0) -> demand.Filings:
    known = agencies.load(ROOT / "scenarios" / "agencies.csv", scenario)
    calendar = demand.calendar(scenario, 2026)
    shares = projection.level_shares(scenario, known, 43)
    return demand.filings(scenario, known, shares, calendar, FIRST, LAST, scale)


ANNOUNCED = surge_of("announcement", datetime(2026, 8, 28, 20, 30))
DUE = surge_of("deadline", datetime(2026, 8, 29, 17, 0), name="fees")


@pytest.mark.parametrize("each", [ANNOUNCED, DUE])
def test_the_cumulative_rate_is_the_integral_of_the_rate(scenario: Scenario, each: Surge) -> None:
    found = surge.shape(scenario, each)
    hours, at_h = np.array(scenario.demand.hours_online.value), each.at.hour + each.at.minute / 60

    def rate(hour: float) -> float:
        ago = hour - at_h if each.kind == "announcement" else at_h - hour
        return float(hours[int(np.floor(hour)) % 24] * np.exp(-ago / 5)) if 0 <= ago <= 40 else 0.0

    edges = np.unique([*np.arange(np.floor(at_h - 40), np.ceil(at_h + 40) + 1), at_h, at_h - 40, at_h + 40])
    pieces = [quad(rate, a, b, limit=200)[0] for a, b in pairwise(edges)]
    total = np.concatenate([[0], np.cumsum(pieces)]) / np.sum(pieces)
    assert found.until(3600 * edges) == pytest.approx(total, abs=1e-6)


@pytest.mark.parametrize("each", [ANNOUNCED, DUE])
def test_times_are_inverted_exactly(scenario: Scenario, each: Surge) -> None:
    found = surge.shape(scenario, each)
    share = np.linspace(0.0001, 0.9999, 5000)
    assert found.until(found.time(share)) == pytest.approx(share, abs=1e-9)
    assert (np.diff(found.time(share)) > 0).all()


@pytest.mark.parametrize("each", [ANNOUNCED, DUE])
def test_arrivals_across_the_surges_days_follow_its_rate(scenario: Scenario, each: Surge) -> None:
    found = filed(surging(scenario, each))
    surged = found.service == len(scenario.demand.services)
    shape = surge.shape(scenario, each)
    at_s = found.filed_s[surged] - (each.at.date() - FIRST).days * DAY_S
    low, high = shape.until(np.array([-(each.at.date() - FIRST).days * DAY_S, 3.0 * DAY_S]))
    assert kstest(at_s, lambda time: (shape.until(time) - low) / (high - low)).pvalue > 1e-3
    expected = each.size.value * (high - low)
    assert abs(surged.sum() - expected) < 5 * np.sqrt(expected)
    assert found.online[surged].mean() == pytest.approx(0.9, abs=0.01)


def test_nothing_comes_before_an_announcement_or_after_a_deadline(scenario: Scenario) -> None:
    found = filed(surging(scenario, ANNOUNCED, DUE))
    first = len(scenario.demand.services)
    assert found.filed_s[found.service == first].min() >= 2 * DAY_S + 20.5 * 3600
    assert found.filed_s[found.service == first + 1].max() <= 3 * DAY_S + 17 * 3600


def test_a_surge_changes_no_other_dossier(scenario: Scenario) -> None:
    plain, one, two = (filed(surging(scenario, *each), scale=0.2) for each in ((), (ANNOUNCED,), (ANNOUNCED, DUE)))
    services = len(scenario.demand.services)
    for more, known in ((one, services), (two, services)):
        usual = more.service < known
        for name in ("dossier", "agency", "online", "filed_s", "partly", "service"):
            np.testing.assert_array_equal(getattr(more, name)[usual], getattr(plain, name))
    kept = two.service == services
    np.testing.assert_array_equal(two.filed_s[kept], one.filed_s[one.service == services])
    assert len(np.unique(two.dossier)) == len(two.dossier)


def test_a_surge_may_be_one_agencys(scenario: Scenario) -> None:
    each = surge_of("announcement", datetime(2026, 8, 28, 20, 30), agency="G11")
    found = filed(surging(scenario, each))
    known = agencies.load(ROOT / "scenarios" / "agencies.csv", scenario)
    surged = found.service == len(scenario.demand.services)
    assert set(found.agency[surged].tolist()) == {known.code.index("G11")}
    nobody = surge_of("announcement", datetime(2026, 8, 28), agency="G99")
    with pytest.raises(UsageError, match="'G99': expected a code of"):
        agencies.load(ROOT / "scenarios" / "agencies.csv", surging(scenario, nobody))


def test_the_busiest_day_is_the_surges(scenario: Scenario) -> None:
    each = surge_of("announcement", datetime(2026, 8, 30, 9), size=1_000_000)  # a Sunday
    changed = surging(scenario, each)
    calendar = demand.calendar(changed, 2026)
    assert demand.busiest_day(changed, calendar, 0.43) == date(2026, 8, 30)
    assert demand.surges_per_day(changed, calendar).sum() == pytest.approx(1_000_000)


def test_mistakes_are_named(scenario: Scenario) -> None:
    elsewhen = surging(scenario, surge_of("deadline", datetime(2025, 1, 1)))
    assert ("demand.surges[0].at", "2025-01-01 00:00:00", "a local time in 2026, the calendar's") in (
        elsewhen.contradictions()
    )
    services = scenario.demand.services[1:]
    changed = scenario.model_copy(update={"demand": scenario.demand.model_copy(update={"services": services})})
    assert any(key == "demand.services (ministries).share" for key, _, _ in changed.contradictions())
