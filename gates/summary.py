"""The gate's answer for people: a few lines for a terminal, Markdown with a plot of the intervals for a CI's page.

Pure functions of a result.
"""

import math
from collections import defaultdict
from collections.abc import Iterator

from gates import evidence
from gates.evidence import Interval, Outcome
from gates.gate import Result, Verdict

_WIDTH = 41  # of a plot, odd: its middle is "the same"
_RANGE = math.log(1.25)  # what half of it shows
_SYMBOLS = {Outcome.SAME: "✅", Outcome.FASTER: "🚀", Outcome.SLOWER: "❌", Outcome.INCONCLUSIVE: "❔"}


def lines(result: Result) -> list[str]:
    """For a terminal: a line for each benchmark, then the outcome."""
    names = _names(result)
    width = max(map(len, names), default=0)
    shown = [
        f"{name:<{width}}  {each.outcome:<12} {_ratio(each):>22}  {_plot(shown_interval(each))}  {_why(each)}"
        for each, name in zip(result.verdicts, names, strict=True)
    ]
    return [*shown, *result.notes, _outcome(result)]


def markdown(result: Result) -> str:
    """A section ready for a CI's summary page."""
    told = [f"## Performance gate: {_SYMBOLS[result.outcome]} {result.outcome}", ""]
    told += [f"Base `{result.base[:10]}`, head `{result.head[:10]}`, seed {result.seed}, {result.took_s:.0f} s."]
    if result.problem:
        told += ["", f"**Proves nothing:** {in_short(result.problem)}"]
    told += ["", "| benchmark | | head / base | interval | base | signs |", "|---|---|---|---|---|---|"]
    names = _names(result)
    for each, name in zip(result.verdicts, names, strict=True):
        plot = f"`{_plot(shown_interval(each))}`"
        told.append(
            f"| {name.replace('|', '&#124;')} | {_SYMBOLS[each.outcome]} {each.outcome} | {_ratio(each)} | {plot} | "
            f"{_time(each.base_s)} | {_why(each).replace('|', '&#124;')} |"
        )
    half = 100 * (math.exp(_RANGE) - 1)
    told += ["", f"Plots reach from {-100 * (1 - math.exp(-_RANGE)):.0f}% to +{half:.0f}%; `┊` is equal speed.", ""]
    return "\n".join([*told, *(f"- {note}" for note in result.notes)]).rstrip() + "\n"


def shown_interval(verdict: Verdict) -> Interval:
    """The interval that decided: the confirming block's where there is one, else the first's."""
    return verdict.finding.second if verdict.finding.second.pairs else verdict.finding.first


def in_short(reason: str) -> str:
    """One line of what may be a whole traceback: who and where, then pytest's line of the error if there is one."""
    first, *more = reason.splitlines() or [""]
    errors = [line.removeprefix("E ").strip() for line in more if line.startswith("E ")]
    # After "failed in call: " pytest shows the arguments of the test.
    return f"{':'.join(first.split(':')[:2])}: {errors[0]}" if errors else first


def problems(result: Result) -> Iterator[str]:
    """Why no answer could be given, whole."""
    if result.problem:
        yield result.problem
    for each in result.verdicts:
        if each.outcome is Outcome.INCONCLUSIVE and "\n" in each.reason:
            yield f"{each.benchmark}: {each.reason}"


def _outcome(result: Result) -> str:
    counted = {outcome: sum(each.outcome is outcome for each in result.verdicts) for outcome in Outcome}
    told = ", ".join(f"{count} {outcome}" for outcome, count in counted.items() if count) or "no benchmark"
    why = f": {in_short(result.problem)}" if result.problem else ""
    return f"Verdict: {result.outcome} ({told}) after {result.took_s:.0f} s{why}"


def _names(result: Result) -> list[str]:
    """Of each benchmark: without its file, where that is enough to tell it from the others."""
    split = [each.benchmark.partition("::") for each in result.verdicts]
    files = defaultdict(set)
    for file, _, name in split:
        files[name].add(file)
    return [name if len(files[name]) == 1 else f"{file}::{name}" for file, _, name in split]


def _ratio(verdict: Verdict) -> str:
    found = shown_interval(verdict)
    if not found.pairs:
        return "not measured"
    return f"{_percent(found.median)} [{_percent(found.low)}, {_percent(found.high)}]"


def _percent(log_ratio: float) -> str:
    return f"{100 * math.expm1(log_ratio):+.1f}%" if math.isfinite(log_ratio) else "?"


def _time(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms" if math.isfinite(seconds) else ""


def _why(verdict: Verdict) -> str:
    signs = [
        f"{sign} ({verdict.work[key].ratio:.3g} ×)"
        if (key := sign.removeprefix("more ").replace(" ", "_")) in verdict.work
        else sign
        for sign in verdict.signs
    ]
    return "; ".join(filter(None, [in_short(verdict.reason), *signs]))


def _plot(found: Interval) -> str:
    """The interval as a bar, its median as a dot; the tolerated range lies between the dotted lines."""
    middle = _WIDTH // 2

    def place(log_ratio: float) -> int:
        return middle + round(max(min(log_ratio / _RANGE, 1.0), -1.0) * middle)

    cells = [" "] * _WIDTH
    for bound in (-evidence.TOLERATED, evidence.TOLERATED):
        cells[place(bound)] = "·"
    cells[middle] = "┊"
    if found.pairs:
        first, last = place(found.low), place(found.high)
        cells[first : last + 1] = "─" * (last + 1 - first)
        cells[place(found.median)] = "●"
    return "".join(cells)
