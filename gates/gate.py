"""The gate: two commits, rings of pairs until every benchmark is settled or the time is over, one result.

Knows the laboratory's rows and what evidence.py makes of them. Prints nothing.
"""

import math
import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from caodiem.errors import ExitCode, InvalidRun
from gates import environment, evidence, instructions, repository
from gates.evidence import Finding, Outcome
from gates.probe import REFERENCE
from gates.sampling import Laboratory, Pair, Ring, Side

SPEED_CHANGE = 1.5  # of the reference between the first and the second half of the rings
WORK_TOLERANCE = 0.03  # less is no sign: bytes of a log differ a little from run to run
_COUNTING_S = 60.0  # left for counting what the clock did not call the same,
_COUNTING_BUDGET_S = 4 * _COUNTING_S  # where there is as much time as this

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Work:
    """A counter of both sides, a round. Where base has none, `ratio` is infinite, or 1 if head has none either."""

    base: float
    head: float

    @property
    def ratio(self) -> float:
        return self.head / self.base if self.base else (1.0 if self.head == self.base else math.inf)


@dataclass(frozen=True)
class Verdict:
    """One benchmark: what the clock says, what the counters say, and what it comes to."""

    benchmark: str
    outcome: Outcome
    reason: str
    finding: Finding
    base_s: float
    head_s: float
    pairs: list[Pair]
    control: list[float]
    work: dict[str, Work]
    signs: list[str]


@dataclass(frozen=True)
class Result:
    """The whole gate's answer."""

    base: str
    head: str
    seed: int
    verdicts: list[Verdict]
    problem: str  # why nothing can be said at all; empty otherwise
    notes: list[str]
    reference_s: list[float]
    took_s: float
    machine: dict[str, object]

    @property
    def outcome(self) -> Outcome:
        outcomes = [verdict.outcome for verdict in self.verdicts]
        if Outcome.SLOWER in outcomes and not self.problem:
            return Outcome.SLOWER
        if self.problem or not outcomes or Outcome.INCONCLUSIVE in outcomes:
            return Outcome.INCONCLUSIVE
        return Outcome.FASTER if Outcome.FASTER in outcomes else Outcome.SAME

    @property
    def exit_code(self) -> ExitCode:
        bad = {Outcome.SLOWER: ExitCode.FAIL, Outcome.INCONCLUSIVE: ExitCode.INVALID}
        return bad.get(self.outcome, ExitCode.PASS)


@dataclass
class Case:
    """A benchmark under way."""

    benchmark: str
    pairs: list[Pair] = field(default_factory=list)
    control: list[float] = field(default_factory=list)
    problem: str = ""

    @property
    def finding(self) -> Finding:
        return evidence.judge([pair.log_ratio for pair in self.pairs])

    @property
    def is_open(self) -> bool:
        return not self.problem and not self.finding.is_settled

    def add(self, ring: Ring) -> None:
        if self.benchmark in ring.pairs:
            self.pairs += ring.pairs[self.benchmark]
            self.control.append(ring.control[self.benchmark])
        elif not (ring.is_late and self.pairs):  # what was measured before and had no time now is open
            self.problem = ring.problems.get(self.benchmark, "")


def compare(
    folder: Path, base: str, head: str, tests: str, budget_s: float, seed: int, tell: Tell, *, counts: bool = True
) -> Result:
    """Compare two commits of the repository around `folder`; UsageError for references that do not exist."""
    started_s = time.monotonic()
    end_s = started_s + budget_s
    root = repository.root_of(folder)
    commits = {name: repository.commit_of(root, each) for name, each in (("base", base), ("head", head))}
    counting_s = _COUNTING_S if counts and budget_s >= _COUNTING_BUDGET_S and not instructions.missing() else 0.0
    cases: list[Case] = []
    reference = Case(REFERENCE)
    work: dict[str, dict[str, Work]] = {}
    notes: list[str] = []
    problem = ""
    try:
        with _laboratory(root, commits) as laboratory:
            cases = _cases(laboratory, tests, end_s)
            _run_rings(laboratory, cases, reference, end_s - counting_s, seed, tell)
            if counts:
                work, notes = _count(laboratory, cases, end_s - time.monotonic(), tell)
        problem = _machine_problem(reference)
    except InvalidRun as error:
        problem = str(error)
    took_s = time.monotonic() - started_s
    verdicts = [_verdict(case, reference, work.get(case.benchmark, {})) for case in cases]
    speeds_s = [pair.base_s for pair in reference.pairs]
    machine: dict[str, object] = {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()}
    return Result(commits["base"], commits["head"], seed, verdicts, problem, notes, speeds_s, took_s, machine)


@contextmanager
def _laboratory(root: Path, commits: dict[str, str]) -> Iterator[Laboratory]:
    """InvalidRun when a commit's environment cannot be made."""
    arms = {"base-1": commits["base"], "base-2": commits["base"], "head-1": commits["head"]}
    with repository.checkouts(root, arms) as made, tempfile.TemporaryDirectory(prefix="caodiem-work-") as work:
        base, head = environment.interpreters(made["base-1"], made["head-1"])
        pythons = {"base-1": base, "base-2": base, "head-1": head}
        yield Laboratory(Path(work), root, {name: Side(path, pythons[name]) for name, path in made.items()})


def _cases(laboratory: Laboratory, tests: str, end_s: float) -> list[Case]:
    """A case for each benchmark of either side; what only one side has is a problem."""
    found = laboratory.collect(tests, end_s - time.monotonic())
    base, head = found["base-1"], found["head-1"]
    names = list(dict.fromkeys([*base, *head]))
    if not names:
        raise InvalidRun(f"{tests}: no benchmarks in base or head; expected tests that use pytest-benchmark")
    lacks = {name: f"missing in {'base' if name not in base else 'head'}" for name in names}
    return [Case(name, problem="" if name in base and name in head else lacks[name]) for name in names]


def _run_rings(laboratory: Laboratory, cases: list[Case], reference: Case, end_s: float, seed: int, tell: Tell) -> None:
    """Spend the time where the answer is open. A ring is begun only if the longest one so far would still fit."""
    draws = random.Random(seed)
    longest_s = 0.0
    while (still := [case for case in cases if case.is_open]) and time.monotonic() + longest_s < end_s:
        began_s = time.monotonic()
        ring = laboratory.ring([case.benchmark for case in still], draws.random() < 0.5, end_s - began_s)
        for case in [*still, reference]:
            case.add(ring)
        longest_s = max(longest_s, time.monotonic() - began_s)
        tell(f"{len(reference.control)} rings, {len(still)} of {len(cases)} benchmarks were open")


def _count(
    laboratory: Laboratory, cases: list[Case], left_s: float, tell: Tell
) -> tuple[dict[str, dict[str, Work]], list[str]]:
    """Instructions of the benchmarks that the clock did not call the same, if there is time; first of those on which it
    said nothing.
    """
    found = [(case.benchmark, case.finding.outcome) for case in cases if not case.problem]
    wanted = [name for name, outcome in found if outcome is Outcome.INCONCLUSIVE]
    wanted += [name for name, outcome in found if outcome in (Outcome.SLOWER, Outcome.FASTER)]
    if not wanted:
        return {}, []
    if why := instructions.missing():
        return {}, [why]
    if left_s < _COUNTING_S / 2:
        return {}, [f"instructions not counted: {max(left_s, 0):.0f} s were left; expected {_COUNTING_S / 2:g}"]
    tell(f"counting instructions of {len(wanted)} benchmarks")
    counted = instructions.count(laboratory, wanted, left_s)
    notes = (
        [f"instructions counted of {len(counted)} of {len(wanted)} benchmarks"] if len(counted) < len(wanted) else []
    )
    return {name: {"instructions": Work(*each)} for name, each in counted.items()}, notes


def _machine_problem(reference: Case) -> str:
    """Why the controls say that this machine cannot be measured on; empty when they say nothing."""
    if evidence.moved([pair.log_ratio for pair in reference.pairs]):
        return "the reference workload, which no commit changes, differs between base and head"
    speeds_s = [pair.base_s for pair in reference.pairs]
    half = len(speeds_s) // 2
    if half >= 2:
        change = statistics.median(speeds_s[half:]) / statistics.median(speeds_s[:half])
        if not 1 / SPEED_CHANGE < change < SPEED_CHANGE:
            return f"the machine changed its speed midway: the reference took {change:.2f} times as long as before"
    return ""


def _verdict(case: Case, reference: Case, work: dict[str, Work]) -> Verdict:
    finding = case.finding
    work = {**work, **_reported(case.pairs)}
    signs = _signs(case.pairs, work)
    outcome, reason = finding.outcome, ""
    if case.problem:
        outcome, reason = Outcome.INCONCLUSIVE, case.problem
    elif evidence.moved(case.control):
        outcome, reason = Outcome.INCONCLUSIVE, "base against base differs too"
    elif outcome is Outcome.INCONCLUSIVE:
        is_suspected = finding.second.pairs or finding.first.low > evidence.SMALLEST
        reason = "a suspicion was not confirmed in time" if is_suspected else "too few pairs for the noise"
    elif outcome is not Outcome.SLOWER and _queues_more(case.pairs):
        outcome, reason = Outcome.INCONCLUSIVE, "head waits more for a core: its threads may be in each other's way"
    base_s = statistics.median([pair.base_s for pair in case.pairs]) if case.pairs else math.nan
    head_s = statistics.median([pair.head_s for pair in case.pairs]) if case.pairs else math.nan
    return Verdict(case.benchmark, outcome, reason, finding, base_s, head_s, case.pairs, case.control, work, signs)


def _queues_more(pairs: list[Pair]) -> bool:
    """Waiting for a core is taken off the time, as it is mostly others' doing; where it is head's, that hides it."""
    return evidence.interval([pair.more_queueing for pair in pairs]).low > evidence.TOLERATED


def _reported(pairs: list[Pair]) -> dict[str, Work]:
    """Medians of the counters that the benchmark itself reports."""
    names = (
        set.intersection(*({*base} & {*head} for base, head in (pair.counters for pair in pairs))) if pairs else set()
    )
    return {
        name: Work(*(statistics.median(pair.counters[side][name] for pair in pairs) for side in (0, 1)))
        for name in sorted(names)
    }


def _signs(pairs: list[Pair], work: dict[str, Work]) -> list[str]:
    """What there is more of in head: work counted, processor time, waiting. Each proven as the ratio is."""
    found = [f"more {name.replace('_', ' ')}" for name, each in work.items() if each.ratio > 1 + WORK_TOLERANCE]
    if evidence.interval([pair.log_cpu_ratio for pair in pairs]).low > evidence.SMALLEST:
        found.append("more processor time")
    if evidence.interval([pair.more_waiting for pair in pairs]).low > evidence.SMALLEST:
        found.append("more waiting")
    return found
