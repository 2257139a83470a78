"""Where machine code is kept: it is never older than what it was made of, and a run needs no place to keep it."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from numba import config

from simulation import compiling
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


def test_what_no_installation_used_for_a_month_is_removed_where_several_may_keep_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "CACHE_DIR", config.CACHE_DIR)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))
    ours = compiling.keep(tmp_path)
    ages_d = {ours: 40, tmp_path / f"caodiem-{16 * 'a'}": 40, tmp_path / f"caodiem-{16 * 'b'}": 20}
    for folder, age_d in {**ages_d, tmp_path / "caodiem-sweep-old": 40}.items():
        folder.mkdir(exist_ok=True)
        os.utime(folder, (then_s := time.time() - age_d * 86400, then_s))
    assert compiling.keep(tmp_path) == ours
    left = {each.name for each in tmp_path.glob("caodiem-*")}
    assert left == {ours.name, f"caodiem-{16 * 'b'}", "caodiem-sweep-old"}
    assert time.time() - ours.stat().st_mtime < 86400


@pytest.mark.slow
def test_what_is_kept_goes_where_the_user_says(copy: Path) -> None:
    drawn(copy, NUMBA_CACHE_DIR=str(copy / "kept"))
    assert list((copy / "kept").glob("caodiem-*/*/*.nbc"))
