"""What a replay is told on the command line: the scenario's word where nothing was said, and errors before any work."""

import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copyfile

import pytest

from caodiem import cli, kinds, plan, run, stages, studies
from caodiem.errors import CaodiemError, ExitCode, UsageError
from caodiem.part import Part
from caodiem.progress import bars
from caodiem.report import growth
from caodiem.scenario import Scenario
from caodiem.stages import Generator
from loadtests import portals
from loadtests.assignment import Assignment
from tests.conftest import MAIN, ROOT
from tests.loadtests import replay_plans


def test_what_is_not_said_is_the_scenarios_word(scenario: Scenario) -> None:
    said = Generator(abort=("failures > 5% for 10 s",), pool=7).options(scenario)
    assert said == {
        "abort": ("failures > 5% for 10 s",),
        "pool": 7,
        "greatest_lateness_s": scenario.replay.greatest_lateness.value,
    }
    assert Generator().options(scenario)["pool"] == scenario.replay.pool.value


@pytest.mark.parametrize(
    ("generator", "code", "told"),
    [
        (Generator(abort=("p95 > 3",)), ExitCode.USAGE, "expected a rule like"),
        (Generator(pool=0), ExitCode.USAGE, "--pool 0: expected at least 1"),
        (Generator(greatest_lateness_s=0.0), ExitCode.USAGE, "expected more than 0 seconds"),
        (Generator(ca=Path("none.pem")), ExitCode.USAGE, "--ca none.pem: no such file"),
        (Generator(host="https://portal.example"), ExitCode.SAFETY, "may not be loaded"),
    ],
)
def test_what_will_not_do_is_said_before_any_work(generator: Generator, code: ExitCode, told: str) -> None:
    with pytest.raises(CaodiemError, match=told) as caught:
        generator.check()
    assert caught.value.exit_code is code


@pytest.mark.parametrize(
    ("command", "name", "told"),
    [
        (lambda path: stages.begin(path, 1.0, "run"), "launch-2019-2020", "expected `caodiem project"),
        (lambda path: stages.begin(path, 1.0, "run"), "network-one-desk", "expected `caodiem simulate"),
        (lambda path: studies.plan_sweep(path, ["seed=1"], 1.0), "national-year", "expected `caodiem simulate"),
        (lambda path: studies.project(path, None, []), "adoption-43-to-85", "no series; expected"),
    ],
)
def test_a_file_of_another_kind_is_one_error(command: Callable[[Path], object], name: str, told: str) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        command(ROOT / "scenarios" / f"{name}.toml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[arrivals]\nrate = 1\n[year]\n", "arrivals and year: expected one of them"),
        (
            f'extends = "{ROOT}/scenarios/adoption-43-to-85.toml"\nagencies = "none.csv"\n',
            "none.csv: .* expected a CSV",
        ),
    ],
)
def test_a_check_finds_what_the_keys_alone_do_not_say(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "some.toml").write_text(text)
    copyfile(ROOT / "scenarios" / "sources.csv", tmp_path / "sources.csv")
    with pytest.raises(UsageError, match=told):
        kinds.load_any(tmp_path / "some.toml")


def begun(made: stages.Begun) -> tuple[Scenario, run.Run]:
    """What was begun, with the run's folder filled."""
    scenario, into, prepare = made
    prepare()
    return scenario, into


def drawn_at(percent: float, scenario: Scenario) -> run.Run:
    """A run below the working folder with the plan of this one level, from a quarter of the country."""
    made = run.create("some", scenario.hash, {"scale": 0.25, "seed": 1})
    run.write_json(made.scenario, stages.resolved(scenario.model_copy(update={"levels": [percent]}), MAIN))
    made.level(percent).folder.mkdir()
    plan.write(replay_plans.evenly(5, 4), made.level(percent).plan)
    return made


def assigned(planned: Path) -> Assignment:
    """What `locust --plan` is asked to do."""
    options = {"plan": str(planned), "window": "", "scale": 1.0, "speed": 1.0, "journeys": "", "ca": "", "abort": []}
    told = {"portal": portals.REFERENCE, "greatest_lateness": 1.0, "observations": ""}
    return Assignment.of({**options, **told}, "http://127.0.0.1:1", "")


def test_a_run_of_a_plan_alone_can_be_read_and_replayed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planned: Callable[..., plan.Plan]
) -> None:
    monkeypatch.chdir(tmp_path)
    drawn = planned([0.0, 1.0, 2.0])
    plan.write(plan.make(drawn.table, replace(drawn.meta, level_percent=0.0)), tmp_path / "plan.parquet")
    scenario, made = begun(stages.of_plan(tmp_path / "plan.parquet", Part(), MAIN, Generator()))
    assert stages.read_scenario(made) == scenario
    assert scenario.levels == [0.0] and "plan.parquet" in scenario.question
    assert assigned(made.level(0.0).plan).scenario() == scenario
    part, again = begun(stages.continued(made.folder, Part(length_s=1.5), Generator(pool=7)))
    assert part.levels == [0.0]
    assert plan.read(again.level(0.0).plan).arrivals == 2
    options = run.read_json(again.manifest)["options"]
    assert (options["generator"]["pool"], options["generator"]["host"], options["length_s"]) == (7, None, 1.5)


def test_a_plan_of_a_run_is_known_wherever_one_stands_and_no_other_file_is_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planned: Callable[..., plan.Plan]
) -> None:
    monkeypatch.chdir(tmp_path)
    plan.write(planned([0.0, 1.0]), tmp_path / "plan.parquet")
    _, made = begun(stages.of_plan(tmp_path / "plan.parquet", Part(), MAIN, Generator()))
    (made.folder / "kept").mkdir()
    other = copyfile(tmp_path / "plan.parquet", made.folder / "kept" / "plan.parquet")
    with pytest.raises(UsageError, match="expected a run's folder, or the level"):
        stages.continued(other, Part(), Generator())
    monkeypatch.chdir(made.levels[0].folder)
    assert not stages.stands_alone(Path("plan.parquet"))


def test_a_projection_that_breaks_off_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(growth, "draw", no_room)
    with pytest.raises(OSError, match="No space"):
        studies.project(ROOT / "scenarios" / "merger-2025.toml", None, [])
    (made,) = (tmp_path / "results" / "runs").iterdir()
    assert run.read_json(made / "manifest.json")["state"] == "failed"


def test_some_journeys_are_judged_by_the_slos_for_what_they_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scenario: Scenario
) -> None:
    """Of what no journey asks there is nothing to prove: else no replay of them could ever pass."""
    monkeypatch.chdir(tmp_path)
    source = drawn_at(85, scenario)
    assert "file_dossier" in {each.operation for each in scenario.slo}
    for journeys, is_asked in (((), True), (("file",), True), (("ask", "sync"), False)):
        part, made = begun(stages.continued(source.folder, Part(journeys=journeys), Generator()))
        assert ("file_dossier" in {each.operation for each in part.slo}) is is_asked
        assert "all" in {each.operation for each in part.slo}
        assert stages.read_scenario(made) == part


def test_a_replay_of_a_part_says_what_was_taken_of_the_first_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scenario: Scenario
) -> None:
    monkeypatch.chdir(tmp_path)
    source = drawn_at(85, scenario)
    run.write_json(source.level(85).traffic, {"scale": 0.25, "plan": {"starts_at": "2026-06-09T09:00:00"}})
    _, part = begun(stages.continued(source.folder, Part(1.0, 2.0, 0.9, journeys=("ask", "sync")), Generator()))
    _, again = begun(stages.continued(part.folder, Part(speed=0.5), Generator()))
    said = run.read_json(again.manifest)["options"]
    assert (said["command"], said["plans_from"]) == ("replay", part.folder.name)
    told = (said["start_s"], said["length_s"], said["scale"], said["speed"], said["journeys"], said["part"])
    assert told == (1.0, 2.0, 0.225, 0.5, ["ask", "sync"], ["--speed", "0.5"])
    traffic, meta = run.read_json(again.level(85).traffic), plan.read_meta(again.level(85).plan)
    assert (traffic["scale"], traffic["plan"]["plan_hash"]) == (0.25, meta.plan_hash)
    assert traffic["plan"]["starts_at"] == meta.starts_at == "2026-06-09T09:00:01.000"


def test_what_a_portal_class_cannot_ask_is_bad_usage_before_anything_is_sent(
    tmp_path: Path, scenario: Scenario
) -> None:
    made = run.Run(tmp_path)
    made.level(85).folder.mkdir()
    plan.write(replay_plans.evenly(5, 2), made.level(85).plan)
    generator = Generator(host="http://127.0.0.1:9", portal="loadtests.portals.gateway:GatewayPortal")
    told = r"level-85/plan.parquet: the portal class serves no file_dossier, .*expected --journeys ask,search,sync"
    with bars() as shown, pytest.raises(UsageError, match=told):
        stages.replay(scenario, made, generator, shown)
    assert not made.level(85).executed("replayed").folder.exists()


def test_a_replay_that_the_portal_class_cannot_ask_leaves_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scenario: Scenario
) -> None:
    monkeypatch.chdir(tmp_path)
    source = drawn_at(85, scenario)
    alone = copyfile(source.level(85).plan, tmp_path / "plan.parquet")
    generator = Generator(host="http://127.0.0.1:9", portal="loadtests.portals.gateway:GatewayPortal")
    with pytest.raises(UsageError, match=r"level-85/plan.parquet: the portal class serves no file_dossier"):
        stages.continued(source.folder, Part(), generator)
    with pytest.raises(UsageError, match=r"plan.parquet: the portal class serves no file_dossier"):
        stages.of_plan(alone, Part(), MAIN, generator)
    stages.continued(source.folder, Part(journeys=("ask",)), generator)
    assert len(list(run.RUNS.iterdir())) == 2  # the source, and the last


def test_a_run_that_lacks_a_level_is_not_replayed_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scenario: Scenario
) -> None:
    monkeypatch.chdir(tmp_path)
    source = drawn_at(85, scenario)
    run.write_json(source.scenario, stages.resolved(scenario, MAIN))
    assert scenario.levels == [43, 85]
    known = source.level(85).plan
    with pytest.raises(UsageError, match=f"no plan at 43%; expected one for each level, or one alone: {known}"):
        stages.continued(source.folder, Part(), Generator())
    assert stages.continued(known, Part(), Generator())[0].levels == [85]


def breaks_off(command: Callable[[], object], error: BaseException) -> tuple[str, int]:
    """State and exit code that the newest run's manifest tells, once the command has ended with `error`."""
    with pytest.raises(type(error)):
        command()
    newest = max(run.RUNS.iterdir(), key=lambda path: path.stat().st_ctime_ns)
    manifest = run.read_json(newest / "manifest.json")
    return manifest["state"], manifest["exit_code"]


@pytest.mark.parametrize(
    ("error", "state", "code"),
    [
        (KeyboardInterrupt(), "interrupted", ExitCode.INVALID),
        (OSError(errno.EACCES, "Permission denied"), "failed", ExitCode.USAGE),
    ],
)
def test_a_replay_that_breaks_off_while_it_is_prepared_says_so(
    error: BaseException,
    state: str,
    code: ExitCode,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scenario: Scenario,
) -> None:
    def end(*_: object) -> None:
        raise error

    monkeypatch.chdir(tmp_path)
    source = drawn_at(85, scenario)
    monkeypatch.setattr("simulation.parallel.predict", end)
    assert breaks_off(lambda: cli.replay(source.folder, window="0+1"), error) == (state, code)
    (verdict,) = run.RUNS.glob("*/verdict.json")
    assert run.read_json(verdict)["result"] == "invalid"


def test_a_run_that_breaks_off_at_its_beginning_says_so_with_the_code_of_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_: object) -> None:
        raise UsageError("too few")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("shutil.copyfile", end)
    assert breaks_off(lambda: cli.size(MAIN), UsageError()) == ("failed", ExitCode.USAGE)
    (manifest,) = run.RUNS.glob("*/manifest.json")
    assert run.read_json(manifest)["options"]["command"] == "size"


def test_the_scenario_of_a_plan_alone_is_none_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scenario: Scenario
) -> None:
    monkeypatch.chdir(tmp_path)
    source = drawn_at(85, scenario)
    for given in (source.folder, source.level(85).plan):
        with pytest.raises(UsageError, match=f"--scenario {MAIN}: expected none; {given} is of a run"):
            cli.replay(given, scenario=MAIN)
    assert len(list(run.RUNS.iterdir())) == 1
