"""Journeys from a plan's file: nothing lost between slices, every arrival in one stripe."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from caodiem import plan
from loadtests import journeys
from tests.loadtests import replay_plans


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[plan.Plan, Path]:
    made = replay_plans.evenly(300, 10)  # 6,000 rows: several slices
    path = tmp_path_factory.mktemp("plan") / "plan.parquet"
    plan.write(made, path)
    return made, path


def test_journeys_hold_the_plans_rows_in_order(written: tuple[plan.Plan, Path]) -> None:
    made, path = written
    found = [
        (journey.arrival, *step[:2], journey.agency, journey.dossier, step.items, journey.due_s, step.think_s)
        for journey in journeys.read(path)
        for step in journey.steps
    ]
    names = ["arrival", "step", "operation", "agency", "dossier", "items", "due_s", "think_s"]
    assert found == [tuple(row[name] for name in names) for row in made.table.to_pylist()]


@pytest.mark.parametrize("count", [1, 3])
def test_stripes_share_the_arrivals_out(written: tuple[plan.Plan, Path], count: int) -> None:
    made, path = written
    stripes = [[journey.arrival for journey in journeys.of_stripe(path, index, count)] for index in range(count)]
    assert sorted(itertools.chain(*stripes)) == list(range(made.arrivals))
    assert all(arrival % count == index for index, stripe in enumerate(stripes) for arrival in stripe)


def test_a_journey_walks_through_its_steps(written: tuple[plan.Plan, Path]) -> None:
    journey = next(journeys.read(written[1]))
    assert (journey.step.operation, journey.following and journey.following.operation) == ("sign_in", "file_dossier")
    journey.position = 2
    assert journey.following is None


def test_the_highest_second_counts_later_steps_where_they_fall_due() -> None:
    table = replay_plans.evenly(1, 2, ["file"]).table  # due 0 s and 1 s; later steps 0.2 s and 0.3 s after
    assert np.allclose(journeys.nominal_due_s(table), [0, 0.2, 0.3, 1, 1.2, 1.3])
    assert journeys.highest_second_per_s(table) == 3
    assert journeys.highest_second_per_s(table.slice(0, 0)) == 0
