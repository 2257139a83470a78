"""Abort rules: what is accepted, and that each is broken exactly when its window says so."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caodiem import abort, summary
from caodiem.errors import UsageError
from caodiem.observations import SCHEMA, Row, table_of

FAILURES = abort.parse("failures > 5% for 10 s")
P95 = abort.parse("p95 > 3 s for 30 s")


def row(outcome: str, due_s: float = 0.0, finished_s: float = 1.0) -> Row:
    told = {"outcome": outcome, "due_s": due_s, "finished_s": finished_s}
    return tuple(told.get(field.name, "" if pa.types.is_dictionary(field.type) else 0) for field in SCHEMA)


def watched(rule: abort.Rule, *told: tuple[float, int, int, int]) -> abort.Watch:
    """A watch that one worker told (at_s, steps, bad, overdue)."""
    watch = abort.Watch([rule])
    for at_s, steps, bad, overdue in told:
        watch.note("w", at_s, [abort.Count(steps, bad)], [overdue])
    return watch


def test_what_is_told_of_no_moment_hides_nothing() -> None:
    """A worker that never began has no clock; what good answers came after it said so must be over some time."""
    watch = watched(FAILURES, (math.nan, 0, 0, 1), *((float(at_s), 100, 0, 0) for at_s in range(1, 21)))
    watch.note("w", 31.0, [abort.Count(100, 100)], [0])
    assert (breach := watch.breach(31.0)) is not None and breach.steps == 100
    assert watch.breach(math.nan) is None


@pytest.mark.parametrize(
    ("text", "limit_s", "share", "window_s"),
    [
        ("failures > 5% for 10 s", None, 0.05, 10.0),
        ("failures>0.5 %  for 2min", None, 0.005, 120.0),
        ("failures > 0% for 1 s", None, 0.0, 1.0),
        ("p95 > 3 s for 30 s", 3.0, 0.05, 30.0),
        ("p99.9 > 250ms for 1 min", 0.25, 0.001, 60.0),
    ],
)
def test_rules_as_people_write_them(text: str, limit_s: float | None, share: float, window_s: float) -> None:
    rule = abort.parse(text)
    assert (rule.limit_s, rule.window_s) == (limit_s, window_s)
    assert rule.share == pytest.approx(share)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected a rule like 'failures > 5% for 10 s'"),
        ("failures > 5 for 10 s", "expected a rule like"),
        ("failures > -5% for 10 s", "expected a rule like"),
        ("failures < 5% for 10 s", "expected a rule like"),
        ("failures > 5%", "expected a rule like"),
        ("errors > 5% for 10 s", "expected a rule like"),
        ("p95 > 5% for 10 s", "expected a rule like"),
        ("p95 > 3 for 10 s", "expected a rule like"),
        ("p95 > 3 s for 10 h", "expected a rule like"),
        ("p95 > nan s for 10 s", "expected a rule like"),
        ("failures > 5% for 10 s and more", "expected a rule like"),
        ("failures > 100% for 10 s", "less than 100%"),
        ("p0 > 1 s for 10 s", "above p0 and below p100"),
        ("p100 > 1 s for 10 s", "above p0 and below p100"),
        ("p101 > 1 s for 10 s", "above p0 and below p100"),
        ("failures > 5% for 100 ms", "expected 1 s to 1 h"),
        ("failures > 5% for 61 min", "expected 1 s to 1 h"),
    ],
)
def test_anything_else_is_refused_with_what_is_accepted(text: str, expected: str) -> None:
    with pytest.raises(UsageError, match=expected) as caught:
        abort.parse(text)
    assert repr(" ".join(text.split())) in str(caught.value)


def test_hosts_that_are_not_this_machine_have_rules_by_default() -> None:
    assert abort.rules([], is_loopback=True) == []
    assert [rule.text for rule in abort.rules([], is_loopback=False)] == list(abort.DEFAULTS_ELSEWHERE)
    assert [rule.text for rule in abort.rules([P95.text], is_loopback=False)] == [P95.text]


def test_failures_are_of_the_steps_that_were_attempted() -> None:
    rows = [row(outcome) for outcome in ("ok", "ok", "refused", "failed", "timed_out", "dropped")]
    assert abort.count(FAILURES, table_of(rows)) == (5, 3)


def test_a_response_time_counts_from_due_and_is_infinite_where_the_answer_was_not_right() -> None:
    rows = [row("ok", 1.0, 4.0), row("ok", 1.0, 4.001), row("failed", 1.0, 1.1), row("dropped", 1.0, math.nan)]
    assert abort.count(P95, table_of(rows)) == (4, 3)
    assert abort.count_overdue(P95, [0.0, 6.9, 7.0, 9.0], now_s=10.0) == 2
    assert abort.count_overdue(FAILURES, [0.0], now_s=10.0) == 0


@settings(deadline=None)  # the first call loads what Arrow needs
@given(st.lists(st.tuples(st.floats(0, 6), st.sampled_from(["ok", "ok", "ok", "failed"])), min_size=2, max_size=200))
def test_a_quantile_rule_is_broken_exactly_when_the_quantile_is_above_its_limit(told: list[tuple[float, str]]) -> None:
    rows = [row(outcome, 0.0, finished_s) for finished_s, outcome in told]
    found_s = summary.quantile(summary.response_s(table_of(rows)), 0.95)
    counted = abort.count(P95, table_of(rows))
    broken = watched(P95, (30.0, *counted, 0)).breach(30.0) is not None
    assert broken == (found_s > 3.0 and counted.bad >= 2)


def test_the_window_slides() -> None:
    watch = watched(FAILURES, *((float(second), 10, 0, 0) for second in range(1, 11)), (11.0, 10, 8, 0))
    found = watch.breach(11.0)
    assert found is not None and (found.steps, found.bad) == (100, 8) and found.share == pytest.approx(0.08)
    assert "failures > 5% for 10 s" in str(found) and "8 of 100 steps (8.0%, at most 5.0%)" in str(found)
    for second in range(12, 22):
        watch.note("w", float(second), [abort.Count(10, 0)], [0])
        assert (watch.breach(float(second)) is not None) == (second < 21)  # the bad second leaves after ten


def test_a_share_at_its_limit_is_not_above_it() -> None:
    assert watched(FAILURES, (10.0, 100, 5, 0)).breach(10.0) is None
    assert watched(FAILURES, (10.0, 100, 6, 0)).breach(10.0) is not None


def test_no_rule_is_broken_before_its_window_has_passed_nor_by_one_step_alone() -> None:
    assert watched(FAILURES, (5.0, 10, 10, 0)).breach(9.9) is None
    assert watched(FAILURES, (5.0, 10, 10, 0)).breach(10.0) is not None
    assert watched(FAILURES, (10.0, 2, 1, 0)).breach(10.0) is None
    assert watched(abort.parse("failures > 0% for 10 s"), (10.0, 2, 1, 0)).breach(10.0) is not None
    assert watched(FAILURES).breach(60.0) is None


def test_steps_that_are_overdue_break_a_rule_before_any_answer_comes() -> None:
    watch = watched(P95, (29.0, 10, 0, 0), (30.0, 0, 0, 5))
    found = watch.breach(30.0)
    assert found is not None and (found.steps, found.bad) == (15, 5)
    watch.note("w", 31.0, [abort.Count(5, 5)], [0])  # answered at last: counted once
    found = watch.breach(31.0)
    assert found is not None and (found.steps, found.bad) == (15, 5)


def test_what_several_workers_tell_is_added_up() -> None:
    watch = abort.Watch([FAILURES, P95])
    for worker in range(4):
        watch.note(str(worker), 30.0, [abort.Count(25, 1), abort.Count(25, 1)], [0, 1])
    found = watch.breach(30.0)
    assert found is not None and found.rule == P95.text
    assert (found.steps, found.bad) == (104, 8)
    assert np.isclose(found.share, 8 / 104)
