"""What went wrong with answers, by operation, outcome and words: how often, and the first step that shows it.

A worker counts what it sees and tells it beside its rows; the master adds up. Knows neither Locust nor gevent.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from caodiem.dossier import Outcome

_MOST_SHOWN = 20


class First(NamedTuple):
    """Where a kind of failure was first seen, in seconds of the plan; `status` is 0 where there was no answer."""

    due_s: float
    arrival: int
    status: int


# (operation, outcome, what was wrong, how often, first), in types that msgpack carries.
Told = tuple[str, str, str, int, First]


class Failures:
    """Steps that were refused, failed or timed out; what was never sent is not among them."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], tuple[int, First]] = {}

    def note(self, operation: str, outcome: Outcome, error: str, first: First) -> None:
        """One step more."""
        self.add([(operation, outcome.value, error, 1, first)])

    def add(self, told: Iterable[Told]) -> None:
        """What a worker has counted since it last told."""
        for operation, outcome, error, count, first in told:
            kind = operation, outcome, error
            known, earliest = self._found.get(kind, (0, First(*first)))
            self._found[kind] = known + count, min(earliest, First(*first))

    def told(self) -> list[Told]:
        return [(*kind, *counted) for kind, counted in self._found.items()]

    def as_json(self) -> list[dict[str, Any]]:
        """The most frequent kinds first, and of those no more than twenty."""
        frequent = sorted(self.told(), key=lambda each: -each[3])[:_MOST_SHOWN]
        return [
            {"operation": operation, "outcome": outcome, "error": error, "steps": steps, "first": first._asdict()}
            for operation, outcome, error, steps, first in frequent
        ]
