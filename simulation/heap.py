"""A heap of pending events for compiled loops: records of `EVENT`, the least (time, place) first (Numba).

`place` says which event comes first of those at one instant, and whatever else its loop packs into it. How many events
there are stands in the first entry of `count`.
"""

import numpy as np

from simulation.compiling import inlined

EVENT = np.dtype([("time_s", "f8"), ("place", "i8")])

_LAST = np.iinfo(np.int64).max


@inlined
def before(time_s, place, other_s, other_place):  # type: ignore[no-untyped-def]
    """Whether one event comes before the other."""
    return (time_s < other_s) | ((time_s == other_s) & (place < other_place))


@inlined
def push(time_s, place, heap, count):  # type: ignore[no-untyped-def]
    """One event more, upwards from the end."""
    hole = count[0]
    count[0] += 1
    rise(time_s, place, hole, heap)


@inlined
def pop(heap, count):  # type: ignore[no-untyped-def]
    """The first event; the heap's last one takes a place of its own again."""
    first_s, first_place = heap[0].time_s, heap[0].place
    count[0] -= 1
    last = count[0]
    sink(heap[last].time_s, heap[last].place, heap, last)
    return first_s, first_place


@inlined
def sink(time_s, place, heap, count):  # type: ignore[no-untyped-def]
    """Put an event into a heap of `count` whose first place is free; the place behind its end is written over.

    The hole sinks to the bottom, where most events belong.
    """
    # Later than every event: so that a hole's second child can be compared also where there is none.
    heap[count].time_s, heap[count].place = np.inf, _LAST
    hole, below = 0, 1
    while below < count:
        # Added, not branched upon: which child is earlier cannot be predicted.
        below += before(heap[below + 1].time_s, heap[below + 1].place, heap[below].time_s, heap[below].place)
        heap[hole] = heap[below]
        hole, below = below, 2 * below + 1
    rise(time_s, place, hole, heap)


@inlined
def rise(time_s, place, hole, heap):  # type: ignore[no-untyped-def]
    """Put an event where the heap has a hole, or as far above as it belongs."""
    while hole:
        above = (hole - 1) >> 1
        if not before(time_s, place, heap[above].time_s, heap[above].place):
            break
        heap[hole] = heap[above]
        hole = above
    heap[hole].time_s, heap[hole].place = time_s, place


@inlined
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
