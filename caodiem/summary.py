"""Figures from rows: pure functions of a plan and its observations. Percentiles are exact, never binned.

A step that did not succeed has an infinite response time: nobody was answered. So "p95 is 1.2 s" says that 95 of 100
due steps got the right answer within 1.2 s, and failing fast improves nothing.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from caodiem.dossier import Outcome

Floats = npt.NDArray[np.float64]
QUANTILES = (0.5, 0.9, 0.95, 0.99)


def quantile(values: Floats, q: float) -> float:
    """The smallest value that at least a share `q` of all values do not exceed; NaN for none."""
    if len(values) == 0:
        return math.nan
    rank = max(math.ceil(round(q * len(values), 9)), 1)
    return float(np.partition(values, rank - 1)[rank - 1])


def last_attempts(rows: pa.Table) -> pa.Table:
    """The row that settles each step: its last attempt. Expects the order of observations.close_accounts."""
    arrival, step = rows["arrival"].to_numpy(), rows["step"].to_numpy()
    last = np.ones(len(arrival), dtype=bool)
    last[:-1] = (arrival[1:] != arrival[:-1]) | (step[1:] != step[:-1])
    return rows.filter(pa.array(last))


def response_s(rows: pa.Table) -> Floats:
    """finished - due in seconds, for each row; infinite where the outcome is not ok."""
    ok = pc.equal(rows["outcome"].cast(pa.string()), Outcome.OK.value).to_numpy(zero_copy_only=False)
    taken = rows["finished_s"].to_numpy() - rows["due_s"].to_numpy()
    return np.where(ok, taken, np.inf)


def service_s(rows: pa.Table) -> Floats:
    """finished - started in seconds, of the rows that were answered."""
    taken = rows["finished_s"].to_numpy() - rows["started_s"].to_numpy()
    return np.asarray(taken[~np.isnan(taken)], dtype=np.float64)


def count_outcomes(rows: pa.Table) -> dict[str, int]:
    """How many rows ended how; every outcome is named, also those that did not occur."""
    counted = pc.value_counts(rows["outcome"].cast(pa.string())).to_pylist()
    found = {entry["values"]: int(entry["counts"]) for entry in counted}
    return {outcome.value: found.get(outcome.value, 0) for outcome in Outcome}


def arrival_outcomes(rows: pa.Table) -> dict[str, int]:
    """How many arrivals ended how: an arrival's outcome is that of its last step."""
    settled = last_attempts(rows)
    arrival = settled["arrival"].to_numpy()
    last = np.ones(len(arrival), dtype=bool)
    last[:-1] = arrival[1:] != arrival[:-1]
    return count_outcomes(settled.filter(pa.array(last)))


def summarise(rows: pa.Table) -> dict[str, Any]:
    """The figures of a run: counts, rates and times, over all operations and for each. Units stand in the keys."""
    settled = last_attempts(rows)
    by_operation = {
        str(name): _figures(settled.filter(pc.equal(settled["operation"].cast(pa.string()), name)))
        for name in sorted(pc.unique(settled["operation"].cast(pa.string())).to_pylist())
    }
    return {
        "arrivals": int(pc.sum(pc.equal(settled["step"], 0)).as_py() or 0),
        "arrival_outcomes": arrival_outcomes(rows),
        "all": _figures(settled),
        "operations": by_operation,
        "generator_lag_s": _quantiles(_finite(rows["released_s"].to_numpy() - rows["due_s"].to_numpy())),
        "pool_wait_s": _quantiles(_finite(rows["started_s"].to_numpy() - rows["released_s"].to_numpy())),
    }


def _figures(settled: pa.Table) -> dict[str, Any]:
    return {
        "steps": settled.num_rows,
        "outcomes": count_outcomes(settled),
        "response_s": _quantiles(response_s(settled)),
        "service_s": _quantiles(service_s(settled)),
    }


def _quantiles(values: Floats) -> Mapping[str, float]:
    named = {f"p{round(q * 100)}": quantile(values, q) for q in QUANTILES}
    return {"count": len(values), **named, "max": float(values.max()) if len(values) else math.nan}


def _finite(values: Floats) -> Floats:
    return values[~np.isnan(values)]
