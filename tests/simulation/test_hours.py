"""Systems that the portal asks, failing by the time of day: in the network, in whole hours, and in a replay."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from caodiem import kinds
from caodiem.cli import app
from caodiem.faults import Fault
from caodiem.plan import Plan, make
from caodiem.report import hours as told
from caodiem.report.capacity import as_json
from caodiem.report.capacity import lines as lines_of_size
from caodiem.report.inputs import input_key
from caodiem.report.words import Words, catalogue
from caodiem.scenario import Scenario, inputs
from caodiem.scenario_file import ScenarioError, load
from simulation import capacity, hours, level, network
from simulation.network import Outage, Slowdown
from simulation.objectives import Decision
from simulation.subject import MOST_FACTOR
from simulation.trials import Trials
from tests.conftest import ROOT, make_plan
from tests.simulation.test_capacity import longer

DECEMBER = ROOT / "scenarios" / "december-outage.toml"
CLOCK = {"unit": "seconds", "source": "own", "evidence": "assumed"}
NINE, TEN = 9 * 3600.0, 10 * 3600.0


@pytest.fixture(scope="module")
def december() -> Scenario:
    return load(DECEMBER)


def alone(scenario: Scenario, **changes: Any) -> Scenario:
    """The same, whose citizens wait for ever and ask once, and one server that takes a tenth of a second, always.

    `changes` are those of the system.
    """
    portal = scenario.model_dump(mode="json")["portal"] | {"timeout": None, "retries": None}
    system = portal["connected"]["population_db"]
    system |= {"operations": [], "servers": {**system["servers"], "value": 1}}
    system |= {"service": {"distribution": "fixed", "mean": {**CLOCK, "value": 0.1}}, **changes}
    whole = scenario.model_dump(mode="json") | {
        "portal": portal,
        "slo": [{**each, "operation": "look_up_citizen"} for each in scenario.model_dump(mode="json")["slo"][:1]],
    }
    return Scenario.model_validate(whole)


def span(from_s: float, to_s: float, **more: Any) -> dict[str, Any]:
    return {"from": {**CLOCK, "value": from_s}, "to": {**CLOCK, "value": to_s}, **more}


def looking_up(per_s: float, length_s: float) -> Plan:
    """Evenly spaced look-ups from 9 o'clock on."""
    drawn = make_plan([number / per_s for number in range(int(per_s * length_s))], ("look_up_citizen",))
    return make(drawn.table, replace(drawn.meta, length_s=length_s))


def test_a_system_is_a_station_that_its_operations_visit_last(december: Scenario) -> None:
    found = network.of(december.portal, make_plan([0.0]).meta)
    where = [each.name for each in found.stations].index("population_db")
    assert [found.operations[name].visits[-1].station for name in ("file_dossier", "look_up_citizen")] == [where, where]
    assert all(where not in {v.station for v in each.visits} for n, each in found.operations.items() if n == "sign_in")
    assert (found.stations[where].servers, found.operations["look_up_citizen"].visits[-1].service.mean_s) == (8, 0.5)


def test_times_of_the_day_are_moved_to_the_plan_s_second_0(december: Scenario) -> None:
    drawn = make_plan([0.0]).meta  # from 9:00
    for starts_at, speed, expected in (
        ("2026-05-04T08:00:00", 1.0, (Outage(3600.0, 7200.0),)),
        ("2026-05-04T08:00:00", 2.0, (Outage(1800.0, 3600.0),)),
        ("2026-05-04T09:40:00", 1.0, (Outage(0.0, 1200.0),)),
        ("2026-05-04T10:00:00", 1.0, ()),
    ):
        found = network.of(december.portal, replace(drawn, starts_at=starts_at, speed=speed))
        assert found.stations[-1].outages == expected
    slow = alone(december, outages=[], slowdowns=[span(NINE, TEN, factor={**CLOCK, "unit": "ratio", "value": 5})])
    assert network.of(slow.portal, drawn).stations[-1].slowdowns == (Slowdown(0.0, 3600.0, 5.0),)


def test_what_waited_drains_as_the_fluid_does(december: Scenario) -> None:
    """λ = 8 a second come for T = 600 s in vain; a server that does cμ = 10 a second needs λT / (cμ − λ) = 2400 s."""
    scenario = alone(december, outages=[span(NINE + 600, NINE + 1200)])
    found = hours.simulate(scenario, looking_up(8.0, 4800.0))
    faults = found["faults"]
    assert (faults["from_s"], faults["to_s"], faults["recovers"]) == (600.0, 1200.0, "yes")
    assert faults["peak_backlog"]["value"] == pytest.approx(8.0 * 600, rel=0.03)
    assert faults["drain_s"]["value"] == pytest.approx(2400.0, rel=0.05)
    assert found["stations"]["population_db"]["utilisation"]["value"] == pytest.approx(
        8.0 * 4800 * 0.1 / 4200, rel=0.02
    )
    assert found["replications"] == 5
    assert faults["drain_s"]["low"] < faults["drain_s"]["value"] < faults["drain_s"]["high"]


def test_hours_that_end_before_the_backlog_are_not_called_a_metastable_failure(december: Scenario) -> None:
    scenario = alone(december, outages=[span(NINE + 60, NINE + 120)])
    found = hours.simulate(scenario, looking_up(8.0, 180.0))
    assert found["faults"]["recovers"] == "no"
    assert found["faults"]["statement"].endswith("expected a longer horizon, to see whether the backlog drains")


def test_a_system_that_refuses_fails_exactly_whoever_comes_meanwhile(december: Scenario) -> None:
    scenario = alone(december, outages=[span(NINE + 60, NINE + 120, refuses=True)])
    found = hours.simulate(scenario, looking_up(4.0, 240.0))
    ((name, slo),) = found["slo"].items()
    assert name == "look_up_citizen: p95 within 2 s"
    assert [slo[phase]["bad_share"]["value"] for phase in ("before", "during", "after")] == [0.0, 1.0, 0.0]
    assert [slo[phase]["result"] for phase in ("during", "after")] == ["missed", "met"]
    assert found["faults"]["good_share"]["during"]["value"] == 0.0
    said = list(told.lines(found, 78.3))
    assert said[0].startswith("78.3%: 09:00 to 09:04 of the busiest day") and "from 09:01 to 09:02" in said[0]
    assert any(line.startswith("Look a citizen up: not answered rightly within 2 s, allowed 5% | 0%") for line in said)


def test_servers_are_found_for_the_hours_as_erlang_c_says(december: Scenario) -> None:
    """λ = 4 a second at servers of 0.5 s in the mean: p95 within 2 s before and after the fault, and never in it."""
    mean = {**CLOCK, "value": 0.5}
    gone = [span(NINE + 400, NINE + 450, refuses=True)]
    scenario = alone(december, outages=gone, service={"distribution": "exponential", "mean": mean})
    trials = Trials(hours.WholeHours(scenario, looking_up(4.0, 900.0)))
    found = capacity.find(trials)
    exact = next(c for c in range(3, 9) if longer(4.0, 0.5, c, 2.0) <= 0.05)
    assert 1 < exact < 8
    assert found.needed is not None
    assert found.needed.trial.sizes == (*(1 for _ in scenario.portal.stations), exact)
    decided = {each.objective.phase.name: each.decision for each in found.unlimited.judged}
    assert decided == {"before": Decision.MET, "during": Decision.MISSED, "after": Decision.MET}
    assert {each.objective.phase.name for each in found.needed.trial.judged} == set(decided)
    case = as_json(found, trials)
    assert "during the fault: 100%" in case["reason"]
    assert case["today"] == "missed"
    assert any(line.startswith("That is for the other SLOs") for line in lines_of_size(case))


def test_no_more_arrivals_are_tried_than_fit_into_memory(december: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = looking_up(4.0, 900.0)
    window = hours.WholeHours(alone(december, outages=[]), plan)
    made = window.draw(1.0, 0).work
    assert window.visits() == pytest.approx(made.visit_at[-1], rel=0.1)
    assert window.most_factor == MOST_FACTOR
    monkeypatch.setattr(hours, "_MOST_VISITS", 1.5 * window.visits())
    trials = Trials(hours.WholeHours(alone(december, outages=[]), plan))
    rate = capacity.highest_rate(trials)
    assert (rate.low, rate.missed) == (1.5, None)


def test_a_fault_from_the_first_second_on_has_no_time_before_it(december: Scenario) -> None:
    gone = alone(december, outages=[span(NINE, NINE + 20, refuses=True)])
    window = hours.WholeHours(gone, looking_up(4.0, 60.0))
    assert [each.phase.name for each in window.objectives] == ["during", "after"]
    found = hours.simulate(gone, looking_up(4.0, 60.0))
    (slo,) = found["slo"].values()
    assert (slo["during"]["result"], slo["after"]["result"]) == ("missed", "met")
    assert "Before" not in "".join(told.lines(found, 85.0))


def test_hours_in_which_nothing_fails_are_one_phase(december: Scenario) -> None:
    found = hours.simulate(alone(december, outages=[]), looking_up(4.0, 60.0))
    assert "faults" not in found
    assert found["slo"]["look_up_citizen: p95 within 2 s"]["whole"]["bad_share"]["value"] == 0.0
    assert "The whole time" in list(told.lines(found, 85.0))[1]


def test_the_hours_are_those_of_the_busiest_day(december: Scenario, tmp_path: Path) -> None:
    from simulation import traffic

    day = traffic.Journeys(*(values for values in _two_journeys()))
    assert december.hours is not None
    meta = replace(make_plan([0.0]).meta, starts_at="2026-05-04T09:35:20")
    drawn = level._plan_of_hours(december, december.hours, day, meta)
    assert (drawn.meta.starts_at, drawn.meta.length_s) == ("2026-05-04T08:00:00", 4 * 3600.0)
    assert drawn.table["due_s"].to_pylist() == [1800.0]


def _two_journeys() -> list[Any]:
    import numpy as np

    return [
        np.array([8.5 * 3600, 12.5 * 3600]), np.array(["officer_starts"] * 2), np.array(["H01"] * 2),
        np.array([1, 2]), np.array([1, 1], dtype=np.int32), np.array([False, False]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "from_s", "expected"),
    [
        ({}, NINE, {"population_db": Fault(latency_s_median=600.0)}),
        ({}, TEN - 100, {"population_db": Fault(latency_s_median=100.0)}),
        ({}, TEN - 10, {}),  # over before the slice is
        ({}, NINE - 1, {}),
        ({"outages": [span(NINE, TEN, refuses=True)]}, NINE, {"population_db": Fault(outage=True)}),
        ({"outages": [], "slowdowns": [span(NINE, TEN, factor={**CLOCK, "unit": "ratio", "value": 5})]}, NINE,
         {"population_db": Fault(slowdown=5.0)}),
    ],
)  # fmt: skip
def test_a_replay_in_the_fault_tells_the_portal(
    december: Scenario, changes: dict[str, Any], from_s: float, expected: dict[str, Fault]
) -> None:
    assert alone(december, **changes).faults_between(from_s, from_s + 20) == expected


def test_what_a_scenario_says_itself_goes_before(december: Scenario) -> None:
    own = december.model_copy(update={"faults": {"population_db": Fault(error_share=0.5)}})
    assert own.faults_between(NINE, NINE + 20) == {"population_db": Fault(error_share=0.5)}


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        ('hours = { from = "08:00", to = "12:00" }', "", "'09:00 to 10:00': expected hours = { from, to } that"),
        ('to = "12:00"', 'to = "07:00"', "hours.to = 25200.0: expected more than hours.from"),
        ('to = "12:00"', 'to = "10:00"', "expected a time within the hours, 08:00 to 10:00, that ends before they do"),
        ('from = "09:00", to = "10:00"', 'from = "10:00", to = "09:00"', "expected spans in order"),
        ('from = "09:00"', "from = 90000", "outages[0].from.value = 90000.0: expected 0 to 86400 seconds"),
        ("connected.population_db", "connected.population", "did you mean 'population_db'?"),
        ("connected.population_db", "stations.database", "portal.stations.database"),
        ("[portal.connected.population_db]\noperations", "[portal.connected.signature_verification]\n#",
         "portal.connected.signature_verification = 'signature_verification': expected a system that is not one of"),
        ('servers = { value = 8, unit = "servers", source = "assumed-december-outage", evidence = "assumed" }',
         "servers = 8", "a table like { value = 1"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_key(tmp_path: Path, good: str, bad: str, said: str) -> None:
    for name in ("adoption-43-to-85.toml", "december-70.toml", "sources.csv"):
        (tmp_path / name).write_text((ROOT / "scenarios" / name).read_text(encoding="utf-8"), encoding="utf-8")
    text = DECEMBER.read_text(encoding="utf-8")
    assert good in text
    (tmp_path / "wrong.toml").write_text(text.replace(good, bad, 1), encoding="utf-8")
    with pytest.raises(ScenarioError) as caught:
        load(tmp_path / "wrong.toml")
    assert said in str(caught.value)


def test_a_station_that_fails_in_the_slice_does_not_fail_in_the_hours(december: Scenario) -> None:
    stations = december.portal.model_dump(mode="json")["stations"]
    stations["database"]["outages"] = [span(5.0, 15.0)]
    changed = december.model_dump(mode="json")
    changed["portal"]["stations"] = stations
    assert "portal.stations.database" in [key for key, _, _ in Scenario.model_validate(changed).contradictions()]


def test_each_input_has_a_label_and_the_settings_are_none(december: Scenario) -> None:
    rows = [row for row in inputs(december) if "connected" in row["key"]]
    assert {row["key"].rpartition("population_db.")[2] for row in rows} == {"servers", "service.mean"}
    assert {input_key(row["key"]) for row in rows} <= set(catalogue())
    assert Scenario.model_validate(december.model_dump(mode="json")) == december
    assert kinds.load_any(DECEMBER) == december


def test_both_languages_say_whether_it_recovers(december: Scenario) -> None:
    found = hours.simulate(alone(december, outages=[span(NINE + 60, NINE + 120)]), looking_up(4.0, 240.0))
    for name, words in (("recovers by itself in all 5", Words("en")), ("tự phục hồi trong cả 5", Words("vi"))):
        assert name in told._recovery(78.3, found, words)


def short(tmp_path: Path, replications: int) -> None:
    """short.toml: five minutes of the hours, with a minute's outage in them."""
    for name in ("adoption-43-to-85.toml", "december-70.toml", "sources.csv", "agencies-2025.csv"):
        (tmp_path / name).write_text((ROOT / "scenarios" / name).read_text(encoding="utf-8"), encoding="utf-8")
    text = DECEMBER.read_text(encoding="utf-8")
    text = text.replace('to = "12:00" }', f'to = "09:05", replications = {replications} }}')
    text = text.replace('from = "08:00"', 'from = "09:00"').replace(
        '{ from = "09:00", to = "10:00" }', '{ from = "09:03", to = "09:04" }'
    )
    # So fast that the few filings before the outage show whether an SLO is met.
    (tmp_path / "short.toml").write_text(text.replace("value = 500", "value = 200"), encoding="utf-8")


@pytest.mark.slow
def test_simulate_tells_of_the_hours_in_text_json_and_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short(tmp_path, replications=2)
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(app, ["simulate", "short.toml", "--scale", "0.02", "--json"], catch_exceptions=False)
    found = json.loads(said.stdout)
    hours_of = found["hours"]["78.3%"]
    assert (hours_of["horizon_s"], hours_of["replications"]) == (300.0, 2)
    assert hours_of["slo"]["file_dossier: p95 within 2 s"]["during"]["bad_share"]["value"] > 0.9
    run = Path(found["run"])
    assert json.loads((run / "level-78.3" / "hours.json").read_text()) == hours_of
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "The fault lasts from 09:03 to 09:04." in page and "Sự cố kéo dài từ 09:03 đến 09:04." in page


@pytest.mark.slow
def test_size_answers_for_the_hours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short(tmp_path, replications=4)
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(app, ["size", "short.toml", "--scale", "0.02", "--json"], catch_exceptions=False)
    assert said.exit_code == 1
    (case,) = json.loads(said.stdout)["cases"]
    assert case["case"] == "78.3%, 09:00 to 09:05"
    asked = {slo["name"]: slo for slo in case["slo"]}
    filed = [asked[f"file_dossier: p95 within 2 s, {phase} the fault"] for phase in ("before", "during", "after")]
    assert [slo["unlimited"]["decision"] for slo in filed] == ["met", "missed", "met"]
    assert "file_dossier: p95 within 2 s, during the fault" in case["reason"]
    assert case["stations"]["population_db"]["needed"] >= 1
