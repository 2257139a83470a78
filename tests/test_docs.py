"""The documentation is true to the code: keys, columns, commands and links that it names exist."""

import re
from typing import Any

import pytest
from pydantic import BaseModel

from caodiem import observations, plan
from caodiem.quantity import Profile, Quantity
from caodiem.scenario import Scenario
from tests.conftest import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    """The dotted keys of a scenario down to its quantities and lists."""
    found = []
    for name, field in model.model_fields.items():
        kind: Any = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel) and not issubclass(kind, Quantity | Profile):
            found += keys(kind, f"{prefix}{name}.")
        else:
            found.append(f"{prefix}{name}")
    return found


def test_every_key_of_a_scenario_is_described() -> None:
    page = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
    described = {word.split(".")[-1] for word in re.findall(r"`([a-z0-9_.]+)`", page)}
    assert [key for key in keys(Scenario) if key.split(".")[-1] not in described] == []


def test_every_column_of_the_tables_is_described() -> None:
    page = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    for name in {*plan.SCHEMA.names, *observations.SCHEMA.names, *observations.COMPONENTS_SCHEMA.names}:
        assert f"`{name}`" in page, name


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Any) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_files_named_in_code_spans_exist(page: Any) -> None:
    for word in re.findall(
        r"`((?:caodiem|simulation|loadtests|staging|tests|scenarios|docs)/[\w./-]*)`", page.read_text()
    ):
        assert (ROOT / word).exists(), word


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_make_targets_named_exist(page: Any) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`?make ([a-z-]+)`?", page.read_text(encoding="utf-8")):
        if f"`make {target}" in page.read_text(encoding="utf-8") or f"\nmake {target}" in page.read_text(
            encoding="utf-8"
        ):
            assert f"\n{target}:" in makefile, target
