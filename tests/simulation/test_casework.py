"""Casework: the office clock, every branch of a dossier's way, queues at desks against closed forms, nothing lost."""

from collections import Counter
from datetime import date
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caodiem.dossier import TRANSITIONS
from caodiem.scenario import Scenario
from caodiem.scenario_file import load
from simulation import (
    agencies,
    cases,
    casework,
    casework_compiled,
    casework_reference,
    demand,
    desks,
    office,
    projection,
)
from simulation.cases import CASE, ENDS, NUMBER, STATUS, Channel, Event
from simulation.demand import Filings
from simulation.desks import FRONT, UNIT, Desks
from tests.conftest import MAIN, ROOT
from tests.simulation.offices import changed

CLOCK = office.clock(load(MAIN), demand.calendar(load(MAIN), 2026), date(2026, 5, 11))
DAY = 86_400
ALWAYS = office.OfficeClock(np.array([0.0]), np.array([1e12]), np.array([0.0]))


@settings(deadline=None)  # the first call compiles
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


def test_the_clock_goes_on_after_the_years_last_day(scenario: Scenario) -> None:
    """From Wednesday, 30 December: three days of 7.5 hours until Monday, New Year's Day being none of them."""
    clock = office.clock(scenario, demand.calendar(scenario, 2026), date(2026, 12, 30))
    at_s = clock.to_wall(np.array([3600.0 * 16, 3600.0 * 40, 3600.0 * 200]))
    assert at_s[0] == 5 * DAY + 8.5 * 3600
    assert clock.to_office(at_s) == pytest.approx(3600 * np.array([16, 40, 200]))


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0.01, 9)), min_size=1, max_size=60), st.integers(1, 4))
def test_officers_serve_first_come_first_served(served: list[tuple[float, float]], number: int) -> None:
    """Against the textbook recursion: a case begins when it has come and the earliest officer is free."""
    officers = casework_reference.Officers(number, np.zeros(1, dtype=desks.TALLY)[0])
    now_s, free_s = 0.0, [0.0] * number
    for gap_s, service_s in served:
        now_s += gap_s
        free_s.sort()
        free_s[0] = max(now_s, free_s[0]) + service_s
        assert officers.join(now_s, service_s, np.inf) == free_s[0]


# Every branch often enough to be counted.
MANY = {"bad_signature": 15.0, "not_received": 10.0, "supplement": 30.0, "payment_due": 25.0, "unanswered": 20.0}
MANY |= {"withdrawn": 15.0}


@pytest.fixture(scope="module")
def often(scenario: Scenario) -> Scenario:
    return changed(scenario, MANY)


@pytest.fixture(scope="module")
def simulated(often: Scenario):
    """(filings, draws, events) of a quiet week at a fiftieth of the country."""
    known = agencies.load(ROOT / "scenarios" / "agencies.csv", often)
    calendar = demand.calendar(often, 2026)
    first, last = date(2026, 5, 11), date(2026, 5, 22)
    shares = projection.level_shares(often, known, 60)
    filed = demand.filings(often, known, shares, calendar, first, last, 0.02)
    clock = office.clock(often, calendar, first)
    events = casework.simulate(often, known, calendar, clock, filed, 0.02)
    drawn, _ = cases.draw(often, clock, filed, desks.of(often, known, calendar, 0.02))
    return filed, drawn, events


def ways(events) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for dossier, event in zip(events["dossier"].to_pylist(), events["event"].to_pylist(), strict=True):
        found.setdefault(dossier, []).append(event)
    return found


def test_every_dossier_goes_a_legal_way_to_a_final_status(simulated) -> None:
    filed, _, events = simulated
    found = ways(events)
    assert set(found) == set(filed.dossier.tolist())
    for way in found.values():
        statuses = [STATUS[Event(event)] for event in way if Event(event) in STATUS]
        assert way[0] == "filed"
        assert all(after in TRANSITIONS[before] for before, after in pairwise(statuses)), way
        assert not TRANSITIONS[statuses[-1]], way
        assert way[-1] in ENDS and sum(event in ENDS for event in way) == 1


def test_an_illegal_way_would_be_noticed() -> None:
    statuses = [STATUS[event] for event in (Event.FILED, Event.STARTED, Event.FINISHED)]
    assert statuses[1] not in TRANSITIONS[statuses[0]]
    assert TRANSITIONS[statuses[2]]


def test_nothing_is_lost(simulated) -> None:
    filed, _, events = simulated
    number = Counter(events["event"].to_pylist())
    assert number[Event.FILED] == len(filed.dossier) == sum(number[end] for end in ENDS)
    assert number[Event.FINISHED] == number[Event.RETURNED]
    assert all(number[event] > 20 for event in Event), number


def test_what_a_citizen_answers_comes_after_the_question(simulated) -> None:
    asked = {"supplemented": "supplement_asked", "obligation_paid": "payment_due", "filed_again": "signatures_failed"}
    for way in ways(simulated[2]).values():
        for answer, question in asked.items():
            if answer in way:
                assert way[way.index(answer) - 1] == question
        if "stopped" in way:
            assert way[-2] in ("supplement_asked", "payment_due")
        if "paid" in way:
            assert way[way.index("paid") - 1] == "signatures_checked"


def test_shares_of_branches_are_those_of_the_scenario(often: Scenario, simulated) -> None:
    filed, drawn, events = simulated
    number = Counter(events["event"].to_pylist())
    work = often.casework

    def near(found: int, of: int, percent: float) -> bool:
        share = percent / 100
        return abs(found - of * share) < 5 * np.sqrt(of * share * (1 - share))

    online = int(np.sum(drawn["channel"] != Channel.COUNTER))
    assert np.sum(drawn["channel"] == Channel.PARTLY) == filed.partly.sum() > 0
    assert near(number[Event.SIGNATURES_FAILED], online, work.bad_signature.value)
    settled = number[Event.RECEIVED] + number[Event.NOT_RECEIVED]
    given_up = number[Event.SIGNATURES_FAILED] - number[Event.FILED_AGAIN]
    assert near(given_up, number[Event.SIGNATURES_FAILED], work.unanswered.value)
    assert abs(number[Event.NOT_RECEIVED] - given_up - 0.1 * settled) < 6 * np.sqrt(0.1 * settled)
    asked = number[Event.SUPPLEMENT_ASKED] + number[Event.PAYMENT_DUE]
    # A few more answer too late or withdraw before.
    assert 0.18 * asked < number[Event.STOPPED] < 0.22 * asked
    assert 0.08 * len(filed.dossier) < number[Event.WITHDRAWN] < 0.15 * len(filed.dossier)
    weights = np.array(work.components.value)
    counted = np.bincount(drawn["components"], minlength=4)[1:]
    assert np.allclose(counted / counted.sum(), weights / weights.sum(), atol=0.02)


def test_desks_work_only_in_office_hours_and_events_are_in_order(simulated) -> None:
    _, _, events = simulated
    at_s = events["at_s"].to_numpy()
    assert (np.diff(at_s) >= 0).all()
    desk = np.isin(events["event"].to_pylist(), ["received", "in_process", "finished", "returned"])
    hours = at_s[desk] % DAY / 3600
    assert (((hours >= 7.5) & (hours <= 11.5)) | ((hours >= 13.5) & (hours <= 17))).all()


def test_the_same_seed_gives_the_same_casework(often: Scenario, simulated) -> None:
    filed, _, events = simulated
    known = agencies.load(ROOT / "scenarios" / "agencies.csv", often)
    calendar = demand.calendar(often, 2026)
    clock = office.clock(often, calendar, date(2026, 5, 11))
    assert casework.simulate(often, known, calendar, clock, filed, 0.02).equals(events)


def one_desk(count: int, service_s: np.ndarray, gaps_s: np.ndarray, withdraws_s: float = np.inf) -> np.ndarray:
    """Cases that come to one officer and are refused: one visit each."""
    made = np.zeros(count, dtype=CASE)
    made["dossier"] = 202605110000000 + np.arange(count)
    made["ready_s"] = np.cumsum(gaps_s)
    made["receive_s"], made["refused"] = service_s, 1
    made["withdrawn_s"] = made["withdraws_s"] = np.cumsum(gaps_s) + withdraws_s
    return made


SINGLE = Desks(np.array([[1, 1]]), np.ones(1), np.ones(1), np.ones(1), 1.0)


@pytest.mark.parametrize("variation", [0.0, 0.7, 1.5])
def test_an_officers_queue_is_as_long_as_pollaczek_and_khinchine_say(variation: float) -> None:
    """M/G/1 with lognormal times at 80%: mean wait rho (1 + variation^2) / 2 (1 - rho), within 5%."""
    random, count, rho = np.random.default_rng(7), 400_000, 0.8
    sigma = np.sqrt(np.log1p(variation**2))
    service_s = random.lognormal(-(sigma**2) / 2, sigma, count)
    made = one_desk(count, service_s, random.exponential(1 / rho, count))
    rows, tally = casework_compiled.run(ALWAYS, SINGLE, made, 1.0)
    expected_s = rho * (1 + variation**2) / (2 * (1 - rho))
    assert tally[0, FRONT]["wait_s"] / count == pytest.approx(expected_s, rel=0.05)
    # Little's law, from the rows: number in system over time against arrivals times mean time in system.
    ends_s = np.sort(rows["at_s"])
    moments = np.linspace(0, made["ready_s"][-1], 100_000)
    there = np.searchsorted(made["ready_s"], moments, "right") - np.searchsorted(ends_s, moments, "right")
    stay_s = (rows["at_s"].sum() - made["ready_s"].sum()) / count
    assert there.mean() == pytest.approx(count / made["ready_s"][-1] * stay_s, rel=0.02)
    assert tally[0, FRONT]["busy_s"] == pytest.approx(service_s.sum())
    assert tally[0, UNIT]["visits"] == 0


def test_withdrawn_cases_leave_the_queue_and_take_no_officers_time() -> None:
    """The second waits behind the first, is withdrawn, and the third begins when the first ends."""
    made = one_desk(3, np.array([10.0, 10.0, 10.0]), np.array([1.0, 1.0, 1.0]))
    made["withdrawn_s"][1] = made["withdraws_s"][1] = 5.0
    rows, tally = casework_compiled.run(ALWAYS, SINGLE, made, 1.0)
    told = {int(row["dossier"]) % 10: (float(row["at_s"]), int(row["event"])) for row in rows}
    refused, withdrawn = NUMBER[Event.NOT_RECEIVED], NUMBER[Event.WITHDRAWN]
    assert told == {0: (11.0, refused), 1: (5.0, withdrawn), 2: (21.0, refused)}
    assert tally[0, FRONT]["left"] == 1 and tally[0, FRONT]["busy_s"] == 20.0


def test_a_service_under_way_is_not_broken_off() -> None:
    made = one_desk(1, np.array([10.0]), np.array([1.0]), withdraws_s=2.0)
    rows, _ = casework_compiled.run(ALWAYS, SINGLE, made, 1.0)
    assert [(row["at_s"], row["event"]) for row in rows] == [(11.0, NUMBER[Event.WITHDRAWN])]


def test_nobody_has_work_where_nothing_is_filed(scenario: Scenario) -> None:
    known = agencies.load(ROOT / "scenarios" / "agencies.csv", scenario)
    none = np.array([], dtype=np.int64)
    no = none.astype(bool)
    filed = Filings(none, none, no, none.astype(float), no, none)
    calendar = demand.calendar(scenario, 2026)
    assert casework.simulate(scenario, known, calendar, CLOCK, filed, 0.02).num_rows == 0
