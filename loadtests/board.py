"""Figures of a replay under way: what was planned, what came of it by now, whether the SLOs are met so far.

Reads the parts that workers leave (caodiem/observations.py), each once. Counts are of the whole replay; quantiles are
exact, over the steps that fell due in the last minute. Knows neither Locust nor Flask nor a clock.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from caodiem import summary
from caodiem.dossier import Outcome
from caodiem.plan import Plan
from caodiem.scenario import Objective, Scenario, Validity
from loadtests.journeys import nominal_due_s

RECENT_S = 60
_OUTCOMES = [outcome.value for outcome in Outcome]
_OK = _OUTCOMES.index(Outcome.OK.value)
_TIMES = ("due_s", "released_s", "started_s", "finished_s")
_GROUPED = ("operation", "agency")

Floats = np.ndarray
Figure = float | Literal["never"] | None


@dataclass(slots=True)
class Share:
    """How many of the steps counted kept a limit; `needed` is the share of them that should."""

    name: str
    operation: str
    limit_s: float
    needed: float
    kept: int = 0
    steps: int = 0

    def note(self, taken_s: Floats) -> None:
        self.kept += int((taken_s <= self.limit_s).sum())
        self.steps += len(taken_s)

    def as_json(self) -> dict[str, Any]:
        """The `needed` quantile keeps the limit exactly when at least this share of the steps does."""
        reached = self.kept / self.steps if self.steps else None
        return {
            "name": self.name,
            "operation": self.operation,
            "limit_s": self.limit_s,
            "needed": self.needed,
            "kept": reached,
            "steps": self.steps,
            "met": None if reached is None else reached >= self.needed - 1e-9,
        }


class Board:
    """Rows taken in as they are written, figures of them whenever somebody looks."""

    def __init__(self, plan: Plan, parts: Path, scenario: Scenario | None) -> None:
        """`scenario` gives the SLOs and the rules of validity; None where the plan came without one."""
        self._parts = parts
        self._seen: set[str] = set()
        self._length_s = plan.meta.length_s
        nominal_s = nominal_due_s(plan.table)
        self._planned_per_s = np.bincount(np.maximum(nominal_s, 0).astype(np.int64))
        self._words = {name: sorted(plan.table[name].unique().to_pylist()) for name in _GROUPED}
        self._planned_s = {name: self._by_word(name, plan.table[name], nominal_s) for name in _GROUPED}
        self._released_per_s = self._finished_per_s = np.zeros(0, dtype=np.int64)
        self._outcomes = {name: np.zeros((len(self._words[name]), len(_OUTCOMES)), dtype=np.int64) for name in _GROUPED}
        self._recent = _Rows.none()
        self._quantiles: dict[int, dict[str, Figure]] = {}
        self._settled_before_s = 0
        self._rules = [] if scenario is None else list(_rules(scenario.slo, scenario.validity))

    def figures(self, played_s: float) -> dict[str, Any]:
        """Everything that the page shows, as JSON, when `played_s` of the plan have been played."""
        for table in self._news():
            self._take(_Rows.of(table, self._words))
        self._forget_before(played_s - RECENT_S)
        shown = int(min(max(played_s, 0), self._length_s))
        return {
            "played_s": played_s,
            "length_s": self._length_s,
            "outcomes": dict(zip(_OUTCOMES, self._outcomes["operation"].sum(axis=0).tolist(), strict=True)),
            "planned_so_far": int(self._planned_per_s[: shown + 1].sum()),
            "rules": [rule.as_json() for rule in self._rules],
            "seconds": self._seconds(),
            "recent_s": RECENT_S,
            **{f"by_{name}": self._table(name, played_s) for name in _GROUPED},
        }

    def _by_word(self, name: str, column: pa.ChunkedArray, nominal_s: Floats) -> list[Floats]:
        codes = _codes(column, self._words[name])
        return [np.sort(nominal_s[codes == number]) for number in range(len(self._words[name]))]

    def _news(self) -> Iterable[pa.Table]:
        """The parts not read yet; a part that went away meanwhile was closed into the accounts."""
        for path in sorted(self._parts.glob("observations-*.parquet")):
            if path.name not in self._seen:
                self._seen.add(path.name)
                try:
                    yield pq.read_table(path)
                except FileNotFoundError:
                    continue

    def _take(self, rows: "_Rows") -> None:
        self._released_per_s = _added(self._released_per_s, rows.times["released_s"])
        self._finished_per_s = _added(self._finished_per_s, rows.times["finished_s"])
        for name in _GROUPED:
            np.add.at(self._outcomes[name], (rows.codes[name], rows.outcome), 1)
        for rule in self._rules:
            rule.note(rows.judged_by(rule, self._words["operation"]))
        self._recent = _Rows.joined(self._recent, rows)

    def _forget_before(self, from_s: float) -> None:
        """The quantiles of seconds that leave the last minute stay as they are, their rows go."""
        recent = self._recent
        second = recent.times["due_s"].astype(np.int64)
        order = np.argsort(second, kind="stable")
        numbers, begins = np.unique(second[order], return_index=True)
        response_s, service_s, lag_s = recent.response_s, recent.service_s, recent.lag_s
        for number, rows in zip(numbers.tolist(), np.split(order, begins[1:]), strict=False):
            if number >= self._settled_before_s:
                self._quantiles[number] = {
                    "response_p95_s": _quantile(response_s[rows], 0.95),
                    "service_p95_s": _quantile(service_s[rows], 0.95),
                    "lateness_p99_s": _quantile(lag_s[rows], 0.99),
                }
        self._settled_before_s = max(int(from_s), 0)
        self._recent = recent.chosen(second >= self._settled_before_s)

    def _seconds(self) -> dict[str, list[Any]]:
        length = max(len(self._planned_per_s), len(self._finished_per_s), len(self._released_per_s))
        none: dict[str, Figure] = {"response_p95_s": None, "service_p95_s": None, "lateness_p99_s": None}
        quantiles = [self._quantiles.get(number, none) for number in range(length)]
        return {
            "planned": _padded(self._planned_per_s, length),
            "released": _padded(self._released_per_s, length),
            "finished": _padded(self._finished_per_s, length),
            **{key: [each[key] for each in quantiles] for key in none},
        }

    def _table(self, name: str, played_s: float) -> list[dict[str, Any]]:
        rows = self._recent
        found = []
        for number, word in enumerate(self._words[name]):
            mine = rows.codes[name] == number
            found.append(
                {
                    "name": word,
                    "planned": int(np.searchsorted(self._planned_s[name][number], played_s, side="right")),
                    **dict(zip(_OUTCOMES, self._outcomes[name][number].tolist(), strict=True)),
                    "response_p50_s": _quantile(rows.response_s[mine], 0.5),
                    "response_p95_s": _quantile(rows.response_s[mine], 0.95),
                    "service_p95_s": _quantile(rows.service_s[mine], 0.95),
                    "lateness_p99_s": _quantile(rows.lag_s[mine], 0.99),
                    "recent": int(mine.sum()),
                }
            )
        return found


@dataclass(frozen=True, slots=True)
class _Rows:
    """Columns of observations as arrays; words as their places in a list."""

    times: dict[str, Floats]
    codes: dict[str, np.ndarray]
    outcome: np.ndarray

    @classmethod
    def none(cls) -> "_Rows":
        nobody = np.zeros(0, dtype=np.int64)
        return cls({name: np.zeros(0) for name in _TIMES}, dict.fromkeys(_GROUPED, nobody), nobody)

    @classmethod
    def of(cls, table: pa.Table, words: dict[str, list[str]]) -> "_Rows":
        return cls(
            {name: table[name].to_numpy() for name in _TIMES},
            {name: _codes(table[name], words[name]) for name in _GROUPED},
            _codes(table["outcome"], _OUTCOMES),
        )

    @classmethod
    def joined(cls, first: "_Rows", second: "_Rows") -> "_Rows":
        return cls(
            {name: np.concatenate([first.times[name], second.times[name]]) for name in _TIMES},
            {name: np.concatenate([first.codes[name], second.codes[name]]) for name in _GROUPED},
            np.concatenate([first.outcome, second.outcome]),
        )

    def chosen(self, mask: np.ndarray) -> "_Rows":
        times = {name: values[mask] for name, values in self.times.items()}
        return _Rows(times, {name: values[mask] for name, values in self.codes.items()}, self.outcome[mask])

    def judged_by(self, rule: Share, operations: list[str]) -> Floats:
        """The times that a rule looks at: from due to the right answer, or the generator's lag."""
        if rule.name == "generator_lag":
            return self.lag_s[~np.isnan(self.lag_s)]
        if rule.operation == "all":
            return self.response_s
        if rule.operation not in operations:
            return np.zeros(0)
        return self.response_s[self.codes["operation"] == operations.index(rule.operation)]

    @property
    def response_s(self) -> Floats:
        """From due; infinite where the right answer did not come."""
        return np.where(self.outcome == _OK, self.times["finished_s"] - self.times["due_s"], np.inf)

    @property
    def service_s(self) -> Floats:
        return self.times["finished_s"] - self.times["started_s"]

    @property
    def lag_s(self) -> Floats:
        return self.times["released_s"] - self.times["due_s"]


def _rules(objectives: list[Objective], validity: Validity) -> Iterable[Share]:
    for each in objectives:
        yield Share("slo", each.operation, each.response.value, each.quantile.value / 100)
    yield Share("generator_lag", "all", validity.generator_lag_p99.value, 0.99)


def _codes(column: pa.ChunkedArray, words: list[str]) -> np.ndarray:
    """For each row the place of its word; every word stands in the list."""
    encoded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    places = np.array([words.index(word) for word in encoded.dictionary.to_pylist()], dtype=np.int64)
    return places[encoded.indices.to_numpy()] if len(places) else np.zeros(0, dtype=np.int64)


def _added(per_s: np.ndarray, at_s: Floats) -> np.ndarray:
    counted = np.bincount(np.maximum(at_s[~np.isnan(at_s)], 0).astype(np.int64), minlength=len(per_s))
    counted[: len(per_s)] += per_s
    return counted


def _padded(per_s: np.ndarray, length: int) -> list[int]:
    return [*per_s.tolist(), *[0] * (length - len(per_s))]


def _quantile(values: Floats, q: float) -> Figure:
    """None without a value. JSON knows no infinity, so a quantile that was never answered rightly is a word."""
    found = summary.quantile(values[~np.isnan(values)], q)
    if np.isnan(found):
        return None
    return "never" if np.isinf(found) else found
