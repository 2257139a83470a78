"""What a fault costs: traces worked out by hand, and networks that do and do not recover by themselves."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caodiem.network import NetworkScenario
from caodiem.report import faults
from caodiem.report.network import lines
from caodiem.scenario_file import load_document
from simulation import compiled, recovery, replications
from simulation import work as works
from simulation.distributions import Fixed
from simulation.network import Network, Operation, Outage, Retries, Station, Visit
from tests.conftest import ROOT


def traced(retries: Retries | None) -> recovery.Figures:
    """One desk, closed from 9 to 20, services of 1 s, somebody every 2 s from 0 to 38, who waits for 4 s."""
    network = Network((Station("desk", 1, outages=(Outage(9, 20),)),))
    ask = Operation((Visit(0, Fixed(1.0)),), timeout_s=4.0, retries=retries)
    zeros = np.zeros(20, dtype=np.int64)
    steps = works.Steps(np.arange(20) * 2.0, np.arange(21), np.arange(20), zeros, zeros, np.zeros(20))
    todo = works.draw(network, (ask,), steps, seed=1)
    return recovery.of_replication(todo, compiled.run(network, todo), (9.0, 20.0), 40.0)


def test_without_retries_the_desk_catches_up() -> None:
    """10, 12 and 14 time out in the queue, 16 is taken at 20 just before it times out. 18 is served by 22, in time, 20
    by 23, and then one is there as before.
    """
    found = traced(None)
    assert found["recovered"] == 1
    assert found["requests_lost"] == 4
    assert found["drain_s"] == 3
    assert found["good_share"] == {"before": 1, "during": 1 / 5, "after": 1, "last": 1}
    assert found["amplification"] == {"before": 1, "during": 1, "after": 1}
    # Services end at 22, 23, 24, 25, 27, 29 … 39.
    assert found["goodput_per_s"] == pytest.approx({"before": 4 / 9, "during": 1 / 11, "after": 11 / 20})


def test_with_one_retry_each_the_desk_works_in_vain_for_ever() -> None:
    """Half busy before, the desk has two attempts for each request from 10 on, a second each: as many as it can do. Who
    is taken is taken at the instant of the time-out, since what is free is given away before time-outs; so nobody is
    served in time while others come. Only the last two, 36 and 38, are, on their second attempts.
    """
    found = traced(Retries(2, 1.0))
    assert found["recovered"] == 0
    assert found["requests_lost"] == 13
    assert np.isnan(found["drain_s"])
    assert found["good_share"] == {"before": 1, "during": 0, "after": 2 / 10, "last": 1}
    assert found["amplification"] == {"before": 1, "during": 8 / 5, "after": 2}
    assert found["goodput_per_s"] == pytest.approx({"before": 4 / 9, "during": 1 / 11, "after": 0})
    assert found["normal_backlog"] == pytest.approx(2.5 / 4.5)
    assert (found["peak_backlog"], found["peak_backlog_at_s"], found["backlog_at_horizon"]) == (5, 18, 4)


def ended_early(every_s: float, closed: tuple[float, float], last_s: float, patience_s: float) -> recovery.Figures:
    """One desk with services of 1 s, which is closed for a time; somebody every so many seconds to `last_s` of 1000."""
    network = Network((Station("desk", 1, outages=(Outage(*closed),)),))
    ask = Operation((Visit(0, Fixed(1.0)),), timeout_s=patience_s)
    at_s = np.arange(0, last_s + 1e-9, every_s)
    zeros = np.zeros(len(at_s), dtype=np.int64)
    steps = works.Steps(at_s, np.arange(len(at_s) + 1), np.arange(len(at_s)), zeros, zeros, np.zeros(len(at_s)))
    todo = works.draw(network, (ask,), steps, seed=1)
    log = compiled.run(network, todo)
    found = recovery.of_replication(todo, log, closed, 1000.0)
    merged = replications.intervals([found], 0.95)
    return found | {"told": recovery.summary([found], merged, closed, 1000.0)}


def test_a_network_to_which_nobody_comes_at_last_is_judged_by_those_who_came_last() -> None:
    """All 80 come to good, the last one at 790; then the same with a fault from which nobody is served in time."""
    found = ended_early(10.0, (300.0, 310.0), 790.0, math.inf)
    assert (found["recovered"], found["good_share"]["last"]) == (1, 1)
    assert found["told"]["recovers"] == "yes"
    lost = ended_early(0.5, (300.0, 310.0), 790.0, 4.0)
    assert (lost["recovered"], np.isnan(lost["drain_s"])) == (0, False)
    assert "metastable" in lost["told"]["statement"]
    assert "nan" not in lost["told"]["statement"]


def test_where_nobody_comes_after_the_fault_the_backlog_alone_says_whether_it_recovered() -> None:
    drained, waiting = (ended_early(1.25, (300.0, to_s), 340.0, math.inf) for to_s in (400.0, 990.0))
    assert (drained["recovered"], waiting["recovered"]) == (1, 0)
    assert np.isnan(waiting["good_share"]["last"])
    assert "nobody has come since; expected a longer horizon" in waiting["told"]["statement"]


def loaded(name: str, horizon_s: float) -> NetworkScenario:
    """A scenario of ours with a shorter horizon and the outage from 60 to 150 s."""
    scenario = load_document(ROOT / "scenarios" / f"{name}.toml", NetworkScenario)
    found = scenario.model_dump(mode="json")
    for station in found["stations"]:
        for outage in station["outages"]:
            outage["from"]["value"], outage["to"]["value"] = 60, 150
    found["run"] |= {"horizon": {**found["run"]["horizon"], "value": horizon_s / 3600}, "replications": 3}
    return NetworkScenario.model_validate(found)


@pytest.mark.parametrize(
    ("name", "recovers"),
    [("network-outage-retries", "yes"), ("network-outage-storm", "no"), ("network-outage-breaker", "yes")],
)
def test_a_budget_or_a_breaker_lets_a_network_recover_and_a_storm_does_not(
    tmp_path: Path, name: str, recovers: str
) -> None:
    found = replications.simulate(loaded(name, 480))
    assert found["faults"]["recovers"] == recovers
    assert ("does not recover by itself" in found["faults"]["statement"]) == (recovers == "no")
    assert found["faults"]["statement"] in list(lines(found))
    series = found["faults"]["series"]
    assert sum(series["requests_per_s"]["value"]) * series["bin_s"] == pytest.approx(
        found["system"]["arrivals"]["value"]
    )
    assert faults.draw(found, tmp_path / "plots" / "faults.png").stat().st_size > 10_000


def test_a_network_without_faults_says_nothing_of_them() -> None:
    scenario = load_document(ROOT / "scenarios" / "network-one-desk.toml", NetworkScenario)
    run: Any = scenario.run.model_copy(update={"horizon": scenario.run.horizon.model_copy(update={"value": 50})})
    assert "faults" not in replications.simulate(scenario.model_copy(update={"run": run}))


def test_a_fault_that_outlasts_the_horizon_says_nothing_of_recovery() -> None:
    scenario = loaded("network-outage-retries", 120)
    assert "lasts to the horizon's end" in replications.simulate(scenario)["faults"]["statement"]
