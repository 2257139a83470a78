"""Counts of instructions as callgrind writes them: which rounds speak for a benchmark."""

from pathlib import Path

import pytest

from gates import instructions


@pytest.mark.parametrize(
    ("rounds", "counted"),
    [
        ([2_339_530, 2_339_530, 2_312_709], 2_339_530),  # two alike, and one that had less to do
        ([7_555_203, 6_959_002, 6_965_027], 6_959_002),  # the first one had more to do
        ([21_089, 113_684, 21_600], None),  # no two alike
        ([21_089], None),
    ],
)
def test_two_rounds_that_are_alike_speak_for_a_benchmark(
    tmp_path: Path, rounds: list[int], counted: float | None
) -> None:
    for number, total in enumerate(rounds, start=5):
        (tmp_path / f"base.{number + 1}").write_text(f"summary: 1\ntotals: {total}\n")
    taken = {"iterations": 2, "dumps": [5, 5 + len(rounds)]}
    found = instructions._counted(tmp_path / "base", {"test_a": taken})
    assert found == ({} if counted is None else {"test_a": counted / 2})
