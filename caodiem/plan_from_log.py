"""A plan from monitoring: from an access log, or from a CSV of requests per interval. The shape in time is kept.

Each request becomes an arrival of one step, because a log does not say who it was and what he did next. Where a log
knows only whole seconds, and in the intervals of a CSV, requests are spread evenly at random, which is how Poisson
arrivals stand whose number is known; the draws are keyed by the seed, so the same file gives the same plan.
"""

import csv
import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from caodiem import access_log
from caodiem.dossier import OPERATIONS, dossier_number
from caodiem.draws import uniform
from caodiem.errors import UsageError
from caodiem.operation_map import Mapped, OperationMap, known_operation
from caodiem.plan import SCHEMA, Plan, PlanMeta, make

_SHOWN = 5
_MOST_TIMES = 1000.0


@dataclass
class Taken:
    """What was read from a file: requests in any order, and what could not be used."""

    at_s: list[float] = field(default_factory=list)  # local time, as seconds since 1970 on the log's own clock
    within_s: list[float] = field(default_factory=list)  # each may have been anywhere in so many seconds from at_s
    what: list[Mapped] = field(default_factory=list)
    lines: int = 0
    damaged: int = 0
    first_damaged: str = ""
    unmapped: Counter[str] = field(default_factory=Counter)

    def note_damaged(self, number: int, line: str) -> None:
        """Count a line that says nothing, and keep the first."""
        self.damaged += 1
        self.first_damaged = self.first_damaged or f"line {number}: {line.strip()[:80]!r}"

    def figures(self) -> dict[str, Any]:
        """The same for programs; all kinds of requests that fit no entry."""
        kept = ("lines", "damaged", "first_damaged")
        return {
            "requests": len(self.what),
            "unmapped": dict(self.unmapped),
            **{key: getattr(self, key) for key in kept},
        }

    def in_words(self) -> str:
        """What was taken and what was not, with the most frequent kinds."""
        unmapped = sum(self.unmapped.values())
        often = ", ".join(f"{what} ({count})" for what, count in self.unmapped.most_common(_SHOWN))
        return (
            f"{self.lines} lines, {len(self.what)} requests taken\n"
            f"{unmapped} fit no entry of the map{f': {often}' if unmapped else ''}\n"
            f"{self.damaged} damaged{f', the first {self.first_damaged}' if self.damaged else ''}"
        )


def read(path: Path, known: OperationMap) -> Taken:
    """Requests from a log or, where the file's name ends with .csv, from counts; UsageError when there is none."""
    is_csv = path.name.removesuffix(".gz").endswith(".csv")
    taken = _from_counts(path, known) if is_csv else _from_log(path, known)
    if not taken.what:
        raise UsageError(f"{path}: no request could be taken; {'; '.join(taken.in_words().splitlines())}")
    return taken


def to_plan(taken: Taken, path: Path, seed: int, times: float) -> Plan:
    """The plan; with `times` 1.5 each request comes once, and every second one once more, at a moment of its own."""
    if not 0 < times <= _MOST_TIMES:
        raise UsageError(f"--times {times:g}: expected more than 0, at most {_MOST_TIMES:g}")
    source = np.arange(len(taken.what))
    copies = np.floor(times + uniform(seed, "log copies", source)).astype(np.int64)
    source = np.repeat(source, copies)
    if not len(source):
        raise UsageError(f"--times {times:g}: none of {len(taken.what)} requests is left; expected more")
    copy = np.arange(len(source)) - np.repeat(np.cumsum(copies) - copies, copies)
    # A copy of a request whose moment is known exactly comes within the second after it.
    within_s = np.maximum(np.array(taken.within_s)[source], np.where(copy > 0, 1.0, 0.0))
    at_s = np.array(taken.at_s)[source] + within_s * uniform(seed, "log moment", source, copy)
    begins_s = math.floor(at_s.min())
    order = np.argsort(at_s, kind="stable")
    table = _table([taken.what[number] for number in source[order]], at_s[order] - begins_s, _day(begins_s))
    starts_at = datetime.fromtimestamp(begins_s, UTC).replace(tzinfo=None).isoformat()
    length_s = float(math.floor(at_s.max()) - begins_s + 1)
    return make(table, PlanMeta(_hash(path), seed, starts_at, length_s, 1.0, 0.0))


def _table(what: list[Mapped], due_s: np.ndarray, day: date) -> pa.Table:
    count = len(what)
    # Numbered from the top, where a day's own dossiers do not come.
    dossiers = [each.dossier or dossier_number(day, (-1 - number) % 10**7) for number, each in enumerate(what)]
    columns = {
        "arrival": np.arange(count),
        "step": np.zeros(count, dtype=np.int16),
        "journey": [f"logged_{each.operation}" for each in what],
        "operation": [each.operation for each in what],
        "agency": [each.agency for each in what],
        "system": [OPERATIONS[each.operation].system for each in what],
        "dossier": dossiers,
        "items": np.array([each.items for each in what], dtype=np.int32),
        "due_s": due_s,
        "think_s": np.zeros(count),
    }
    return pa.table({name: columns[name] for name in SCHEMA.names})


def _from_log(path: Path, known: OperationMap) -> Taken:
    taken, offset_s = Taken(), math.nan
    for number, line in enumerate(access_log.lines(path), 1):
        if not line.strip():
            continue
        taken.lines += 1
        logged = access_log.parse(line)
        if logged is None:
            taken.note_damaged(number, line)
            continue
        # One clock for the whole plan, that of the first line, also when the log's clock was put back meanwhile.
        offset_s = logged.offset_s if math.isnan(offset_s) else offset_s
        what = known.find(logged.method, logged.path)
        if what is None:
            taken.unmapped[f"{logged.method} {logged.path.partition('?')[0]}"] += 1
            continue
        taken.at_s.append(logged.at_s + offset_s)
        taken.what.append(what)
    whole_seconds = all(at_s == math.floor(at_s) for at_s in taken.at_s)
    taken.within_s = [1.0 if whole_seconds else 0.0] * len(taken.what)
    return taken


def _from_counts(path: Path, known: OperationMap) -> Taken:
    """A header `time` and operations, then a row an interval: its start (ISO 8601, the local clock) and counts."""
    taken = Taken()
    rows = csv.reader(access_log.lines(path))
    header = [name.strip() for name in next(rows, [])]
    if len(header) < 2 or header[0] != "time":
        raise UsageError(f"{path}: header {header}: expected time and operations, like 'time,sign_in,look_up_status'")
    operations = [known_operation(f"{path}: column", name) for name in header[1:]]
    counted = list(_counts(rows, len(operations), taken))
    within_s = _interval_s(path, sorted({at_s for at_s, _ in counted}))
    for at_s, counts in counted:
        for operation, count in zip(operations, counts, strict=True):
            taken.what += [known.of_operation(operation)] * count
            taken.at_s += [at_s] * count
            taken.within_s += [within_s] * count
    return taken


def _counts(rows: Iterable[list[str]], columns: int, taken: Taken) -> Iterator[tuple[float, list[int]]]:
    for number, row in enumerate(rows, 2):
        if not any(row):
            continue
        taken.lines += 1
        try:
            at = datetime.fromisoformat(row[0].strip()).replace(tzinfo=UTC)
            counts = [int(value) for value in row[1:]]
            if len(counts) != columns or min(counts) < 0:
                raise ValueError
        except ValueError:
            taken.note_damaged(number, ",".join(row))
            continue
        yield at.timestamp(), counts


def _interval_s(path: Path, starts_s: list[float]) -> float:
    gaps_s = np.diff(starts_s)
    if not len(gaps_s):
        raise UsageError(f"{path}: {len(starts_s)} intervals; expected two or more, whose distance is their length")
    return float(gaps_s.min())


def _day(at_s: float) -> date:
    return datetime.fromtimestamp(at_s, UTC).date()


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
