"""Every file in scenarios/: in order, asked in both languages, described, and, the quick ones, simulated."""

import json
from pathlib import Path

import pytest

from caodiem import kinds, scenario_file
from caodiem.cli import app
from caodiem.network import NetworkScenario
from caodiem.scenario import Scenario
from tests.conftest import ROOT

FILES = sorted((ROOT / "scenarios").glob("*.toml"))
# What a scenario's simulation may take is seconds; those of more are run with the slow tests.
QUICK = ("targets-2024",)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_is_in_order_and_described(path: Path) -> None:
    scenario = kinds.load_any(path)
    said = scenario.model_dump()
    assert said["question"].endswith("?")
    if isinstance(scenario, Scenario):
        assert said["question"] != said["question_vi"]
    if isinstance(scenario, NetworkScenario):
        assert said["title_vi"]
        assert said["question_vi"].endswith("?")
    assert any(path.name in page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md"))


def _simulated(
    path: Path, scale: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    keys = scenario_file.top_keys(path)
    options = [] if "arrivals" in keys else ["--scale", scale]
    code = app(["simulate", str(path), *options, "--json"], standalone_mode=False)
    assert code in (0, None)  # None: it came to its end without naming a code
    figures = json.loads(capsys.readouterr().out)
    assert Path(figures["run"]).is_dir()


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_a_quick_one_runs(name: str, tmp_path: Path, monkeypatch, capsys) -> None:
    _simulated(ROOT / "scenarios" / f"{name}.toml", "0.01", tmp_path, monkeypatch, capsys)


# The national year has tests of its own; series are back-tests.
_APART = (*QUICK, "national-year")
OTHERS = [path for path in FILES if path.stem not in _APART and "series" not in scenario_file.top_keys(path)]


@pytest.mark.slow
@pytest.mark.parametrize("path", OTHERS, ids=lambda path: path.stem)
def test_each_of_the_others_runs(path: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    _simulated(path, "0.05", tmp_path, monkeypatch, capsys)
