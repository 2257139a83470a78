"""Memory of large arrays that is used again: fresh memory costs more than what is written into it.

The system gives a page at the first touch; in a virtual machine that takes microseconds, as long as a dossier.
"""

from collections import defaultdict
from typing import Any

import numpy as np


class Memory:
    """Arrays as of `np.empty`; what is given back serves for the next of about that size. Any thread may ask."""

    def __init__(self) -> None:
        self._kept: defaultdict[int, list[np.ndarray]] = defaultdict(list)

    def empty(self, count: int, kind: np.dtype[Any]) -> np.ndarray:
        size = 1 << (count * kind.itemsize).bit_length()
        try:
            owner = self._kept[size].pop()
        except IndexError:
            owner = np.empty(size, dtype=np.uint8)
        return owner[: count * kind.itemsize].view(kind)

    def give_back(self, array: np.ndarray) -> None:
        """An array of `empty`, or any part of it; nobody may look at it any more."""
        owner = array.base
        assert isinstance(owner, np.ndarray)
        self._kept[len(owner)].append(owner)
