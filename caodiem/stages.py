"""The main job in stages, each from a run's folder to the same folder: begin, simulate, replay, judge, report.

May see simulation, staging and loadtests. It imports them only where they are used, so that a planner needs no Locust
and a load generator no SimPy.
"""

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from caodiem import abort as abort_rules
from caodiem import comparison, kinds, observations, plan, run, summary, targets, verdict
from caodiem.errors import ExitCode, InvalidRun, UsageError
from caodiem.part import Part, of_options
from caodiem.progress import Bars
from caodiem.scenario import Scenario, inputs
from caodiem.scenario_file import companion, sources_of

if TYPE_CHECKING:
    from gates.gate import Result as GateResult
    from simulation.calibration import Measured

# What a command begins: its inputs, the run's folder with the manifest alone, and what fills it with all that the work
# starts from. That takes time and may fail, so it is done where a run that breaks off is told (ending.py, studies.py).
Begun = tuple[Scenario, run.Run, Callable[[], None]]
# The admin token of a portal that we did not start, with which it is prepared; never in an argument, where it shows.
TOKEN_VARIABLE = "CAODIEM_ADMIN_TOKEN"


def check_scale(scale: float) -> None:
    """UsageError for what is no share of the country."""
    if not 0 < scale <= 1:
        raise UsageError(f"--scale {scale:g}: expected more than 0 and at most 1")


def begin(path: Path, scale: float, command: str, generator: "Generator | None" = None) -> Begun:
    """Read the scenario and make the run's folder; nothing is written when the scenario has mistakes.

    The manifest says which command began it and, with `generator`, how its plans are to be replayed.
    """
    from simulation import projection

    check_scale(scale)
    scenario = kinds.load_main(path)
    projected = projection.project(scenario, kinds.agencies_of(path, scenario))
    options = {"command": command, "file": str(path), "scale": scale, "seed": scenario.seed}
    options |= _recorded(generator, scenario)
    created = run.create(path.stem, scenario.hash, options)

    def prepare() -> None:
        run.write_json(created.scenario, resolved(scenario, path))
        run.write_json(created.projection, projected)
        shutil.copyfile(companion(path, scenario.agencies), created.folder / "agencies.csv")

    return scenario, created, prepare


def simulate(scenario: Scenario, into: run.Run, scale: float, bars: Bars) -> None:
    """The casework, the plan and the predicted observations of every level."""
    from simulation.parallel import simulate_levels

    progress = {percent: bars.bar(f"Casework at {percent:g}%") for percent in scenario.levels}
    simulate_levels(scenario, into.folder / "agencies.csv", scale, into, progress)


def continued(given: Path, part: Part, generator: "Generator") -> Begun:
    """A new run with the scenario and plans of another, for a replay of its own; `given` is the other's folder.

    Or the plan of one of its levels, and then the new run has only that level. Where only a part of the plans is to
    be replayed, they become that part, and its response times are predicted anew. Of some journeys alone only the SLOs
    for what they ask are judged. UsageError, and no run, when the portal class cannot ask what they do.
    """
    source, levels = _source(given)
    scenario = read_scenario(source).model_copy(update={"levels": [level.percent for level in levels]})
    wholes = {level.percent: plan.read(level.plan) for level in levels}
    parts = {percent: part.of(whole) for percent, whole in wholes.items()}
    _check_serves(generator, [(level.plan, parts[level.percent]) for level in levels])
    if part.journeys:
        scenario = _judged_by(scenario, [plan.only(each, part.journeys) for each in wholes.values()], str(given))
    manifest = run.read_json(source.manifest)
    plans_from = "/".join(given.resolve().parts[-3:]) if given.is_file() else source.folder.name
    replayed = part.after(of_options(manifest["options"]))
    options = {**manifest["options"], "command": "replay", "plans_from": plans_from}
    options |= {**asdict(replayed), "part": part.options, **_recorded(generator, scenario)}
    created = run.create(manifest["scenario"], scenario.hash, options)

    def prepare() -> None:
        _copy_inputs(scenario, source, created)
        for level in levels:
            _copy_level(scenario, level, created.level(level.percent), None if part.is_whole else parts[level.percent])

    return scenario, created, prepare


def of_plan(given: Path, part: Part, path: Path, generator: "Generator") -> Begun:
    """A new run for a plan that stands alone, such as one from an access log; its only level is the plan's.

    The scenario in `path` gives what a plan does not have: SLOs (of them those for the plan's operations; UsageError
    when there is none), rules of validity, the generator's limits, and the portal that predicts response times.
    """
    from simulation.parallel import predict

    drawn = part.of(plan.read(given))
    _check_serves(generator, [(given, drawn)])
    percent = drawn.meta.level_percent
    scenario = _judged_by(kinds.load_main(path), [drawn], str(given))
    said = {
        "levels": [percent],
        "title": given.name,
        "title_vi": given.name,
        "question": f"Does the portal hold the traffic of {given.name}?",
        "question_vi": f"Cổng có chịu được lưu lượng của {given.name} không?",
    }
    scenario = scenario.model_copy(update=said)
    options = {"command": "replay", "plan": str(given), "slo_from": str(path), "seed": drawn.meta.seed}
    options |= {**asdict(part), "part": part.options, **_recorded(generator, scenario)}
    created = run.create(given.stem, scenario.hash, options)

    def prepare() -> None:
        run.write_json(created.scenario, resolved(scenario, path))
        level = created.level(percent)
        level.folder.mkdir()
        plan.write(drawn, level.plan)
        predict(scenario, drawn, level)

    return scenario, created, prepare


def _judged_by(scenario: Scenario, plans: list[plan.Plan], where: str) -> Scenario:
    """The scenario with the SLOs for what the plans ask; UsageError when there is none."""
    asked = {operation for each in plans for operation in each.table["operation"].unique().to_pylist()}
    slo = [each for each in scenario.slo if each.operation in asked or each.operation == "all"]
    if not slo:
        raise UsageError(f"{where}: asks {', '.join(sorted(asked))}; expected an [[slo]] for one of them")
    return scenario.model_copy(update={"slo": slo})


def stands_alone(given: Path) -> bool:
    """Whether a file is a plan that belongs to no run."""
    return given.is_file() and not run.Run(given.resolve().parent.parent).manifest.is_file()


def _source(given: Path) -> tuple[run.Run, list[run.Level]]:
    """The run that is meant, and those of its levels that are; each has a plan."""
    if given.is_file():
        level = run.Level(given.resolve().parent)
        source = run.open_run(level.folder.parent)
        if not level.folder.match("level-*") or given.resolve() != level.plan:
            raise UsageError(f"{given}: expected a run's folder, or the level-*/plan.parquet of a run")
        return source, [level]
    source = run.open_run(given)
    levels = [level for level in source.levels if level.plan.is_file()]
    if not levels:
        raise UsageError(f"{given}: no plan; the run ended before it was drawn, `caodiem simulate` draws one")
    asked = read_scenario(source).levels
    if lacking := [percent for percent in asked if not source.level(percent).plan.is_file()]:
        # Without them a pass would be one for levels that nobody tested.
        told = " and ".join(f"{percent:g}%" for percent in lacking)
        alone = " or ".join(str(level.plan) for level in levels)
        raise UsageError(f"{given}: no plan at {told}; expected one for each level, or one alone: {alone}")
    return source, levels


def _copy_inputs(scenario: Scenario, source: run.Run, into: run.Run) -> None:
    """What the source resolved, with the levels and SLOs of `scenario`; projection and agencies, where it has them."""
    inputs_as_resolved = run.read_json(source.scenario)
    for key, value in (("levels", scenario.levels), ("slo", scenario.model_dump(mode="json")["slo"])):
        inputs_as_resolved[key] = inputs_as_resolved["resolved"][key] = value
    run.write_json(into.scenario, inputs_as_resolved)
    for name in ("projection.json", "agencies.csv"):
        if (source.folder / name).is_file():  # a run of a plan that stands alone has neither
            shutil.copyfile(source.folder / name, into.folder / name)


def _copy_level(scenario: Scenario, level: run.Level, into: run.Level, part: plan.Plan | None) -> None:
    """Plan, casework and predictions; with `part` in place of the plan, and predictions and figures for that."""
    left = ["replayed", "locust-*", *(["simulated", level.plan.name] if part is not None else [])]
    shutil.copytree(level.folder, into.folder, ignore=shutil.ignore_patterns(*left))
    if part is not None:
        from simulation.level import figures_of_plan
        from simulation.parallel import predict

        plan.write(part, into.plan)
        if into.traffic.is_file():
            run.write_json(into.traffic, {**run.read_json(into.traffic), "plan": figures_of_plan(scenario, part)})
        predict(scenario, part, into)


@dataclass(frozen=True, slots=True)
class Generator:
    """How a replay sends: whom to, and with what limits. None means our own portal, or the scenario's word."""

    host: str | None = None
    abort: tuple[str, ...] = ()  # rules as caodiem/abort.py reads them
    pool: int | None = None
    greatest_lateness_s: float | None = None
    portal: str | None = None  # the portal class, as module:Class
    ca: Path | None = None  # authorities to trust over TLS

    def check(self) -> None:
        """UsageError or SafetyError when it will not do; asked before any work and again before a replay."""
        abort_rules.rules(self.abort, is_loopback=True)
        if self.pool is not None and self.pool < 1:
            raise UsageError(f"--pool {self.pool}: expected at least 1")
        if self.greatest_lateness_s is not None and not self.greatest_lateness_s > 0:
            raise UsageError(f"--greatest-lateness {self.greatest_lateness_s:g}: expected more than 0 seconds")
        if self.portal is not None:
            if self.host is None:
                raise UsageError(f"--portal {self.portal}: expected --host as well, the portal that it is for")
            from loadtests import portals

            portals.load(self.portal)
        if self.ca is not None and not self.ca.is_file():
            raise UsageError(f"--ca {self.ca}: no such file; expected certificates in PEM")
        if self.host is not None:
            targets.load().check(self.host)

    def in_words(self, scenario: Scenario) -> str:
        """What a replay will be told, resolved; of the host only its name, since an address may hold a password."""
        told = self.options(scenario)
        host = urlsplit(self.host).hostname or "" if self.host is not None else ""
        rules = abort_rules.rules(self.abort, is_loopback=not host or targets.is_loopback(host))
        return (
            f"host {host or 'a reference portal of its own'}{f', asked by {self.portal}' if self.portal else ''}, "
            f"pool {told['pool']}, "
            f"greatest lateness {told['greatest_lateness_s']:g} s, "
            f"abort rules: {'; '.join(rule.text for rule in rules) or 'none'}"
        )

    def options(self, scenario: Scenario) -> dict[str, Any]:
        """What `loadtests.replay` is told, with the scenario's word where nothing else was said."""
        said = scenario.replay
        lateness_s = self.greatest_lateness_s
        return {
            "abort": self.abort,
            "pool": int(said.pool.value) if self.pool is None else self.pool,
            "greatest_lateness_s": said.greatest_lateness.value if lateness_s is None else lateness_s,
            **({} if self.portal is None else {"portal": self.portal}),
            **({} if self.ca is None else {"ca": str(self.ca.resolve())}),
        }


def _recorded(generator: Generator | None, scenario: Scenario) -> dict[str, Any]:
    """What a manifest's options say of how a run's plans are replayed."""
    if generator is None:
        return {}
    told = generator.options(scenario)
    limits = {key: told[key] for key in ("pool", "greatest_lateness_s")}
    host = None if generator.host is None else targets.without_secrets(generator.host)
    trusted = {} if generator.ca is None else {"ca": str(generator.ca)}
    return {
        "generator": {"host": host, "portal": generator.portal, "abort": list(generator.abort), **limits, **trusted}
    }


def replay(scenario: Scenario, into: run.Run, generator: Generator, bars: Bars) -> ExitCode:
    """Replay every level's plan, each against a fresh reference portal or the generator's host; the worst exit code.

    PASS here says only that each plan was replayed to its end. What stops one level for safety stops the run: no
    further level is replayed. UsageError, before anything is sent, when the portal class cannot ask what a plan does.
    """
    generator.check()
    _check_serves(generator, ((level.plan, plan.read(level.plan)) for level in into.levels))
    worst = ExitCode.PASS
    for level in into.levels:
        bar = bars.bar(f"Replay at {level.percent:g}%" if level.percent else "Replay")
        worst = max(worst, _replay_level(scenario, level, generator, bar))
        bar(1.0)
        if worst is ExitCode.SAFETY:
            break
    return worst


def _check_serves(generator: Generator, plans: Iterable[tuple[Path, plan.Plan]]) -> None:
    """UsageError that names the plan's file, when the portal class cannot ask what a plan does."""
    from loadtests import portals

    served = portals.load(generator.portal or portals.REFERENCE)
    for path, each in plans:
        try:
            portals.check_serves(served, each)
        except UsageError as error:
            raise UsageError(f"{path}: {error}; `caodiem replay` takes --journeys") from error


def _replay_level(scenario: Scenario, level: run.Level, generator: Generator, bar: Any) -> ExitCode:
    from loadtests.replay import replay as replay_plan

    meta = plan.read_meta(level.plan)
    length_s = meta.length_s
    options: dict[str, Any] = {
        **generator.options(scenario),
        "progress": lambda played_s: bar(played_s / length_s),
    }
    into = level.executed("replayed")
    into.folder.mkdir(parents=True, exist_ok=True)
    if generator.host is not None:
        return ExitCode(replay_plan(level.plan, into, generator.host, os.environ.get(TOKEN_VARIABLE, ""), **options))
    from staging.service import running

    faults = scenario.faults_between(meta.clock_s, meta.clock_s + length_s * meta.speed)
    with running(into.folder / "portal.log", faults=faults) as portal:
        return ExitCode(replay_plan(level.plan, into, portal.url, portal.admin_token, **options))


def judge(scenario: Scenario, into: run.Run) -> verdict.Result:
    """Write summary.json and verdict.json from the tables that are there."""
    summaries, verdicts = [], []
    for level in into.levels:
        figures: dict[str, Any] = {"percent": level.percent}
        for how in ("simulated", "replayed"):
            execution = level.executed(how)
            if not execution.observations.is_file():
                continue
            rows = observations.read(execution.observations)
            figures[how] = summary.summarise(rows)
            if how == "replayed":
                ended = execution.info.is_file() and run.read_json(execution.info).get("reached_end", False)
                verdicts.append(verdict.judge(scenario, plan.read(level.plan), rows, reached_end=ended))
        summaries.append(figures)
    run.write_json(into.summary, {"levels": summaries})
    found = verdict.as_json(verdicts)
    if len(verdicts) < len(scenario.levels):
        # A level that was never replayed proves nothing about the others' question.
        found |= {"result": verdict.Result.INVALID.value, "exit_code": int(ExitCode.INVALID)}
    run.write_json(into.verdict, found)
    return verdict.Result(found["result"])


def report(into: run.Run) -> Path:
    """Write report.html from what the run's folder holds."""
    from caodiem.report import build

    return build(into)


def compare(first: Path, second: Path) -> tuple[list[comparison.Compared], Path]:
    """Two runs side by side, and a picture of them under plots/ of the second one's folder."""
    from caodiem.report import compared

    levels = comparison.compare(first, second)
    names = _name(first), _name(second)
    into = run.Run(second if run.Run(second).manifest.is_file() else second.resolve().parents[1])
    return levels, compared.draw(levels, names, into.plots / f"compared-with-{names[0].replace('/', '-')}.png")


def _name(path: Path) -> str:
    """A run by its folder; one execution of it also by level and kind."""
    parts = path.resolve().parts
    return parts[-1] if run.Run(path).manifest.is_file() else "/".join(parts[-3:])


def calibrate(source: run.Run) -> "list[Measured]":
    """Service times measured by the replay of the run's lowest level; UsageError when none was replayed."""
    from simulation.calibration import services

    for level in source.levels:
        found = level.executed("replayed")
        if found.observations.is_file():
            stations = list(read_scenario(source).portal.stations)
            rows, components = observations.read(found.observations), observations.read_components(found.components)
            return services(rows, components, stations)
    raise UsageError(f"{source.folder}: no level was replayed; expected a run that `caodiem run` or `replay` finished")


def need_gate() -> None:
    """UsageError where the gate's packages are not installed: a planner does without them."""
    missing = [name for name in ("scipy", "pytest_benchmark") if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"the gate needs {', '.join(missing)}; expected the extra caodiem[gate] to be installed")


def gate(base: str, head: str, tests: str, budget_s: float, seed: int) -> "GateResult":
    """Compare two commits of the repository of the working folder; progress on standard error, if a terminal."""
    from gates.gate import compare

    def tell(line: str) -> None:
        if sys.stderr.isatty():
            print(line, file=sys.stderr)

    return compare(Path.cwd(), base, head, tests, budget_s, seed, tell)


def read_scenario(source: run.Run) -> Scenario:
    """The scenario as the run resolved it, whatever its file says now."""
    return Scenario.of_run(run.read_json(source.scenario)["resolved"])


def close_interrupted(scenario: Scenario, into: run.Run) -> None:
    """Leave an interrupted run readable: what was observed is judged, which never makes it a pass."""
    try:
        judge(scenario, into)
        found = run.read_json(into.verdict)
        run.write_json(into.verdict, {**found, "result": "invalid", "exit_code": int(ExitCode.INVALID)})
    except (InvalidRun, UsageError, OSError) as error:
        run.write_json(into.verdict, {"result": "invalid", "exit_code": int(ExitCode.INVALID), "error": str(error)})


def resolved(scenario: Scenario, path: Path) -> dict[str, Any]:
    """scenario.json: the values as resolved, and every input with what its source says."""
    sources = sources_of(path)
    rows = []
    for row in inputs(scenario):
        source = sources[row["source"]]
        rows.append({**row, "name": source.name, "reference": source.source, "note": source.note})
    return {
        "title": scenario.title,
        "title_vi": scenario.title_vi,
        "question": scenario.question,
        "question_vi": scenario.question_vi,
        "seed": scenario.seed,
        "levels": scenario.levels,
        "hash": scenario.hash,
        "year": scenario.demand.year,
        "slo": [objective.model_dump() for objective in scenario.slo],
        "inputs": rows,
        "resolved": scenario.model_dump(mode="json"),
    }
