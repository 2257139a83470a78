"""How far the gate may be trusted on this machine: false alarms on equal commits, planted slow-downs caught.

Verdicts come one by one, in a fixed order in which every kind comes round soon, and each is appended to a file of
lines as soon as it is there: who is stopped goes on at the next call. Half of them have a process beside them that
keeps a core busy. Equal commits and 10% are also judged by pytest-benchmark's own comparison of one run with another.
Verdicts of a gate that decided otherwise (another version of DECIDES) stay in the file and are not counted.
Instructions, which decide nothing, are not counted here.
"""

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import beta, spearmanr

from caodiem.errors import InvalidRun
from caodiem.run import write_json
from gates import gate, planting, repository
from gates.evidence import Outcome
from gates.planting import Place

LINES = Path("results/benchmarks/gate-power.jsonl")
FIGURES = Path("results/benchmarks/gate-power.json")
# What a verdict depends on; origins.py and environment.py may refuse to give one.
DECIDES = ("evidence.py", "gate.py", "probe.py", "sampling.py", "turns.py")
# Earlier versions that decided alike: this one gave no verdict where a ring was stopped before its first round.
ALIKE = ("9bd7c91a983e",)
VERDICT_S = 150.0  # of the clock for a hot path: five minutes for both
CONFIDENCE = 0.95
SHARES = (0.05, 0.10, 0.20)
COMPARED = (0.0, 0.10)  # also judged by pytest-benchmark
COMPARE_FAIL = "median:10%"
# Equal commits and 10% come twice as often as 5% and 20%.
_ROUND = (0.0, 0.10, 0.05, 0.0, 0.10, 0.20)


@dataclass(frozen=True, slots=True)
class HotPath:
    """Benchmarks, and where a slow-down of them is planted."""

    name: str
    tests: str
    place: Place


@dataclass(frozen=True, slots=True)
class Trial:
    """One verdict to be had. A `share` of 0 is base against base."""

    path: str
    share: float
    has_competitor: bool
    number: int  # how many of this kind came before


def schedule(paths: list[str]) -> Iterator[Trial]:
    """Endless: the hot paths in turn, with a competitor every other round."""
    made: dict[tuple[str, float, bool], int] = {}
    turn = 0
    while True:
        for share in _ROUND:
            for path in paths:
                kind = (path, share, bool(turn % 2))
                yield Trial(*kind, made.setdefault(kind, 0))
                made[kind] += 1
            turn += 1
        turn += 1  # so that a kind that came with a competitor comes without the next time


def measure(root: Path, paths: list[HotPath], budget_s: float) -> None:
    """Have verdicts until `budget_s` is over, beside those that LINES holds; then write FIGURES."""
    end_s = time.monotonic() + budget_s
    version = repository.version_of(root, [*(f"gates/{name}" for name in DECIDES), *(path.tests for path in paths)])
    known = [row for row in read(LINES) if row["gate"] in (version, *ALIKE)]
    done = {(row["path"], row["share"], row["has_competitor"], row["number"]) for row in known}
    by_name = {path.name: path for path in paths}
    with tempfile.TemporaryDirectory(prefix="caodiem-power-") as folder:
        copy = planting.copy_of(root, Path(folder))
        base = repository.commit_of(copy, "HEAD")
        heads = {(path.name, share): planting.plant(copy, path.place, share) for path in paths for share in SHARES}
        heads |= {(path.name, 0.0): base for path in paths}
        for trial in schedule([*by_name]):
            if (trial.path, trial.share, trial.has_competitor, trial.number) in done:
                continue
            if time.monotonic() + VERDICT_S > end_s:
                break
            tests, head = by_name[trial.path].tests, heads[trial.path, trial.share]
            row = {"gate": version, **_verdict(copy, trial, tests, base, head)}
            _append(row)
            known.append(row)
            write_json(FIGURES, figures(known))
            print(f"{trial}: {row['outcome']} {row.get('comparison_alarm', '')}", file=sys.stderr, flush=True)
    write_json(FIGURES, figures(known))


def _verdict(copy: Path, trial: Trial, tests: str, base: str, head: str) -> dict[str, Any]:
    began_s = time.monotonic()
    with _competitor() if trial.has_competitor else _nobody():
        seed = zlib.crc32(repr(trial).encode())
        found = gate.compare(copy, base, head, tests, VERDICT_S, seed, lambda _: None, counts=False)
        row = {
            **asdict(trial),
            "base": base,
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "outcome": found.outcome.value,
            "problem": found.problem[:300],
            "load_1min": os.getloadavg()[0],
            "took_s": time.monotonic() - began_s,
            "benchmarks": {
                each.benchmark.split("::")[-1]: {
                    "outcome": each.outcome.value,
                    "pairs": len(each.pairs),
                    "median_log_ratio": (
                        each.finding.second if each.finding.second.pairs else each.finding.first
                    ).median,
                    "log_ratios": [round(pair.log_ratio, 5) for pair in each.pairs],
                }
                for each in found.verdicts
            },
        }
        if trial.share in COMPARED:
            row["comparison_alarm"] = _compared(copy, tests, base, head)
    return row


@contextmanager
def _nobody() -> Iterator[None]:
    yield


@contextmanager
def _competitor() -> Iterator[None]:
    """A process that keeps a core busy: another one than the gate takes for its rounds."""
    busy = subprocess.Popen([sys.executable, "-c", "while True: sum(range(10_000))"])
    os.sched_setaffinity(busy.pid, {min(os.sched_getaffinity(0))})
    try:
        yield
    finally:
        busy.kill()
        busy.wait()


def _compared(copy: Path, tests: str, base: str, head: str) -> bool:
    """Whether pytest-benchmark calls head slower: one run of each with its usual settings, and its own comparison."""
    with repository.checkouts(copy, {"base-1": base, "head-1": head}) as made, tempfile.TemporaryDirectory() as folder:
        for name, fail in (
            ("base-1", []),
            ("head-1", ["--benchmark-compare", f"--benchmark-compare-fail={COMPARE_FAIL}"]),
        ):
            words = [sys.executable, "-m", "pytest", "-q", "-m", "", "-p", "no:cacheprovider", tests, *fail]
            storage = [f"--benchmark-storage=file://{folder}", "--benchmark-save=run"]
            environment = {**os.environ, "PYTHONPATH": str(made[name])}
            done = subprocess.run([*words, *storage], cwd=made[name], env=environment, capture_output=True, text=True)
            if done.returncode and "Performance has regressed" not in done.stdout + done.stderr:
                raise InvalidRun(f"pytest-benchmark in {name}: {(done.stdout + done.stderr)[-500:]}")
        return bool(done.returncode)


def figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """gate-power.json: counts, and Clopper-Pearson intervals of their shares."""
    found: dict[str, Any] = {"confidence": CONFIDENCE, "verdict_budget_s": VERDICT_S, **_equal(rows)}
    for share in SHARES:
        found[f"planted_{share:.0%}".replace("%", "_percent")] = _planted(
            [row for row in rows if row["share"] == share]
        )
    for path in sorted({row["path"] for row in rows}):
        own = [row for row in rows if row["path"] == path]
        found[path] = {**_equal(own)}
        for share in SHARES:
            planted = _planted([row for row in own if row["share"] == share])
            found[path][f"planted_{share:.0%}".replace("%", "_percent")] = planted
    found["pytest_benchmark_compare"] = {"setting": COMPARE_FAIL, **_comparison(rows)}
    return found


def _equal(rows: list[dict[str, Any]]) -> dict[str, Any]:
    equal = [row for row in rows if row["share"] == 0]
    alarms = sum(row["outcome"] == Outcome.SLOWER for row in equal)
    return {
        "aa_runs": len(equal),
        "false_alarms": alarms,
        "false_alarm_interval": share_interval(alarms, len(equal)),
        "aa_outcomes": _outcomes(equal),
        "aa_benchmarks": _benchmarks(equal),
        "aa_pair_correlation": _correlations(equal),
    }


def _planted(rows: list[dict[str, Any]]) -> dict[str, Any]:
    caught = sum(row["outcome"] == Outcome.SLOWER for row in rows)
    by_competitor = {
        name: {"runs": len(own), "caught": sum(row["outcome"] == Outcome.SLOWER for row in own)}
        for name, own in (
            ("alone", [row for row in rows if not row["has_competitor"]]),
            ("with_competitor", [row for row in rows if row["has_competitor"]]),
        )
    }
    return {
        "runs": len(rows),
        "caught": caught,
        "caught_interval": share_interval(caught, len(rows)),
        "outcomes": _outcomes(rows),
        "benchmarks": _benchmarks(rows),
        **by_competitor,
    }


def _comparison(rows: list[dict[str, Any]]) -> dict[str, Any]:
    told = [row for row in rows if "comparison_alarm" in row]
    equal = [row["comparison_alarm"] for row in told if row["share"] == 0]
    planted = [row["comparison_alarm"] for row in told if row["share"] > 0]
    return {
        "aa_runs": len(equal),
        "false_alarms": sum(equal),
        "false_alarm_interval": share_interval(sum(equal), len(equal)),
        "planted_10_percent_runs": len(planted),
        "caught": sum(planted),
        "caught_interval": share_interval(sum(planted), len(planted)),
    }


def _benchmarks(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Each benchmark by itself, for a verdict is on all of a hot path: outcomes, and the ratio that was measured."""
    own: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        for name, each in row["benchmarks"].items():
            own.setdefault(f"{row['path']}: {name}", []).append(each)
    return {
        name: {**_outcomes(each), "ratio": math.exp(statistics.median(one["median_log_ratio"] for one in each))}
        for name, each in sorted(own.items())
    }


def _correlations(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Rank correlations of pairs, which the evidence takes for independent: of one ring, and of one with the next."""
    measured = [np.array(each["log_ratios"]) for row in rows for each in row["benchmarks"].values()]
    beside = [(ratios[:-1:2], ratios[1::2]) for ratios in measured]
    after = [(ratios[1:-1:2], ratios[2::2]) for ratios in measured]
    return {
        name: float(spearmanr(*(np.concatenate(side) for side in zip(*found, strict=True))).statistic)
        for name, found in (("of_one_ring", beside), ("of_rings_in_turn", after))
        if found
    }


def _outcomes(rows: list[dict[str, Any]]) -> dict[str, int]:
    return {outcome.value: sum(row["outcome"] == outcome for row in rows) for outcome in Outcome}


def share_interval(hits: int, runs: int) -> tuple[float, float]:
    """Clopper and Pearson's interval (Biometrika 26, 1934) of a share of which `hits` of `runs` were seen."""
    tail = (1 - CONFIDENCE) / 2
    low = float(beta.ppf(tail, hits, runs - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, runs - hits)) if hits < runs else 1.0
    return low, high


def read(path: Path) -> list[dict[str, Any]]:
    """The verdicts so far; a line that a killed run left half is not one."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def _append(row: dict[str, Any]) -> None:
    LINES.parent.mkdir(parents=True, exist_ok=True)
    with LINES.open("a", encoding="utf-8") as written:
        written.write(json.dumps(row) + "\n")
