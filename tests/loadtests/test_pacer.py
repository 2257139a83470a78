"""The pacer alone: time goes in, decisions come out, so the tests take none."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.pacer import Bound, Pacer, is_too_late

DUE_S = st.lists(st.floats(0, 100), max_size=50).map(sorted)
NOW_S = st.lists(st.floats(0, 120), max_size=20).map(sorted)


def pacer_of(due_s: list[float], greatest_lateness_s: float = math.inf) -> Pacer[int]:
    pacer = Pacer[int](greatest_lateness_s)
    pacer.add((due, number) for number, due in enumerate(due_s))
    return pacer


@given(DUE_S, NOW_S, st.floats(0, 10))
def test_every_arrival_comes_once_in_order_and_never_early(
    due_s: list[float], now_s: list[float], greatest_lateness_s: float
) -> None:
    pacer = pacer_of(due_s, greatest_lateness_s)
    seen = []
    for now in [*now_s, 200.0]:
        release, drop = pacer.take(now)
        assert all(due[0] <= now for due in release + drop)
        assert all(not is_too_late(due[0], now, greatest_lateness_s) for due in release)
        assert all(is_too_late(due[0], now, greatest_lateness_s) for due in drop)
        assert pacer.next_due_s > now
        for kind in (release, drop):
            assert kind == sorted(kind)
        seen += sorted(release + drop)
    assert [due[1] for due in seen] == list(range(len(due_s)))
    assert pacer.next_due_s == math.inf


@given(DUE_S, st.lists(st.tuples(st.floats(0, 100), st.floats(0, 60)), max_size=30))
def test_later_steps_fall_due_after_their_think_time_among_the_first_steps(
    due_s: list[float], later: list[tuple[float, float]]
) -> None:
    pacer = pacer_of(due_s)
    for number, (finished_s, think_s) in enumerate(later):
        assert pacer.put_back(finished_s, think_s, 1000 + number) == finished_s + think_s
    release, drop = pacer.take(200.0)
    assert not drop
    assert [due[0] for due in release] == sorted([*due_s, *(finished + think for finished, think in later)])


def test_ties_go_to_the_first_step_and_then_to_the_one_put_back_first() -> None:
    pacer = pacer_of([5.0])
    pacer.put_back(3.0, 2.0, 11)
    pacer.put_back(4.0, 1.0, 12)
    assert [due[1] for due in pacer.take(5.0)[0]] == [0, 11, 12]


def test_lateness_is_counted_from_due_and_its_bound_still_goes_out() -> None:
    assert not is_too_late(due_s=10.0, now_s=11.0, greatest_lateness_s=1.0)
    assert is_too_late(due_s=10.0, now_s=11.001, greatest_lateness_s=1.0)


@given(st.floats(0.2, 20), st.lists(st.floats(0, 0.5), min_size=1, max_size=100))
def test_a_bound_lets_no_more_than_its_rate_start_in_any_second(rate_per_s: float, gaps_s: list[float]) -> None:
    bound = Bound(rate_per_s)
    now_s, starts_s = 0.0, []
    for gap_s in gaps_s:
        now_s = bound.start_s(now_s + gap_s)
        bound.note(now_s)
        starts_s.append(now_s)
    assert starts_s == sorted(starts_s)
    within_s = max(1 / rate_per_s, 1.0)
    most = max(math.floor(rate_per_s), 1)
    assert all(later >= earlier + within_s for earlier, later in zip(starts_s, starts_s[most:], strict=False))


def test_a_bound_holds_up_nothing_below_its_rate() -> None:
    bound = Bound(2.0)
    bound.note(0.0)
    bound.note(0.9)
    assert (bound.start_s(0.95), bound.start_s(1.0), bound.start_s(5.0)) == (1.0, 1.0, 5.0)


def test_a_plan_out_of_order_is_an_error() -> None:
    with pytest.raises(ValueError, match="out of order"):
        pacer_of([2.0, 1.0]).take(3.0)


@given(st.lists(DUE_S, max_size=4), NOW_S)
def test_leases_are_merged_in_order_of_due(leases: list[list[float]], now_s: list[float]) -> None:
    pacer = Pacer[int](math.inf)
    for lease in leases:
        pacer.add((due_s, number) for number, due_s in enumerate(lease))
    seen = [due[0] for now in [*now_s, 200.0] for due in pacer.take(now)[0]]
    assert seen == sorted(due_s for lease in leases for due_s in lease)


@given(DUE_S, DUE_S, st.floats(0, 100), st.floats(0, 50))
def test_what_was_revoked_is_forgotten_and_what_was_put_back_is_not(
    held: list[float], later: list[float], after_s: float, more_s: float
) -> None:
    pacer = pacer_of(held)
    pacer.put_back(after_s, 1.0, -1)
    pacer.revoke(after_s)
    pacer.add((due_s, 1000 + number) for number, due_s in enumerate(later))
    kept = [*(due_s for due_s in held if due_s <= after_s), after_s + 1.0, *later]
    assert [due[0] for due in pacer.take(200.0)[0]] == sorted(kept)
    # A later revocation brings nothing back.
    pacer = pacer_of(held)
    pacer.revoke(after_s)
    pacer.revoke(after_s + more_s)
    assert [due[0] for due in pacer.take(200.0)[0]] == [due_s for due_s in held if due_s <= after_s]


def test_a_bounds_rate_may_change() -> None:
    bound = Bound(4.0)
    for start_s in (0.0, 0.1, 0.2):
        bound.note(start_s)
    bound.change(2.0)  # of those in the last second only two may be in any
    assert bound.start_s(0.3) == 1.1
    bound.change(4.0)
    assert bound.start_s(0.3) == 0.3


def test_a_bound_that_rests_lets_nothing_start_for_a_second() -> None:
    bound = Bound(4.0)
    bound.note(0.0)
    bound.rest(0.5)
    assert [bound.start_s(now_s) for now_s in (0.5, 1.4, 1.6)] == [1.5, 1.5, 1.6]
