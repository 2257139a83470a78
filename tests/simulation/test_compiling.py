"""Where machine code is kept: it is never older than what it was made of, and a run needs no place to keep it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

# Its own file stays the same; what it inlines does not.
DRAW = """
from simulation.chances import exponential
from simulation.compiling import machine_code

@machine_code
def draw():
    return exponential(1.0, 0.5)

print(draw())
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for package in ("caodiem", "simulation"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "draw.py").write_text(DRAW)
    return tmp_path


def drawn(copy: Path, **variables: str) -> float:
    without = ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "PYTHONDONTWRITEBYTECODE")
    environment = {name: value for name, value in os.environ.items() if name not in without}
    done = subprocess.run(
        [sys.executable, "draw.py"],
        cwd=copy,
        env={**environment, "PYTHONPATH": str(copy), **variables},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def test_a_change_in_what_is_inlined_compiles_anew(copy: Path) -> None:
    first = drawn(copy)
    (kept,) = (copy / "simulation/__pycache__").glob("caodiem-*")
    chances = copy / "simulation/chances.py"
    chances.write_text(chances.read_text().replace("return -mean *", "return -2 * mean *"))
    assert drawn(copy) == 2 * first
    assert not kept.exists()


def test_a_run_needs_no_place_for_what_it_compiles(copy: Path) -> None:
    """As in a container whose user owns neither the installation nor a home."""
    (copy / "simulation/__pycache__").touch()
    (copy / "temporary").mkdir()
    assert drawn(copy, HOME="/dev/null", TMPDIR=str(copy / "temporary"), PYTHONDONTWRITEBYTECODE="yes") > 0
    assert not list((copy / "temporary").iterdir())


@pytest.mark.slow
def test_what_is_kept_goes_where_the_user_says(copy: Path) -> None:
    drawn(copy, NUMBA_CACHE_DIR=str(copy / "kept"))
    assert list((copy / "kept").glob("caodiem-*/*/*.nbc"))
