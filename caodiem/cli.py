"""The command line: parses, calls, prints. Errors end with the exit code of their kind (see errors.py)."""

import json
import os
import secrets
import signal
import stat
import sys
import traceback
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from caodiem import baseline, comparison, ending, faults, kinds, plan, run, stages, studies
from caodiem import plan_from_log as from_log
from caodiem.errors import CaodiemError, ExitCode, UsageError, exit_code_of
from caodiem.operation_map import load as load_map
from caodiem.part import parse as parse_part
from caodiem.progress import bars
from caodiem.scenario_file import ScenarioError

# What typer returns for a command that Ctrl-C ended.
_CTRL_C = 130

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Load testing and performance simulation for national-scale public-service portals.",
    epilog="Exit codes: 0 pass, 1 an SLO was missed, 2 bad input, 3 the run proves nothing, 4 stopped for safety.",
)

planning = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Make plans from other things than scenarios.")
app.add_typer(planning, name="plan")

_MAIN_SCENARIO = Path("scenarios/adoption-43-to-85.toml")
_REFERENCE_MAP = Path(__file__).parents[1] / "loadtests" / "portals" / "reference.toml"

ScenarioFile = Annotated[Path, typer.Argument(metavar="SCENARIO", help="A scenario file, such as scenarios/*.toml.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder under results/runs/.")]
Scale = Annotated[float, typer.Option(help="Share of the country's dossiers to simulate and replay, above 0 to 1.")]
SampleScale = Annotated[
    float, typer.Option("--scale", help="Share of the country's dossiers to simulate; the answer is for all of it.")
]
Host = Annotated[str | None, typer.Option(help="Replay against this portal (see targets.toml), not our own.")]
Abort = Annotated[
    list[str] | None,
    typer.Option(metavar="RULE", help="Stop when this happens, as in 'failures > 5% for 10 s'; may be given again."),
]
Pool = Annotated[int | None, typer.Option(help="How many requests may be in flight (default: the scenario's).")]
GreatestLateness = Annotated[
    float | None,
    typer.Option(metavar="S", help="Drop, and count, what cannot be sent within S seconds of its due time."),
]
PortalClass = Annotated[
    str | None, typer.Option("--portal", metavar="MODULE:CLASS", help="The class that knows the host's requests.")
]
Ca = Annotated[Path | None, typer.Option(metavar="FILE", help="Trust these authorities (PEM) over TLS.")]
Window = Annotated[str, typer.Option(metavar="START+LENGTH", help="Replay this part, like 600+60 or 10min+90s.")]
PartScale = Annotated[float, typer.Option("--scale", help="Replay this share of the plan's dossiers, above 0 to 1.")]
Speed = Annotated[float, typer.Option(help="Divide due and think times by this.")]
Planned = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run's folder, the plan.parquet of one of its levels, or a plan alone.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


@app.command("run")
def run_all(
    scenario: ScenarioFile,
    scale: Scale = 1.0,
    host: Host = None,
    portal: PortalClass = None,
    abort: Abort = None,
    ca: Ca = None,
    as_json: Json = False,
) -> None:
    """Project, simulate, replay, judge and report: all of it."""
    generator = stages.Generator(host, tuple(abort or ()), portal=portal, ca=ca)
    generator.check()
    inputs, made, prepare = stages.begin(scenario, scale, "run", generator)
    ending.announce(inputs, made, scale, generator.in_words(inputs))

    def work() -> ExitCode:
        prepare()
        with bars() as shown:
            stages.simulate(inputs, made, scale, shown)
            return stages.replay(inputs, made, generator, shown)

    ending.finish(inputs, made, as_json, work)


@app.command()
def check(scenario: ScenarioFile, as_json: Json = False) -> None:
    """Read a scenario and report every mistake in it; writes nothing."""
    try:
        found = kinds.load_any(scenario)
    except ScenarioError as error:
        if as_json:
            problems = [
                {"file": str(p.file), "key": p.key, "value": p.value, "expected": p.expected} for p in error.problems
            ]
            ending.print_json({"ok": False, "problems": problems})
            raise typer.Exit(error.exit_code) from error
        raise
    if as_json:
        ending.print_json({"ok": True, "problems": [], "hash": found.hash})
    else:
        print(f"{scenario}: in order (scenario {found.hash[:7]})")


@app.command()
def simulate(scenario: ScenarioFile, scale: Scale = 1.0, as_json: Json = False) -> None:
    """Project and simulate: the plan of the busiest window and the response times predicted for it.

    A file with [arrivals] is a network of its own: its stations' waits, response times and utilisation. One with
    [year] is a year of the whole country.
    """
    if kinds.is_network(scenario):
        if scale != 1:
            raise UsageError(f"--scale {scale:g}: expected none; {scenario} is a network of its own")
        with bars() as shown:
            ran, figures = studies.simulate_network(scenario, shown)
        from caodiem.report.network import lines
    elif kinds.is_year(scenario):
        with bars() as shown:
            ran, figures = studies.simulate_year(scenario, scale, shown)
        from caodiem.report.year import lines
    else:
        _simulate_levels(scenario, scale, as_json)
    if as_json:
        ending.print_json({"run": str(ran.folder), **figures})
    else:
        print(*lines(figures), ran.folder, sep="\n")


def _simulate_levels(scenario: Path, scale: float, as_json: bool) -> NoReturn:
    """Project and simulate what happens at each adoption level."""
    inputs, made, prepare = stages.begin(scenario, scale, "simulate")
    ending.announce(inputs, made, scale)

    def work() -> ExitCode:
        prepare()
        with bars() as shown:
            stages.simulate(inputs, made, scale, shown)
        return ExitCode.PASS

    ending.finish(inputs, made, as_json, work, judged=False)


@app.command()
def size(scenario: ScenarioFile, scale: SampleScale = 1.0, as_json: Json = False) -> None:
    """Find the fewest servers that meet every SLO, and the highest rate that today's servers hold.

    For a network of its own with [[slo]], or the portal of a scenario in each level's busiest window, or in its
    `hours`. Exit code 0: today's servers meet every SLO; 1: they do not, more are needed or none would do; 3: it
    stays undecided.
    """
    with bars() as shown:
        made, figures, code = studies.size(scenario, scale, shown)
    if as_json:
        ending.print_json({"run": str(made.folder), **figures})
    else:
        from caodiem.report.capacity import lines

        print(figures["title"])
        for case in figures["cases"]:
            print("", f"{case['case']}: every SLO by today's servers: {case['today']}", *lines(case), sep="\n")
        print(f"Picture: {made.plots / 'capacity.png'}", made.folder, sep="\n")
    raise typer.Exit(code)


@app.command()
def sweep(
    scenario: ScenarioFile,
    settings: Annotated[
        list[str],
        typer.Option(
            "--set", metavar="KEY=V1,V2,…", help="Values of a key, as in stations[0].servers=1,2; again for more."
        ),
    ],
    scale: Scale = 1.0,
    replications: Annotated[
        int, typer.Option(min=1, max=1000, help="Simulate each point of a scenario so often, for intervals.")
    ] = 1,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Run on the Dask cluster at tcp://HOST:PORT.")
    ] = None,
    into: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where it is kept (default: named by the sweep).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Simulate every combination of values of some keys into one table.

    Every finished point is kept at once: the same command goes on with a sweep that was killed.
    """
    points = studies.plan_sweep(scenario, settings, scale, replications)
    if scheduler is not None:
        print(studies.workers_at(scheduler), file=sys.stderr)
    made = studies.sweep_folder(scenario, points, into)
    each = f", {replications} replications of each" if replications > 1 else ""
    keys = ", ".join(key for key, _ in points[0].settings)
    print(
        f"{scenario}: {len(points) // replications} points over {keys}{each}; "
        f"random numbers are common to all of one seed\nsweep {made.folder}",
        file=sys.stderr,
    )
    with bars() as shown:
        found = studies.sweep(points, made, scheduler, shown)
    if as_json:
        ending.print_json({"folder": str(made.folder), **found, "picture": str(found["picture"] or "")})
        return
    from caodiem.report.sweep import lines

    if found["known_before"]:
        print(f"{found['known_before']} of {found['points']} simulations were finished before")
    print(*lines(found["rows"], found["keys"]), sep="\n")
    print(f"Table: {made.folder / 'sweep.csv'}, sweep.parquet")
    if found["picture"]:
        print(f"Picture: {found['picture']}")
    print(made.folder)


@app.command()
def replay(
    source: Planned,
    window: Window = "",
    scale: PartScale = 1.0,
    speed: Speed = 1.0,
    journeys: Annotated[str, typer.Option(metavar="A,B", help="Replay these journeys alone.")] = "",
    pool: Pool = None,
    greatest_lateness: GreatestLateness = None,
    abort: Abort = None,
    host: Host = None,
    portal: PortalClass = None,
    ca: Ca = None,
    scenario: Annotated[
        Path | None, typer.Option(help="Whose SLOs and limits hold for a plan alone (default: the main scenario's).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Replay the plans of a run, or a part of them, or a plan alone, into a new run's folder."""
    generator = stages.Generator(host, tuple(abort or ()), pool, greatest_lateness, portal, ca)
    generator.check()
    part = parse_part(window, scale, speed, journeys)
    alone = stages.stands_alone(source)
    if scenario is not None and source.exists() and not alone:
        raise UsageError(f"--scenario {scenario}: expected none; {source} is of a run, which has its own")
    inputs, made, prepare = (
        stages.of_plan(source, part, scenario or _main_scenario(), generator)
        if alone
        else stages.continued(source, part, generator)
    )
    ending.announce(
        inputs, made, run.read_json(made.manifest)["options"]["scale"], str(part), generator.in_words(inputs)
    )

    def work() -> ExitCode:
        prepare()
        with bars() as shown:
            return stages.replay(inputs, made, generator, shown)

    ending.finish(inputs, made, as_json, work)


@planning.command("from-log")
def plan_from_log(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An access log (combined or JSON lines), or a .csv.")],
    operations: Annotated[
        Path, typer.Option("--map", help="Which request is which operation; by default the reference portal's.")
    ] = _REFERENCE_MAP,
    out: Annotated[Path, typer.Option(help="The plan's file.")] = Path("plan.parquet"),
    times: Annotated[float, typer.Option(help="So many requests for each one logged, above 0.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Decides at which moment of a second or an interval a request comes.")] = 1,
    as_json: Json = False,
) -> None:
    """Turn yesterday's traffic into a plan: an access log, or a CSV of requests per interval.

    `caodiem replay plan.parquet` and `locust --plan plan.parquet` replay it.
    """
    taken = from_log.read(file, load_map(operations))
    made = from_log.to_plan(taken, file, seed, times)
    out.parent.mkdir(parents=True, exist_ok=True)
    plan.write(made, out)
    if as_json:
        ending.print_json({"plan": str(out), "arrivals": made.arrivals, **asdict(made.meta), **taken.figures()})
        return
    print(f"{file}: {taken.in_words()}", file=sys.stderr)
    print(
        f"{made.arrivals} arrivals in {made.meta.length_s:g} s from {made.meta.starts_at}, "
        f"seed {seed}, hash {made.meta.plan_hash[:12]}"
    )
    print(out)


@app.command()
def report(source: RunFolder, as_json: Json = False) -> None:
    """Write the report of a run again, from its tables."""
    opened = run.open_run(source)
    path = stages.report(opened)
    if as_json:
        ending.print_json({"run": str(opened.folder), "report": str(path)})
    else:
        print(f"Report: {path}")
        print(opened.folder)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: expected a day, like 2025-12-31") from error


@app.command()
def project(
    scenario: ScenarioFile,
    on: Annotated[
        list[date] | None, typer.Option(parser=_day, metavar="DAY", help="One more day to project to.")
    ] = None,
    fit_until: Annotated[
        date | None, typer.Option(parser=_day, metavar="DAY", help="Take later points as unknown.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Fit growth curves to published counts, or to observed shares, and project them, beside what came later.

    Shares are a TOML file with `shares`, or a CSV file with the columns on, percent and, if several, name.
    """
    made, rows = studies.project(scenario, fit_until, on or [])
    if as_json:
        ending.print_json({"run": str(made.folder), **run.read_json(made.folder / "backtest.json")})
        return
    from caodiem.report.growth import lines

    print("\n".join(lines(run.read_json(made.folder / "backtest.json"), rows)))
    print(f"Picture: {made.plots / 'growth.png'}")
    print(made.folder)


@app.command()
def compare(
    first: Annotated[
        Path, typer.Argument(metavar="A", help="A run's folder, or a level-*/simulated or replayed in it.")
    ],
    second: Annotated[
        Path | None, typer.Argument(metavar="B", help="What to hold against it, of the same kinds.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option("--baseline", metavar="FILE", help="Judge run A by a file of results/baselines/.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show two runs side by side, simulated or measured, by operation and station, with a picture in B's folder.

    With --baseline, judge one run by the figures of another that was reviewed: exit code 0 pass, 1 fail, 3 not shown.
    """
    if (second is None) == (against is None):
        raise UsageError("compare: expected a second run or --baseline FILE, and not both")
    if against is not None:
        _hold(first, against, as_json)
    assert second is not None
    levels, picture = stages.compare(first, second)
    for notice in comparison.notices(levels):
        print(f"caodiem: {notice}", file=sys.stderr)
    pairs = [pair for level in levels for pair in level.pairs]
    if as_json:
        ending.print_json([{**asdict(pair), "ratio": pair.ratio} for pair in pairs])
        return
    from caodiem.report.compared import lines

    print("\n".join(lines(pairs)))
    print(picture)


def _hold(folder: Path, file: Path, as_json: bool) -> NoReturn:
    """Print every figure beside the baseline's, and end with the verdict's exit code."""
    rules = baseline.hold(folder, file)
    code = baseline.result(rules).exit_code
    if as_json:
        ending.print_json({"exit_code": int(code), "rules": [asdict(rule) for rule in rules]})
    else:
        for rule in rules:
            told = f"baseline {rule.baseline:.4g}, limit {rule.limit:.4g}, found {rule.found:.4g}"
            print(f"{rule.level:<10} {rule.name:<28} {rule.figure:<6} {told}: {rule.result}")
        print(f"Verdict: {baseline.result(rules)}")
    raise typer.Exit(code)


@app.command("baseline")
def take_baseline(
    source: RunFolder,
    out: Annotated[Path | None, typer.Option(help="The file; by default named after the scenario.")] = None,
    as_json: Json = False,
) -> None:
    """Make a run the baseline of its scenario: a small file of figures for `compare --baseline`, to be reviewed."""
    path = out or baseline.BASELINES / f"{run.read_json(run.open_run(source).manifest)['scenario']}.json"
    taken = baseline.take(source, path)
    run.write_json(path, taken)
    if as_json:
        ending.print_json({"baseline": str(path), **taken})
    else:
        print(path)


@app.command()
def calibrate(source: RunFolder, as_json: Json = False) -> None:
    """Print the service times that a replay measured, as `portal.services` of a scenario."""
    found = stages.calibrate(run.open_run(source))
    if as_json:
        ending.print_json([asdict(each) for each in found])
    else:
        from simulation.calibration import as_toml

        print("\n".join(as_toml(found)))


@app.command()
def gate(
    base: Annotated[str, typer.Option(metavar="REF", help="The commit to hold against.")],
    head: Annotated[str, typer.Option(metavar="REF", help="The commit to be judged.")] = "HEAD",
    tests: Annotated[
        str, typer.Option(metavar="PATH", help="pytest-benchmark tests, from the top of the repository.")
    ] = "tests/benchmarks/gate",
    budget: Annotated[str, typer.Option(metavar="TIME", help="How long it may take, like 90s or 5m.")] = "5m",
    seed: Annotated[int | None, typer.Option(help="Decides the order of base and head; drawn unless given.")] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Append a summary in Markdown.")] = None,
    history: Annotated[Path | None, typer.Option(metavar="FILE", help="Append a line of JSON a benchmark.")] = None,
    as_json: Json = False,
) -> None:
    """Compare two commits of the git repository that you are in: is any benchmark slower?

    Exit codes: 0 nothing is slower, 1 something is, 3 inconclusive or invalid.
    """
    stages.need_gate()
    from gates import files, summary
    from gates.budget import parse

    budget_s, seed = parse(budget), seed if seed is not None else secrets.randbelow(10**9)
    print(f"base {base}, head {head}, tests {tests}, budget {budget_s:g} s, seed {seed}", file=sys.stderr)
    result = stages.gate(base, head, tests, budget_s, seed)
    if junit:
        junit.parent.mkdir(parents=True, exist_ok=True)
        junit.write_text(files.junit(result), encoding="utf-8")
    if markdown:
        markdown.parent.mkdir(parents=True, exist_ok=True)
        with markdown.open("a", encoding="utf-8") as written:
            written.write(summary.markdown(result))
    if history:
        files.append_history(result, history)
    if as_json:
        ending.print_json(files.as_json(result))
    else:
        for problem in summary.problems(result):
            print(problem, file=sys.stderr)
        print("\n".join(summary.lines(result)))
    raise typer.Exit(result.exit_code)


@app.command()
def staging(
    port: Annotated[int, typer.Option(help="Port on loopback; 0 takes a free one.")] = 8080,
    workers: Annotated[int, typer.Option(min=1, help="Processes that serve the portal.")] = 1,
    keep: Annotated[Path | None, typer.Option(help="Folder that keeps its data for the next start.")] = None,
    wrong: Annotated[Path | None, typer.Option("--faults", help="TOML file with [faults.SYSTEM] tables.")] = None,
    signatures: Annotated[
        str | None, typer.Option(envvar="CAODIEM_SIGNATURES", help="Signature check of your own, pkg.mod:factory.")
    ] = None,
    sync: Annotated[
        str | None, typer.Option(envvar="CAODIEM_STATUS_SYNC", help="Status sync of your own, pkg.mod:factory.")
    ] = None,
    tls: Annotated[bool, typer.Option("--tls", help="Speak TLS, with an authority made for this start.")] = False,
    as_json: Json = False,
) -> None:
    """Serve the reference portal on loopback until Ctrl-C; prints where it is and how to sign in."""
    from staging.service import Portal, serve, stop_when_orphaned

    def tell(portal: Portal, _folder: Path) -> None:
        # One line, flushed: whoever started us waits for it.
        print(json.dumps(asdict(portal)), flush=True)

    # A program that started us holds a pipe to our standard input; when it is gone, so should we be.
    if sys.stdin is not None and stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode):
        stop_when_orphaned()
    what = faults.read(wrong) if wrong is not None else {}
    # The workers, processes of their own, read them from the environment.
    named = {"CAODIEM_SIGNATURES": signatures, "CAODIEM_STATUS_SYNC": sync}
    os.environ.update({variable: name for variable, name in named.items() if name})
    serve(port=port, workers=workers, keep=keep, faults=what, tls=tls, ready=tell if as_json else None)


def main() -> None:
    """Entry point of `caodiem`."""
    # What a user names as module:Class is found in the working folder, as by `python -m`; last, so it hides nothing.
    sys.path.append("")
    ending.need_no_reader()
    # Also in a script's background, where Ctrl-C is ignored: a command that is told to stop cleans up.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.default_int_handler)
    try:
        code = app(standalone_mode=False)
        if code == _CTRL_C:
            code = ending.tell("interrupted", ExitCode.INVALID)
            # Where Ctrl-C fell into code compiled from text, as dataclasses are on import, CPython remembers it and
            # ends `python -m` by a signal instead of by our exit code. Evaluating any text makes it forget.
            exec("")
    except CaodiemError as error:
        code = ending.tell(str(error), error.exit_code)
    except SystemExit as error:
        code = error.code
        if isinstance(error.__context__, BrokenPipeError):
            # Nor is it standard output. typer makes 1 of it, which would say that an SLO was missed.
            code = ending.tell("a pipe or connection of this command broke", ExitCode.INVALID)
    except typer.TyperException as error:
        code = ending.tell(
            f"{error.format_message().removesuffix('.')}; `caodiem --help` lists the commands", ExitCode.USAGE
        )
    except OSError as error:
        code = ending.tell(f"{error.filename or 'the system'}: {error.strerror or error}", exit_code_of(error))
    except Exception:
        # A mistake of ours proves nothing; Python's own exit code would say that an SLO was missed.
        traceback.print_exc()
        code = ending.tell("this is a mistake in Caodiem; please report it with the lines above", ExitCode.INVALID)
    sys.exit(code)


def _main_scenario() -> Path:
    """The working folder's, as in a clone of ours; anywhere else the one beside this code."""
    return _MAIN_SCENARIO if _MAIN_SCENARIO.is_file() else Path(__file__).parents[1] / _MAIN_SCENARIO


if __name__ == "__main__":
    main()
