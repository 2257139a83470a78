"""Two executions side by side: response times from due by operation, service and waits by station.

Either may be predicted or measured: both are tables of one shape. Pure functions of those tables.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from caodiem import observations, run, summary
from caodiem.errors import UsageError

QUANTILES = (0.5, 0.95, 0.99)
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pair:
    """One figure of both: response times from due (operations) or times at a station, in seconds."""

    level: str
    kinds: tuple[str, str]  # "simulated" or "replayed"
    name: str  # an operation, "all", or a station with what was measured there
    figure: str  # p50, p95, p99, mean
    first: float
    second: float
    counts: tuple[int, int]

    @property
    def ratio(self) -> float:
        """Second over first; NaN where either is missing, zero or infinite."""
        usable = 0 < self.first < np.inf and 0 < self.second < np.inf
        return self.second / self.first if usable else float("nan")


@dataclass(frozen=True, slots=True)
class Compared:
    """One level of both: its figures, and the response times from due of all steps in seconds."""

    level: str
    kinds: tuple[str, str]
    pairs: list[Pair]
    first_s: Floats
    second_s: Floats


def compare(first: Path, second: Path) -> list[Compared]:
    """Every level that both have. Each path is a run's folder or one `level-*/simulated` or `replayed` in it.

    UsageError when a path holds no observations, or when two runs share no level.
    """
    ours, theirs = executions(first), executions(second)
    if len(ours) == len(theirs) == 1:
        ((level, one),), ((other, two),) = ours.items(), theirs.items()
        return [_compared(level if level == other else f"{level} | {other}", one, two)]
    shared = [level for level in ours if level in theirs]
    if not shared:
        raise UsageError(f"{first} has {', '.join(ours)}, {second} has {', '.join(theirs)}: expected a level in both")
    return [_compared(level, ours[level], theirs[level]) for level in shared]


def executions(path: Path) -> dict[str, run.Execution]:
    """The executions of a run by level, measured ones before predicted ones; or the one that the path names."""
    if (path / "observations.parquet").is_file():
        return {path.resolve().parent.name: run.Execution(path)}
    found = {}
    for level in run.open_run(path).levels:
        for how in ("replayed", "simulated"):
            if level.executed(how).observations.is_file():
                found[level.folder.name] = level.executed(how)
                break
    if not found:
        raise UsageError(f"{path}: no observations; expected a run that was simulated or replayed")
    return found


def notices(levels: list[Compared]) -> list[str]:
    """Of which levels a measurement stands beside a prediction."""
    words = {"simulated": "predicted", "replayed": "measured"}
    unlike = [(each.level, *(words[kind] for kind in each.kinds)) for each in levels if len({*each.kinds}) > 1]
    return [f"{level}: A was {first} and B {second}" for level, first, second in unlike]


def _compared(level: str, first: run.Execution, second: run.Execution) -> Compared:
    one_s, two_s, kinds = response_s(first), response_s(second), (first.kind, second.kind)
    stations = _station_s(first), _station_s(second)
    pairs = [*_shared(level, kinds, one_s, two_s, QUANTILES), *_shared(level, kinds, *stations, ())]
    return Compared(level, kinds, pairs, one_s["all"], two_s["all"])


def _shared(
    level: str,
    kinds: tuple[str, str],
    first: dict[str, Floats],
    second: dict[str, Floats],
    quantiles: tuple[float, ...],
) -> list[Pair]:
    """The quantiles, or without any the means, of every name that both have."""
    pairs = []
    for name in (name for name in first if name in second):
        one, two = first[name], second[name]
        counts = (len(one), len(two))
        for q in quantiles:
            values = summary.quantile(one, q), summary.quantile(two, q)
            pairs.append(Pair(level, kinds, name, f"p{round(100 * q)}", *values, counts))
        if not quantiles:
            pairs.append(Pair(level, kinds, name, "mean", float(one.mean()), float(two.mean()), counts))
    return pairs


def response_s(execution: run.Execution) -> dict[str, Floats]:
    """Response times from due of every operation; infinite where a step was never answered rightly."""
    settled = summary.last_attempts(observations.read(execution.observations))
    names = settled["operation"].cast(pa.string())
    found = {"all": summary.response_s(settled)}
    for name in sorted(pc.unique(names).to_pylist()):
        found[name] = summary.response_s(settled.filter(pc.equal(names, name)))
    return found


def _station_s(execution: run.Execution) -> dict[str, Floats]:
    """Waits and services of every station, over all steps."""
    if not execution.components.is_file():
        return {}
    table = observations.read_components(execution.components)
    names = table["station"].cast(pa.string())
    found = {}
    for name in sorted(pc.unique(names).to_pylist()):
        rows = table.filter(pc.equal(names, name))
        for kind in ("wait", "service"):
            found[f"{name} {kind}"] = rows[f"{kind}_s"].to_numpy()
    return found
