"""Journeys from a plan's rows: nothing lost between slices, every arrival in one lease."""

import numpy as np
import pyarrow as pa
import pytest

from caodiem import plan
from loadtests import journeys
from loadtests.leases import Lease
from tests.loadtests import replay_plans


@pytest.fixture(scope="module")
def made() -> plan.Plan:
    return replay_plans.evenly(300, 10)  # 6,000 rows: several slices


def test_journeys_hold_the_plans_rows_in_order(made: plan.Plan) -> None:
    found = [
        (journey.arrival, *step[:2], journey.agency, journey.dossier, step.items, journey.due_s, think_s)
        for journey in journeys.unpacked(journeys.packed(made.table))
        for step, think_s in zip(journey.steps, (0.0, *journey.pauses_s), strict=True)
    ]
    names = ["arrival", "step", "operation", "agency", "dossier", "items", "due_s", "think_s"]
    assert found == [tuple(row[name] for name in names) for row in made.table.to_pylist()]


@pytest.mark.parametrize("count", [1, 3])
def test_leases_share_the_rows_out(made: plan.Plan, count: int) -> None:
    arrivals = journeys.Arrivals(made.table)
    leases = [part for from_s in range(10) for part in Lease(from_s, from_s + 1).split(count)]
    parts = [arrivals.of(lease) for lease in leases]
    assert max(part.num_rows for part in parts) - min(part.num_rows for part in parts) <= 10
    order = [("due_s", "ascending"), ("arrival", "ascending"), ("step", "ascending")]
    assert pa.concat_tables(parts).sort_by(order).equals(made.table)
    assert arrivals.last_due_s == 2999 / 300
    none = journeys.Arrivals(made.table.slice(0, 0))
    assert none.last_due_s == -np.inf and none.of(leases[0]).num_rows == 0


def test_a_journey_walks_through_its_steps(made: plan.Plan) -> None:
    journey = next(journeys.of_rows(made.table.to_batches()))
    assert (journey.step.operation, journey.pause_s) == ("sign_in", 0.2)
    journey.position = 2
    assert (journey.step.operation, journey.pause_s) == ("pay_fee", None)


def test_the_highest_second_counts_later_steps_where_they_fall_due() -> None:
    table = replay_plans.evenly(1, 2, ["file"]).table  # due 0 s and 1 s; later steps 0.2 s and 0.3 s after
    assert np.allclose(journeys.nominal_due_s(table), [0, 0.2, 0.3, 1, 1.2, 1.3])
    assert journeys.highest_second_per_s(table) == 3
    assert journeys.highest_second_per_s(table.slice(0, 0)) == 0
