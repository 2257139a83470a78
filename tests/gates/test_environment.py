"""Which interpreter a checkout gets: demands that differ, and packages that are not to be installed."""

import sys
from pathlib import Path

import pytest

from caodiem.errors import InvalidRun
from gates import environment


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


def test_a_release_of_the_project_itself_is_not_installed(tmp_path: Path) -> None:
    """`Fast_Lib[dev]` among its own extras would bring one, to be measured in place of both checkouts."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "fast-lib"\ndependencies = ["numpy>=2"]\n'
        '[project.optional-dependencies]\ndev = ["scipy"]\nall = ["Fast_Lib[dev]"]\n'
    )
    assert environment._wanted(tmp_path) == ["numpy>=2", "scipy", "pytest", "pytest-benchmark"]


@pytest.mark.parametrize("content", ["<<<<<<< HEAD\n", '[project]\ndependencies = ["a b"]\n'])
def test_demands_that_cannot_be_read_are_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "pyproject.toml").write_text(content)
    with pytest.raises(InvalidRun, match=r"pyproject\.toml"):
        environment._wanted(tmp_path)
