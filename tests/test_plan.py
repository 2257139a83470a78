"""The plan: its hash, its file, and the parts that window and scale choose."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caodiem import plan
from caodiem.errors import UsageError
from tests.conftest import make_plan

Planned = Callable[..., plan.Plan]


def test_same_rows_same_hash_whatever_their_order(planned: Planned) -> None:
    first = planned([0.5, 0.1, 0.9], ("sign_in", "look_up_status"))
    shuffled = plan.make(first.table.take(pa.array([5, 0, 3, 1, 4, 2])), first.meta)
    assert shuffled.meta.plan_hash == first.meta.plan_hash
    assert shuffled.table["due_s"].to_pylist() == sorted(first.table["due_s"].to_pylist())


def test_any_changed_value_changes_the_hash(planned: Planned) -> None:
    hashes = {
        planned([0.5]).meta.plan_hash,
        planned([0.5000001]).meta.plan_hash,
        planned([0.5], ("sign_in",)).meta.plan_hash,
        planned([0.5, 0.5]).meta.plan_hash,
    }
    assert len(hashes) == 4


def test_a_plan_survives_its_file(planned: Planned, tmp_path: Path) -> None:
    written = planned([0.3, 0.2], ("sign_in", "pay_fee"))
    plan.write(written, tmp_path / "plan.parquet")
    found = plan.read(tmp_path / "plan.parquet")
    assert found.meta == written.meta
    assert found.table.to_pylist() == written.table.to_pylist()
    sliced = [row for batch in plan.slices(tmp_path / "plan.parquet", rows=1) for row in batch.to_pylist()]
    assert sliced == written.table.to_pylist()


def test_a_changed_a_cut_and_a_foreign_file_are_refused(planned: Planned, tmp_path: Path) -> None:
    path = tmp_path / "plan.parquet"
    plan.write(planned([0.3, 0.2]), path)
    table = pq.read_table(path)
    pq.write_table(
        table.set_column(8, "due_s", pa.array([9.0, 9.5])).replace_schema_metadata(table.schema.metadata), path
    )
    with pytest.raises(UsageError, match="draw it anew"):
        plan.read(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UsageError, match="not a plan"):
        plan.read(path)
    with pytest.raises(UsageError, match="no such plan"):
        plan.read(tmp_path / "other.parquet")


def test_an_arrival_without_a_first_step_is_refused(planned: Planned) -> None:
    whole = planned([0.1], ("sign_in", "pay_fee"))
    with pytest.raises(ValueError, match="first steps"):
        plan.make(whole.table.slice(1), whole.meta)


def test_a_window_moves_second_zero(planned: Planned) -> None:
    cut = plan.window(planned([0.5, 1.5, 2.5, 3.5]), 1.0, 2.0)
    assert cut.table["due_s"].to_pylist() == [0.5, 1.5]
    assert cut.meta.starts_at.startswith("2026-05-04T09:00:01")
    assert cut.meta.length_s == 2.0


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**40), st.floats(0.05, 1), st.floats(0.05, 1))
def test_scaling_twice_is_scaling_once_and_keeps_whole_dossiers(seed: int, first: float, second: float) -> None:
    whole = make_plan([n / 100 for n in range(300)], ("sign_in", "look_up_status"), seed)
    twice = plan.scale(plan.scale(whole, first), second)
    once = plan.scale(whole, first * second)
    assert twice.table.equals(once.table)
    assert set(once.table["dossier"].to_pylist()) <= set(plan.scale(whole, first).table["dossier"].to_pylist())
    assert once.steps == 2 * once.arrivals


def test_scale_keeps_the_share_asked_for(planned: Planned) -> None:
    thinned = plan.scale(planned([n / 1000 for n in range(20_000)]), 0.25)
    # Five standard deviations of a binomial count.
    assert abs(thinned.arrivals - 5000) < 5 * np.sqrt(20_000 * 0.25 * 0.75)
    with pytest.raises(UsageError, match="expected more than 0 and at most 1"):
        plan.scale(thinned, 0)
