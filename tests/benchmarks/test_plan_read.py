"""Reading a plan with its hash checked, beside reading the same Parquet file and no more."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from caodiem import plan
from tests.benchmarks import plans

pytestmark = [pytest.mark.slow, pytest.mark.benchmark(group="plan-read")]

ARRIVALS, STEPS = 100_000, 4


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[plan.Plan, Path]:
    drawn = plans.draw(ARRIVALS, STEPS, rate_per_s=500.0)
    path = tmp_path_factory.mktemp("plan") / "plan.parquet"
    plan.write(drawn, path)
    return drawn, path


def test_ours(benchmark: BenchmarkFixture, written: tuple[plan.Plan, Path]) -> None:
    benchmark.extra_info |= {"unit": "rows", "units_per_round": ARRIVALS * STEPS}
    found = benchmark(plan.read, written[1])
    assert found.meta == written[0].meta
    assert found.table.equals(written[0].table)


def test_read_table(benchmark: BenchmarkFixture, written: tuple[plan.Plan, Path]) -> None:
    benchmark.extra_info |= {"unit": "rows", "units_per_round": ARRIVALS * STEPS}
    found = benchmark(pq.read_table, written[1])
    assert found.cast(plan.SCHEMA).equals(written[0].table)
