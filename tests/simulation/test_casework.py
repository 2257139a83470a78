"""Casework: the office clock, the way of a dossier, queues at desks against closed forms, nothing lost."""

from collections import Counter
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caodiem.scenario import Scenario
from simulation import agencies, casework, demand, office, projection
from simulation.casework import Event
from tests.conftest import MAIN, ROOT, load

CLOCK = office.clock(load(MAIN), demand.calendar(load(MAIN), 2026), date(2026, 5, 11))
DAY = 86_400


@given(st.floats(0, 20 * DAY))
def test_office_time_and_wall_time_are_inverse_while_desks_are_open(office_s: float) -> None:
    wall_s = CLOCK.to_wall(np.array(office_s))
    assert CLOCK.to_office(wall_s) == pytest.approx(office_s, abs=1e-6)
    hour = float(wall_s) % DAY / 3600
    assert 7.5 <= hour <= 11.5 or 13.5 <= hour <= 17


def test_nights_noons_and_weekends_take_no_office_time() -> None:
    def between(start_s: float, end_s: float) -> float:
        return float(CLOCK.to_office(np.array(end_s)) - CLOCK.to_office(np.array(start_s)))

    assert between(0, DAY) == 7.5 * 3600
    assert between(17 * 3600, DAY + 7.5 * 3600) == 0
    assert between(11.5 * 3600, 13.5 * 3600) == 0
    assert between(4 * DAY, 7 * DAY) == 7.5 * 3600  # Friday to Sunday
    assert between(9 * 3600, 10 * 3600) == 3600


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0.01, 9)), min_size=1, max_size=60), st.integers(1, 4))
def test_officers_serve_first_come_first_served(cases: list[tuple[float, float]], number: int) -> None:
    """Against the textbook recursion: a case begins when it has come and the earliest officer is free."""
    officers = casework.Officers([0.0] * number)
    now_s, free_s = 0.0, [0.0] * number
    for gap_s, service_s in cases:
        now_s += gap_s
        free_s.sort()
        free_s[0] = max(now_s, free_s[0]) + service_s
        assert officers.end_s(now_s, service_s) == free_s[0]


@pytest.fixture(scope="module")
def simulated(scenario: Scenario):
    """(filings, draws, events) of a quiet week at a fiftieth of the country."""
    known = agencies.load(ROOT / "scenarios" / "agencies.csv", scenario)
    calendar = demand.calendar(scenario, 2026)
    first, last = date(2026, 5, 11), date(2026, 5, 22)
    shares = projection.level_shares(scenario, known, 60)
    filed = demand.filings(scenario, known, shares, calendar, first, last, 0.02)
    clock = office.clock(scenario, calendar, first)
    events = casework.simulate(scenario, known, calendar, clock, filed, 0.02)
    return filed, casework.draw(scenario, clock, filed), events


def ways(events) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for dossier, event in zip(events["dossier"].to_pylist(), events["event"].to_pylist(), strict=True):
        found.setdefault(dossier, []).append(event)
    return found


FULL = ["filed", "received", "in_process", "supplement_asked", "supplemented", "finished", "returned"]


def test_every_dossier_goes_a_way_that_the_picture_allows(simulated) -> None:
    filed, _, events = simulated
    found = ways(events)
    assert set(found) == set(filed.dossier.tolist())
    for way in found.values():
        desk = [event for event in way if event not in ("signatures_checked", "paid")]
        plain = [event for event in FULL if not event.startswith("supplement")]
        assert desk in (["filed", "not_received"], FULL, plain)
        if "paid" in way:
            assert way.index("signatures_checked") < way.index("paid")
            assert "received" not in way or way.index("paid") < way.index("received")


def test_shares_of_branches_are_those_of_the_scenario(scenario: Scenario, simulated) -> None:
    filed, draws, events = simulated
    number = Counter(events["event"].to_pylist())
    assert number[Event.FILED] == len(filed.dossier)
    assert number[Event.CHECKED] == filed.online.sum()

    def near(found: int, of: int, percent: float) -> bool:
        share = percent / 100
        return abs(found - of * share) < 5 * np.sqrt(of * share * (1 - share))

    assert near(number[Event.PAID], int(filed.online.sum()), scenario.casework.fee.value)
    settled = number[Event.RECEIVED] + number[Event.NOT_RECEIVED]
    assert near(number[Event.NOT_RECEIVED], settled, scenario.casework.not_received.value)
    weights = np.array(scenario.casework.components.value)
    counted = np.bincount(draws.components, minlength=4)[1:]
    assert np.allclose(counted / counted.sum(), weights / weights.sum(), atol=0.02)


def test_desks_work_only_in_office_hours_and_events_are_in_order(simulated) -> None:
    _, _, events = simulated
    at_s = events["at_s"].to_numpy()
    assert (np.diff(at_s) >= 0).all()
    desk = np.isin(events["event"].to_pylist(), ["received", "in_process", "finished", "returned"])
    hours = at_s[desk] % DAY / 3600
    assert (((hours >= 7.5) & (hours <= 11.5)) | ((hours >= 13.5) & (hours <= 17))).all()


def test_the_same_seed_gives_the_same_casework(scenario: Scenario, simulated) -> None:
    filed, _, events = simulated
    known = agencies.load(ROOT / "scenarios" / "agencies.csv", scenario)
    calendar = demand.calendar(scenario, 2026)
    clock = office.clock(scenario, calendar, date(2026, 5, 11))
    again = casework.simulate(scenario, known, calendar, clock, filed, 0.02)
    assert again.equals(events)


@pytest.mark.parametrize("variation", [0.3, 0.7, 1.5])
def test_lognormal_draws_have_mean_one_and_the_variation_asked_for(variation: float) -> None:
    chance = (np.arange(2_000_000) + 0.5) / 2_000_000
    drawn = casework.lognormal(variation, chance)
    assert drawn.mean() == pytest.approx(1, rel=0.01)
    assert drawn.std() == pytest.approx(variation, rel=0.05)
