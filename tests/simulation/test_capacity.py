"""Sizing and capacity held against closed forms, and the command."""

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.optimize import brentq
from typer.testing import CliRunner

from caodiem import plan, run
from caodiem.cli import app
from caodiem.network import NetworkScenario
from caodiem.report.capacity import as_json, exit_code, lines
from caodiem.scenario import Scenario
from caodiem.scenario_file import ScenarioError, load, load_document
from simulation import agencies, capacity, expectation, level, queueing
from simulation.journeys import BY_THE_CLOCK
from simulation.log import End
from simulation.network import INFINITE
from simulation.objectives import Counted, Decision, Kind, Objective, Rows, count, judge
from simulation.subject import BusiestWindow, OwnNetwork, busier
from simulation.trials import Trials
from tests.conftest import ROOT

DESK = """
arrivals = {{ rate = {rate} }}
slo = [{slo}]

[[stations]]
name = "desk"
servers = {servers}
{queue}
service = {{ distribution = "exponential", mean = {mean} }}

[run]
horizon = {horizon}
most_replications = 40
"""


def network(tmp_path: Path, text: str) -> NetworkScenario:
    path = tmp_path / "network.toml"
    path.write_text(text, encoding="utf-8")
    return load_document(path, NetworkScenario)


def desk(
    tmp_path: Path, slo: str, *, rate: float, servers: int, mean: float, horizon: float, queue: str = ""
) -> Trials:
    text = DESK.format(slo=slo, rate=rate, servers=servers, mean=mean, horizon=horizon, queue=queue)
    return Trials(OwnNetwork(network(tmp_path, text)))


def longer(rate: float, mean_s: float, servers: int, than_s: float) -> float:
    """P(response > t) of M/M/c: an exponential service and, with the chance of Erlang C, an exponential wait."""
    waits, spare = queueing.erlang_c(servers, rate * mean_s), servers - rate * mean_s
    served = math.exp(-than_s / mean_s)
    if abs(spare - 1) < 1e-9:
        return served * (1 + waits * than_s / mean_s)
    return served * (1 + waits * (1 - math.exp(-(spare - 1) * than_s / mean_s)) / (spare - 1))


def needed(trials: Trials) -> capacity.Needed:
    return capacity.fewest(trials, trials.offered_load())


def test_the_formula_of_the_response_is_that_of_one_server() -> None:
    assert longer(0.5, 1.0, 1, 5.9915) == pytest.approx(0.05, rel=1e-4)


def test_a_desk_of_ten_erlangs_is_staffed_as_erlang_c_says(tmp_path: Path) -> None:
    rate, mean, limit = 10 / 3, 3.0, 7.0
    exact = next(c for c in range(11, 30) if longer(rate, mean, c, limit) <= 0.12)
    trials = desk(tmp_path, "{ quantile = 88, response = 7 }", rate=rate, servers=11, mean=mean, horizon=10_000)
    found = needed(trials)
    assert found.trial.sizes == (exact,)
    assert found.least_in_total
    assert found.neighbours[0].sizes == (exact - 1,)
    assert found.neighbours[0].decision is Decision.MISSED
    for trial in (found.trial, found.neighbours[0]):
        share = trial.judged[0].bad_share
        assert share["low"] <= longer(rate, mean, trial.sizes[0], limit) <= share["high"]


def test_lines_without_a_queue_are_as_many_as_erlang_b_says(tmp_path: Path) -> None:
    exact = next(c for c in range(1, 40) if queueing.erlang_b(c, 10.0) <= 0.05)
    trials = desk(tmp_path, "{ refused = 5 }", rate=10, servers=14, mean=1, horizon=4000, queue="queue = 0")
    found = needed(trials)
    assert found.trial.sizes == (exact,)
    below = found.neighbours[0].judged[0].bad_share
    assert queueing.erlang_b(exact - 1, 10.0) == pytest.approx(0.056819, rel=1e-4)
    assert below["low"] <= 0.056819 <= below["high"]


def test_the_capacity_of_one_server_for_a_quantile(tmp_path: Path) -> None:
    """The sojourn of M/M/1 is exponential with rate μ - λ: p95 within t asks for λ = μ - ln 20 / t."""
    exact = 1 - math.log(20) / 6
    trials = desk(tmp_path, "{ quantile = 95, response = 6 }", rate=0.25, servers=1, mean=1, horizon=20_000)
    rate = capacity.highest_rate(trials)
    assert rate.low <= exact / 0.25 <= rate.high
    assert rate.low <= rate.value <= rate.high
    assert rate.high / rate.low < 1.1
    found = capacity.bottleneck(trials, rate)
    assert found is not None
    assert found.station == 0
    assert found.utilisation[0] == pytest.approx(rate.high * 0.25, abs=0.02)


def test_a_rate_at_which_nothing_is_decided_is_not_called_too_high(tmp_path: Path) -> None:
    exact = (1 - math.log(20) / 6) / 0.25
    trials = desk(tmp_path, "{ quantile = 95, response = 6 }", rate=0.25, servers=1, mean=1, horizon=2000)
    trials.subject.most_factor = exact
    rate = capacity.highest_rate(trials)
    assert (rate.high, rate.missed) == (math.inf, None)
    assert 1 < rate.low < exact
    found = capacity.Capacity(trials.at((1,)), trials.at((1,)), trials.offered_load(), None, rate, None)
    assert any("nothing that was tried is surely too much" in line for line in lines(as_json(found, trials)))


TANDEM = """
arrivals = { rate = 0.5 }
slo = [{ quantile = 95, response = 7 }]
stations = [
    { name = "first", servers = 1, service = { distribution = "exponential", mean = 1 } },
    { name = "second", servers = 1, service = { distribution = "exponential", mean = 0.6666666666666666 } },
]
run = { horizon = 10000, most_replications = 40 }
"""


def tandem_longer(rate: float, than_s: float) -> float:
    """P(response > t) of two M/M/1 in a row: the sum of independent exponentials (Burke 1956)."""
    a, b = 1 - rate, 1.5 - rate
    return (b * math.exp(-a * than_s) - a * math.exp(-b * than_s)) / (b - a)


def test_a_tandem_gets_its_server_where_it_is_slowest(tmp_path: Path) -> None:
    found = capacity.find(Trials(OwnNetwork(network(tmp_path, TANDEM))))
    share = found.today.judged[0].bad_share
    assert share["low"] <= tandem_longer(0.5, 7.0) <= share["high"]
    assert found.today.decision is Decision.MISSED
    assert found.needed is not None
    assert found.needed.trial.sizes == (2, 1)
    assert found.needed.least_in_total
    exact = brentq(lambda rate: tandem_longer(rate, 7.0) - 0.05, 0.1, 0.9) / 0.5
    assert found.rate.low <= exact <= found.rate.high
    assert found.bottleneck is not None
    assert found.bottleneck.station == 0
    assert found.bottleneck.relief[0]["low"] > found.bottleneck.relief[1]["high"]


def test_one_server_fewer_anywhere_misses(tmp_path: Path) -> None:
    text = TANDEM.replace("rate = 0.5", "rate = 4").replace("response = 7", "response = 5").replace("10000", "2500")
    found = needed(Trials(OwnNetwork(network(tmp_path, text))))
    assert found.trial.decision is Decision.MET
    assert set(found.neighbours) == {0, 1}
    assert all(trial.decision is not Decision.MET for trial in found.neighbours.values())
    assert all(least <= servers for least, servers in zip(found.least, found.trial.sizes, strict=True))


def test_what_stays_undecided_is_not_enough(tmp_path: Path) -> None:
    # Of one server exactly a twentieth of the responses takes longer than this, so no number of replications decides.
    limit_s = -2 * math.log(0.05)
    slo = f"{{ quantile = 95, response = {limit_s} }}"
    trials = desk(tmp_path, slo, rate=0.5, servers=1, mean=1.0, horizon=2000)
    assert trials.at((1,), whole=True).decision is Decision.UNDECIDED
    assert needed(trials).trial.sizes == (2,)
    assert needed(trials).trial.decision is Decision.MET


def test_the_quantile_of_short_busy_runs_is_that_of_all_of_them_together(tmp_path: Path) -> None:
    """p95 of M/M/1 at 0.9 is 29.96 s; of 600 s alone far less in the mean, as most have no long queue."""
    text = DESK.format(slo="{ quantile = 95, response = 25 }", rate=0.9, servers=1, mean=1, horizon=2100, queue="")
    text += "warm_up = 1500\nreplications = 200\n"
    found = Trials(OwnNetwork(network(tmp_path, text))).at((1,)).judged[0]
    exact = math.log(20) / 0.1
    assert found.response_s["low"] <= exact <= found.response_s["high"]
    assert found.bad_share["low"] <= math.exp(-2.5) <= found.bad_share["high"]
    # It says the same as the share of bad ones.
    assert found.decision is Decision.MISSED
    assert found.response_s["value"] > 25


def test_a_thinned_quantile_is_the_exact_one_to_a_thousandth() -> None:
    random = np.random.default_rng(1)
    times_s = [random.exponential(size=n) for n in (30_000, 50_000, 10)]
    slo = Objective("all", Kind.RESPONSE, 0.05, 2.0)
    made = [Rows(["a"], np.zeros(len(t), int), np.zeros(len(t)), t, np.full(len(t), End.OK)) for t in times_s]
    found = judge(slo, [count(slo, rows, 0.0) for rows in made], 0.95).response_s
    whole = np.sort(np.concatenate(times_s))
    assert found["value"] == pytest.approx(whole[math.ceil(0.95 * len(whole)) - 1], rel=1e-3)
    alone = judge(slo, [count(slo, rows, 0.0) for rows in made[2:] * 2], 0.95).response_s
    assert alone["value"] == np.sort(times_s[2])[-1]


@pytest.mark.parametrize(("never", "is_sure"), [(16, False), (30, True)])
def test_an_infinite_quantile_is_as_sure_as_the_share_that_is_never_answered(never: int, is_sure: bool) -> None:
    """5% may be late; of 300 in each of ten replications 5.3% or 10%, somewhat spread, are never answered."""
    times_s = np.linspace(0.1, 1.0, 300)
    ends = [np.where(np.arange(300) < never + spread, End.TIMED_OUT, End.OK) for spread in (-4, 4) * 5]
    slo = Objective("all", Kind.RESPONSE, 0.05, 2.0)
    made = [Rows(["a"], np.zeros(300, int), np.zeros(300), times_s, end) for end in ends]
    found = judge(slo, [count(slo, rows, 0.0) for rows in made], 0.95).response_s
    assert found["value"] == found["high"] == math.inf
    assert math.isinf(found["low"]) is is_sure


def test_a_queue_that_grows_for_ever_is_not_enough_however_short_the_run(tmp_path: Path) -> None:
    """1.02 erlangs for one server have no steady state, though few wait long in 1000 s."""
    text = DESK.format(slo="{ quantile = 95, response = 150 }", rate=1.02, servers=1, mean=1, horizon=1000, queue="")
    trials = Trials(OwnNetwork(network(tmp_path, text)))
    found = capacity.find(trials)
    assert found.today.judged[0].decision is Decision.MET
    assert found.today.decision is Decision.MISSED
    assert found.needed is not None
    assert found.needed.trial.sizes == (2,)
    assert found.rate.value <= 1 / 1.02 < found.rate.high < 1.01 / 1.02
    assert found.bottleneck is not None
    assert found.bottleneck.station == 0
    told = list(lines(as_json(found, trials)))
    assert told[0].startswith("desk: 1.02 erlangs of work for 1 servers; its queue grows as long as anybody comes")
    assert any(line.startswith("  with 1 at desk: all: p95 within 150 s: missed") for line in told)
    # Who asks for these 1000 s alone gets them.
    alone = Trials(OwnNetwork(network(tmp_path, f"{text}warm_up = 0\n")))
    assert alone.at((1,)).decision is Decision.MET


def test_a_queue_that_grows_for_ever_is_the_bottleneck_even_of_others_slos(tmp_path: Path) -> None:
    """1.11 times the arrivals are too many for b, and a server more at a would spare its journeys the more."""
    text = """
arrivals = { rate = 1.2 }
slo = [{ journey = "a", quantile = 95, response = 8 }]
stations = [
    { name = "a", servers = 1, service = { distribution = "exponential", mean = 1 } },
    { name = "b", servers = 1, service = { distribution = "exponential", mean = 1 } },
]
journeys = [{ name = "a", route = ["a"] }, { name = "b", share = 3, route = ["b"] }]
run = { horizon = 5000 }
"""
    trials = Trials(OwnNetwork(network(tmp_path, text)))
    found = capacity.bottleneck(trials, capacity.highest_rate(trials))
    assert found is not None
    assert found.relief[0]["low"] > 0
    assert found.station == 1


def test_nothing_is_surely_met_where_no_steady_state_was_found(tmp_path: Path) -> None:
    """p95 of M/M/1 at 0.99 is 300 s, of which 300 s that begin empty show nothing; two servers settle at once."""
    text = DESK.format(slo="{ quantile = 95, response = 150 }", rate=0.99, servers=1, mean=1, horizon=300, queue="")
    trials = Trials(OwnNetwork(network(tmp_path, f"{text}replications = 40\n")))
    today = trials.at((1,))
    assert today.judged[0].decision is Decision.MET
    assert today.decision is Decision.UNDECIDED
    assert trials.at((2,)).decision is Decision.MET
    found = capacity.Capacity(today, trials.at((2,)), {}, None, capacity.Rate(1, 1, 1, None, []), None)
    assert exit_code([found]) == 3
    told = as_json(found, trials)
    assert told["slo"][0]["today"]["decision"] == "undecided"
    assert told["notices"][0].startswith("today's servers: MSER-5 found no steady state in the first half")


def test_a_few_journeys_say_nothing_of_a_steady_state(tmp_path: Path) -> None:
    """Half of the seeds would lack one by chance."""
    text = DESK.format(slo="{ quantile = 95, response = 150 }", rate=0.5, servers=1, mean=1, horizon=60, queue="")
    scenarios = [network(tmp_path, f"{text}seed = {seed}\n") for seed in range(1, 11)]
    assert all(Trials(OwnNetwork(each)).at((1,)).decision is Decision.MET for each in scenarios)


def test_sizing_ends_where_a_steady_state_lacks_servers_that_no_slo_feels(tmp_path: Path) -> None:
    """No number of servers at the one station of the SLO settles the queues of the others."""
    service = 'servers = 1, service = { distribution = "exponential", mean = 1 }'
    text = f"""
arrivals = {{ rate = 2.8 }}
slo = [{{ journey = "a", quantile = 95, response = 8 }}]
stations = [{", ".join(f'{{ name = "{name}", {service} }}' for name in "abc")}]
journeys = [{", ".join(f'{{ name = "{name}", route = ["{name}"] }}' for name in "abc")}]
run = {{ horizon = 90, seed = 4 }}
"""
    trials = Trials(OwnNetwork(network(tmp_path, text)))
    found = needed(trials)
    assert not trials.at(found.least).settled
    assert found.trial.settled
    assert found.trial.decision is Decision.MET


def test_where_nothing_can_be_sized_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rate limit alone: M/D/1 whose servers are tokens. p95 of its wait of 2.5 s is met up to 0.5623 per second."""
    monkeypatch.chdir(tmp_path)
    Path("pace.toml").write_text(
        """
arrivals = { rate = 0.5 }
slo = [{ quantile = 95, response = 3 }]
stations = [{ name = "a", servers = "infinite", service = 0.5, pace = { rate = 1 } }]
run = { horizon = 5000, most_replications = 20 }
"""
    )
    said = CliRunner().invoke(app, ["size", "pace.toml"])
    assert said.exit_code == 0, said.output
    assert "Nothing to size: no station has a number of servers." in said.stdout
    assert "bottleneck" not in said.stdout
    factor = run.read_json(Path(said.stdout.splitlines()[-1]) / "capacity.json")["cases"][0]["capacity"]["factor"]
    assert factor["low"] <= 0.5623 / 0.5 <= factor["high"]


def test_infinite_stations_and_hours_with_their_own_servers_are_left_alone(tmp_path: Path) -> None:
    text = TANDEM.replace('name = "first", servers = 1', 'name = "first", servers = "infinite"').replace(
        'name = "second", servers = 1',
        'name = "second", servers = 1, calendar = { period = "day", open = [{ from = 0, to = "24:00", servers = 2 }] }',
    )
    subject = OwnNetwork(network(tmp_path, text))
    assert subject.sizable == {}
    found = needed(Trials(subject))
    assert found.trial.sizes == subject.today == (INFINITE, 1)


def test_listed_and_regular_arrivals_become_as_many_more(tmp_path: Path) -> None:
    text = TANDEM.replace(
        "{ rate = 0.5 }", "[{ times = [1, 2, 3, 4] }, { interval = 10 }, { points = [[0, 1], [50, 2]] }]"
    )
    more = busier(network(tmp_path, text), 2.5).arrivals
    assert more[0].times is not None
    assert more[0].times.value == [1, 1, 2, 2, 2, 3, 3, 4, 4, 4]
    assert more[1].interval is not None
    assert more[1].interval.mean is not None
    assert more[1].interval.mean.value == 4
    assert more[2].points is not None
    assert more[2].points.value == [(0, 2.5), (50, 5)]


NEVER = """
title = "A database that fails for half of the time"
arrivals = { rate = 2 }
slo = [{ quantile = 95, response = 2 }]
stations = [{ name = "database", servers = 3, service = 0.5, outages = [{ from = 100, to = 300 }] }]
run = { horizon = 400 }
"""


def test_what_no_server_can_mend_is_said_with_exit_code_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("never.toml").write_text(NEVER)
    said = CliRunner().invoke(app, ["size", "never.toml"])
    assert said.exit_code == 1, said.output
    assert "No number of servers helps: not met with as many servers as anybody could want: all: p95" in said.stdout
    folder = Path(said.stdout.splitlines()[-1])
    assert (folder / "plots" / "capacity.png").stat().st_size > 10_000
    printed = json.loads((folder / "capacity.json").read_text())
    assert printed["cases"][0]["needed"] is None
    assert json.loads((folder / "manifest.json").read_text())["exit_code"] == 1


def test_what_too_few_replications_leave_open_is_not_called_hopeless(tmp_path: Path) -> None:
    """At most 1 of 10,000 refused: none of some hundred is, which proves nothing. And of "b" nobody comes at all."""
    text = f"""
arrivals = [{{ rate = 0.5, journey = "a" }}]
slo = [SLO{{ journey = "a", refused = 0.01 }}, {{ journey = "b", quantile = 95, response = 7 }}]
stations = [{{ name = "desk", servers = 2, service = {{ distribution = "exponential", mean = 1 }} }}]
journeys = [{", ".join(f'{{ name = "{name}", route = ["desk"] }}' for name in "ab")}]
run = {{ horizon = 60, warm_up = 0, replications = 5, most_replications = 5 }}
"""
    for slo, code in (("", 3), ('{ journey = "a", quantile = 50, response = 20 }, ', 3)):
        trials = Trials(OwnNetwork(network(tmp_path, text.replace("SLO", slo))))
        found = capacity.find(trials)
        assert exit_code([found]) == code
        case = as_json(found, trials)
        assert case["reason"] is None
        said = "\n".join(lines(case))
        assert "No number" not in said
        assert (
            "Whether servers help is open: not decided with as many servers as anybody could want: a: at most" in said
        )
        assert "b: p95 within 7 s: none came that it is about; expected more replications or a longer horizon." in said
        assert "nan" not in said
        assert (case["needed"] is None) == (not slo)


def test_no_higher_rate_is_tried_than_this_machine_has_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room for 3 replications of today's arrivals, half of which one may take; four times as many were refused."""
    slo = "{ quantile = 50, response = 20 }"
    scenario = network(tmp_path, DESK.format(slo=slo, rate=0.1, servers=9, mean=1, horizon=500, queue=""))
    needs, _ = expectation.room(scenario)
    pages = {"SC_PAGE_SIZE": 1, "SC_PHYS_PAGES": math.ceil(3 * needs)}
    monkeypatch.setattr(expectation.os, "sysconf", pages.__getitem__)
    rate = capacity.highest_rate(Trials(OwnNetwork(scenario)))
    assert (rate.low, rate.missed) == (pytest.approx(1.5), None)


def test_enough_servers_are_exit_code_0_and_mistakes_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("enough.toml").write_text(NEVER.replace(", outages = [{ from = 100, to = 300 }]", ""))
    said = CliRunner().invoke(app, ["size", "enough.toml", "--json"])
    assert said.exit_code == 0, said.output
    case = json.loads(said.stdout)["cases"][0]
    assert case["stations"]["database"]["today"] == 3
    assert case["stations"]["database"]["needed"] <= 3
    assert case["capacity"]["factor"]["low"] > 1
    Path("none.toml").write_text(NEVER.replace("slo = [{ quantile = 95, response = 2 }]", ""))
    said = CliRunner().invoke(app, ["size", "none.toml"])
    assert said.exit_code != 0
    assert "expected at least one [[slo]]" in str(said.exception)


@pytest.mark.parametrize(
    ("slo", "told"),
    [
        ("{ quantile = 95 }", "quantile and response together"),
        ("{}", "or refused, or abandoned"),
        ('{ refused = 1, journey = "file" }', "one of all"),
        ("{ quantile = 100, response = 1 }", "1 to 99.99"),
        ("{ refused = 0 }", "refused = 0.0: expected more than 0, such as 0.1"),
        ("{ abandoned = 0, quantile = 95, response = 7 }", "abandoned = 0.0: expected more than 0"),
    ],
)
def test_a_mistake_in_an_slo_is_told(tmp_path: Path, slo: str, told: str) -> None:
    with pytest.raises(ScenarioError, match="slo") as caught:
        network(tmp_path, TANDEM.replace("{ quantile = 95, response = 7 }", slo))
    assert told in str(caught.value)


def counted(*pairs: tuple[int, int]) -> list[Counted]:
    return [Counted(rows, bad, np.empty(0), np.empty(0)) for rows, bad in pairs]


def test_decisions_need_the_whole_interval_on_one_side() -> None:
    slo = Objective("all", Kind.RESPONSE, 0.05, 2.0)
    assert judge(slo, counted((1000, 20), (1000, 25), (1000, 22)), 0.95).decision is Decision.MET
    assert judge(slo, counted((1000, 40), (1000, 60), (1000, 45)), 0.95).decision is Decision.UNDECIDED
    assert judge(slo, counted((1000, 80), (1000, 85), (1000, 82)), 0.95).decision is Decision.MISSED
    assert judge(slo, counted((0, 0), (0, 0)), 0.95).decision is Decision.UNDECIDED
    # None bad of 30 proves nothing about 5 of 100; none of 300 does.
    assert judge(slo, counted((10, 0), (10, 0), (10, 0)), 0.95).decision is Decision.UNDECIDED
    assert judge(slo, counted((100, 0), (100, 0), (100, 0)), 0.95).decision is Decision.MET


def test_the_interval_of_a_share_holds_its_truth_as_often_as_it_says() -> None:
    """Rows differ much between replications, and busy ones are worse: the mean of shares would be too low."""
    random, slo, held = np.random.default_rng(1), Objective("all", Kind.REFUSED, 0.5), []
    truth = 0.1 * 2 / 1.5  # of 100 rows a tenth half of the time, of 200 rows 0.15 the other half
    for _ in range(1000):
        busy = random.random(30) < 0.5
        rows = np.where(busy, 200, 100)
        bad = random.binomial(rows, np.where(busy, 0.15, 0.1))
        found = judge(slo, counted(*zip(rows.tolist(), bad.tolist(), strict=True)), 0.9).bad_share
        held.append(found["low"] <= truth <= found["high"])
    assert 0.86 < np.mean(held) < 0.93


def test_who_was_not_answered_rightly_is_bad_however_fast() -> None:
    rows = Rows(["a"], np.zeros(4, dtype=int), np.arange(4.0), np.array([1.0, 9.0, 0.1, 0.1]), np.array([1, 1, 2, 3]))
    found = count(Objective("all", Kind.RESPONSE, 0.05, 2.0), rows, 0.0)
    assert (found.rows, found.bad, found.times_s.tolist()) == (4, 3, [1.0, 9.0, math.inf, math.inf])
    assert count(Objective("a", Kind.REFUSED, 0.05), rows, 0.0).bad == 1
    assert count(Objective("all", Kind.ABANDONED, 0.05), rows, 3.0).bad == 1
    assert End.REFUSED == 2


def test_a_tenth_of_the_dossiers_stands_for_ten_times_the_arrivals_and_for_all_passes_by_the_clock(
    scenario: Scenario, planned: Callable[..., plan.Plan]
) -> None:
    each = 40
    names = ["citizen_tracks", *BY_THE_CLOCK] * each
    drawn = planned([number / 10 for number in range(len(names))])
    place = plan.SCHEMA.get_field_index("journey")
    table = drawn.table.set_column(place, "journey", pa.array(names).dictionary_encode())
    subject = BusiestWindow(scenario, plan.make(table, replace(drawn.meta, scale=0.1)))
    redrawn = [subject.redrawn(1.0, number).table["journey"].to_pylist() for number in range(20)]
    found = Counter(name for journeys in redrawn for name in journeys)
    assert found["citizen_tracks"] == pytest.approx(20 * 10 * each, rel=0.05)
    for name in BY_THE_CLOCK:
        assert found[name] == pytest.approx(20 * each, rel=0.15)


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> tuple[Scenario, plan.Plan]:
    scenario = load(ROOT / "scenarios" / "adoption-43-to-85.toml")
    known = agencies.load(ROOT / "scenarios" / "agencies.csv", scenario)
    into = run.Level(tmp_path_factory.mktemp("level"))
    return scenario, level.draw(scenario, known, 85, 0.02, into)


@pytest.mark.slow
def test_a_window_drawn_anew_is_as_busy_as_the_country(window: tuple[Scenario, plan.Plan]) -> None:
    scenario, drawn = window
    subject = BusiestWindow(scenario, drawn)
    whole = dict.fromkeys(subject._names, 0.0)
    for entry in drawn.table.to_pylist():
        whole[entry["operation"]] += 1 if entry["journey"] in BY_THE_CLOCK else 50
    works = [subject.draw(1.0, number).work for number in range(20)]
    found = np.mean([np.bincount(work.kind, minlength=len(whole)) for work in works], axis=0)
    for (name, expected), mean in zip(whole.items(), found, strict=True):
        assert mean == pytest.approx(expected, abs=5 * math.sqrt(max(2 * expected, 50) / 20)), name
    twice = subject.draw(2.0, 0).work
    assert twice.arrivals == pytest.approx(2 * works[0].arrivals, rel=0.1)


@pytest.mark.slow
def test_the_portal_is_sized_for_the_busiest_window(window: tuple[Scenario, plan.Plan]) -> None:
    scenario, drawn = window
    subject = BusiestWindow(scenario, drawn)
    subject.replications, subject.most_replications = 5, 5
    found = capacity.find(Trials(subject))
    assert found.today.decision is Decision.MET
    assert found.needed is not None
    assert found.needed.trial.sizes == (1,) * len(scenario.portal.stations)
    assert found.rate.missed is not None
    assert 1 < found.rate.low <= found.rate.high < 20


def test_a_network_behind_a_waiting_room_is_sized(tmp_path: Path) -> None:
    text = TANDEM.replace("10000", "2000") + "\nadmission = { inside = 5 }\n"
    trials = Trials(OwnNetwork(network(tmp_path, text)))
    sizes = trials.subject.today
    rate = capacity.highest_rate(trials)
    found = capacity.Capacity(trials.at(sizes), trials.at((3, 3)), trials.offered_load(), None, rate, None)
    assert list(as_json(found, trials)["stations"]) == ["first", "second"]


def test_the_example_of_the_page_loads(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "capacity.md").read_text(encoding="utf-8")
    assert network(tmp_path, page.split("```toml\n")[1].split("```")[0]).slo


@pytest.mark.slow
def test_the_worked_answer_of_the_page(tmp_path: Path) -> None:
    """Nine servers for the hour after the outage, as docs/capacity.md says; none for the outage itself."""
    file = ROOT / "scenarios" / "network-december-outage.toml"
    found = needed(Trials(OwnNetwork(load_document(file, NetworkScenario))))
    assert found.trial.sizes == (9,)
    assert found.neighbours[0].decision is Decision.MISSED
    during = file.read_text(encoding="utf-8").replace("warm_up =", "# warm_up =")
    trials = Trials(OwnNetwork(network(tmp_path, during)))
    assert trials.at((INFINITE,)).decision is Decision.MISSED
