"""The observations: what came of each step of a plan, whoever executed it.

`write_part` keeps rows while a run goes on, in small Parquet parts, so that a crash loses only what was not written.
`close_accounts` turns the parts into one file with exactly one last row for each step of the plan: a step that
nobody heard of again is `lost`. Knows nothing of statistics; see summary.py.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from caodiem.dossier import Outcome
from caodiem.errors import UsageError
from caodiem.files import write_bytes, write_table
from caodiem.plan import Plan

_TEXT = pa.dictionary(pa.int32(), pa.string())

# Times are seconds from the window's start; NaN where a step never got that far.
SCHEMA = pa.schema(
    [
        ("arrival", pa.int64()),
        ("step", pa.int16()),
        ("journey", _TEXT),
        ("operation", _TEXT),
        ("agency", _TEXT),
        ("system", _TEXT),
        ("dossier", pa.int64()),
        ("items", pa.int32()),
        ("due_s", pa.float64()),  # of this step: the plan's, or the end of the step before plus its think time
        ("released_s", pa.float64()),  # handed out by the generator; released - due is the generator's lag
        ("started_s", pa.float64()),  # taken up by a client; started - released is the wait for the pool
        ("finished_s", pa.float64()),  # answered; finished - started is the service time
        ("outcome", _TEXT),  # caodiem.dossier.Outcome
        ("status", pa.int16()),  # HTTP status, 0 where there was none
        ("attempt", pa.int16()),  # 1, 2, …; 0: never attempted, because an earlier step of the journey came to no good
        ("worker", _TEXT),
    ]
)

COMPONENTS_SCHEMA = pa.schema(
    [
        ("arrival", pa.int64()),
        ("step", pa.int16()),
        ("station", _TEXT),
        ("wait_s", pa.float64()),
        ("service_s", pa.float64()),
    ]
)

Row = tuple[object, ...]


def write_part(folder: Path, worker: str, number: int, rows: bytes, components: bytes = b"") -> None:
    """One part each of rows and components, as `packed` gives them; nothing for an empty one.

    Each is written beside its final name and then renamed, so a reader never meets half a part; a part that is written
    again under its number takes its own place. OSError when the folder is gone: the accounts have been closed.
    """
    for kind, content in (("observations", rows), ("components", components)):
        if content:
            write_bytes(content, folder / f"{kind}-{worker}-{number:06d}.parquet")


def packed(table: pa.Table) -> bytes:
    """Rows as a Parquet file in memory, to be sent or written; empty for no rows.

    Parts live as long as the run; packing them tight would hold up whoever sends meanwhile.
    """
    if not table.num_rows:
        return b""
    sink = pa.BufferOutputStream()
    words = [field.name for field in table.schema if pa.types.is_dictionary(field.type)]
    pq.write_table(table, sink, compression="none", use_dictionary=words)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def table_of(rows: Sequence[Row], schema: pa.Schema = SCHEMA) -> pa.Table:
    """Rows as a table; `schema` gives their order and types."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    return pa.table(
        [pa.array(column, type=field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )


def close_accounts(plan: Plan, rows: pa.Table) -> pa.Table:
    """One last row for each step of the plan, in the plan's order of (arrival, step), earlier attempts before it.

    A step without a row takes the outcome of the step of its journey that came to no good, with attempt 0 and no
    times; without such a step before it, it is `lost`. So the steps of a plan, and its arrivals by their last step,
    equal ok + refused + failed + timed_out + dropped + lost, exactly.
    """
    planned = plan.table.sort_by([("arrival", "ascending"), ("step", "ascending")])
    seen = step_keys(rows)
    missing = planned.filter(pa.array(~np.isin(step_keys(planned), seen)))
    ended = _ended(rows)
    arrivals = missing["arrival"].to_pylist()
    blank = np.full(len(arrivals), np.nan)
    first = missing["step"].to_numpy() == 0
    filled = pa.table(
        {
            **{name: missing[name] for name in SCHEMA.names[:8]},
            "due_s": pa.array(np.where(first, missing["due_s"].to_numpy(), np.nan)),
            "released_s": pa.array(blank),
            "started_s": pa.array(blank),
            "finished_s": pa.array(blank),
            "outcome": pa.array(
                [ended.get(arrival, Outcome.LOST.value) for arrival in arrivals], type=SCHEMA.field("outcome").type
            ),
            "status": pa.array(np.zeros(len(arrivals), dtype=np.int16)),
            "attempt": pa.array(np.zeros(len(arrivals), dtype=np.int16)),
            "worker": pa.array([""] * len(arrivals), type=SCHEMA.field("worker").type),
        }
    ).cast(SCHEMA)
    # Dictionaries differ from part to part; unify before the rows are ordered.
    whole = pa.concat_tables([rows.cast(SCHEMA), filled]).unify_dictionaries().combine_chunks()
    return whole.sort_by([("arrival", "ascending"), ("step", "ascending"), ("attempt", "ascending")])


def write(table: pa.Table, path: Path) -> None:
    """Observations or components of a finished run, whole or not at all."""
    write_table(table, path)


def read(path: Path) -> pa.Table:
    """The observations of a finished run; UsageError when there are none or the file is damaged."""
    return _read(path, SCHEMA)


def read_components(path: Path) -> pa.Table:
    """The components of a finished run."""
    return _read(path, COMPONENTS_SCHEMA)


def read_parts(folder: Path) -> tuple[pa.Table, pa.Table]:
    """(observations, components) from the parts that a run has left so far; damaged parts are an error."""
    return (
        _concat(sorted(folder.glob("observations-*.parquet")), SCHEMA),
        _concat(sorted(folder.glob("components-*.parquet")), COMPONENTS_SCHEMA),
    )


def _concat(paths: list[Path], schema: pa.Schema) -> pa.Table:
    tables = [_read(path, schema) for path in paths]
    return pa.concat_tables(tables).unify_dictionaries() if tables else schema.empty_table()


def _read(path: Path, schema: pa.Schema) -> pa.Table:
    try:
        return pq.read_table(path).cast(schema)
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file; the run wrote no observations") from error
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read ({error}); expected observations that a run wrote") from error


def step_keys(table: pa.Table) -> np.ndarray:
    """(arrival, step) as one integer; a journey has fewer than 1000 steps."""
    return np.asarray(table["arrival"].to_numpy() * 1000 + table["step"].to_numpy(), dtype=np.int64)


def _ended(rows: pa.Table) -> dict[int, str]:
    """The outcome that ended a journey early, by arrival."""
    bad = rows.filter(pc.not_equal(rows["outcome"].cast(pa.string()), Outcome.OK.value))
    last = np.lexsort((bad["attempt"].to_numpy(), bad["step"].to_numpy()))
    arrivals, outcomes = bad["arrival"].to_pylist(), bad["outcome"].to_pylist()
    return {arrivals[row]: outcomes[row] for row in last}
