"""How a command says what it does and how it ends: announcement, result, error; as text or as JSON.

A run that ends early stays readable, however it ends.
"""

import io
import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import typer

from caodiem import run, stages
from caodiem.errors import ExitCode, exit_code_of
from caodiem.scenario import Scenario
from caodiem.verdict import Result


class _Unread(io.FileIO):
    """Where a standard stream goes: once nobody reads it any more, as after `| head`, the rest is lost."""

    def write(self, content: Any) -> int:
        try:
            return super().write(content)
        except BrokenPipeError:
            # Also for what is started from here on.
            with Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), self.fileno())
            return len(content)


def need_no_reader() -> None:
    """From here on a command whose output nobody reads goes on to its own end and exit code."""
    sys.stdout, sys.stderr = _unread(sys.stdout), _unread(sys.stderr)


def _unread(stream: Any) -> Any:
    if stream is None:  # the shell closed it
        return None
    raw = _Unread(stream.fileno(), "w", closefd=False)
    unbuffered = stream.write_through  # as PYTHONUNBUFFERED asks for
    return io.TextIOWrapper(
        raw if unbuffered else io.BufferedWriter(raw),
        stream.encoding,
        stream.errors,
        line_buffering=stream.line_buffering,
        write_through=unbuffered,
    )


def announce(inputs: Scenario, made: run.Run, scale: float, *options: str) -> None:
    """The seed and the options first, so that a run that dies can still be repeated."""
    print(
        f"{inputs.title}\nscenario {inputs.hash[:7]}, seed {inputs.seed}, scale {scale:g}, "
        f"levels {', '.join(_level(percent) for percent in inputs.levels)}",
        *options,
        f"run {made.folder}",
        sep="\n",
        file=sys.stderr,
    )


def finish(
    inputs: Scenario, made: run.Run, as_json: bool, work: Callable[[], ExitCode], judged: bool = True
) -> NoReturn:
    """Do the work, judge it, write the report, print where it is; an interrupted run stays readable."""
    try:
        code = work()
        result = stages.judge(inputs, made) if judged else None
        if result is not None and code is ExitCode.PASS:
            code = result.exit_code
        run.finish(made, "finished", code)
        stages.report(made)
    except (KeyboardInterrupt, Exception) as error:
        _break_off(inputs, made, error)
        raise
    _print_result(made, result, code, as_json)
    raise typer.Exit(code)


def _break_off(inputs: Scenario, made: run.Run, error: BaseException) -> None:
    """Leave a run that ended early readable, and say where."""
    stages.close_interrupted(inputs, made)
    code = exit_code_of(error)
    hint = f"`caodiem report {made.folder}` shows what it holds"
    if isinstance(error, KeyboardInterrupt):
        # Whoever pressed Ctrl-C wants to be gone at once.
        run.finish(made, "interrupted", code)
    else:
        run.finish(made, "failed", code)
        # The error that ended the run is the one to be seen, not one of its report.
        with suppress(Exception):
            hint = f"what it holds is in {stages.report(made)}"
    print(f"caodiem: the run ended early; {hint}", file=sys.stderr)


def _print_result(made: run.Run, result: Result | None, code: ExitCode, as_json: bool) -> None:
    from caodiem.report.answer import answer
    from caodiem.report.hours import lines as lines_of_hours

    said = answer(made)
    hours = {level.percent: run.read_json(level.hours) for level in made.levels if level.hours.is_file()}
    failures = {level.percent: found for level in made.levels if (found := _info(level).get("failures"))}
    if as_json:
        print_json(
            {
                "run": str(made.folder),
                "report": str(made.report),
                "result": result.value if result else None,
                "exit_code": int(code),
                "answer": said,
                "summary": run.read_json(made.summary) if made.summary.exists() else None,
                **({"hours": {f"{percent:g}%": each for percent, each in hours.items()}} if hours else {}),
                **({"failures": {f"{percent:g}%": each for percent, each in failures.items()}} if failures else {}),
            }
        )
        return
    print(said["en"])
    print(said["vi"])
    for percent, each in hours.items():
        print(*lines_of_hours(each, percent), sep="\n")
    if result is not None:
        print(f"Verdict: {result.value}")
        for line in _not_met(made):
            print(f"  {line}")
    if failures:
        print("Not answered well:", *_gone_wrong(failures), sep="\n  ")
    print(f"Report: {made.report}")
    print(made.folder)


def _level(percent: float) -> str:
    """A plan that stands alone has no level, which it says as 0%."""
    return f"{percent:g}%" if percent else "the plan's own"


def _not_met(made: run.Run) -> list[str]:
    """Every rule that a level did not meet, in a line; and why a replay was stopped."""
    lines = []
    for level in run.read_json(made.verdict)["levels"]:
        name = _level(level["percent"])
        for rule in level["rules"]:
            if rule["result"] != Result.PASS.value:
                quantile = f" p{rule['quantile_percent']:g}" if rule["quantile_percent"] is not None else ""
                found = "never" if rule["found"] is None else f"{rule['found']:g}"
                limit = f"limit {rule['limit']:g} {rule['unit']}, found {found}"
                lines.append(f"{name}: {rule['name']} {rule['operation']}{quantile}: {limit}: {rule['result']}")
        if why := _info(made.level(level["percent"])).get("stopped_because"):
            lines.append(f"{name}: {why}")
    return lines


def _gone_wrong(failures: dict[float, list[dict[str, Any]]]) -> list[str]:
    """What was refused, failed or timed out: a line for each operation and kind, with the first step that shows it."""
    return [
        f"{_level(percent)}: {each['operation']}: {each['steps']} {each['outcome'].replace('_', ' ')}: {each['error']} "
        f"(first: arrival {each['first']['arrival']}, due at {each['first']['due_s']:.2f} s)"
        for percent, found in failures.items()
        for each in found
    ]


def _info(level: run.Level) -> dict[str, Any]:
    """What the replay of a level says of itself; nothing where there was none."""
    path = level.executed("replayed").info
    found: dict[str, Any] = run.read_json(path) if path.is_file() else {}
    return found


def tell(error: str, code: ExitCode) -> ExitCode:
    """Say why a command ended, to a person and, where JSON was asked for, to a program."""
    print(f"caodiem: {error}", file=sys.stderr)
    if "--json" in sys.argv:
        print_json({"error": error, "exit_code": int(code)})
    return code


def print_json(content: Any) -> None:
    # Dates and the like, as a scenario may hold them, are told as text.
    print(json.dumps(run.plain(content), ensure_ascii=False, indent=2, default=str))
