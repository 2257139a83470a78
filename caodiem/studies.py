"""Studies: what a planner asks of models alone, each from a scenario's file to a run's folder; no portal is needed.

A national year, a network of its own, the servers that are needed, a sweep over keys, a projection of counts. May see
simulation and report/, and imports them only where they are used.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from caodiem import kinds, plan, run, setting, stages
from caodiem.errors import ExitCode, UsageError, exit_code_of
from caodiem.network import NetworkScenario
from caodiem.progress import Bars
from caodiem.scenario import Scenario, clock
from caodiem.scenario_file import Problem, ScenarioError, companion, load_document, of_tables
from caodiem.series import SeriesScenario
from caodiem.shares import SharesScenario, from_csv
from caodiem.year import YearScenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulation.backtest import Foretold
    from simulation.subject import Subject
    from simulation.sweep import Point

SWEEPS = Path("results/sweeps")
OverTime = TypeVar("OverTime", SeriesScenario, SharesScenario)


def simulate_year(path: Path, scale: float, bars: Bars) -> tuple[run.Run, dict[str, Any]]:
    """Run a national year; its figures, also written to year.json beside a picture in a run's folder."""
    from caodiem.report import year as pictures
    from simulation import national

    stages.check_scale(scale)
    scenario = load_document(path, YearScenario)
    known = kinds.agencies_of(path, scenario)
    options = {"command": "simulate", "file": str(path), "scale": scale, "seed": scenario.seed}
    made = run.create(path.stem, scenario.hash, options)
    with _told_when_broken_off(made):
        run.write_json(made.scenario, stages.resolved(scenario, path))
        figures = national.simulate(scenario, known, scale, bars.bar(scenario.title))
        run.write_json(made.folder / "year.json", figures)
        pictures.draw(figures, made.plots / "year.png")
    run.finish(made, "finished", ExitCode.PASS)
    return made, figures


@contextmanager
def _told_when_broken_off(made: run.Run) -> Iterator[None]:
    """Say in the manifest that the work of the block broke off, where it did.

    Input that only drawing shows to be wrong leaves nothing, as any other does, unless something was found before. A
    folder that the user named stays.
    """
    try:
        yield
    except (KeyboardInterrupt, Exception) as error:
        if isinstance(error, UsageError) and {*made.folder.iterdir()} <= {made.manifest, made.scenario}:
            for written in (made.manifest, made.scenario):
                written.unlink(missing_ok=True)
            if made.folder.parent in (run.RUNS, SWEEPS):
                with suppress(OSError):
                    made.folder.rmdir()
        else:
            run.finish(made, "interrupted" if isinstance(error, KeyboardInterrupt) else "failed", exit_code_of(error))
        raise


def simulate_network(path: Path, bars: Bars) -> tuple[run.Run, dict[str, Any]]:
    """Run a network of its own; its figures, also written to network.json (and plots/) in a run's folder."""
    from simulation import replications

    scenario = kinds.load_network(path)
    made = _begin_network(path, scenario, "simulate")
    with _told_when_broken_off(made):
        _write_network(scenario, made)
        figures = replications.simulate(scenario, bars.bar(scenario.title))
        run.write_json(made.folder / "network.json", figures)
        if "faults" in figures:
            # Imported here: no other network needs Matplotlib.
            from caodiem.report import faults

            faults.draw(figures, made.plots / "faults.png")
    run.finish(made, "finished", ExitCode.PASS)
    return made, figures


def _begin_network(path: Path, scenario: NetworkScenario, command: str) -> run.Run:
    options = {"command": command, "file": str(path), "seed": scenario.run.seed, "engine": scenario.run.engine}
    return run.create(path.stem, scenario.hash, options)


def _write_network(scenario: NetworkScenario, into: run.Run) -> None:
    run.write_json(into.scenario, {"title": scenario.title, "resolved": scenario.model_dump(mode="json")})


def size(path: Path, scale: float, bars: Bars) -> tuple[run.Run, dict[str, Any], ExitCode]:
    """Fewest servers, capacity and bottleneck of a network of its own, or of every level of a scenario.

    Also written to capacity.json and plots/capacity.png in a run's folder.
    """
    from caodiem.report import capacity as shown
    from simulation import capacity
    from simulation.trials import Trials

    made, subjects = _subjects(path, scale, bars)
    with _told_when_broken_off(made):
        found = []
        for name, subject in subjects():
            trials = Trials(subject)
            found.append((name, capacity.find(trials, bars.bar(f"Size {name}")), trials))
        cases = [{"case": name, **shown.as_json(each, trials)} for name, each, trials in found]
        code = shown.exit_code([each for _, each, _ in found])
        figures = {"title": run.read_json(made.scenario)["title"], "cases": cases, "exit_code": int(code)}
        run.write_json(made.folder / "capacity.json", figures)
        shown.draw(found, made.plots / "capacity.png")
    run.finish(made, "finished", code)
    return made, figures, code


def _subjects(path: Path, scale: float, bars: Bars) -> "tuple[run.Run, Callable[[], Iterator[tuple[str, Subject]]]]":
    """The run's folder, and what is sized in it: a network of its own, or each level's portal once it is simulated."""
    from simulation.hours import WholeHours
    from simulation.subject import BusiestWindow, OwnNetwork

    if kinds.is_network(path):
        network = kinds.load_network(path)
        if not network.slo:
            raise UsageError(f"{path}: slo = None: expected at least one [[slo]]; without one any size will do")
        if scale != 1:
            raise UsageError(f"--scale {scale:g}: expected none; {path} is a network of its own")
        begun = _begin_network(path, network, "size")

        def own() -> "Iterator[tuple[str, Subject]]":
            _write_network(network, begun)
            yield network.title, OwnNetwork(network)

        return begun, own
    scenario, made, prepare = stages.begin(path, scale, "size")

    def levels() -> "Iterator[tuple[str, Subject]]":
        prepare()
        stages.simulate(scenario, made, scale, bars)
        for level in made.levels:
            name = f"{level.percent:g}%"
            if scenario.hours is None:
                yield name, BusiestWindow(scenario, plan.read(level.plan))
            else:
                yield f"{name}, {clock(scenario.hours)}", WholeHours(scenario, plan.read(level.hours_plan))

    return made, levels


def plan_sweep(path: Path, texts: list[str], scale: float, replications: int = 1) -> "list[Point]":
    """Every point of the grid that the settings span, with its replications. One error tells every mistake of every
    point.
    """
    from simulation.sweep import Point, code_hash, replicated

    settings = setting.parse(texts)
    if kinds.is_network(path):
        if scale != 1:
            raise UsageError(f"--scale {scale:g}: expected none; {path} is a network of its own")
        if replications != 1:
            raise UsageError(f"--replications {replications}: expected none; {path} says it itself, run.replications")
    else:
        stages.check_scale(scale)
    points, code = [], code_hash()
    problems: dict[str, None] = {}
    for chosen in setting.grid(settings):
        try:
            scenario = kinds.load_simulated(path, tuple((each.location, value) for each, value in chosen))
            if isinstance(scenario, Scenario):
                kinds.agencies_of(path, scenario)
        except UsageError as error:
            problems |= dict.fromkeys(str(error).splitlines())
            continue
        known = companion(path, scenario.agencies).read_text(encoding="utf-8") if isinstance(scenario, Scenario) else ""
        points.append(Point(setting.shown(chosen), scenario, known, scale, code))
    if problems:
        raise UsageError("\n".join(problems))
    return points if replications == 1 else replicated(points, replications)


def workers_at(scheduler: str) -> str:
    """How many workers a sweep would have there; UsageError where no scheduler is."""
    from simulation.sweep import workers

    count = workers(scheduler)
    if not count:
        return f"{scheduler}: no worker yet; the sweep waits for one"
    return f"{scheduler}: {count} worker{'s' if count > 1 else ''}"


def sweep_folder(path: Path, points: "list[Point]", into: Path | None) -> run.Run:
    """The folder of exactly these points, new or as a sweep before left it. UsageError when it holds something else."""
    identity = hashlib.sha256("/".join(point.hash for point in points).encode()).hexdigest()
    made = run.Run(into or SWEEPS / f"{path.stem}_{identity[:7]}")
    try:
        _claim(made, identity)
        run.begin_in(made, path.stem, identity, _options(points))
    except OSError as error:
        raise UsageError(f"{made.folder}: {error.strerror}; expected a folder to write the sweep into") from error
    return made


def _claim(made: run.Run, identity: str) -> None:
    """UsageError when the folder holds something else than this sweep."""
    if made.manifest.is_file() and run.read_json(made.manifest).get("scenario_hash") != identity:
        raise UsageError(
            f"{made.folder}: holds another sweep (or this one with other settings or another version of Caodiem); "
            "expected an empty folder, or none"
        )
    if not made.manifest.is_file() and made.folder.is_dir() and any(made.folder.iterdir()):
        raise UsageError(f"{made.folder}: holds something else; expected an empty folder, or none")


def _options(points: "list[Point]") -> dict[str, Any]:
    """What the manifest says of a sweep: the values of each key, in the order given."""
    settings: dict[str, dict[str, Any]] = {}
    for key, value in (each for point in points for each in point.settings):
        # By their text, since true equals 1.
        settings.setdefault(key, {})[repr(value)] = value
    grid = [[key, list(values.values())] for key, values in settings.items()]
    return {"settings": grid, "points": len(points), "scale": points[0].scale}


def sweep(points: "list[Point]", made: run.Run, scheduler: str | None, bars: Bars) -> dict[str, Any]:
    """Run what is missing; the table of all points as sweep.parquet, sweep.csv and plots/sweep.png in the folder."""
    from caodiem.report import sweep as shown
    from simulation import sweep as sweeps

    with _told_when_broken_off(made):
        known = sweeps.execute(points, made.folder / "points", scheduler, bars.bar(f"Sweep of {len(points)} points"))
        rows = sweeps.rows(points, made.folder / "points")
        shown.write(rows, made.folder)
        keys = [key for key, _ in points[0].settings]
        picture = shown.draw(rows, keys, made.plots / "sweep.png")
    run.finish(made, "finished", ExitCode.PASS)
    return {"points": len(points), "known_before": known, "keys": keys, "picture": picture, "rows": rows}


def project(path: Path, fit_until: date | None, days: list[date]) -> "tuple[run.Run, list[Foretold]]":
    """Fit every series of counts or of shares and project it: backtest.json and a picture in a run's folder.

    `fit_until` and `days`, where given, stand for those of the file.
    """
    is_csv = path.suffix.lower() == ".csv"
    kind = SharesScenario if is_csv else kinds.kind_of(path)
    if kind is SharesScenario:
        shares = of_tables(path, kind, from_csv(path)) if is_csv else load_document(path, SharesScenario)
        return _project_shares(path, _until(path, shares, fit_until, days))
    if kind is not SeriesScenario:
        expected = "expected published counts or observed shares over time, as in docs/scenarios.md"
        raise UsageError(f"{path}: no series; {expected}")
    return _project_counts(path, _until(path, load_document(path, SeriesScenario), fit_until, days))


def _project_counts(path: Path, scenario: SeriesScenario) -> "tuple[run.Run, list[Foretold]]":
    from caodiem.report import growth
    from simulation import backtest

    known = backtest.fit(scenario)
    rows = backtest.foretell(scenario, known)
    made = run.create(path.stem, scenario.hash, {"fit_until": scenario.fit_until.isoformat()})
    with _told_when_broken_off(made):
        run.write_json(made.folder / "backtest.json", backtest.as_json(scenario, known, rows))
        growth.draw(scenario, known, rows, made.plots / "growth.png")
    run.finish(made, "finished", ExitCode.PASS)
    return made, rows


def _project_shares(path: Path, scenario: SharesScenario) -> "tuple[run.Run, list[Foretold]]":
    from caodiem.report import growth
    from simulation import share_growth

    fits = share_growth.fit(scenario)
    rows = share_growth.foretell(scenario, fits)
    if not rows:
        raise UsageError(f"{path}: project_to = []: expected one or more days, there or by --on")
    made = run.create(path.stem, scenario.hash, {"fit_until": scenario.fit_until and scenario.fit_until.isoformat()})
    with _told_when_broken_off(made):
        run.write_json(made.folder / "backtest.json", share_growth.as_json(scenario, fits, rows))
        growth.draw_shares(scenario, fits, rows, made.plots / "growth.png")
    run.finish(made, "finished", ExitCode.PASS)
    return made, rows


def _until(path: Path, scenario: OverTime, fit_until: date | None, days: list[date]) -> OverTime:
    """The scenario with what the command line says of it, checked again."""
    # Days of the file that a later end of the fit makes known are no projections any more.
    left: list[date] = [day for day in scenario.project_to if fit_until is None or day > fit_until]
    given = {"fit_until": fit_until, "project_to": [*left, *days]}
    changed = scenario.model_copy(update={key: value for key, value in given.items() if value is not None})
    if problems := changed.contradictions():
        raise ScenarioError([Problem(path, key, value, expected) for key, value, expected in problems])
    return changed
