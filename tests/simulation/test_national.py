"""The national year: nothing lost, what both shares and sums must be, memory that a longer year does not need."""

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from caodiem.errors import UsageError
from caodiem.scenario_file import ScenarioError, load_document
from caodiem.year import YearScenario
from simulation import agencies, cases, casework_compiled, demand, ledger, national, queueing, systems
from simulation.cases import NUMBER, ROW, Channel, Event
from simulation.demand import DAY_S
from tests.conftest import ROOT

SCALE = 0.01


@pytest.fixture(scope="module")
def year() -> YearScenario:
    found = load_document(ROOT / "scenarios" / "national-year.toml", YearScenario)
    return found.model_copy(update={"year": found.year.model_copy(update={"months": 1})})


@pytest.fixture(scope="module")
def known(year: YearScenario) -> agencies.Agencies:
    return agencies.load(ROOT / "scenarios" / year.agencies, year)


@pytest.fixture(scope="module")
def figures(year: YearScenario, known: agencies.Agencies) -> dict[str, Any]:
    return national.simulate(year, known, SCALE)


def test_nothing_is_lost(figures: dict[str, Any]) -> None:
    assert figures["dossiers"] == sum(figures["filed_per_day"]) == sum(each["filed"] for each in figures["agencies"])
    assert sum(figures["ended"].values()) == sum(figures["ended_per_day"])
    assert all(count > 0 for count in figures["ended"].values())
    assert figures["visits"] == figures["visits_at_desks"] + sum(
        each["visits"] for each in figures["stations"].values()
    )


def test_as_many_are_filed_as_the_demand_expects(year: YearScenario, figures: dict[str, Any]) -> None:
    calendar = demand.calendar(year, year.demand.year)
    month = slice(calendar.begins, calendar.begins + 31)
    filed = sum(demand.expected_per_day(year, calendar, year.levels[0] / 100)) * calendar.factor
    expected = SCALE * filed[month].sum()
    # Services that are filed online more than others have seasons of their own, which this expectation blurs.
    assert figures["dossiers"] == pytest.approx(expected, rel=0.02)
    online = sum(each["online_percent"] * each["filed"] for each in figures["agencies"]) / figures["dossiers"]
    assert online == pytest.approx(85, abs=2)


def test_the_same_seed_gives_the_same_year(
    year: YearScenario, known: agencies.Agencies, figures: dict[str, Any]
) -> None:
    again = national.simulate(year, known, SCALE)
    noise = ("wall_s", "peak_rss_bytes")
    assert {key: each for key, each in again.items() if key not in noise} == {
        key: each for key, each in figures.items() if key not in noise
    }


@pytest.mark.parametrize("asked", [0, 1, 15, 250])
def test_a_warm_up_holds_the_working_days_asked_for_or_all_that_there_are(year: YearScenario, asked: int) -> None:
    calendar = demand.calendar(year, year.demand.year)
    before = calendar.working[: calendar.begins]
    days = national._warm_up_days(calendar, asked)
    assert before[len(before) - days :].sum() == min(asked, before.sum())


def test_day_by_day_side_by_side_is_the_same_as_all_at_once(
    year: YearScenario, known: agencies.Agencies, figures: dict[str, Any]
) -> None:
    """All dossiers drawn in one call, one office after the other, memory never used again, each day's rows in a row."""
    country = national._Country(year, known, SCALE)
    first, last = country.first - timedelta(country.warm_up_days), country.first + timedelta(country.days - 1)
    filed = demand.filings(year, known, country.shares, country.calendar, first, last, SCALE)
    drawn, before = cases.draw(
        year, country.clock, replace(filed, filed_s=filed.filed_s + country.begins_s), country.desks
    )
    worked, _ = casework_compiled.run(country.clock, country.desks, drawn, year.casework.answer_term.value * DAY_S)
    rows = np.concatenate([before, worked])
    day_of = np.floor(rows["at_s"] / DAY_S)
    served = systems.Systems(year, len(known.code), country.days)
    for day in range(-country.warm_up_days, country.days):
        served.advance(*ledger.Ledger().take([rows[day_of == day]], day), day)
    within = rows[(day_of >= 0) & (day_of < country.days)]
    assert figures["dossiers"] == np.sum(within["event"] == NUMBER[Event.FILED])
    assert figures["ended"] == {event.value: np.sum(within["event"] == NUMBER[event]) for event in cases.ENDS}
    # Who was filed and has not ended is open: told by the dossiers themselves, where the figures are differences.
    filed_until = rows[(rows["event"] == NUMBER[Event.FILED]) & (day_of < country.days)]
    ended_until = rows[np.isin(rows["event"], [NUMBER[event] for event in cases.ENDS]) & (day_of < country.days)]
    left = filed_until[~np.isin(filed_until["dossier"], ended_until["dossier"])]
    assert figures["open_at_end"] == len(left) > 0
    assert [each["backlog"] for each in figures["agencies"]] == np.bincount(
        left["agency"], minlength=len(known.code)
    ).tolist()
    for number, station in enumerate(figures["stations"].values()):
        assert station["visits"] == served.stations[number]["visits"]
        assert station["wait_s_mean"] == served.stations[number]["wait_s"] / station["visits"]
        assert station["wait_s_p99"] == systems.quantile_s(served.waits[number], 0.99)


def test_desks_are_as_busy_as_the_scenario_says(year: YearScenario, figures: dict[str, Any]) -> None:
    busy = [desk["utilisation"] for each in figures["agencies"] for desk in each["desks"]]
    # January differs from the mean of the year; in a sample small agencies are coarse.
    assert np.mean(busy) == pytest.approx(year.casework.desk_utilisation.value / 100, abs=0.12)


def one_station(year: YearScenario, servers: int, mean_ms: float) -> YearScenario:
    """A year in which receiving a dossier is one visit of one station and nothing else is."""
    service = next(each for each in year.year.services if each.operation == "receive_dossier")
    service = service.model_copy(update={"mean": service.mean.model_copy(update={"value": mean_ms})})
    station = year.year.stations[service.station]
    station = station.model_copy(update={"servers": station.servers.model_copy(update={"value": servers})})
    only = {"stations": {service.station: station}, "services": [service]}
    return year.model_copy(update={"year": year.year.model_copy(update=only)})


@pytest.mark.parametrize(("servers", "rho"), [(1, 0.8), (4, 0.9)])
def test_a_station_waits_as_erlang_c_says(year: YearScenario, servers: int, rho: float) -> None:
    """Poisson arrivals over two days at an M/M/c station, across midnight, within 5%."""
    rate_per_s = 5.0
    served = systems.Systems(one_station(year, servers, 1000 * rho * servers / rate_per_s), 1, 2)
    random = np.random.default_rng(3)
    at_s = np.cumsum(random.exponential(1 / rate_per_s, int(2 * DAY_S * rate_per_s)))
    at_s = at_s[at_s < 2 * DAY_S]
    rows = np.zeros(len(at_s), dtype=ROW)
    rows["at_s"], rows["dossier"] = at_s, 202601010000000 + np.arange(len(at_s))
    rows["event"], rows["channel"] = NUMBER[Event.RECEIVED], Channel.ONLINE
    told = ledger.Ledger()
    for day, piece in enumerate([rows, rows[:0]]):
        served.advance(*told.take([piece], day), day)
    (station,) = served.stations
    assert station["visits"] == len(at_s) == served.per_hour.sum() == served.waits.sum()
    expected = queueing.mmc(rate_per_s, rho * servers / rate_per_s, servers)
    assert station["wait_s"] / station["visits"] == pytest.approx(expected.wait_s, rel=0.05)
    waits = queueing.erlang_c(servers, rho * servers)
    assert station["waited"] / station["visits"] == pytest.approx(waits, rel=0.02)


def test_quantiles_of_waits_are_right_to_one_percent() -> None:
    counted = np.zeros(systems._WAITS, dtype=np.int64)
    assert np.isnan(systems.quantile_s(counted, 0.95))
    stations = np.zeros(1, dtype=systems.STATION)
    waits = np.zeros((1, systems._WAITS), dtype=np.int64)
    drawn = np.random.default_rng(1).exponential(0.3, 20_000)
    for wait_s in drawn:
        systems._count(wait_s, 1.0, 0, stations, waits)
    assert systems.quantile_s(waits[0], 0.95) == pytest.approx(np.quantile(drawn, 0.95), rel=0.011)
    assert stations["wait_s"][0] == pytest.approx(drawn.sum())


def test_a_wait_of_weeks_is_told_as_it_is_and_one_beyond_all_classes_as_infinite() -> None:
    stations = np.zeros(1, dtype=systems.STATION)
    waits = np.zeros((1, systems._WAITS), dtype=np.int64)
    systems._count(30.0 * DAY_S, 1.0, 0, stations, waits)
    assert systems.quantile_s(waits[0], 0.95) == pytest.approx(30 * DAY_S, rel=0.01)
    waits[0] = 0
    systems._count(1e12, 1.0, 0, stations, waits)
    assert systems.quantile_s(waits[0], 0.95) == np.inf


def test_more_journeys_than_there_are_slots_end_the_year_and_name_the_system(year: YearScenario) -> None:
    """As many as there are slots wait already; memory that is not written to is none."""
    served = systems.Systems(one_station(year, 1, 1000.0), 1, 1)
    had = served._under_way
    served._under_way = had._replace(
        going=np.empty(1 << 24, dtype=had.going.dtype),
        heap=np.empty(1 << 24, dtype=had.heap.dtype),
        free=np.empty(1 << 24, dtype=had.free.dtype),
    )
    row = np.zeros(1, dtype=ROW)
    row["event"], row["channel"] = NUMBER[Event.RECEIVED], Channel.ONLINE
    with pytest.raises(UsageError, match=r"year\.stations\.\w+\.servers: more than 16,777,216 journeys .* day 0"):
        served.advance(*ledger.Ledger().take([row], 0), 0)


def test_what_a_year_does_not_take_is_refused_by_name(tmp_path) -> None:
    for name in ("adoption-43-to-85.toml", "national-year.toml", "sources.csv"):
        (tmp_path / name).write_bytes((ROOT / "scenarios" / name).read_bytes())
    hours = 'hours = { from = "08:00", to = "12:00" }'
    wrong = (tmp_path / "national-year.toml").read_text().replace("levels = [85]", f"levels = [43, 85]\n{hours}")
    wrong = wrong.replace("variation = { value = 1,", "variation = { value = 0.5,", 1)
    wrong = wrong.replace('station = "payment"', 'station = "bank"', 1)
    (tmp_path / "wrong.toml").write_text(wrong)
    with pytest.raises(ScenarioError) as error:
        load_document(tmp_path / "wrong.toml", YearScenario)
    assert {problem.key for problem in error.value.problems} == {
        "hours", "levels", "year.services[0].variation", "year.services[6].station"
    }  # fmt: skip


MEMORY = """
import sys
from pathlib import Path
from caodiem.scenario_file import load_document
from caodiem.year import YearScenario
from simulation import agencies, national
folder = Path(sys.argv[1])
year = load_document(folder / "national-year.toml", YearScenario)
year = year.model_copy(update={"year": year.year.model_copy(update={"months": int(sys.argv[2])})})
print(national.simulate(year, agencies.load(folder / year.agencies, year), 0.05)["peak_rss_bytes"])
"""


@pytest.mark.slow
def test_a_longer_horizon_needs_no_more_memory() -> None:
    """A month and a year, in processes of their own, since a process only ever holds more."""
    peaks = []
    for months in (1, 12):
        command = [sys.executable, "-c", MEMORY, str(ROOT / "scenarios"), str(months)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
        peaks.append(int(done.stdout))
    # Busier months and the counts of each day and hour: megabytes, where a year of dossiers would be gigabytes.
    assert peaks[1] < 1.25 * peaks[0]
