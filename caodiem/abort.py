"""Abort rules: when a run must stop by itself. Pure functions of rows and time; whoever asks does the stopping.

Both kinds of rule bound a share of steps. `failures > 5% for 10 s` bounds the share that was answered badly.
`p95 > 3 s for 30 s` says that more than 5% had a response time from due above 3 s, which is the same as their 95th
percentile being above 3 s; a step that was not answered rightly has an infinite one, and a step that is still open
counts from the moment at which it has taken longer than the limit, so a portal that stands still is noticed.
"""

import math
import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from caodiem import summary
from caodiem.dossier import Outcome
from caodiem.errors import UsageError

ACCEPTED = "'failures > 5% for 10 s' or 'p95 > 3 s for 30 s' (limits in ms, s or min, windows of 1 s to 1 h)"
# What stops a run against a host that is not this machine, unless it was given rules of its own.
DEFAULTS_ELSEWHERE = ("failures > 10% for 30 s", "p95 > 10 s for 60 s")

_NUMBER = r"(\d+(?:\.\d+)?)"
_DURATION = _NUMBER + r"\s*(ms|s|min)"
_FAILURES = re.compile(rf"failures\s*>\s*{_NUMBER}\s*%\s+for\s+{_DURATION}")
_QUANTILE = re.compile(rf"p{_NUMBER}\s*>\s*{_DURATION}\s+for\s+{_DURATION}")
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0}
_SHORTEST_S, _LONGEST_S = 1.0, 3600.0


@dataclass(frozen=True, slots=True)
class Rule:
    """Of the steps of the last `window_s`, at most `share` may be bad. `limit_s` is None where bad means failed."""

    text: str
    limit_s: float | None
    share: float
    window_s: float


class Count(NamedTuple):
    """Steps that a rule looked at, and how many of them were bad."""

    steps: int
    bad: int


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule that was broken, when, and by which figures."""

    rule: str
    at_s: float
    window_s: float
    steps: int
    bad: int
    share: float
    limit: float

    def __str__(self) -> str:
        return (
            f"abort rule {self.rule!r}: {self.bad} of {self.steps} steps ({self.share:.1%}, at most {self.limit:.1%}) "
            f"in the {self.window_s:g} s before second {self.at_s:.1f}"
        )

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def parse(text: str) -> Rule:
    """A rule as people write it; UsageError names the rule, what is wrong with it, and what is accepted."""
    said = " ".join(text.split())
    if found := _FAILURES.fullmatch(said):
        percent, window, unit = found.groups()
        rule = Rule(said, None, float(percent) / 100, float(window) * _SECONDS[unit])
        if rule.share >= 1:
            raise UsageError(f"abort rule {said!r}: {percent}%: expected less than 100%")
    elif found := _QUANTILE.fullmatch(said):
        percent, limit, limit_unit, window, unit = found.groups()
        share = round(1 - float(percent) / 100, 9)
        rule = Rule(said, float(limit) * _SECONDS[limit_unit], share, float(window) * _SECONDS[unit])
        if not 0 < share < 1:
            raise UsageError(f"abort rule {said!r}: p{percent}: expected a percentile above p0 and below p100")
    else:
        raise UsageError(f"abort rule {said!r}: expected a rule like {ACCEPTED}")
    if not _SHORTEST_S <= rule.window_s <= _LONGEST_S:
        raise UsageError(f"abort rule {said!r}: a window of {rule.window_s:g} s: expected 1 s to 1 h")
    return rule


def rules(texts: Iterable[str], is_loopback: bool) -> list[Rule]:
    """The rules of a run: those given, else none on loopback and the defaults elsewhere."""
    given = list(texts)
    return [parse(text) for text in given or ([] if is_loopback else DEFAULTS_ELSEWHERE)]


def count(rule: Rule, rows: pa.Table) -> Count:
    """How many of these settled steps (columns as observations.SCHEMA) the rule looks at, and how many are bad."""
    if rule.limit_s is None:
        found = summary.count_outcomes(rows)
        attempted = rows.num_rows - found[Outcome.DROPPED]
        return Count(attempted, attempted - found[Outcome.OK])
    return Count(rows.num_rows, int((summary.response_s(rows) > rule.limit_s).sum()))


def count_overdue(rule: Rule, open_due_s: Iterable[float], now_s: float) -> int:
    """How many steps without an answer have taken longer than the rule's limit already, by when they were due."""
    if rule.limit_s is None:
        return 0
    limit_s = rule.limit_s
    return sum(now_s - due_s > limit_s for due_s in open_due_s)


class Watch:
    """The rules of a run held against what its workers tell now and then."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._settled: list[deque[tuple[float, Count]]] = [deque() for _ in rules]
        self._overdue: dict[str, Sequence[int]] = {}

    def note(self, worker: str, at_s: float, settled: Sequence[Count], overdue: Sequence[int]) -> None:
        """At `at_s` a worker tells what it settled since it last told, and what is overdue: a figure for each rule.

        What is told of no moment counts as nothing: it would never be over, nor anything that was told after it.
        """
        if not math.isfinite(at_s):
            return
        for told, counted in zip(self._settled, settled, strict=True):
            told.append((at_s, Count(*counted)))
        self._overdue[worker] = overdue

    def forget(self, worker: str) -> None:
        """A worker is gone: what was overdue with it will never be told to have settled."""
        self._overdue.pop(worker, None)

    def breach(self, now_s: float) -> Breach | None:
        """The first rule that is broken now: never before its whole window has passed, nor by one bad step alone."""
        for number, rule in enumerate(self._rules):
            told = self._settled[number]
            while told and told[0][0] <= now_s - rule.window_s:
                told.popleft()
            overdue = sum(figures[number] for figures in self._overdue.values())
            steps = sum(counted.steps for _, counted in told) + overdue
            bad = sum(counted.bad for _, counted in told) + overdue
            # One bad step of ten would be 10%; only a rule that allows none may stop a run for it.
            least_bad = 2 if rule.share > 0 else 1
            if now_s >= rule.window_s and bad >= least_bad and bad > round(rule.share * steps, 9):
                return Breach(rule.text, now_s, rule.window_s, steps, bad, bad / steps, rule.share)
        return None
