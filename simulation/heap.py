"""A heap of pending events for compiled loops: records of `EVENT`, the least (time, place) first (Numba).

`place` says which event comes first of those at one instant, and whatever else its loop packs into it. How many events
there are stands in the first entry of `count`.
"""

import numpy as np
from numba import njit

EVENT = np.dtype([("time_s", "f8"), ("place", "i8")])

_inlined = njit(inline="always")


@_inlined
def _before(time_s, place, other_s, other_place):  # type: ignore[no-untyped-def]
    return (time_s < other_s) | ((time_s == other_s) & (place < other_place))


@_inlined
def push(time_s, place, heap, count):  # type: ignore[no-untyped-def]
    """One event more, upwards from the end."""
    hole = count[0]
    count[0] += 1
    while hole:
        above = (hole - 1) >> 1
        if not _before(time_s, place, heap[above].time_s, heap[above].place):
            break
        heap[hole] = heap[above]
        hole = above
    heap[hole].time_s, heap[hole].place = time_s, place


@_inlined
def pop(heap, count):  # type: ignore[no-untyped-def]
    """The first event. The hole sinks to the bottom, where the heap's last event mostly belongs."""
    first_s, first_place = heap[0].time_s, heap[0].place
    count[0] -= 1
    last = count[0]
    time_s, place = heap[last].time_s, heap[last].place
    hole, below = 0, 1
    while below < last:
        if below + 1 < last:
            # Added, not branched upon: which child is earlier cannot be predicted.
            below += _before(heap[below + 1].time_s, heap[below + 1].place, heap[below].time_s, heap[below].place)
        heap[hole] = heap[below]
        hole, below = below, 2 * below + 1
    while hole:
        above = (hole - 1) >> 1
        if not _before(time_s, place, heap[above].time_s, heap[above].place):
            break
        heap[hole] = heap[above]
        hole = above
    heap[hole].time_s, heap[hole].place = time_s, place
    return first_s, first_place


@_inlined
def take_first(free_s, first, end, served_s):  # type: ignore[no-untyped-def]
    """In the heap of times that stands from `first` to `end`, put `served_s` in the place of the earliest."""
    count = end - first
    hole, below = 0, 1
    while below < count:
        if below + 1 < count:
            below += free_s[first + below + 1] < free_s[first + below]
        if served_s <= free_s[first + below]:
            break
        free_s[first + hole] = free_s[first + below]
        hole, below = below, 2 * below + 1
    free_s[first + hole] = served_s
