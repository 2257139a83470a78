"""The events of a year as they are told: in pieces, some ahead of their day; a day at a time, in classes of minutes.

A class at a time stays in the processor's caches, where it is put in order.
"""

import numpy as np

from simulation.cases import ROW
from simulation.compiling import inlined, machine_code
from simulation.demand import DAY_S

CLASSES = 256
CLASS_S = DAY_S / CLASSES


class Ledger:
    """What was told of days to come."""

    def __init__(self) -> None:
        self._later = np.empty(0, dtype=ROW)
        # Kept from day to day, since fresh memory costs more than what is written into it.
        self._rows = np.empty(0, dtype=ROW)

    def take(self, pieces: list[np.ndarray], day: int) -> tuple[np.ndarray, np.ndarray]:
        """Take in pieces (`ROW`); those of `day` and how they are parted, good until the next call.

        The n-th of `CLASSES` equal parts of the day stands from `edges[n]` to `edges[n + 1]`. What is told late, since
        it happened while desks were closed, is in the first.
        """
        pieces, day_s = [self._later, *pieces], float(day * DAY_S)
        count = sum(map(len, pieces))
        if count > len(self._rows):
            self._rows = np.empty(2 * count, dtype=ROW)
        edges = np.zeros(CLASSES + 2, dtype=np.int64)
        for piece in pieces:
            _count(piece, day_s, edges)
        edges = np.cumsum(edges)
        ends = edges.copy()
        for piece in pieces:
            _put(piece, day_s, ends, self._rows)
        self._later = _copied(self._rows[edges[CLASSES] : count])
        return self._rows[: edges[CLASSES]], edges[: CLASSES + 1]


def _copied(rows: np.ndarray) -> np.ndarray:
    """A copy of `ROW`s; as words, for NumPy copies records that have room between their fields one by one."""
    return rows.view(np.int64).copy().view(ROW)


@inlined
def _class(at_s, day_s):  # type: ignore[no-untyped-def]
    return min(max(int((at_s - day_s) / CLASS_S), 0), CLASSES)


@machine_code
def _count(piece, day_s, edges):  # type: ignore[no-untyped-def]
    """Count the rows of each class, behind its place; later ones come last."""
    for number in range(len(piece)):
        edges[_class(piece[number].at_s, day_s) + 1] += 1


@machine_code
def _put(piece, day_s, ends, rows):  # type: ignore[no-untyped-def]
    """Put each row at the end of its class."""
    for number in range(len(piece)):
        which = _class(piece[number].at_s, day_s)
        rows[ends[which]] = piece[number]
        ends[which] += 1
