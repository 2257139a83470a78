"""The workers of a replay as the master knows them."""

from pathlib import PurePath
from typing import Any

import pytest

from loadtests.crew import WAITED_FOR_S, Crew
from loadtests.leases import Leases


@pytest.mark.parametrize("name", ["../../etc/cron.d/x-1", "a/b-1", "..\\b-1", "x\0-1", "a" * 5000 + "-1", ""])
def test_a_label_is_part_of_one_file_name(name: str) -> None:
    """Whatever a worker calls itself: anybody who reaches the master's port is a worker."""
    label = Crew(Leases(10.0)).join(name, "node").label
    path = PurePath("parts") / f"observations-{label}-000001.parquet"
    assert path.parent == PurePath("parts") and len(path.name) < 255
    assert label.isprintable() and "\\" not in label


def test_labels_tell_workers_of_one_machine_apart() -> None:
    crew = Crew(Leases(10.0))
    assert [crew.join(f"host.example-{n}", "node").label for n in range(2)] == ["host.example-0", "host.example-1"]


def pulse(leases: int = 0, is_idle: bool = True, revoked_after_s: float | None = None) -> dict[str, Any]:
    return {"leases": leases, "is_idle": is_idle, "clock": None, "revoked_after_s": revoked_after_s}


def test_a_worker_that_comes_back_gets_nothing_until_it_knows_what_went_to_others() -> None:
    """The answer that says so may be lost: every one that would let it send again says it."""
    crew = Crew(Leases(10.0))
    hand = crew.join("a", "node")
    hand.is_begun = True
    for lost_at_s in (3.0, 9.0):
        crew.heard(hand, pulse(revoked_after_s=None if lost_at_s == 3.0 else 3.0))
        assert crew.take_part("a", lost_at_s - 3.0) is None and list(crew.grant(lost_at_s - 3.0))
        assert crew.lose_silent(lost_at_s) == [hand]
        for asked_s in (lost_at_s + 1.0, lost_at_s + 1.25):
            crew.heard(hand, pulse(revoked_after_s=None if lost_at_s == 3.0 else 3.0))
            assert crew.take_part("a", asked_s) == lost_at_s
            assert not hand.is_here and not list(crew.grant(asked_s))
        crew.heard(hand, pulse(revoked_after_s=lost_at_s))
        assert crew.take_part("a", lost_at_s + 1.5) is None and hand.is_here


def test_a_worker_that_comes_back_counts_among_those_who_share_the_top_rate() -> None:
    """From its first pulse on, so that the others make room before it sends; not when it is silent once more."""
    crew = Crew(Leases(10.0))
    for worker in ("a", "b"):
        hand = crew.join(worker, "node")
        crew.heard(hand, pulse())
        hand.is_begun = True
        crew.take_part(worker, 0.0)
    assert crew.senders(0.0) == 2
    crew.take_part("b", 2.5)
    assert crew.lose_silent(3.0) == [crew.hands["a"]] and crew.senders(3.0) == 1
    assert crew.take_part("a", 3.5) == 3.0 and crew.senders(3.5) == 2
    crew.take_part("b", 6.0)
    assert crew.senders(6.0) == 1
    crew.heard(crew.hands["a"], pulse(revoked_after_s=3.0))
    assert crew.take_part("a", 6.5) is None and crew.senders(6.5) == 2


def test_the_end_waits_for_a_worker_that_fell_silent_until_it_is_gone_for_long() -> None:
    crew = Crew(Leases(1.0))
    for worker in ("a", "b"):
        hand = crew.join(worker, "node")
        hand.is_ordered = hand.is_begun = hand.is_idle = True
        crew.take_part(worker, 0.0)
    for hand, _ in crew.grant(0.0):
        hand.taken += 1
    assert crew.is_done(1.5)
    crew.take_part("a", 3.0)
    (silent,) = crew.lose_silent(3.0)
    assert silent is crew.hands["b"] and crew.present == [crew.hands["a"]]
    assert not crew.is_done(3.0) and crew.awaited(3.0) == [crew.hands["a"], silent]
    crew.heard(silent, pulse(silent.taken, revoked_after_s=3.0))
    crew.take_part("b", 4.0)
    assert crew.is_done(4.0)  # it came back and says that it is idle
    crew.take_part("a", 7.0)
    crew.lose_silent(7.0)
    assert crew.awaited(7.0 + WAITED_FOR_S) == [crew.hands["a"]] and crew.is_done(7.0 + WAITED_FOR_S)
