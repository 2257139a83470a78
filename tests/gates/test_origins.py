"""Whose code was measured: modules that come from elsewhere than the checkout."""

import json
import sys
from pathlib import Path

import pytest

from caodiem.errors import InvalidRun
from gates import origins


def made(folder: Path, *files: str) -> Path:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return folder


def test_code_that_comes_from_elsewhere_is_seen(tmp_path: Path) -> None:
    """As where an editable install wins over the checkout."""
    root, checkout = (made(tmp_path / name, "work/__init__.py") for name in ("root", "checkout"))
    prefix = Path(sys.prefix)

    def check(**modules: str) -> None:
        origins.check("head-1", checkout, prefix, root, modules)

    check(work=str(checkout / "work/__init__.py"), json=json.__file__)
    with pytest.raises(InvalidRun, match="module work was imported from"):
        check(work=str(root / "work/__init__.py"))
    with pytest.raises(InvalidRun, match=r"module work\.hot"):
        check(**{"work.hot": str(tmp_path / "site-packages/work/hot.py")})


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("pyproject.toml", '[project]\nname = "Fast_Lib"\n'),
        ("pyproject.toml", '[tool.poetry]\nname = "fast-lib"\n'),
        ("packages/fast/pyproject.toml", '[project]\nname = "fast.lib"\n'),
        ("setup.cfg", "[metadata]\nname = fast-lib\n"),
    ],
)
def test_an_installed_copy_is_seen_wherever_the_checkout_keeps_its_packages(
    tmp_path: Path, file: str, content: str
) -> None:
    """Base and head would be the same build, and always the same."""
    checkout = made(tmp_path / "checkout", f"{Path(file).parent}/python/fastlib/__init__.py", file)
    (checkout / file).write_text(content)
    for broken in ("tests/data/pyproject.toml", "tests/data/setup.cfg"):
        (made(checkout, broken) / broken).write_bytes(b"= \xff")
    finder = "__editable___fast_lib_finder.py"
    names = ("fastlib/__init__.py", "fastlib/_core.so", finder, "other.py", "fast_lib-1.dist-info/METADATA")
    site = made(tmp_path / "venv/lib/python3/site-packages", *names)
    (site / "fast_lib-1.dist-info/METADATA").write_text("Name: fast-lib\nVersion: 1\n")
    (site / "fast_lib-1.dist-info/RECORD").write_text(f"fastlib/__init__.py,,\nfastlib/_core.so,,\n{finder},,\n")
    foreign = {path.stem: str(path) for path in (site / finder, site / "other.py")}
    origins.check("head-1", checkout, tmp_path / "venv", tmp_path, foreign)
    # Another distribution's part of the same namespace, as zope.event is beside zope.interface.
    origins.check("head-1", checkout, tmp_path / "venv", tmp_path, {"fastlib.other": str(site / "fastlib/other.py")})
    with pytest.raises(InvalidRun, match=r"module fastlib\._core is an installed copy"):
        origins.check(
            "head-1", checkout, tmp_path / "venv", tmp_path, {"fastlib._core": str(site / "fastlib/_core.so")}
        )


def test_a_project_called_like_a_library_that_it_uses_does_not_make_that_its_own(tmp_path: Path) -> None:
    checkout = made(tmp_path / "checkout", "examples/demo/pyproject.toml")
    (checkout / "examples/demo/pyproject.toml").write_text('[project]\nname = "numpy"\n')
    numpy = Path(str(sys.modules["pytest"].__file__)).parents[1] / "numpy/__init__.py"
    assert numpy.is_file()
    origins.check("head-1", checkout, Path(sys.prefix), tmp_path, {"numpy": str(numpy)})
