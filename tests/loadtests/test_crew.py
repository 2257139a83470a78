"""The workers of a replay as the master knows them."""

from pathlib import PurePath

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
    crew.take_part("b", 4.0)
    assert crew.is_done(4.0)  # it came back and says that it is idle
    crew.take_part("a", 7.0)
    crew.lose_silent(7.0)
    assert crew.awaited(7.0 + WAITED_FOR_S) == [crew.hands["a"]] and crew.is_done(7.0 + WAITED_FOR_S)
