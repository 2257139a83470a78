"""Figures are exact: quantiles are values that occurred, and what failed counts as never answered."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from caodiem import observations, summary
from caodiem.dossier import Outcome
from tests.conftest import make_plan
from tests.test_observations import row


@given(st.lists(st.floats(0, 1e6) | st.just(math.inf), min_size=1), st.sampled_from([0.01, 0.5, 0.9, 0.95, 0.99, 1.0]))
def test_quantiles_equal_those_of_the_sorted_values(values: list[float], q: float) -> None:
    found = summary.quantile(np.array(values), q)
    # The definition, counted in whole numbers: the least value that a share q do not exceed.
    expected = min(v for v in values if sum(w <= v for w in values) * 100 >= round(q * 100) * len(values))
    assert found == expected


def test_no_values_no_quantile() -> None:
    assert math.isnan(summary.quantile(np.array([]), 0.5))


def test_a_failure_is_never_a_fast_answer() -> None:
    planned = make_plan([n / 10 for n in range(10)])
    rows = [row(planned, n, Outcome.FAILED if n < 2 else Outcome.OK) for n in range(10)]
    figures = summary.summarise(observations.close_accounts(planned, observations.table_of(rows)))
    assert math.isclose(figures["all"]["response_s"]["p50"], 0.1)
    assert figures["all"]["response_s"]["p90"] == math.inf
    assert figures["all"]["outcomes"]["failed"] == 2
    assert figures["arrival_outcomes"] == figures["all"]["outcomes"]
    assert math.isclose(figures["all"]["service_s"]["p99"], 0.1)
