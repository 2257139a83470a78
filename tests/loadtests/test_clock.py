"""Clocks aligned by messages: whatever the way there and back takes, the truth lies within the bound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.clock import Alignment, estimate

DELAY_S = st.floats(0, 0.2)


@given(st.floats(-1e6, 1e6), DELAY_S, DELAY_S)
def test_the_offset_is_within_its_uncertainty(offset_s: float, there_s: float, back_s: float) -> None:
    sent_s = 1000.0
    made = estimate(sent_s, sent_s + there_s + offset_s, sent_s + there_s + back_s)
    assert abs(made.offset_s - offset_s) <= made.uncertainty_s + 1e-9


def test_the_quickest_answer_counts_and_a_drift_shows() -> None:
    clock = Alignment()
    for now_s, trip_s in ((0.0, 0.1), (1.0, 0.002), (2.0, 0.05)):
        clock.note(estimate(now_s, now_s + trip_s / 2 + 7.0, now_s + trip_s))
    assert clock.fix() == pytest.approx(7.0)
    assert clock.figures()["error_s_max"] == pytest.approx(0.001)
    for second in range(3, 60):  # from now on the other clock gains a millisecond a second
        clock.note(estimate(second, second + 0.001 + 7.0 + second / 1000, second + 0.002))
    found = clock.figures()
    assert found["offset_s"] == pytest.approx(7.0) and found["uncertainty_s"] == pytest.approx(0.001)
    assert found["drift_s"] > 0.019 and found["error_s_max"] == pytest.approx(found["drift_s"] + 0.001)
