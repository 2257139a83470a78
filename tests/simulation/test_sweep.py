"""Sweeps: the grid and its mistakes, going on after an end, figures as `simulate` gives them, a Dask worker's death."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from caodiem import run, setting, studies
from caodiem.cli import app
from caodiem.errors import InvalidRun, UsageError
from caodiem.network import NetworkScenario
from caodiem.progress import bars
from caodiem.report.network import rounded
from caodiem.report.sweep import lines, shown_columns
from caodiem.scenario_file import load_document
from simulation import replications, sweep
from simulation.sweep import Point
from tests.conftest import ROOT

MAIN = ROOT / "scenarios" / "adoption-43-to-85.toml"
TWO = """
title = "Two rooms"
arrivals = {{ rate = 0.5 }}
stations = [
    {{ name = "first", servers = 1, service = {{ distribution = "exponential", mean = 1 }} }},
    {{ name = "second", servers = 1, service = {{ distribution = "exponential", mean = 0.5 }} }},
]
run = {{ horizon = {horizon}, replications = 3, warm_up = 100 }}
"""
SETS = ["--set", "arrivals.rate=0.2,0.4", "--set", "stations[0].servers=1,2,3"]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("two.toml").write_text(TWO.format(horizon=2000))
    return "two.toml"


def points(file: str, *texts: str) -> list[Point]:
    return studies.plan_sweep(Path(file), list(texts), 1.0)


def test_values_are_toml_and_bare_words_are_texts() -> None:
    found = setting.parse(["a.b=1,2.5", "c[0].d=infinite,3", "levels=[43],[43, 85]", "on=true", "e='x,y'"])
    assert [each.values for each in found] == [(1, 2.5), ("infinite", 3), ([43], [43, 85]), (True,), ("x,y",)]
    assert [each.location for each in found] == [("a", "b"), ("c", 0, "d"), ("levels",), ("on",), ("e",)]
    assert len(setting.grid(found)) == 8


def test_mistakes_in_settings_are_told_at_once() -> None:
    within = ["e[0]=1", "e[00]=2", "e=[1]", "e[0].f=1"]
    with pytest.raises(UsageError) as caught:
        setting.parse(["=1", "a", "b=", "c=1,1", "c=,", "c=1,1.0", "d=1", "d=2", "[0].x=1", *within])
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "--set =1", "--set a", "--set b=", "--set c=1,1", "--set c=,", "--set c=1,1.0", "--set d=2", "--set [0].x=1",
        "--set e[00]=2", "--set e=[1]", "--set e[0].f=1",
    ]  # fmt: skip
    assert "--set e=[1]: expected each key once, and none within another; e[0] is set above" in str(caught.value)
    assert len(setting.parse(["on=true,1", "a.b=1", "a.c=1", "ab=1"])) == 4


def test_mistakes_in_keys_and_values_are_told_at_once_before_anything_runs(file: str) -> None:
    texts = ["stations[2].servers=1", "stations[0].servrs=2", "arrivals.rate=0.1,-1,x", "title.x=1"]
    with pytest.raises(UsageError) as caught:
        points(file, *texts)
    told = str(caught.value)
    assert "--set: stations[2].servers = 1: expected a place of stations from 0 to 1" in told
    assert "--set: stations[0].servrs = 2: expected one of name, servers" in told
    assert "--set: arrivals.rate.value = -1.0: expected 0 to 1e+09 per second" in told
    assert "--set: arrivals.rate = 'x': expected a number" in told
    assert "--set: title.x = 1: expected a key of the scenario; title is no table" in told
    assert not Path("results").exists()


def test_a_mistake_that_a_setting_makes_is_not_the_file_s(file: str) -> None:
    with pytest.raises(UsageError) as caught:
        points(file, "stations[0].servers=0", "run.horizon=50")
    assert "--set: stations[0].servers = 0.0: expected at least 1 server" in str(caught.value)
    assert "two.toml: run.warm_up = 100.0: expected less than the horizon" in str(caught.value)
    with pytest.raises(UsageError, match=r"^--set: year = \{'level': 43\}: expected one of title"):
        points(file, "year.level=43")
    with pytest.raises(UsageError, match=r"--set: levels = 43: expected a list, as \[43\]"):
        studies.plan_sweep(MAIN, ["levels=43"], 0.1)


def test_a_swept_number_keeps_its_unit_and_is_assumed(file: str) -> None:
    (point, _) = studies.plan_sweep(MAIN, ["casework.processing=20,300"], 0.1)
    changed = point.scenario.casework.processing  # type: ignore[union-attr]
    assert (changed.value, changed.unit, changed.source, changed.evidence) == (20, "working hours", "own", "assumed")
    assert changed.low is None
    with pytest.raises(UsageError, match=r"--set: casework.processing.value = -1.0: expected 0 to 10000 working hours"):
        studies.plan_sweep(MAIN, ["casework.processing=-1"], 0.1)
    with pytest.raises(UsageError, match="which the path of `adoption` reaches"):
        studies.plan_sweep(MAIN, ["levels=[43],[100]"], 0.1)


def test_a_point_has_the_agencies_that_its_scenario_names() -> None:
    merged = ROOT / "scenarios" / "merger-july-2025.toml"
    (as_written,) = studies.plan_sweep(merged, ["levels=[60]"], 0.1)
    swept = studies.plan_sweep(MAIN, ["agencies=agencies.csv,agencies-2025.csv"], 0.1)
    assert [len(point.agencies.splitlines()) - 1 for point in (as_written, *swept)] == [17 + 34, 22 + 63, 17 + 34]


@pytest.mark.slow
def test_a_point_is_what_simulate_says_of_the_changed_file(file: str) -> None:
    said = CliRunner().invoke(app, ["sweep", file, *SETS])
    assert said.exit_code == 0, said.output
    folder = Path(said.stdout.splitlines()[-1])
    rows = pq.read_table(folder / "sweep.parquet").to_pylist()
    assert [(row["arrivals.rate"], row["stations[0].servers"]) for row in rows] == [
        (rate, servers) for rate in (0.2, 0.4) for servers in (1, 2, 3)
    ]
    changed = TWO.format(horizon=2000).replace("rate = 0.5", "rate = 0.4").replace("servers = 1", "servers = 2", 1)
    Path("changed.toml").write_text(changed)
    alone = replications.simulate(load_document(Path("changed.toml"), NetworkScenario))
    row = rows[4]
    for figure in ("mean", "p95"):
        expected = alone["stations"]["first"]["response_s"][figure]
        key = f"stations.first.response_s.{figure}"
        assert (row[key], row[f"{key}.low"], row[f"{key}.high"]) == tuple(expected[e] for e in ("value", "low", "high"))
    # Common random numbers: as many arrive whatever the servers are.
    assert rows[0]["system.arrivals"] == rows[1]["system.arrivals"] == rows[2]["system.arrivals"]
    with (folder / "sweep.csv").open(newline="") as opened:
        assert [float(line["arrivals.rate"]) for line in csv.DictReader(opened)] == [
            row["arrivals.rate"] for row in rows
        ]
    assert (folder / "plots" / "sweep.png").stat().st_size > 10_000
    assert run.read_json(folder / "manifest.json")["state"] == "finished"


@pytest.mark.slow
def test_the_same_command_goes_on_and_runs_nothing_twice(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = CliRunner().invoke(app, ["sweep", file, *SETS])
    folder = Path(first.stdout.splitlines()[-1])
    kept = sorted((folder / "points").glob("*.json"))
    times = {path: path.stat().st_mtime_ns for path in kept}
    kept[0].unlink()
    again = CliRunner().invoke(app, ["sweep", file, *SETS, "--json"])
    found = json.loads(again.stdout)
    assert found["known_before"] == 5
    assert len(found["rows"]) == 6
    assert {path for path in kept if path.stat().st_mtime_ns != times[path]} == {kept[0]}
    with monkeypatch.context() as changed:
        changed.setattr(sweep, "_results", lambda *_: pytest.fail("nothing is left to run"))
        assert CliRunner().invoke(app, ["sweep", file, *SETS]).exit_code == 0


def test_the_manifest_has_every_value_of_every_key(file: str) -> None:
    made = studies.sweep_folder(Path(file), points(file, *SETS[1::2]), None)
    settings = run.read_json(made.manifest)["options"]["settings"]
    assert settings == [["arrivals.rate", [0.2, 0.4]], ["stations[0].servers", [1, 2, 3]]]


def test_true_and_1_are_two_values_of_the_manifest(file: str) -> None:
    (one,) = points(file, "arrivals.rate=0.2")
    made = [replace(one, settings=(("on", value),)) for value in (True, 1)]
    settings = run.read_json(studies.sweep_folder(Path(file), made, None).manifest)["options"]["settings"]
    assert json.dumps(settings) == '[["on", [true, 1]]]'


def test_other_scenarios_and_versions_are_never_mixed(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = points(file, "arrivals.rate=0.2")
    one, other = studies.sweep_folder(Path(file), made, Path("here")), Path("here")
    assert one.folder == other
    with pytest.raises(UsageError, match="holds another sweep"):
        studies.sweep_folder(Path(file), points(file, "arrivals.rate=0.3"), other)
    monkeypatch.setattr(sweep, "code_hash", lambda: "another version")
    with pytest.raises(UsageError, match="holds another sweep"):
        studies.sweep_folder(Path(file), points(file, "arrivals.rate=0.2"), other)
    with pytest.raises(InvalidRun, match="another version of Caodiem"):
        sweep.figures_of(made[0])
    Path("other").mkdir()
    Path("other/notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds something else"):
        studies.sweep_folder(Path(file), made, Path("other"))
    with pytest.raises(UsageError, match=r"two.toml/in: Not a directory; expected a folder to write the sweep into"):
        studies.sweep_folder(Path(file), made, Path("two.toml/in"))


@pytest.mark.parametrize("named", [None, "mine", "linked"])
def test_input_that_a_point_shows_to_be_wrong_leaves_only_the_folder_that_was_there(
    file: str, monkeypatch: pytest.MonkeyPatch, named: str | None
) -> None:
    def end(*_: object) -> None:
        raise UsageError("too uneven")

    monkeypatch.setattr(sweep, "execute", end)
    Path("mine").mkdir()
    Path("linked").symlink_to("mine")
    words = ["--into", named] if named else []
    said = CliRunner().invoke(app, ["sweep", file, "--set", "arrivals.rate=0.2", *words])
    assert str(said.exception) == "too uneven"
    assert Path("linked").is_dir() and not any(Path("mine").iterdir())
    assert not list(Path().glob("results/sweeps/*"))


def test_a_scheduler_that_is_not_there_is_told(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "_CONNECT_S", 1)
    made = points(file, "arrivals.rate=0.2")
    with pytest.raises(UsageError, match="expected the address of a Dask scheduler"):
        sweep.execute(made, Path("points"), "tcp://127.0.0.1:9")
    for address in ("nonsense", "tcp://127.0.0.1:9"):
        said = CliRunner().invoke(app, ["sweep", file, "--set", "arrivals.rate=0.2", "--scheduler", address])
        assert f"--scheduler {address}: " in str(said.exception)
    assert not Path("results").exists()
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"expected the package distributed \(extra `cluster`\)"):
        sweep.execute(made, Path("points"), "tcp://127.0.0.1:9")


@pytest.mark.slow
def test_a_killed_sweep_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """SIGKILL leaves whole files only; the second command makes the rest, and Ctrl-C leaves a manifest that says so."""
    (tmp_path / "two.toml").write_text(TWO.format(horizon=200_000))
    command = [
        sys.executable,
        "-m",
        "caodiem.cli",
        "sweep",
        "two.toml",
        "--set",
        "arrivals.rate=0.1,0.2,0.3,0.4,0.5,0.6",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def begin_and_end(by: signal.Signals) -> list[Path]:
        begun = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, start_new_session=True)
        known = len(list(tmp_path.glob("results/sweeps/*/points/*.json")))
        while len(list(tmp_path.glob("results/sweeps/*/points/*.json"))) <= known and begun.poll() is None:
            time.sleep(0.02)
        os.killpg(begun.pid, by) if by is signal.SIGKILL else begun.send_signal(by)
        begun.communicate()
        assert begun.returncode != 0
        return list(tmp_path.glob("results/sweeps/*/points/*.json"))

    left = begin_and_end(signal.SIGKILL)
    assert 0 < len(left) < 6
    for path in left:
        json.loads(path.read_text())
    interrupted = begin_and_end(signal.SIGINT)
    assert set(left) < set(interrupted)
    (manifest,) = tmp_path.glob("results/sweeps/*/manifest.json")
    assert json.loads(manifest.read_text())["state"] == "interrupted"
    ended = subprocess.run([*command, "--json"], cwd=tmp_path, env=environment, capture_output=True, check=True)
    found = json.loads(ended.stdout)
    assert found["known_before"] == len(interrupted)
    assert len(found["rows"]) == 6


@pytest.mark.slow
def test_processes_end_when_the_sweep_is_killed_alone(tmp_path: Path) -> None:
    """As the system does that runs out of memory: nobody is left who could tell them."""
    (tmp_path / "two.toml").write_text(TWO.format(horizon=200_000))
    words = ["sweep", "two.toml", "--set", "arrivals.rate=0.1,0.2,0.3,0.4,0.5,0.6"]
    begun = psutil.Popen(
        [sys.executable, "-m", "caodiem.cli", *words], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    while not list(tmp_path.glob("results/sweeps/*/points/*.json")) and begun.poll() is None:
        time.sleep(0.02)
    children = begun.children(recursive=True)
    begun.kill()
    begun.wait()
    _, alive = psutil.wait_procs(children, timeout=60)
    for each in alive:
        each.kill()
    assert children and not alive


def workers_of(command: psutil.Process) -> list[psutil.Process]:
    return [each for each in command.children(recursive=True) if "multiprocessing.spawn" in " ".join(each.cmdline())]


@pytest.mark.slow
def test_a_process_that_is_killed_is_told_and_the_sweep_goes_on(tmp_path: Path) -> None:
    (tmp_path / "two.toml").write_text(TWO.format(horizon=200_000))
    words = ["sweep", "two.toml", "--set", "arrivals.rate=0.1,0.2,0.3,0.4,0.5,0.6"]
    begun = psutil.Popen(
        [sys.executable, "-m", "caodiem.cli", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    # As soon as one is born, when every point is still to do.
    while not (born := workers_of(begun)) and begun.poll() is None:
        time.sleep(0.02)
    for each in born:
        each.kill()
    _, err = begun.communicate(timeout=60)
    assert begun.returncode == 3, err
    assert "ended early" in err and "the same command goes on" in err and "Traceback" not in err
    assert "a shorter run.horizon" in err and "--scale" not in err


@pytest.mark.slow
def test_a_scheduler_that_dies_is_told_and_what_is_finished_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import LocalCluster

    monkeypatch.chdir(tmp_path)
    Path("two.toml").write_text(TWO.format(horizon=50_000))
    made = points("two.toml", "arrivals.rate=0.1,0.15,0.2,0.25,0.3,0.35,0.4,0.45,0.5,0.55,0.6,0.65")
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        pytest.raises(InvalidRun, match="the scheduler is gone; the same command goes on from what is finished"),
    ):
        sweep.execute(made, Path("points"), cluster.scheduler_address, lambda share: share and cluster.close())
    assert 0 < len(list(Path("points").glob("*.json"))) < len(made)


@pytest.mark.slow
def test_a_dask_worker_that_dies_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import LocalCluster

    monkeypatch.chdir(tmp_path)
    Path("two.toml").write_text(TWO.format(horizon=50_000))
    made = points("two.toml", "arrivals.rate=0.1,0.15,0.2,0.25,0.3,0.35,0.4,0.45,0.5,0.55,0.6,0.65")
    killed: list[int] = []
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:

        def kill_one(share: float) -> None:
            if share > 0 and not killed:
                killed.append(next(iter(cluster.workers.values())).pid)
                os.kill(killed[0], signal.SIGKILL)

        known = sweep.execute(made, Path("points"), cluster.scheduler_address, kill_one)
    assert known == 0
    assert killed
    rows: list[dict[str, Any]] = sweep.rows(made, Path("points"))
    assert [row["arrivals.rate"] for row in rows] == [dict(point.settings)["arrivals.rate"] for point in made]
    assert sweep.execute(made, Path("points"), None) == len(made)
    # A worker computes what this process does.
    assert rows[3] == {"arrivals.rate": 0.25} | sweep._flat(run.plain(sweep.figures_of(made[3])))


def test_large_figures_are_printed_whole() -> None:
    row = {"a": 1, "system.response_s.p95": 86_520.4, "system.response_s.p95.low": 86_240.4}
    assert list(lines([row | {"system.response_s.p95.high": 86_800.4}], ["a"]))[-1].split("  ")[-1] == "86520 ± 280"
    assert [rounded(value, 2) for value in (99.96, 0.000123, 1.0, float("inf"))] == ["100", "0.00012", "1", "inf"]


def test_a_sweep_over_a_fault_shows_how_long_it_is_felt() -> None:
    said = {
        "levels.78.3%.busiest_hour.requests_per_s_mean": 150.0,
        "levels.78.3%.all.response_s.p95": 0.1,
        "levels.78.3%.hours.faults.drain_s": 546.0,
        "levels.78.3%.hours.faults.drain_s.low": 500.0,
        "levels.78.3%.hours.slo.file_dossier: p80 within 2 s.during.bad_share": 1.0,
        "levels.78.3%.hours.slo.file_dossier: p80 within 2 s.after.bad_share": 0.0434,
    }
    assert shown_columns([said]) == [
        "levels.78.3%.busiest_hour.requests_per_s_mean",
        "levels.78.3%.all.response_s.p95",
        "levels.78.3%.hours.faults.drain_s",
        "levels.78.3%.hours.slo.file_dossier: p80 within 2 s.after.bad_share",
    ]


def test_replications_share_their_seeds_and_differ_in_nothing_else() -> None:
    made = studies.plan_sweep(MAIN, ["portal.stations.database.servers=1,8"], 0.1, replications=3)
    seeds = [point.scenario.seed for point in made]  # type: ignore[union-attr]
    assert len(made) == 6 and seeds[:3] == seeds[3:] and len(set(seeds)) == 3
    assert made[0] == studies.plan_sweep(MAIN, ["portal.stations.database.servers=1,8"], 0.1)[0]
    assert len({point.hash for point in made}) == 6
    with pytest.raises(UsageError, match="--replications 2: expected none"):
        studies.plan_sweep(ROOT / "scenarios" / "network-one-desk.toml", ["run.seed=1"], 1.0, replications=2)


def test_figures_over_replications_have_student_s_interval(tmp_path: Path) -> None:
    """Of 1, 2, 3: the mean 2 and t(0.975, 2) · 1 / √3 = 4.30265 / 1.73205 = 2.48414 on both sides."""
    made = studies.plan_sweep(MAIN, ["portal.stations.database.servers=8"], 0.1, replications=3)
    for number, point in enumerate(made, 1):
        within = {"value": float(number), "low": -9.0, "high": 9.0}
        infinite = None if number == 2 else 1.0
        hours = {"seed": number, "replications": 3, "confidence": 0.95}
        figures = {"a": {"b": number, "c": within}, "p95": infinite, "name": "x", "hours": hours}
        run.write_json(tmp_path / f"{point.hash}.json", {"figures": figures})
    (row,) = sweep.rows(made, tmp_path)
    for key in ("a.b", "a.c"):
        assert (row[key], row[f"{key}.low"], row[f"{key}.high"]) == pytest.approx(
            (2, 2 - 2.48414, 2 + 2.48414), abs=1e-5
        )
    assert (row["p95"], row["name"], row["replications"]) == (None, "x", 3)
    # What was asked for is no figure, and three seeds have no mean.
    assert {key: row[key] for key in row if key.startswith("hours.")} == {
        "hours.replications": 3, "hours.confidence": 0.95,
    }  # fmt: skip
    (tmp_path / f"{made[0].hash}.json").unlink()
    assert sweep.rows(made, tmp_path)[0]["replications"] == 2


@pytest.mark.slow
def test_a_scenario_is_swept_over_its_levels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = studies.plan_sweep(MAIN, ["portal.stations.database.servers=1,8", "levels=[43]"], 0.02)
    monkeypatch.chdir(tmp_path)
    with bars() as shown:
        found = studies.sweep(made, studies.sweep_folder(MAIN, made, Path("here")), None, shown)
    few, many = found["rows"]
    assert (
        few["levels.43%.busiest_hour.requests_per_s_mean"] == many["levels.43%.busiest_hour.requests_per_s_mean"] > 10
    )
    assert few["levels.43%.all.response_s.p95"] >= many["levels.43%.all.response_s.p95"]
    assert Path("here/plots/sweep.png").is_file()
