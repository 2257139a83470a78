"""What a worker has observed and not yet written: packed as it comes, a table when it is taken.

A packed row costs less than one of Python objects, and its table next to nothing, so the thread that writes tables does
not hold up the greenlets that send. Knows neither Locust nor gevent.
"""

import struct
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from caodiem.dossier import Outcome
from caodiem.observations import SCHEMA, Row
from loadtests.failures import Failures, First
from loadtests.journeys import Journey
from loadtests.portals import Answer

_PACKED = struct.Struct("<qhiqiddddbhh")
# The same in numpy's words; `kind` numbers what a step says in text, which is the same for many.
_ROW = np.dtype(
    [
        ("arrival", "<i8"),
        ("step", "<i2"),
        ("kind", "<i4"),
        ("dossier", "<i8"),
        ("items", "<i4"),
        ("due_s", "<f8"),
        ("released_s", "<f8"),
        ("started_s", "<f8"),
        ("finished_s", "<f8"),
        ("outcome", "i1"),
        ("status", "<i2"),
        ("attempt", "<i2"),
    ]
)
_KIND = ("journey", "operation", "agency", "system")
_OUTCOMES = list(Outcome)
_NUMBER = {outcome: number for number, outcome in enumerate(_OUTCOMES)}

Times = tuple[float, float, float, float]  # due, released, started, finished


class Held(NamedTuple):
    """Rows, components and failures as they were recorded, since the last time that they were taken."""

    packed: bytearray
    components: list[Row]
    failures: Failures


class Ledger:
    """Records steps of journeys for one worker."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._numbers: dict[tuple[str, str, str, str], int] = {}
        self._kinds: list[tuple[str, str, str, str]] = []
        self._held = _nothing()

    def record(self, journey: Journey, times_s: Times, answer: Answer) -> None:
        """One row, for the step at which the journey stands."""
        step = journey.step
        kind = (journey.name, step.operation, journey.agency, step.system)
        number = self._numbers.get(kind)
        if number is None:
            number = self._numbers[kind] = len(self._kinds)
            self._kinds.append(kind)
        outcome, status = answer[:2]
        held = self._held
        held.packed.extend(
            _PACKED.pack(
                journey.arrival,
                step.number,
                number,
                journey.dossier,
                step.items,
                *times_s,
                _NUMBER[outcome],
                status,
                0 if outcome is Outcome.DROPPED else 1,
            )
        )
        if answer.error:
            first = First(times_s[0], journey.arrival, status)
            held.failures.note(step.operation, outcome, answer.error, first)
        if answer.components:
            held.components.extend((journey.arrival, step.number, *component) for component in answer.components)

    def take(self) -> Held:
        """What was recorded since it was last taken."""
        held, self._held = self._held, _nothing()
        return held

    def table(self, held: Held) -> pa.Table:
        """The rows as observations.SCHEMA has them; may be called in another thread."""
        rows = np.frombuffer(held.packed, dtype=_ROW)
        kinds = list(self._kinds)
        columns = {name: pa.array(np.ascontiguousarray(rows[name])) for name in SCHEMA.names if name in _ROW.names}
        for place, name in enumerate(_KIND):
            columns[name] = _chosen([kind[place] for kind in kinds], rows["kind"])
        columns["outcome"] = _chosen([outcome.value for outcome in _OUTCOMES], rows["outcome"])
        columns["worker"] = _chosen([self._worker], np.zeros(len(rows), dtype=np.int32))
        return pa.table([columns[name] for name in SCHEMA.names], names=SCHEMA.names).cast(SCHEMA)


def _nothing() -> Held:
    return Held(bytearray(), [], Failures())


def _chosen(words: list[str], numbers: np.ndarray) -> pa.DictionaryArray:
    """For each number the word at its place."""
    encoded = pa.array(words, pa.string()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(encoded.indices.take(pa.array(numbers.astype(np.int32))), encoded.dictionary)
