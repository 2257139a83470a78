"""A planner's own network: its file, its mistakes, its arrivals, the command, and every example of docs/networks.md."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from caodiem.behaviour import Time
from caodiem.cli import app
from caodiem.errors import UsageError
from caodiem.network import NetworkScenario
from caodiem.scenario_file import ScenarioError, load_document
from simulation import arrivals, distributions, expectation, figures, own, replications
from simulation.distributions import Empirical, Exponential, Fixed, Gamma, Lognormal, Mixture, Uniform
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "networks.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
SHORT = EXAMPLES[0]
BUSY = SHORT.replace("rate = 0.9 ", "rate = 0.95 ")
FILES = sorted((ROOT / "scenarios").glob("network-*.toml"))


def loaded(tmp_path: Path, text: str) -> NetworkScenario:
    path = tmp_path / "network.toml"
    path.write_text(text, encoding="utf-8")
    return load_document(path, NetworkScenario)


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: text.split('"')[1])
def test_every_example_of_the_page_runs_alike_on_both_engines(tmp_path: Path, text: str) -> None:
    scenario = loaded(tmp_path, text)
    network = own.network_of(scenario)
    work, _ = own.draw(scenario, network, 0)
    engines = [replications.choose(name, network) for name in ("compiled", "reference")]
    compiled, reference = (run(network, work) for _, run, _ in engines)
    assert compiled.same_as(reference)
    found = replications.simulate(with_run(scenario, replications=2))
    assert found["engine"] == "compiled"
    assert found["notices"] == []
    assert found["system"]["completed"]["value"] > 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_network_of_ours_runs(path: Path) -> None:
    scenario = load_document(path, NetworkScenario)
    # Where the file says what to leave out, nothing would be left of a shorter horizon.
    part = 20 if scenario.run.warm_up is None else 1
    short = scenario.run.horizon.model_copy(update={"value": scenario.run.horizon.value / part})
    found = replications.simulate(with_run(scenario, horizon=short, replications=2))
    assert found["system"]["completed"]["value"] > 0


def with_run(scenario: NetworkScenario, **changes: Any) -> NetworkScenario:
    return scenario.model_copy(update={"run": scenario.run.model_copy(update=changes)})


def test_the_command_prints_a_table_or_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "desk.toml").write_text(SHORT)
    said = CliRunner().invoke(app, ["simulate", "desk.toml"])
    assert said.exit_code == 0, said.output
    assert "utilisation 0.8" in said.stdout
    folder = Path(said.stdout.splitlines()[-1])
    printed = json.loads(CliRunner().invoke(app, ["simulate", "desk.toml", "--json"]).stdout)
    assert printed["stations"] == json.loads((folder / "network.json").read_text())["stations"]
    desk = printed["stations"]["desk"]
    for figure in (desk["arrivals"], desk["wait_s"]["mean"], desk["response_s"]["p99"], desk["utilisation"]):
        assert figure["low"] <= figure["value"] <= figure["high"]
    assert json.loads((folder / "manifest.json").read_text())["state"] == "finished"


MISTAKES = {
    "unit": ('rate = 0.9', 'rate = { value = 1, unit = "per secnd" }', "arrivals.rate.unit", "'per second' or"),
    "key": ("servers = 1", "servers = 1\nbrakes = 3", "stations[0].brakes", "one of name, servers, queue"),
    "source": ("rate = 0.9", 'rate = { value = 1, evidence = "seed" }', "arrivals.rate.evidence", "'assumed'"),
    "evidence": ("mean = 1", 'mean = { value = 1, evidence = "guess" }', "service.mean.evidence", "'assumed'"),
    "distribution": ('"exponential"', '"exponental"', "service.distribution", "did you mean 'exponential'?"),
    "parameter": ('"exponential"', '"gamma"', "service.variation", "gamma times need mean, variation"),
    "parameter too many": ("mean = 1", "mean = 1, low = 2", "service.low", "exponential times have mean"),
    "servers": ("servers = 1", "servers = 0", "stations[0].servers", "at least 1 server at some time"),
    "half a server": ("servers = 1", "servers = 1.5", "stations[0].servers", "a whole number of servers"),
    "word": ("servers = 1", 'servers = "many"', "stations[0].servers", "a number, or a table like"),
    "nowhere": ("[arrivals]\nrate = 0.9", "", "arrivals", "this key is required"),
    "name": ('name = "desk"', 'name = ""', "stations[0].name", "a text that is not empty"),
    "route": ("[run]", '[[routes]]\nfrom = "desk"\nto = "dsk"\nprobability = 1\n[run]', "routes[0].to", "one of desk"),
    "no way out": ("[run]", '[[routes]]\nfrom = "desk"\nto = "desk"\nprobability = 1\n[run]', "routes", "a way out"),
    "journey": ("rate = 0.9", 'rate = 0.9\njourney = "x"', "arrivals[0].journey", "there are no journeys"),
    "two kinds": ("rate = 0.9", "rate = 0.9\ninterval = 1", "rate", "exactly one of rate, points, interval, times"),
    "points without number": ("rate = 0.9", "points = [[0, 1], [9, nan]]", "arrivals.points", "finite number"),
    "points backwards": ("rate = 0.9", "points = [[0, 1], [9, 1], [3, 2]]", "arrivals.points", "times that rise"),
    "points below zero": ("rate = 0.9", "points = [[0, 1], [9, -1]]", "arrivals.points", "rates from 0 to 1e+09"),
    "gaps of nothing": (
        "rate = 0.9", 'interval = { distribution = "uniform", low = 0, high = 0 }', "arrivals.interval",
        "gaps above 0"),
    "batches without end": (
        "rate = 0.9", 'interval = { distribution = "mixture", parts = [0, 5], weights = [1, 0] }', "arrivals.interval",
        "gaps above 0"),
    "pauses without end": (
        "[run]", "[retries]\nattempts = 99\npause = 1\n[run]", "retries.longest", "the last pause would be"),
    "times beyond all": (
        'service = { distribution = "exponential", mean = 1 }',
        'service = { distribution = "empirical", values = [1e300] }', "service.values.value", "up to 1e+12 seconds"),
    "outage": ("servers = 1", "servers = 1\noutages = [{ from = 5, to = 4 }]", "outages[0]", "spans in order"),
    "calendar": (
        "servers = 1", 'servers = 1\ncalendar = { period = "day", open = [{ from = "17:00", to = "08:00" }] }',
        "calendar.open", "spans within 86400 seconds"),
    "calendar of a moment": (
        "servers = 1", "servers = 1\ncalendar = { period = 1e-9, open = [{ from = 0, to = 1e-10 }] }",
        "calendar.period", "at least 1 second"),
    "values": (
        'service = { distribution = "exponential", mean = 1 }',
        'service = { distribution = "empirical", values = { value = [1], unit = "weeks" } }',
        "service.values.unit", "'seconds' or 'milliseconds'"),
    "horizon": ("horizon = 20000", "horizon = 0", "run.horizon", "more than 0 seconds"),
    "breaker": (
        "servers = 1", "servers = 1\nbreaker = { share = 0, calls = 5, open = 1 }", "breaker.share", "more than 0"),
    "breaker's least": (
        "servers = 1", "servers = 1\nbreaker = { share = 1, calls = 5, least = 6, open = 1 }", "breaker.least",
        "at most calls, 5"),
    "pace": ("servers = 1", "servers = 1\npace = { rate = 0 }", "pace.rate", "more than 0"),
    "admission": ("[run]", "[admission]\nroom = 5\n[run]", "admission.inside", "one of inside, rate, or both"),
    "entrance": (
        '[[stations]]\nname = "desk"', '[admission]\ninside = 1\n[[stations]]\nname = "entrance"', "stations[0].name",
        "a name that no other station has"),
    "journey's name": (
        "[run]", '[[journeys]]\nname = "a"\nroute = ["desk"]\n[[journeys]]\nname = "a"\nroute = ["desk"]\n[run]',
        "journeys[1].name", "a name that no other journey has"),
    **{
        f"interval {number}": ("rate = 0.9", f"interval = {nothing}", "interval", "gaps above 0 seconds")
        for number, nothing in enumerate((
            "0",
            '{ distribution = "uniform", low = 0, high = 0 }',
            '{ distribution = "empirical", values = [0, 0] }',
            '{ distribution = "mixture", weights = [1, 0], parts = [0, 1] }',
        ))
    },
    "a misspelt key, which is missing too": ("servers = 1", "sevrers = 1", "stations[0].sevrers", "mean 'servers'?"),
    "a period that is no word": (
        "servers = 1", 'servers = 1\ncalendar = { period = "month", open = [{ from = 1, to = 2 }] }',
        "calendar.period = 'month'", "one of day, week; or a number, or a table like"),
    "a period below zero": (
        "servers = 1", "servers = 1\ncalendar = { period = -5, open = [{ from = 1, to = 2 }] }",
        "calendar.period.value = -5.0", "0 to 1e+12 seconds"),
    "the unit of a period": (
        "servers = 1",
        'servers = 1\ncalendar = { period = { value = 1, unit = "week" }, open = [{ from = 1, to = 2 }] }',
        "stations[0].calendar.period.unit", "'seconds' or"),
    "no day": (
        "servers = 1", 'servers = 1\ncalendar = { period = "week", open = [{ days = [], from = 1, to = 2 }] }',
        "open[0].days = []", "at least 1 of them"),
    "a time of no day": (
        "servers = 1", 'servers = 1\ncalendar = { period = "day", open = [{ from = "07:00", to = "25:00" }] }',
        "open[0].to = '25:00'", 'a time from "00:00" to "24:00"'),
    "a time of TOML's": (
        "servers = 1", 'servers = 1\ncalendar = { period = "day", open = [{ from = 07:00:00, to = "09:00" }] }',
        "open[0].from = 07:00:00", 'a time from "00:00" to "24:00"'),
    "turns without end": (
        "servers = 1\n" + SHORT.partition("servers = 1\n")[2].partition("20000")[0] + "20000",
        "servers = 1\nservice = 1\ncalendar = { period = 1, open = [{ from = 0, to = 0.5 }] }\n[run]\nhorizon = 2e6",
        "calendar.period = 1.0", "opens at most 1,000,000 times before the horizon, not 2e+06"),
    "warm-up that is no word": ("horizon = 20000", 'horizon = 20000\nwarm_up = "mser"', "run.warm_up", "one of mser5"),
    "a misspelt station": (
        "[run]", '[[journeys]]\nname = "a"\nroute = ["dsk"]\n[run]', "journeys[0].route", "did you mean 'desk'?"),
    "engine": ("horizon = 20000", 'horizon = 20000\nengine = "gpu"', "run.engine", "one of auto, compiled, reference"),
    "one station": ("[[stations]]", "[stations]", "stations = {", "a list of tables, each headed [[stations]],"),
    "stations of numbers": (
        '[[stations]]\nname = "desk"\nservers = 1\nservice = { distribution = "exponential", mean = 1 }',
        "[stations]\na = 1", "stations = {'a': 1}", "a list of tables, each headed [[stations]],"),
    "points of numbers": ("rate = 0.9", "points = [[0, 1], 5]", "arrivals.points[1] = 5", "a pair of numbers"),
    "points of three": ("rate = 0.9", "points = [[0, 1], [1, 2, 3]]", "arrivals.points[1]", "a pair of numbers"),
    "points in words": ("rate = 0.9", 'points = "0 1"', "arrivals.points", "a list like [[0, 1], [60, 2]]"),
    "a rate in words": ("rate = 0.9", 'rate = "fast"', "arrivals.rate", "a number, or a table like"),
    "a truth for a number": ("rate = 0.9", "rate = { value = true }", "arrivals.rate.value = true", "a number"),
    "a text for a number": ("rate = 0.9", 'rate = { value = "5" }', "arrivals.rate.value = '5'", "a number"),
    "a day for a number": ("rate = 0.9", "rate = 2024-01-01", "arrivals.rate = 2024-01-01", "a number"),
    "a bound without number": ("rate = 0.9", "rate = { value = 1, low = nan }", "arrivals.rate.low", "a finite number"),
    "a truth for a seed": ("horizon = 20000", "horizon = 20000\nseed = true", "run.seed = true", "a whole number"),
    "a text for a seed": ("horizon = 20000", 'horizon = 20000\nseed = "1"', "run.seed = '1'", "a whole number"),
    "half a seed": ("horizon = 20000", "horizon = 20000\nseed = 1.5", "run.seed = 1.5", "a whole number"),
    "a truth for a time": (
        'service = { distribution = "exponential", mean = 1 }',
        'service = { distribution = "empirical", values = [1, true] }', "service.values[1] = true", "a number"),
    "variation beyond all": (
        '"exponential", mean = 1', '"gamma", mean = 1, variation = 1e6', "variation.value", "0 to 100"),
    "hardly any variation": (
        '"exponential", mean = 1', '"gamma", mean = 1, variation = 1e-300', "variation.value", "0, or 1e-06 to 100"),
    "a name of two lines": ('name = "desk"', 'name = "a\\nb"', "stations[0].name = 'a\\nb'", "one line, without"),
    "a name that steers a terminal": ('name = "desk"', 'name = "\\u001b[31m"', "stations[0].name", "one line, without"),
    "a name of a page": ('name = "desk"', f'name = "{"n" * 1000}"', "stations[0].name", "at most 200 letters"),
    "a journey of all": (
        "[run]", '[[journeys]]\nname = "all"\nroute = ["desk"]\n[[journeys]]\nname = "b"\nroute = ["desk"]\n[run]',
        "journeys[0].name", "another name than"),
    "a key with a dot": ("[run]", '[run]\n"a.b" = 1', 'run."a.b"', "one of horizon, replications"),
    "an outage too late": (
        "servers = 1", "servers = 1\noutages = [{ from = 20000, to = 20001 }]", "stations[0].outages[0]",
        "a beginning before the horizon, 20000 seconds"),
    "a slow-down too late": (
        "servers = 1", "servers = 1\nslowdowns = [{ from = 1e6, to = 2e6, factor = 2 }]", "stations[0].slowdowns[0]",
        "a beginning before the horizon, 20000 seconds"),
    "priority": (
        "[run]", '[[journeys]]\nname = "a"\npriority = 99999999999999999999\nroute = ["desk"]\n[run]',
        "journeys[0].priority", "at most 1000000"),
    "warm-up": ("horizon = 20000", "horizon = 20000\nwarm_up = 20000", "run.warm_up", "less than the horizon"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_with_its_key_and_what_is_accepted(tmp_path: Path, name: str) -> None:
    good, bad, key, expected = MISTAKES[name]
    assert good in SHORT
    with pytest.raises(ScenarioError) as caught:
        loaded(tmp_path, SHORT.replace(good, bad, 1))
    (told,) = str(caught.value).splitlines()
    assert key in told
    assert expected in told
    assert str(tmp_path / "network.toml") in told


VISITS = '{ station = "desk", visits = 1000 },'


@pytest.mark.parametrize(
    ("good", "bad", "told"),
    [
        ("rate = 0.9", "rate = 0", "arrivals: 0 come in 20000 seconds in the mean, hardly one in 10 replications"),
        ("rate = 0.9", "rate = 1e-300", "arrivals: 2e-296 come in 20000 seconds"),
        ("rate = 0.9", "times = [20000, 30000]", "arrivals: 0 come in 20000 seconds"),
        ("horizon = 20000", "horizon = 1e12", "run.horizon = 1e+12 seconds: a replication makes 9e+11 visits"),
        ("[run]", f'[[journeys]]\nname = "a"\nsteps = [{{ visits = [{VISITS * 5}] }}]\n[run]\nengine = "compiled"',
         'run.engine = "compiled": the compiled engine takes no operation of more than'),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["simulate", "check"])
def test_what_proves_nothing_or_does_not_fit_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, good: str, bad: str, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "network.toml").write_text(SHORT.replace(good, bad, 1))
    said = CliRunner().invoke(app, [command, "network.toml"])
    assert isinstance(said.exception, UsageError)
    assert str(said.exception).startswith(f"network.toml: {told}")
    assert "\n" not in str(said.exception)
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("command", ["simulate", "size"])
def test_what_only_drawing_shows_to_be_wrong_leaves_no_run_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(arrivals, "_MOST_UNEVEN", 10_000)
    monkeypatch.chdir(tmp_path)
    uneven = 'interval = { distribution = "mixture", parts = [0, 1e12], weights = [1, 1e-12] }'
    slo = "slo = [{ quantile = 95, response = 6 }]\n"
    (tmp_path / "network.toml").write_text(slo + SHORT.replace("rate = 0.9", uneven, 1))
    said = CliRunner().invoke(app, [command, "network.toml"])
    assert isinstance(said.exception, UsageError)
    assert str(said.exception).startswith("arrivals: the first")
    assert not list(tmp_path.glob("results/runs/*"))


LOOP = '[[routes]]\nfrom = "desk"\nto = "desk"\nprobability = 0.9999999\n[run]'


@pytest.mark.parametrize(
    ("good", "bad"),
    [("horizon = 20000", "horizon = 1e12"), ("rate = 0.9", "interval = 1e-99"), ("[run]", LOOP), ("0.9", "1e8")],
    ids=["horizon", "gaps", "a loop hardly ever left", "rate"],
)
def test_what_does_not_fit_into_memory_is_refused_before_it_is_tried(tmp_path: Path, good: str, bad: str) -> None:
    with pytest.raises(UsageError, match=r"run.horizon = .* visits.* GiB of .*expected at most .* seconds"):
        replications.simulate(loaded(tmp_path, SHORT.replace(good, bad, 1)))


def test_a_station_without_a_steady_state_is_told(tmp_path: Path) -> None:
    text = SHORT.replace("rate = 0.9", "rate = 0.6").replace("20000", "500")
    walk = '[[routes]]\nfrom = "desk"\nto = "desk"\nprobability = 0.5\n[run]'
    told = replications.simulate(loaded(tmp_path, text.replace("[run]", walk, 1)))["notices"]
    assert any(note.startswith("desk: 1.2 erlangs of work for 1 servers") for note in told)
    others = (text, text.replace("[run]", walk, 1).replace("servers = 1", "servers = 1\nqueue = 5", 1))
    assert not any(
        "erlangs" in note for each in others for note in replications.simulate(loaded(tmp_path, each))["notices"]
    )


def test_expected_visits_are_those_made(tmp_path: Path) -> None:
    """Held against a replication's work: streams of every kind, journeys given and shared out, routes."""
    text = """
        [[arrivals]]
        points = [[0, 1], [100, 1], [100, 0]]
        repeat = 200
        [[arrivals]]
        interval = { distribution = "uniform", low = 0, high = 2 }
        journey = "y"
        [[arrivals]]
        times = [1, 2, 3]
        [[stations]]
        name = "a"
        servers = "infinite"
        service = 1
        [[stations]]
        name = "b"
        servers = "infinite"
        service = 1
        [[journeys]]
        name = "x"
        share = 3
        route = [{ station = "a", visits = 2 }, "b"]
        [[journeys]]
        name = "y"
        steps = [{ visits = ["b"] }, { visits = ["b", "b"] }]
        [run]
        horizon = 20000
        """
    scenario = loaded(tmp_path, text)
    work, _ = own.draw(scenario, own.network_of(scenario), 0)
    expected = sum(count for _, count in expectation.visits(scenario))
    assert expected == pytest.approx(10003 * 3 + 20000 * 3)
    assert len(work.service_s) == pytest.approx(expected, rel=0.02)


def test_mistakes_are_told_all_at_once(tmp_path: Path) -> None:
    text = SHORT
    for name in ("unit", "key", "parameter"):
        text = text.replace(MISTAKES[name][0], MISTAKES[name][1], 1)
    with pytest.raises(ScenarioError) as caught:
        loaded(tmp_path, text)
    assert len(caught.value.problems) == 3


def test_every_key_is_described() -> None:
    from caodiem import behaviour, network

    parts = ("Arrivals", "Station", "Calendar", "Opening", "Outage", "Journey", "Step", "Visit", "Retries", "Objective")
    for name in (*parts, "Run", "Breaker", "Pace", "Admission"):
        for key, field in getattr(network, name, getattr(behaviour, name, None)).model_fields.items():
            assert f"`{field.alias or key}`" in PAGE, (name, key)


def test_the_n_th_arrival_is_where_the_cumulative_rate_reaches_the_n_th_unit() -> None:
    """Held against numerical integration of the rate between arrivals: unit exponentials, whatever the rate."""
    points = [(0.0, 0.0), (10.0, 5.0), (10.0, 1.0), (20.0, 0.0), (40.0, 0.0), (50.0, 3.0)]
    due = arrivals.by_rate(points, 60.0, 600.0, 3, "a")
    assert not np.any((due % 60 > 20) & (due % 60 <= 40)), "nobody comes while the rate is 0"
    assert np.all(np.diff(due) > 0)
    fine = np.linspace(0, 600, 6_000_001)
    rate = np.interp(fine % 60, [0, 10, 10 + 1e-9, 20, 40, 50, 60], [0, 5, 1, 0, 0, 3, 3])
    cumulated = np.concatenate([[0], np.cumsum((rate[1:] + rate[:-1]) / 2 * np.diff(fine))])
    reached = np.interp(due, fine, cumulated)
    assert reached == pytest.approx(arrivals._units(cumulated[-1] + 1, 3, "a")[: len(due)], abs=1e-3)


def test_a_constant_rate_by_points_is_a_constant_rate() -> None:
    by_points = arrivals.by_rate([(0.0, 2.0), (7.0, 2.0)], math.inf, 100.0, 5, "a")
    assert by_points == pytest.approx(arrivals.poisson(2.0, 100.0, 5, "a"))


@pytest.mark.parametrize(("repeat_s", "horizon_s"), [(100.0, 1000.0), (math.inf, 100.0), (math.inf, 50.0)])
def test_a_jump_where_a_turn_or_the_horizon_ends_changes_nothing_before_it(repeat_s: float, horizon_s: float) -> None:
    steps = [(0.0, 1.0), (50.0, 1.0), (50.0, 3.0), (100.0, 3.0)]
    closed = arrivals.by_rate([*steps, (100.0, 1.0)], repeat_s, horizon_s, 3, "a")
    assert closed == pytest.approx(arrivals.by_rate(steps, 100.0, horizon_s, 3, "a"))
    early = closed[closed < 50]
    assert early == pytest.approx(arrivals.poisson(1.0, 50.0, 3, "a"))


def test_gaps_whose_mean_says_nothing_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nearly all are 0, and the one of a trillion seconds that makes the mean is never drawn."""
    monkeypatch.setattr(arrivals, "_MOST_UNEVEN", 10_000)
    gaps = Mixture((Fixed(0.0), Fixed(1e12)), (1.0, 1e-12))
    with pytest.raises(UsageError, match="come to 0 of 100 seconds; expected gaps of 1 seconds in the mean"):
        arrivals.renewal(gaps, 100.0, 1, "a")


def test_regular_arrivals_and_listed_ones() -> None:
    assert arrivals.renewal(Fixed(2.0), 7.0, 1, "a").tolist() == [2.0, 4.0, 6.0]


@pytest.mark.parametrize(
    ("times", "variation"),
    [
        (Fixed(2.0), 0.0),
        (Exponential(2.0), 1.0),
        (Gamma(2.0, 0.5), 0.5),
        (Lognormal(2.0, 0.7), 0.7),
        (Uniform(1.0, 3.0), 1 / math.sqrt(12)),
        (Empirical((1.0, 3.0)), 0.5),
        (Mixture((Exponential(1.0), Exponential(3.0)), (1.0, 1.0)), math.sqrt(6) / 2),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_distribution_has_the_mean_and_the_variation_that_it_says(times: Any, variation: float) -> None:
    chance = (np.arange(1_000_000) + 0.5) / 1e6
    drawn = times.times_s(chance)
    assert times.mean_s == pytest.approx(2.0)
    assert drawn.mean() == pytest.approx(2.0, rel=1e-3)
    assert drawn.std() / drawn.mean() == pytest.approx(variation, rel=1e-2, abs=1e-9)


@pytest.mark.parametrize("name", ["gamma", "lognormal"])
def test_times_of_mean_0_are_0(name: str) -> None:
    given = Time.model_validate({"distribution": name, "mean": 0, "variation": 2})
    assert not distributions.of(given).times_s(np.array([0.001, 0.5, 0.999])).any()


def test_mser5_leaves_out_what_leads_in() -> None:
    noise = np.sin(np.arange(1000) * 7.7)
    assert replications.mser5(noise) < 50
    rising = noise + 20 * np.exp(-np.arange(1000) / 50)
    assert 100 < replications.mser5(rising) < 400
    assert replications.mser5(np.ones(7)) == 0
    by_definition = rising.reshape(-1, 5).mean(axis=1)
    errors = [by_definition[d:].var() / (200 - d) for d in range(101)]
    assert replications.mser5(rising) == 5 * int(np.argmin(errors))


def test_an_interval_holds_its_truth_as_often_as_it_says() -> None:
    values = np.random.default_rng(1).exponential(size=(2000, 30)).tolist()
    held = [replications.interval(each, 0.9) for each in values]
    assert 0.87 < np.mean([each["low"] <= 1 <= each["high"] for each in held]) < 0.92


def test_quantiles_are_of_all_replications_values_together() -> None:
    drawn = np.random.default_rng(2)
    values = [drawn.exponential(size=count) for count in (7, 0, 400, 1)]
    pooled, together = figures.pooled([figures.Spread(each) for each in values]), np.concatenate(values)
    for q in figures.QUANTILES.values():
        assert pooled.quantile(q) == np.quantile(together, q, method="inverted_cdf")
    assert (pooled.quantile(-0.1), pooled.quantile(1.1)) == (together.min(), together.max())
    nothing = replications.intervals([{"wait_s": figures.Spread(np.empty(0))}] * 2, 0.95)["wait_s"]
    assert np.isnan([*nothing["mean"].values(), *nothing["p99"].values()]).all()


def test_many_values_are_pooled_to_a_part_in_20_000_of_a_rank() -> None:
    drawn = np.random.default_rng(3)
    values = [drawn.exponential(scale, size=count) for scale, count in ((1, 300_000), (3, 50_001))]
    pooled, together = figures.pooled([figures.Spread(each) for each in values]), np.concatenate(values)
    for q in figures.QUANTILES.values():
        assert np.mean(together <= pooled.quantile(q)) == pytest.approx(q, abs=5e-5)


def test_the_interval_of_a_quantile_holds_its_truth_about_as_often_as_it_says() -> None:
    """Clusters of unlike sizes whose values go together: taken for independent, they would seldom hold it."""
    drawn, held = np.random.default_rng(4), []
    for _ in range(200):
        levels, sizes = drawn.exponential(size=60), drawn.integers(100, 300, size=60)
        spreads = [figures.Spread(level + drawn.exponential(size=n)) for level, n in zip(levels, sizes, strict=True)]
        found = replications.intervals([{"wait_s": each} for each in spreads], 0.9)["wait_s"]["p90"]
        held.append(found["low"] <= 3.88972 <= found["high"])  # of a gamma of shape 2
    assert 0.78 < np.mean(held) < 0.94


@pytest.mark.slow
def test_quantiles_of_short_busy_runs_hold_their_truth(tmp_path: Path) -> None:
    """M/M/1 at .95 over some twelve relaxation times: each run's own p99 is a fifth too low in the mean."""
    exact = {"p95": math.log(20) / 0.05, "p99": math.log(100) / 0.05}
    scenario = loaded(tmp_path, BUSY)
    found = [replications.simulate(with_run(scenario, seed=seed))["system"]["response_s"] for seed in range(40)]
    for name, truth in exact.items():
        assert sum(each[name]["low"] <= truth <= each[name]["high"] for each in found) >= 33  # of 38 to be expected
        assert np.mean([each[name]["value"] for each in found]) == pytest.approx(truth, rel=0.08)


def test_replications_go_on_until_the_precision_is_reached(tmp_path: Path) -> None:
    scenario = with_run(loaded(tmp_path, SHORT), replications=3, precision=0.05, most_replications=60)
    found = replications.simulate(scenario)
    mean = found["system"]["response_s"]["mean"]
    assert 3 < found["replications"] < 60
    assert (mean["high"] - mean["low"]) / 2 <= 0.05 * mean["value"]
    short = replications.simulate(with_run(scenario, most_replications=4))
    assert short["replications"] == 4
    assert "was not reached in 4 replications" in short["notices"][0]


def test_more_servers_share_their_random_numbers(tmp_path: Path) -> None:
    """Common random numbers: the same clients come with the same work, and nobody waits longer for a second desk."""
    one, two = loaded(tmp_path, SHORT), loaded(tmp_path, SHORT.replace("servers = 1", "servers = 2"))
    works = [own.draw(each, own.network_of(each), 3)[0] for each in (one, two)]
    assert np.array_equal(works[0].due_s, works[1].due_s)
    assert np.array_equal(works[0].service_s, works[1].service_s)
    logs = [replications.choose("auto", own.network_of(each))[1](own.network_of(each), works[0]) for each in (one, two)]
    assert np.all(logs[1].visits["left_s"] <= logs[0].visits["left_s"])
