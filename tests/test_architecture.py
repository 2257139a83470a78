"""The import rules of ARCHITECTURE.md, held against the code."""

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT

OURS = {"caodiem", "simulation", "loadtests", "staging", "gates"}
# What makes one command of several parts may see more than one of them.
MEETING_PLACES = tuple(f"caodiem/{name}" for name in ("cli.py", "kinds.py", "stages.py", "studies.py", "report/"))
FILES = sorted(path for package in OURS for path in (ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The top packages that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_part_imports_only_what_is_shared(path: Path) -> None:
    place = path.relative_to(ROOT).as_posix()
    if place.startswith(MEETING_PLACES):
        return
    own = place.split("/")[0]
    allowed = {own, "caodiem"} if own != "caodiem" else {own}
    assert imported(path) & OURS <= allowed
    if own == "caodiem":
        assert not imported(path) & {"simpy", "locust", "gevent", "starlette"}


def test_nothing_but_the_locust_process_imports_locust() -> None:
    users = {path.relative_to(ROOT).as_posix() for path in FILES if imported(path) & {"locust", "gevent"}}
    of_locust = ("locustfile", "swarm", "client", "conductor", "share", "dashboard", "preparation", "statistics")
    assert users <= {f"loadtests/{name}.py" for name in of_locust}
    # What the command line imports must not patch the standard library.
    assert "loadtests/replay.py" not in users


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_says_what_it_is(path: Path) -> None:
    if path.name != "__main__.py":
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
