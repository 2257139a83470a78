"""Which interpreter and whose code: demands that differ, modules that come from elsewhere, processes that hang."""

import json
import sys
import time
from pathlib import Path

import pytest

from caodiem.errors import InvalidRun
from gates import environment, turns
from gates.sampling import Laboratory, Side


def test_only_what_decides_packages_makes_environments_differ(tmp_path: Path) -> None:
    base, head = tmp_path / "base", tmp_path / "head"
    for side in (base, head):
        side.mkdir()
        (side / "pyproject.toml").write_text('[project]\ndependencies = ["numpy"]\n[tool.ruff]\nline-length = 80\n')
    assert environment.interpreters(base, head) == (Path(sys.executable), Path(sys.executable))
    (head / "pyproject.toml").write_text('[project]\ndependencies = ["numpy"]\n[tool.ruff]\nline-length = 120\n')
    assert environment.demands(base) == environment.demands(head)
    (head / "pyproject.toml").write_text('[project]\ndependencies = ["numpy>2"]\n')
    assert environment.demands(base) != environment.demands(head)
    (head / "pyproject.toml").write_text((base / "pyproject.toml").read_text())
    (head / "requirements.lock").write_text("numpy==2.3\n")
    assert environment.demands(base) != environment.demands(head)


def test_code_that_comes_from_elsewhere_is_seen(tmp_path: Path) -> None:
    """As where an editable install wins over the checkout."""
    root, checkout = tmp_path / "root", tmp_path / "checkout"
    for folder in (root, checkout):
        (folder / "work").mkdir(parents=True)
        (folder / "work" / "__init__.py").touch()
    laboratory = Laboratory(tmp_path, root, {"head-1": Side(checkout, Path(sys.executable))})
    laboratory.check_modules("head-1", {"work": str(checkout / "work/__init__.py"), "json": json.__file__})
    with pytest.raises(InvalidRun, match="module work was imported from"):
        laboratory.check_modules("head-1", {"work": str(root / "work/__init__.py")})
    with pytest.raises(InvalidRun, match=r"module work\.hot"):
        laboratory.check_modules("head-1", {"work.hot": str(tmp_path / "site-packages/work/hot.py")})


TAKER = """
import os, sys
ask, granted = map(int, os.environ["CAODIEM_GATE_TURNS"].split())
for turn in range(3):
    os.write(ask, b"r")
    os.read(granted, 1)
    print(sys.argv[1], flush=True)
os.write(ask, b"d")
os.read(granted, 1)
"""


def command(tmp_path: Path, name: str, code: str) -> turns.Command:
    output = tmp_path / f"{name}.log"
    return turns.Command([sys.executable, "-c", code, name], tmp_path, {}, output)


def test_rounds_alternate(tmp_path: Path) -> None:
    shared = f"import sys; sys.stdout = open({str(tmp_path / 'order')!r}, 'a')\n" + TAKER
    assert turns.run([command(tmp_path, name, shared) for name in "abc"], 30) == [0, 0, 0]
    assert (tmp_path / "order").read_text().split() == ["a", "b", "c"] * 3


def test_one_that_dies_or_hangs_holds_up_nobody(tmp_path: Path) -> None:
    dies = "raise SystemExit(5)"
    assert turns.run([command(tmp_path, "a", TAKER), command(tmp_path, "b", dies)], 30) == [0, 5]
    hangs = "import time; time.sleep(60)"
    began_s = time.monotonic()
    codes = turns.run([command(tmp_path, "a", TAKER), command(tmp_path, "b", hangs)], 3)
    assert codes[1] != 0
    assert time.monotonic() - began_s < 30
