"""The adapter's queue against closed forms, and against the same rules written out plainly."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulation.sync_queue import Adapter, backlog, fluid_backlog, run

NEVER = np.full(100_000, 0.5)
PUBLISHED = Adapter(60.0, 10, 0.0, 0.0, 180.0, 0.0, 0.0, 10)


def adapter(**changed: float) -> Adapter:
    return Adapter(**{name: changed.get(name, getattr(PUBLISHED, name)) for name in Adapter.__slots__})


def test_a_burst_leaves_ten_a_minute() -> None:
    found = run(PUBLISHED, np.zeros(1000), NEVER[:1000], 1e6)
    np.testing.assert_array_equal(found.left_s, 60.0 * (np.arange(1000) // 10))


def test_a_backlog_drains_in_backlog_over_what_is_left_of_the_ceiling() -> None:
    """D/D/1: 600 waiting, 6 a minute coming, 10 a minute taken: 150 minutes."""
    at_s = np.sort(np.concatenate([np.zeros(600), np.arange(10.0, 20_000, 10)]))
    found = run(PUBLISHED, at_s, NEVER[: len(at_s)], 1e6)
    waiting = backlog(at_s, found.left_s, 60.0 * np.arange(1, 300))
    # The first pass takes ten at once, and what came since the last pass always waits: 590 - 4 m = 6.
    assert 1 + int(np.argmax(waiting <= 6)) == 146
    assert waiting[200:].max() <= 6


@pytest.mark.parametrize(("entry_s", "per_minute"), [(1.2, 10), (6.0, 10), (6.1, 5), (12.5, 10 / 3)])
def test_the_ceiling_falls_by_whole_periods(entry_s: float, per_minute: float) -> None:
    slow = adapter(entry_s=entry_s)
    assert 60 * slow.ceiling_per_s == pytest.approx(per_minute)
    found = run(slow, np.zeros(50_000), NEVER[:50_000], 86_400.0)
    assert np.isfinite(found.left_s).sum() / 1440 == pytest.approx(per_minute, rel=0.01)


@pytest.mark.parametrize(("calls", "call_s", "entries"), [(3, 0.2, 100), (4, 0.1, 150), (4, 0.3, 50), (3, 0.1, 200)])
def test_a_pass_that_fills_its_period_is_followed_by_one_in_the_next(calls: int, call_s: float, entries: int) -> None:
    """60 seconds, but for what rounding makes of the sum."""
    full = adapter(entry_s=calls * call_s, entries=entries)
    assert 60 * full.ceiling_per_s == pytest.approx(entries)
    found = run(full, np.zeros(50_000), NEVER[:50_000], 6000.0)
    assert np.isfinite(found.left_s).sum() == min(100 * entries, 50_000)


def test_a_light_load_waits_half_a_period_and_its_own_calls() -> None:
    at_s = np.sort(np.random.default_rng(1).uniform(0, 6e6, 20_000))
    found = run(adapter(entry_s=1.2), at_s, NEVER[:20_000], 1e9)
    assert (found.left_s - at_s).mean() == pytest.approx(30 + 1.2 * 1.1, abs=0.6)


def test_an_entry_that_always_fails_is_given_up_after_eleven_attempts() -> None:
    found = run(adapter(failing=1 - 1e-12), np.array([0.0]), np.array([0.5]), 1e6)
    assert found.failed.all()
    assert found.left_s[0] == 600.0


def test_failing_entries_hold_the_head_of_the_queue() -> None:
    """Ten that always fail keep everybody behind them waiting for eleven passes."""
    chance = np.array([1e-300] * 10 + [0.999] * 5)
    found = run(adapter(failing=0.5), np.zeros(15), chance, 1e6)
    assert found.failed.tolist() == [True] * 10 + [False] * 5
    assert (found.left_s[10:] == 660.0).all()


def test_attempts_lengthen_the_wait_as_a_geometric_number_of_passes() -> None:
    at_s = 6000.0 * np.arange(20_000)
    chance = np.random.default_rng(2).uniform(size=20_000)
    found = run(adapter(failing=0.3, retries=1000), at_s, chance, 1e12)
    assert ((found.left_s - at_s) / 60).mean() == pytest.approx(0.3 / 0.7, abs=0.02)


def test_an_outage_that_hangs_costs_three_time_outs_an_entry() -> None:
    """Ten entries of 180 s make a pass of half an hour; the next one begins when the portal is back."""
    found = run(PUBLISHED, np.zeros(30), NEVER[:30], 1e6, down=(0.0, 1700.0))
    assert found.left_s[:10].tolist() == [1800.0] * 10
    assert found.left_s[10:20].tolist() == [1860.0] * 10


@settings(deadline=None)
@given(
    st.lists(st.floats(0, 3000), min_size=1, max_size=60),
    st.floats(0, 0.9),
    st.sampled_from([0.0, 3.0, 7.0, 30.0]),
    st.integers(0, 3),
    st.integers(0, 1000),
)
def test_it_does_what_the_rules_say(
    times: list[float], failing: float, entry_s: float, retries: int, seed: int
) -> None:
    at_s, chance = np.sort(times), np.random.default_rng(seed).uniform(1e-9, 1, len(times))
    tried = adapter(entries=4, entry_s=entry_s, pass_s=1.0, entry_down_s=20.0, failing=failing, retries=retries)
    found = run(tried, at_s, chance, 5000.0, down=(500.0, 900.0))
    left_s, failed = by_the_rules(tried, at_s, chance, 5000.0, (500.0, 900.0))
    np.testing.assert_array_equal(found.left_s, left_s)
    np.testing.assert_array_equal(found.failed, failed)
    moments = np.linspace(0, 6000, 50)
    waiting = backlog(at_s, found.left_s, moments)
    assert (waiting >= 0).all()
    assert waiting[-1] == np.isinf(found.left_s).sum()


def by_the_rules(
    tried: Adapter, at_s: np.ndarray, chance: np.ndarray, end_s: float, down: tuple[float, float]
) -> tuple[list[float], list[bool]]:
    """Tick by tick, with a plain list as the queue."""
    own = [math.floor(math.log(each) / math.log(tried.failing)) if tried.failing else 0 for each in chance]
    attempts, left, failed = [0] * len(at_s), [math.inf] * len(at_s), [False] * len(at_s)
    queue: list[int] = []
    joined, free_s = 0, 0.0
    for tick in range(math.ceil(end_s / tried.period_s)):
        begun_s = tick * tried.period_s
        if begun_s < free_s:
            continue
        while joined < len(at_s) and at_s[joined] <= begun_s:
            queue.append(joined)
            joined += 1
        if not queue:
            continue
        now_s = begun_s + (tried.pass_down_s if down[0] <= begun_s < down[1] else tried.pass_s)
        for entry in queue[: tried.entries]:
            is_down = down[0] <= now_s < down[1]
            now_s += tried.entry_down_s if is_down else tried.entry_s
            attempts[entry] += 1
            own[entry] += is_down
            if attempts[entry] > own[entry]:
                left[entry] = now_s
            elif attempts[entry] > tried.retries:
                left[entry], failed[entry] = now_s, True
        queue = [entry for entry in queue if math.isinf(left[entry])]
        free_s = now_s
    return left, failed


def test_the_fluid_backlog_of_a_constant_overload_grows_by_the_difference() -> None:
    coming = np.array([[12.0] * 10 + [4.0] * 10])
    assert fluid_backlog(coming, 10.0)[0].tolist() == [*range(2, 21, 2), 14, 8, 2, *[0] * 7]
