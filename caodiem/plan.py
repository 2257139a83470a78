"""The plan: who does what when. One row a step; everything that executes a plan starts from this table.

A plan is an Arrow table plus `PlanMeta`, kept in one Parquet file. Its rows stand in order of (due_s, arrival, step).
Nothing here draws: `window`, `scale`, `hasten` and `only` choose rows and stretch time, so a plan comes of a plan.
"""

import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime, time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from caodiem.draws import uniform
from caodiem.errors import UsageError
from caodiem.files import write_table

SCHEMA_VERSION = 1
_TEXT = pa.dictionary(pa.int32(), pa.string())

SCHEMA = pa.schema(
    [
        ("arrival", pa.int64()),  # one journey that somebody begins
        ("step", pa.int16()),  # 0, 1, … within the arrival
        ("journey", _TEXT),
        ("operation", _TEXT),
        ("agency", _TEXT),
        ("system", _TEXT),
        ("dossier", pa.int64()),  # caodiem.dossier.dossier_number
        ("items", pa.int32()),  # signed components of a filing, events of a sync batch, else 1
        ("due_s", pa.float64()),  # of the first step, from the window's start; the same in each row of an arrival
        ("think_s", pa.float64()),  # pause between the step before and this one; 0 for step 0
    ]
)


@dataclass(frozen=True, slots=True)
class PlanMeta:
    """What a plan was drawn from. `starts_at` is local time (ISO 8601) of second 0; `plan_hash` covers every row.

    A second of the plan is `speed` seconds of what it was drawn from.
    """

    scenario_hash: str
    seed: int
    starts_at: str
    length_s: float
    scale: float
    level_percent: float
    plan_hash: str = ""
    speed: float = 1.0
    schema_version: int = SCHEMA_VERSION

    @property
    def clock_s(self) -> float:
        """Second 0 in seconds from its day's midnight."""
        begins = datetime.fromisoformat(self.starts_at)
        return (begins - datetime.combine(begins.date(), time(), begins.tzinfo)).total_seconds()


@dataclass(frozen=True, slots=True)
class Plan:
    """The table (columns as `SCHEMA`) and what it was drawn from."""

    table: pa.Table
    meta: PlanMeta

    @property
    def steps(self) -> int:
        return int(self.table.num_rows)

    @property
    def arrivals(self) -> int:
        return int(pc.sum(pc.equal(self.table["step"], 0)).as_py() or 0)


def make(table: pa.Table, meta: PlanMeta) -> Plan:
    """Order and hash the rows of a plan; ValueError when columns are missing or an arrival has no first step."""
    table = table.select(SCHEMA.names).cast(SCHEMA)
    table = table.sort_by([("due_s", "ascending"), ("arrival", "ascending"), ("step", "ascending")]).combine_chunks()
    firsts = int(pc.sum(pc.equal(table["step"], 0)).as_py() or 0)
    if firsts != int(pc.count_distinct(table["arrival"]).as_py()):
        raise ValueError(f"{firsts} first steps for another number of arrivals: expected one step 0 for each arrival")
    return Plan(table, replace(meta, plan_hash=_hash_rows(table)))


def write(plan: Plan, path: Path) -> None:
    """One Parquet file; the metadata stand in its footer under the key `caodiem`."""
    footer = {b"caodiem": json.dumps(asdict(plan.meta)).encode()}
    write_table(plan.table.replace_schema_metadata(footer), path)


def read(path: Path) -> Plan:
    """The whole plan, its hash checked. UsageError when the file is no plan, is damaged or was changed."""
    meta = read_meta(path)
    try:
        table = pq.read_table(path).cast(SCHEMA).combine_chunks()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read ({error}); expected the Parquet file that a run wrote") from error
    found = _hash_rows(table)
    if found != meta.plan_hash:
        raise UsageError(f"{path}: its rows hash to {found[:12]}, its metadata say {meta.plan_hash[:12]}; draw it anew")
    return Plan(table.replace_schema_metadata(None), meta)


def read_meta(path: Path) -> PlanMeta:
    """The metadata alone, without reading rows."""
    try:
        footer = pq.read_schema(path).metadata or {}
        meta = PlanMeta(**json.loads(footer[b"caodiem"]))
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such plan; `caodiem simulate SCENARIO` draws one") from error
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path}: not a plan ({error}); expected the Parquet file that a run wrote") from error
    if meta.schema_version != SCHEMA_VERSION:
        raise UsageError(f"{path}: schema version {meta.schema_version}: expected {SCHEMA_VERSION}; draw it anew")
    return meta


def slices(path: Path, rows: int = 65_536) -> Iterator[pa.RecordBatch]:
    """The rows in order, at most `rows` at a time, so that a plan larger than memory can be executed."""
    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(batch_size=rows)


def window(plan: Plan, start_s: float, length_s: float) -> Plan:
    """The arrivals due in [start_s, start_s + length_s), with second 0 moved to `start_s`; seconds of the plan."""
    due = plan.table["due_s"]
    inside = pc.and_(pc.greater_equal(due, start_s), pc.less(due, start_s + length_s))
    table = plan.table.filter(inside)
    table = table.set_column(
        table.schema.get_field_index("due_s"), "due_s", pc.subtract(table["due_s"], float(start_s))
    )
    passed_ms = round(start_s * plan.meta.speed * 1000)
    starts_at = np.datetime64(plan.meta.starts_at, "ms") + np.timedelta64(passed_ms, "ms")
    return make(table, replace(plan.meta, starts_at=str(starts_at), length_s=length_s))


def scale(plan: Plan, fraction: float) -> Plan:
    """Thin to `fraction` of the dossiers, with all their arrivals; 0 < fraction <= 1.

    Thinning is by dossier and keyed by the seed, so a tenth is contained in a fifth, and the shape in time stays.
    """
    if not 0 < fraction <= 1:
        raise UsageError(f"scale {fraction:g}: expected more than 0 and at most 1")
    whole = plan.meta.scale
    kept = kept_at_scale(plan.meta.seed, plan.table["dossier"].to_numpy(), whole * fraction)
    return make(plan.table.filter(pa.array(kept)), replace(plan.meta, scale=whole * fraction))


def hasten(plan: Plan, speed: float) -> Plan:
    """The same arrivals `speed` times as fast: due and think times divided by it."""
    table = plan.table
    for name in ("due_s", "think_s"):
        table = table.set_column(table.schema.get_field_index(name), name, pc.divide(table[name], float(speed)))
    meta = replace(plan.meta, length_s=plan.meta.length_s / speed, speed=plan.meta.speed * speed)
    return make(table, meta)


def only(plan: Plan, journeys: Collection[str]) -> Plan:
    """The arrivals of some journeys; UsageError names one that the plan does not have."""
    names = plan.table["journey"].cast(pa.string())
    known = sorted(pc.unique(names).to_pylist())
    for name in journeys:
        if name not in known:
            raise UsageError(f"--journeys {name}: expected some of {', '.join(known)}")
    return make(plan.table.filter(pc.is_in(names, pa.array(journeys, pa.string()))), plan.meta)


def kept_at_scale(seed: int, dossier: np.ndarray, scale: float) -> np.ndarray:
    """Which dossiers (int64) belong to the sample of the country at `scale`; a boolean for each."""
    return uniform(seed, "thin", dossier) < scale


def _hash_rows(table: pa.Table) -> str:
    """SHA-256 over the values, column by column; independent of chunks, dictionaries and file layout."""
    digest = hashlib.sha256()
    for name in SCHEMA.names:
        column = table[name].combine_chunks()
        digest.update(name.encode())
        if pa.types.is_dictionary(column.type):
            words = np.array(column.dictionary.to_pylist(), dtype=object)
            used, codes = np.unique(column.indices.to_numpy(), return_inverse=True)
            order = np.argsort(words[used]) if len(used) else np.array([], dtype=np.int64)
            rank = np.empty(len(used), dtype=np.int64)
            rank[order] = np.arange(len(used))
            digest.update("\n".join(words[used][order]).encode())
            digest.update(rank[codes].astype("<i4").tobytes())
        else:
            digest.update(np.ascontiguousarray(column.to_numpy()).tobytes())
    return digest.hexdigest()
