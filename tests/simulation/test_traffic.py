"""Traffic and plan: each event causes its journey, batches hold every event once, the plan is reproducible."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from caodiem import plan, run
from caodiem.dossier import OPERATIONS
from caodiem.scenario import Scenario
from simulation import agencies, demand, level, traffic
from simulation.cases import ENDS, Channel
from simulation.journeys import GATHERED, JOURNEYS, STARTS, SYNCED
from tests.conftest import ROOT

SCALE = 0.01


@pytest.fixture(scope="module")
def drawn(scenario: Scenario, tmp_path_factory: pytest.TempPathFactory) -> tuple[run.Level, plan.Plan]:
    place = run.Level(tmp_path_factory.mktemp("run") / "level-85")
    return place, level.draw(scenario, agencies.load(ROOT / "scenarios/agencies.csv", scenario), 85, SCALE, place)


@pytest.fixture(scope="module")
def day(scenario: Scenario, drawn: tuple[run.Level, plan.Plan]) -> tuple[pa.Table, float, traffic.Journeys]:
    events = pq.read_table(drawn[0].casework)
    filed_s = events.filter(pc.equal(events["event"].cast(pa.string()), "filed"))["at_s"].to_numpy()
    day_s = float(np.floor(filed_s.max() / 86_400) * 86_400)
    return events, day_s, traffic.journeys(scenario, events, day_s)


def test_the_same_seed_gives_the_same_plan_and_another_seed_another(
    scenario: Scenario, drawn: tuple[run.Level, plan.Plan], tmp_path: Path
) -> None:
    known = agencies.load(ROOT / "scenarios" / "agencies.csv", scenario)
    again = level.draw(scenario, known, 85, SCALE, run.Level(tmp_path / "level-85"))
    assert again.meta.plan_hash == drawn[1].meta.plan_hash
    other = level.draw(replace_seed(scenario), known, 85, SCALE, run.Level(tmp_path / "other"))
    assert other.meta.plan_hash != drawn[1].meta.plan_hash


def test_without_a_warm_up_the_busiest_day_alone_is_simulated_whatever_its_weekday(scenario: Scenario) -> None:
    calendar = demand.calendar(scenario, scenario.demand.year)
    sunday = next(day for day in calendar.days[calendar.begins :] if day.weekday() == 6)
    warm_up = scenario.casework.warm_up.model_copy(update={"value": 0.0})
    none = scenario.model_copy(update={"casework": scenario.casework.model_copy(update={"warm_up": warm_up})})
    assert level._warm_up_from(none, calendar, sunday) == sunday


def replace_seed(scenario: Scenario) -> Scenario:
    return scenario.model_copy(update={"seed": scenario.seed + 1})


def test_each_event_of_the_day_causes_its_journey(day) -> None:
    events, day_s, found = day
    at_s = events["at_s"].to_numpy()
    today = events.filter(pa.array((at_s >= day_s) & (at_s < day_s + 86_400))).to_pylist()
    number = Counter((row["event"], row["channel"] != "counter") for row in today)
    journeys = Counter(found.journey.tolist())
    assert journeys["citizen_files"] == number["filed", True] + number["filed_again", True]
    assert journeys["citizen_pays"] == number["paid", True] + number["obligation_paid", True]
    assert journeys["citizen_supplements"] == number["supplemented", True]
    assert journeys["officer_receives"] == number["received", True] + number["received", False]
    assert journeys["officer_returns"] == number["returned", True] + number["returned", False]
    assert journeys["citizen_withdraws"] == number["withdrawn", True] + number["withdrawn", False]
    assert journeys["officer_files"] == number["filed", False]
    assert journeys["officer_digitises"] == sum(
        (row["event"], row["channel"]) == ("received", "partly") for row in today
    )
    assert journeys["portal_looks_up"] == number["filed", True]
    assert set(journeys) <= set(JOURNEYS)


def test_a_share_of_events_starts_a_journey_and_every_system_is_asked(scenario: Scenario, day) -> None:
    events, _, found = day
    columns = traffic._columns(events)
    for start in STARTS:
        if start.share:
            of = int(np.sum((columns["event"] == start.event) & np.isin(columns["channel"], names(start.channels))))
            share = getattr(scenario.traffic, start.share).value / 100
            made = len(traffic._started(scenario, columns, start)[0])
            assert abs(made - of * share) <= 5 * np.sqrt(of * share * (1 - share)) + 1
    asked = {OPERATIONS[step].system for name in set(found.journey.tolist()) for step in JOURNEYS[name]}
    assert asked == {operation.system for operation in OPERATIONS.values()}


def names(channels: tuple[Channel, ...]) -> list[str]:
    return [channel.name.lower() for channel in channels]


def test_citizens_go_through_their_agencys_portal_in_the_share_asked_for(scenario: Scenario, day) -> None:
    found = day[2]
    own = found.own_portal
    citizens = np.char.startswith(found.journey, "citizen_")
    assert not own[~citizens].any()
    assert own[citizens].mean() == pytest.approx(scenario.traffic.agency_portal.value / 100, abs=0.03)
    # A dossier has one portal in all its journeys, and the rates count what the plan's rows say.
    by_dossier = {number: own[citizens & (found.dossier == number)] for number in found.dossier[citizens][:50].tolist()}
    assert all(len(set(each.tolist())) == 1 for each in by_dossier.values())
    meta = plan.PlanMeta("0" * 64, scenario.seed, "2026-05-04T00:00:00", 86_400, 1, 85)
    systems = Counter(traffic.plan(scenario, found, 0, 86_400, meta).table["system"].to_pylist())
    rates = traffic.requests_per_s(found, 300)
    assert {name: round(300 * each.sum()) for name, each in rates.items() if each.sum()} == dict(systems)


def test_every_status_event_is_in_exactly_one_batch_of_its_agency(scenario: Scenario, day) -> None:
    events, _, _ = day
    columns = traffic._columns(events)
    at_s, _, agency, _, items = traffic._gathered(scenario, columns, GATHERED[0])
    synced = np.isin(columns["event"], SYNCED)
    for name in np.unique(columns["agency"]):
        assert items[agency == name].sum() == np.sum(synced & (columns["agency"] == name))
    # A batch never leaves before its events, nor more than a period after the first of them.
    period = scenario.traffic.sync_period.value
    for name in np.unique(agency)[:20]:
        passes = np.sort(at_s[agency == name])
        assert (np.diff(np.unique(passes)) >= period - 1e-6).all()


def test_a_full_batch_is_cut(scenario: Scenario, day) -> None:
    few = scenario.traffic.sync_batch.model_copy(update={"value": 2.0})
    small = scenario.model_copy(update={"traffic": scenario.traffic.model_copy(update={"sync_batch": few})})
    columns = traffic._columns(day[0])
    items = traffic._gathered(small, columns, GATHERED[0])[4]
    assert items.max() == 2
    assert items.min() == 1
    assert items.sum() == np.isin(columns["event"], SYNCED).sum()


def test_look_ups_fall_between_filing_and_the_end_and_in_the_number_asked_for(scenario: Scenario, day) -> None:
    columns = traffic._columns(day[0])
    at_s, _, _, dossier, _ = traffic._tracking(scenario, columns)
    filed = (columns["event"] == "filed") & columns["online"]
    begin = dict(zip(columns["dossier"][filed].tolist(), columns["at_s"][filed].tolist(), strict=True))
    assert all(at >= begin[number] - 1e-6 for at, number in zip(at_s.tolist(), dossier.tolist(), strict=True))
    ends = np.isin(columns["event"], ENDS)
    end = dict(zip(columns["dossier"][ends].tolist(), columns["at_s"][ends].tolist(), strict=True))
    late = scenario.casework.pause.value
    assert all(at <= max(end[number], begin[number] + late) + 1e-6 for at, number in zip(at_s, dossier, strict=True))
    mean = scenario.traffic.look_ups.value * filed.sum()
    assert abs(len(at_s) - mean) < 5 * np.sqrt(mean)


def test_the_plan_is_the_busiest_window_of_the_busiest_hour(scenario: Scenario, drawn, day) -> None:
    place, planned = drawn
    figures = run.read_json(place.traffic)
    assert figures["plan"]["plan_hash"] == planned.meta.plan_hash == plan.read(place.plan).meta.plan_hash
    assert figures["plan"]["starts_at"][:10] == figures["busiest_day"]
    total = np.sum(list(traffic.requests_per_s(day[2], 300, SCALE).values()), axis=0)
    hour = int(figures["busiest_hour"]["starts_at"][11:13]) * 12 + int(figures["busiest_hour"]["starts_at"][14:16]) // 5
    windows = [total[n : n + 12].sum() for n in range(len(total) - 11)]
    assert windows[hour] == max(windows)
    due_s = planned.table["due_s"].to_numpy()
    assert due_s.min() >= 0
    assert due_s.max() < scenario.replay.window.value


def journeys_at(at_s: list[float], journey: list[str]) -> traffic.Journeys:
    order, count = np.argsort(at_s, kind="stable"), len(at_s)
    numbers = np.arange(count)
    no_portal = np.zeros(count, dtype=bool)
    names = np.array(journey)[order]
    return traffic.Journeys(
        np.array(at_s)[order], names, np.full(count, "G01"), numbers, numbers.astype(np.int32), no_portal
    )


def test_the_busiest_time_of_a_sample_is_that_of_the_country() -> None:
    """A tenth of the citizens' journeys of 10 o'clock weighs more than four times as many passes at 8."""
    name, begins = GATHERED[0].journey, [28_800.0, 36_000.0]
    at_s = [*(begins[0] + np.arange(40) * 90.0), *(begins[1] + np.arange(10) * 396.0)]
    found = journeys_at(at_s, [name] * 40 + ["citizen_tracks"] * 10)
    assert [traffic.busiest_hour(found, scale) for scale in (1.0, 0.1)] == begins
    within = journeys_at([5.0, 6, 7, 8, 25], [name] * 4 + ["citizen_tracks"])
    assert [traffic.busiest_window(within, 0.0, 60.0, 20.0, scale) for scale in (1.0, 0.1)] == [0, 20]


@pytest.mark.parametrize(("length_s", "expected_s"), [(1000.0, 2000.0), (7.0, 3591.0), (3600.0, 0.0), (0.1, 3599.9)])
def test_the_busiest_slice_lies_within_its_hour(length_s: float, expected_s: float) -> None:
    at_s = [2500.0, 3592.0, 3593.0, *[3599.95] * 3, *[3601.0] * 9]
    assert traffic.busiest_window(journeys_at(at_s, ["citizen_tracks"] * 15), 0.0, 3600.0, length_s) == pytest.approx(
        expected_s
    )


def test_rates_of_the_country_do_not_depend_on_the_scale_of_the_sample(scenario: Scenario, drawn, tmp_path) -> None:
    known = agencies.load(ROOT / "scenarios" / "agencies.csv", scenario)
    place = run.Level(tmp_path / "level-85")
    level.draw(scenario, known, 85, 2 * SCALE, place)
    small, large = run.read_json(drawn[0].traffic), run.read_json(place.traffic)
    found = [each["busiest_hour"]["requests_per_s_mean"] for each in (small, large)]
    assert found[0] == pytest.approx(found[1], rel=0.1)


def test_think_times_have_the_mean_of_the_scenario(scenario: Scenario, day) -> None:
    meta = plan.PlanMeta("0" * 64, scenario.seed, "2026-05-04T09:00:00", 36_000, 1, 85)
    whole = traffic.plan(scenario, day[2], 25_200, 36_000, replace(meta))
    think_s, step = whole.table["think_s"].to_numpy(), whole.table["step"].to_numpy()
    assert (think_s[step == 0] == 0).all()
    paused = think_s[step > 0]
    assert abs(paused.mean() - scenario.traffic.think_time.value) < 5 * paused.std() / np.sqrt(len(paused))
