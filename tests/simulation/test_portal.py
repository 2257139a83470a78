"""The portal of a scenario as a network: queues, outages, slow-downs, patience, time-outs and retries of its file."""

import re
from pathlib import Path

import pytest

from caodiem.report.inputs import WITH_NUMBER, input_key
from caodiem.report.words import Words, catalogue
from caodiem.scenario import Scenario, inputs
from caodiem.scenario_file import ScenarioError, load
from simulation import compiled, network, reference
from simulation.distributions import Exponential
from simulation.network import Outage, Retries, Slowdown
from tests.conftest import ROOT, make_plan

(EXAMPLE,) = re.findall(r"```toml\n(extends[^`]*ngừng thì sao[^`]*)```", (ROOT / "docs" / "scenarios.md").read_text())
SAID = 'source = "assumed-outage", evidence = "assumed" }'
MORE = f"""
[portal.stations.portal]
queue = {{ value = 7, unit = "visits", {SAID}
[[portal.stations.portal.slowdowns]]
from = {{ value = 1, unit = "minutes", {SAID}
to = {{ value = 2, unit = "minutes", {SAID}
factor = {{ value = 3, unit = "ratio", {SAID}
"""


def loaded(tmp_path: Path, text: str) -> Scenario:
    for name in ("adoption-43-to-85.toml", "sources.csv"):
        (tmp_path / name).write_text((ROOT / "scenarios" / name).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "question.toml").write_text(text, encoding="utf-8")
    return load(tmp_path / "question.toml")


def test_what_a_file_says_of_a_station_is_what_the_network_does(tmp_path: Path) -> None:
    found = network.of(loaded(tmp_path, EXAMPLE + MORE).portal)
    portal, _, database, _ = found.stations
    assert (portal.queue, database.queue) == (7, None)
    assert database.outages == (Outage(5.0, 15.0),)
    assert portal.slowdowns == (Slowdown(60.0, 120.0, 3.0),)
    for operation in found.operations.values():
        assert operation.timeout_s == 8
        assert operation.retries == Retries(3, 1.0)


def test_a_service_may_have_patience(tmp_path: Path, scenario: Scenario) -> None:
    service = scenario.portal.services[0].model_dump()
    text = (ROOT / "scenarios" / "adoption-43-to-85.toml").read_text()
    line = f'station = "{service["station"]}"'
    patient = f'{line}\npatience = {{ distribution = "exponential", mean = {{ value = 2, unit = "seconds", {SAID} }}'
    (tmp_path / "main.toml").write_text(text.replace(line, patient, 1))
    (tmp_path / "sources.csv").write_text((ROOT / "scenarios" / "sources.csv").read_text())
    found = network.of(load(tmp_path / "main.toml").portal)
    assert found.operations[service["operation"]].visits[0].patience == Exponential(2.0)


def test_a_portal_without_faults_is_as_it_was(scenario: Scenario) -> None:
    for each in network.of(scenario.portal).stations:
        assert (each.queue, each.outages, each.slowdowns) == (None, (), ())
    assert all(each.retries is None for each in network.of(scenario.portal).operations.values())


def test_an_outage_makes_clients_wait_time_out_and_try_again(tmp_path: Path) -> None:
    told = network.of(loaded(tmp_path, EXAMPLE).portal)
    plan = make_plan([k / 4 for k in range(80)], ("look_up_status",))
    rows, components = reference.execute(told, plan)
    again, parts = compiled.execute(told, plan)
    assert again.drop(["worker"]).equals(rows.drop(["worker"]))
    assert parts.equals(components)
    early = [row for row in rows.to_pylist() if 5 <= row["due_s"] < 6 and row["attempt"] == 1]
    assert {(row["outcome"], row["finished_s"] - row["due_s"]) for row in early} == {("timed_out", 8.0)}
    assert all(row["outcome"] == "ok" for row in rows.to_pylist() if row["due_s"] > 16)


@pytest.mark.parametrize(
    ("good", "bad", "told"),
    [
        ("value = 15, unit", "value = 4, unit", "database.outages[0] = '5 to 4': expected spans in order"),
        ("from = {", "form = {", "did you mean 'from'?"),
        ("attempts = 3", "attempts = 0", "portal.retries.attempts"),
        (f'pause = {{ value = 1, unit = "seconds", {SAID}', "pause = 1", "a table like { value = 1"),
        ("database.outages", "databse.outages", "portal.stations.databse.servers"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_key(tmp_path: Path, good: str, bad: str, told: str) -> None:
    assert good in EXAMPLE
    with pytest.raises(ScenarioError) as caught:
        loaded(tmp_path, EXAMPLE.replace(good, bad, 1))
    assert told in str(caught.value)


def test_each_new_input_has_a_label_a_unit_and_its_file_s_key(tmp_path: Path) -> None:
    rows = inputs(loaded(tmp_path, EXAMPLE + MORE))
    keys = {row["key"] for row in rows}
    assert {"portal.stations.database.outages[0].from", "portal.retries.pause", "portal.timeout"} <= keys
    assert {each for key in keys for each in [input_key(key)]} <= set(catalogue())
    units = {row["unit"] for row in rows}
    assert {"ratio", "seconds", *WITH_NUMBER} <= units
    assert {f"unit_{unit}" for unit in units - {*WITH_NUMBER}} <= set(catalogue())
    assert Words("vi").text(input_key("portal.stations.population_db.queue"), station="X") == "Hàng đợi dài nhất: X"


def test_a_scenario_as_resolved_reads_as_itself(tmp_path: Path) -> None:
    scenario = loaded(tmp_path, EXAMPLE + MORE)
    assert Scenario.model_validate(scenario.model_dump(mode="json")) == scenario
