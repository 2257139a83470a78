"""Shared by all tests: the main scenario, small plans, rows made by hand.

What takes long to import is imported where it is used: the gate starts benchmarks by the hundred that need none of it.
"""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from caodiem.plan import Plan
    from caodiem.scenario import Scenario

ROOT = Path(__file__).parents[1]
MAIN = ROOT / "scenarios" / "adoption-43-to-85.toml"


def pytest_configure() -> None:
    """In a script's background Ctrl-C is ignored, also by what is started there, which tests stop by it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def scenario() -> "Scenario":
    from caodiem.scenario_file import load

    return load(MAIN)


def make_plan(dues_s: list[float], operations: tuple[str, ...] = ("look_up_status",), seed: int = 1) -> "Plan":
    """A plan of one journey for each due time, each with these operations a second apart."""
    import pyarrow as pa

    from caodiem import plan
    from caodiem.dossier import OPERATIONS

    rows = [
        {
            "arrival": arrival,
            "step": step,
            "journey": "citizen_tracks",
            "operation": operation,
            "agency": "H01",
            "system": OPERATIONS[operation].system,
            "dossier": 202605040000000 + arrival,
            "items": 1,
            "due_s": due_s,
            "think_s": 1.0 if step else 0.0,
        }
        for arrival, due_s in enumerate(dues_s)
        for step, operation in enumerate(operations)
    ]
    meta = plan.PlanMeta("0" * 64, seed, "2026-05-04T09:00:00", max(dues_s, default=0.0) + 1, 1.0, 43.0)
    return plan.make(pa.Table.from_pylist(rows, schema=plan.SCHEMA), meta)


@pytest.fixture
def planned() -> "Callable[..., Plan]":
    return make_plan
