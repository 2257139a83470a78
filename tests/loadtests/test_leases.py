"""The leases' policy: time goes in, grants come out. Workers die, sleep and come back as Hypothesis likes."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.leases import AHEAD_S, FENCE_S, LENGTH_S, SILENT_S, Lease, Leases

LAST_DUE_S = 20.0
DUES_S = [n / 7 for n in range(int(LAST_DUE_S * 7) + 1)]


def places(lease: Lease) -> set[int]:
    """Which arrivals, by place in the plan, a lease is for."""
    return {
        place
        for place, due_s in enumerate(DUES_S)
        if lease.from_s <= due_s < lease.to_s and place % lease.modulus == lease.residue
    }


@given(st.integers(1, 5), st.integers(1, 5))
def test_splitting_shares_out_exactly_once_and_again(first: int, second: int) -> None:
    whole = Lease(0.0, 30.0)
    parts = [part for each in whole.split(first) for part in each.split(second)]
    assert sorted(place for part in parts for place in places(part)) == list(range(len(DUES_S)))


class Sleeper:
    """A worker as the swarm is: begins what is due, unless it sleeps or has not heard from the master for too long."""

    def __init__(self) -> None:
        self.held: set[int] = set()
        self.begun: set[int] = set()
        self.fence_s = math.inf
        self.awake = True

    def begin_what_is_due(self, now_s: float) -> None:
        if self.awake and now_s < self.fence_s:
            self.begun |= {place for place in self.held if DUES_S[place] <= now_s}
            self.held -= self.begun


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from(["awake", "asleep"]), min_size=60, max_size=60), min_size=1, max_size=4))
def test_every_arrival_is_begun_at_most_once_and_by_somebody_if_anybody_is_there(lives: list[list[str]]) -> None:
    """Lives change every half second; a pulse comes every quarter; one worker at least is always awake."""
    leases = Leases(LAST_DUE_S)
    workers = {str(number): Sleeper() for number in range(len(lives) + 1)}
    revoked: dict[str, float] = {}
    for tick in range(int((LAST_DUE_S + 5) * 20)):
        now_s = tick / 20
        for (name, worker), life in zip(workers.items(), [["awake"], *lives], strict=True):
            worker.awake = life[tick // 10 % len(life)] == "awake"
            worker.begin_what_is_due(now_s)
            if worker.awake and tick % 5 == 0:
                leases.heard(name, now_s)
                if name in revoked:
                    after_s = revoked.pop(name)
                    worker.held = {place for place in worker.held if DUES_S[place] <= after_s}
                worker.fence_s = now_s + FENCE_S
                for silent in leases.silent(now_s):
                    leases.revoke(silent, now_s)
                    revoked[silent] = now_s
                for receiver, lease in leases.grant(now_s):
                    workers[receiver].held |= places(lease)
    assert leases.all_granted
    begun = sorted(place for worker in workers.values() for place in worker.begun)
    held = {place for worker in workers.values() if not worker.awake for place in worker.held}
    assert len(begun) == len(set(begun))
    assert set(begun) | held == set(range(len(DUES_S)))


def test_a_lost_worker_takes_along_what_was_due_while_it_was_silent_and_no_more() -> None:
    leases = Leases(LAST_DUE_S)
    given: dict[str, set[int]] = {"a": set(), "b": set()}

    def tick(now_s: float, *alive: str) -> None:
        for name in alive:
            leases.heard(name, now_s)
        for silent in leases.silent(now_s):
            leases.revoke(silent, now_s)
        for name, lease in leases.grant(now_s):
            given[name] |= places(lease)

    for quarter in range(21):
        tick(quarter / 4, "a", "b")
    assert not given["a"] & given["b"]
    lost_at_s = 5 + SILENT_S + 0.25
    for quarter in range(21, 120):
        tick(quarter / 4, "a")
    taken_along = given["b"] - given["a"]
    assert max(DUES_S[place] for place in taken_along) <= lost_at_s
    assert given["a"] | {place for place in given["b"] if DUES_S[place] <= lost_at_s} == set(range(len(DUES_S)))


def test_nothing_is_granted_far_ahead_or_to_nobody() -> None:
    leases = Leases(LAST_DUE_S)
    assert leases.grant(0.0) == []
    leases.heard("a", 0.0)
    assert max(lease.to_s for _, lease in leases.grant(0.0)) == AHEAD_S
    assert leases.grant(LENGTH_S / 2) == []
    assert [lease for _, lease in leases.grant(LENGTH_S)] == [Lease(AHEAD_S, AHEAD_S + LENGTH_S)]
    assert not leases.all_granted
    assert Leases(-math.inf).all_granted


def test_a_worker_stops_before_its_arrivals_are_given_away() -> None:
    assert pytest.approx(0.5) == SILENT_S - FENCE_S
    assert AHEAD_S > SILENT_S  # else everything that a silent worker held would be due when it is given up
