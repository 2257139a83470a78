"""A plan's rows as journeys: steps in order, and the state that one step leaves for the next.

Rows travel from the master to workers as bytes, a lease at a time. Knows no HTTP and no clock. What a step asks of a
portal stands in portals/.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from caodiem import plan as plans
from loadtests.leases import Lease

# A slice is decoded while the clock runs: 2,048 rows take about a millisecond.
_SLICE_ROWS = 2048
NO_COOKIES: Mapping[str, str] = MappingProxyType({})


class Step(NamedTuple):
    """One operation of a journey."""

    number: int
    operation: str
    system: str
    items: int


@dataclass(slots=True)
class Journey:
    """One arrival under way. `position` points at the step that is due; `token` is what signing in gave, `cookies` what
    the portal set, by name.

    Tens of thousands think at the same time, so what is the same in many is there once: the steps, and no cookies.
    """

    arrival: int
    name: str
    agency: str
    dossier: int
    due_s: float
    steps: tuple[Step, ...]
    pauses_s: tuple[float, ...] = ()  # before each step but the first
    position: int = 0
    token: str = field(default="", repr=False)
    cookies: Mapping[str, str] = field(default_factory=lambda: NO_COOKIES, repr=False)

    @property
    def step(self) -> Step:
        return self.steps[self.position]

    @property
    def pause_s(self) -> float | None:
        """Between the step that is due and the next; None when it is the last."""
        return self.pauses_s[self.position] if self.position < len(self.pauses_s) else None


class Arrivals:
    """A plan's rows (columns as plan.SCHEMA, a journey's together, in order of due), from which leases are cut."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table.combine_chunks()
        self._first = np.flatnonzero(table["step"].to_numpy() == 0)
        self._due_s = table["due_s"].to_numpy()[self._first]
        self._steps = np.diff(np.append(self._first, table.num_rows))

    @property
    def last_due_s(self) -> float:
        """When the last arrival is due; -inf when there is none."""
        return float(self._due_s[-1]) if len(self._due_s) else -np.inf

    def of(self, lease: Lease) -> pa.Table:
        """The rows of the arrivals that a lease is for."""
        begin, end = np.searchsorted(self._due_s, [lease.from_s, lease.to_s])
        if begin == end:
            return self._table.slice(0, 0)
        chosen = np.arange(begin, end) % lease.modulus == lease.residue
        rows = self._table.slice(self._first[begin], self._steps[begin:end].sum())
        return rows.filter(pa.array(np.repeat(chosen, self._steps[begin:end])))


def packed(rows: pa.Table) -> bytes:
    """Rows of a plan as bytes, in slices that are quickly decoded."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows, max_chunksize=_SLICE_ROWS)
    return sink.getvalue().to_pybytes()


def unpacked(content: bytes) -> Iterator[Journey]:
    """The journeys of rows that were packed, decoded a slice at a time, when it is their turn."""
    with pa.ipc.open_stream(content) as reader:
        yield from of_rows(reader)


def of_rows(batches: Iterable[pa.RecordBatch]) -> Iterator[Journey]:
    """Every journey in order of due. A journey's rows stand together, because they share `due_s`."""
    head: tuple[int, str, str, int, float] | None = None
    steps: list[Step] = []
    pauses_s: list[float] = []
    for arrival, number, name, operation, agency, system, dossier, items, due_s, think_s in _rows(batches):
        if number == 0:
            if head is not None:
                yield Journey(*head, _shared(tuple(steps)), tuple(pauses_s))
            head, steps, pauses_s = (arrival, name, agency, dossier, due_s), [], []
        else:
            pauses_s.append(think_s)
        steps.append(_step(number, operation, system, items))
    if head is not None:
        yield Journey(*head, _shared(tuple(steps)), tuple(pauses_s))


def highest_second_per_s(table: pa.Table) -> float:
    """The most steps that fall due in any second, if every answer came at once (columns as plan.SCHEMA)."""
    nominal_s = np.sort(nominal_due_s(table))
    # A second that begins with each step, rather than on the clock: two halves side by side may be one crowd.
    behind = np.searchsorted(nominal_s, nominal_s + 1.0)
    return float((behind - np.arange(len(nominal_s))).max()) if len(nominal_s) else 0.0


def nominal_due_s(table: pa.Table) -> np.ndarray:
    """When each row would fall due if every answer came at once: due of the arrival plus all pauses so far.

    Expects a journey's rows to stand together in the order of their steps, as `plan.make` leaves them.
    """
    think_s = table["think_s"].to_numpy()
    so_far_s = np.cumsum(think_s)
    first = np.flatnonzero(table["step"].to_numpy() == 0)
    before_s = (so_far_s - think_s)[first]
    lengths = np.diff(np.append(first, len(think_s)))
    return np.asarray(table["due_s"].to_numpy() + so_far_s - np.repeat(before_s, lengths), dtype=np.float64)


# A plan has few kinds of step and of journey: each is there once, however many journeys are under way.
_step = cache(Step)


@cache
def _shared(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    return steps


def _rows(
    batches: Iterable[pa.RecordBatch],
) -> Iterator[tuple[int, int, str, str, str, str, int, int, float, float]]:
    for batch in batches:
        yield from zip(*(_values(batch.column(name)) for name in plans.SCHEMA.names), strict=True)


def _values(column: pa.Array) -> Iterable[object]:
    if pa.types.is_dictionary(column.type):
        words = column.dictionary.to_pylist()
        return [words[code] for code in column.indices.to_pylist()]
    return column.to_pylist()
