"""The workers of one replay as the master knows them: who is there, what each holds, who is idle, gone or through.

Keeps books and sends nothing; seconds are the plan's. Knows neither Locust nor gevent.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from loadtests.leases import SILENT_S, Lease, Leases

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]")
_NAME_MAX = 100
# A worker that has fallen silent holds what it observed and has not told. On a busy machine it comes back.
WAITED_FOR_S = 10.0


@dataclass(slots=True)
class Hand:
    """One worker. `node` is Locust's name for it, `label` stands in the rows that it observed."""

    node: str
    label: str
    granted: int = 0
    taken: int = 0
    written: int = 0  # the number of the last part of its rows that stands on the disk
    is_ordered: bool = False  # it has said that it has its orders
    is_begun: bool = False
    is_idle: bool = False
    is_through: bool = False
    gone_at_s: float | None = None
    back_at_s: float = -math.inf  # when it was last heard while it was thought gone
    revoked_after_s: float | None = None  # to be told when it comes back, until it says so itself
    clock: dict[str, float] | None = None

    @property
    def is_here(self) -> bool:
        """Neither gone nor through."""
        return self.gone_at_s is None and not self.is_through

    def as_json(self) -> dict[str, Any]:
        return {"worker": self.label, "leases": self.granted, "gone_at_s": self.gone_at_s, "clock": self.clock}


class Crew:
    """Everybody who ever took part in a replay, by the name that a worker gives itself."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self.hands: dict[str, Hand] = {}

    @property
    def under_way(self) -> list[Hand]:
        """Those who have begun and are not through: also one that is thought gone may be there all the same."""
        return [hand for hand in self.hands.values() if hand.is_begun and not hand.is_through]

    @property
    def present(self) -> list[Hand]:
        """Those who have begun and are neither gone nor through."""
        return [hand for hand in self.under_way if hand.is_here]

    def senders(self, now_s: float) -> int:
        """How many share what may be sent: also those who are about to begin, or to come back."""
        return sum(
            hand.is_ordered and (hand.is_here or (not hand.is_through and now_s - hand.back_at_s <= SILENT_S))
            for hand in self.hands.values()
        )

    def awaited(self, now_s: float) -> list[Hand]:
        """Those from whom something may still come: who have begun, are not through, and not gone for long."""
        return [hand for hand in self.under_way if hand.gone_at_s is None or now_s - hand.gone_at_s < WAITED_FOR_S]

    def is_done(self, now_s: float) -> bool:
        """Whether everything was granted, arrived, and came to an end."""
        awaited = self.awaited(now_s)
        idle = all(hand.is_here and hand.is_idle and hand.taken == hand.granted for hand in awaited)
        return bool(awaited) and self._leases.all_granted and idle

    def join(self, worker: str, node: str) -> Hand:
        """A worker comes; it gets leases once it has its orders."""
        # The label becomes part of files' names, and what a worker calls itself is its own affair.
        machine = _NOT_IN_NAMES.sub("_", worker.rpartition("-")[0])[:_NAME_MAX]
        hand = self.hands[worker] = Hand(node, f"{machine}-{len(self.hands)}")
        return hand

    def heard(self, hand: Hand, told: dict[str, Any]) -> None:
        """What a worker's pulse says of it."""
        hand.is_ordered = True
        if told["revoked_after_s"] == hand.revoked_after_s:
            hand.revoked_after_s = None
        hand.taken, hand.is_idle = told["leases"], told["is_idle"]
        self.note_clock(hand, told["clock"])

    def note_clock(self, hand: Hand, figures: dict[str, float] | None) -> None:
        """The worst that a worker ever said of its clock is what counts."""
        if figures is not None and (hand.clock is None or figures["error_s_max"] > hand.clock["error_s_max"]):
            hand.clock = figures

    def take_part(self, worker: str, now_s: float) -> float | None:
        """A worker that has begun is alive; returns after when its leases were revoked, if it was thought gone.

        Until it says that it knows, it stays gone: an answer may be lost, and what it would send went to others. The
        others make room for it meanwhile (`senders`).
        """
        hand = self.hands[worker]
        if hand.revoked_after_s is None:
            self._leases.heard(worker, now_s)
            hand.gone_at_s = None
        else:
            hand.back_at_s = now_s
        return hand.revoked_after_s

    def lose_silent(self, now_s: float) -> list[Hand]:
        """Give up those from whom nothing was heard for too long; what they hold that is not due yet goes to others."""
        return [self._lose(worker, now_s) for worker in self._leases.silent(now_s)]

    def leave(self, worker: str, now_s: float) -> None:
        """A worker has told its last rows."""
        hand = self.hands[worker]
        hand.is_through = True
        if hand.is_begun and hand.gone_at_s is None:
            self._leases.revoke(worker, now_s)

    def grant(self, now_s: float) -> Iterable[tuple[Hand, Lease]]:
        """Every lease that is to be sent now."""
        for worker, lease in self._leases.grant(now_s):
            hand = self.hands[worker]
            hand.granted += 1
            yield hand, lease

    def _lose(self, worker: str, now_s: float) -> Hand:
        hand = self.hands[worker]
        hand.gone_at_s = hand.revoked_after_s = now_s
        hand.back_at_s = -math.inf
        self._leases.revoke(worker, now_s)
        return hand
