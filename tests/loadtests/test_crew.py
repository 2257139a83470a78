"""The workers of a replay as the master knows them."""

from pathlib import PurePath

import pytest

from loadtests.crew import Crew
from loadtests.leases import Leases


@pytest.mark.parametrize("name", ["../../etc/cron.d/x-1", "a/b-1", "..\\b-1", "x\0-1", "a" * 5000 + "-1", ""])
def test_a_label_is_part_of_one_file_name(name: str) -> None:
    """Whatever a worker calls itself: anybody who reaches the master's port is a worker."""
    label = Crew(Leases(10.0)).join(name, "node").label
    path = PurePath("parts") / f"observations-{label}-000001.parquet"
    assert path.parent == PurePath("parts") and len(path.name) < 255
    assert label.isprintable() and "\\" not in label


def test_labels_tell_workers_of_one_machine_apart() -> None:
    crew = Crew(Leases(10.0))
    assert [crew.join(f"host.example-{n}", "node").label for n in range(2)] == ["host.example-0", "host.example-1"]
