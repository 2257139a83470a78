"""Two runs side by side: what both have, ratios where they mean something, errors that say what was expected."""

import json
import math
import shutil
from pathlib import Path

import pytest

from caodiem import cli, observations, run, stages
from caodiem.comparison import compare
from caodiem.dossier import Outcome
from caodiem.errors import UsageError
from tests.conftest import make_plan
from tests.test_observations import row


def made(folder: Path, took_s: float, level: str = "level-85", outcome: Outcome = Outcome.OK) -> Path:
    """A run's folder with one replayed level in which every step took so long."""
    planned = make_plan([n / 10 for n in range(20)])
    rows = []
    for number in range(20):
        values = list(row(planned, number, outcome))
        values[11] = values[8] + took_s  # finished_s
        rows.append(tuple(values))
    execution = run.Execution(folder / level / "replayed")
    execution.folder.mkdir(parents=True)
    observations.write(observations.close_accounts(planned, observations.table_of(rows)), execution.observations)
    parts = [(number, 0, "database", 0.001, took_s / 2) for number in range(20)]
    observations.write(observations.table_of(parts, observations.COMPONENTS_SCHEMA), execution.components)
    run.write_json(folder / "manifest.json", {"scenario": "a", "options": {}, "state": "finished"})
    return folder


def test_a_run_twice_as_slow_is_twice_as_slow_everywhere(tmp_path: Path) -> None:
    (level,) = compare(made(tmp_path / "a", 0.1), made(tmp_path / "b", 0.2))
    pairs = level.pairs
    found = {(pair.name, pair.figure): pair.ratio for pair in pairs}
    assert found["all", "p95"] == pytest.approx(2)
    assert found["look_up_status", "p50"] == pytest.approx(2)
    assert found["database service", "mean"] == pytest.approx(2)
    assert found["database wait", "mean"] == pytest.approx(1)
    assert {pair.counts for pair in pairs} == {(20, 20)}


def test_a_prediction_is_compared_with_a_measurement(tmp_path: Path) -> None:
    first = made(tmp_path / "a", 0.1) / "level-85" / "replayed"
    second = made(tmp_path / "b", 0.1, level="level-43") / "level-43" / "replayed"
    (level,) = compare(first, second)
    assert level.level == "level-85 | level-43"
    assert {pair.level for pair in level.pairs} == {level.level}


def test_a_measurement_beside_a_prediction_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where the second run broke off before it came to its last level."""
    first, second = made(tmp_path / "a", 0.1), made(tmp_path / "b", 0.1)
    for folder in (first, second):
        made(folder, 0.2, level="level-43")
    shutil.move(second / "level-85" / "replayed", second / "level-85" / "simulated")
    monkeypatch.setattr(stages, "compare", lambda *paths: (compare(*paths), tmp_path / "a.png"))
    cli.compare(first, second)
    said = capsys.readouterr()
    assert said.err == "caodiem: level-85: A was measured and B predicted\n"
    told = [line for line in said.out.splitlines() if line.startswith("level-")]
    assert {line.split()[0]: line.split()[-4:] for line in told} == {
        "level-43": ["20,", "20", "replayed,", "replayed"],
        "level-85": ["20,", "20", "replayed,", "simulated"],
    }
    cli.compare(first, second, as_json=True)
    said = capsys.readouterr()
    assert "level-85: A was measured" in said.err
    assert {(pair["level"], *pair["kinds"]) for pair in json.loads(said.out)} == {
        ("level-43", "replayed", "replayed"),
        ("level-85", "replayed", "simulated"),
    }


def test_what_was_never_answered_has_no_ratio(tmp_path: Path) -> None:
    (level,) = compare(made(tmp_path / "a", 0.1), made(tmp_path / "b", 0.1, outcome=Outcome.FAILED))
    assert math.isinf(level.pairs[0].second)
    assert math.isnan(level.pairs[0].ratio)


def test_the_picture_stands_in_the_second_run(tmp_path: Path) -> None:
    first, second = made(tmp_path / "a", 0.1), made(tmp_path / "b", 0.1, outcome=Outcome.FAILED)
    levels, picture = stages.compare(first, second / "level-85" / "replayed")
    assert len(levels) == 1
    assert picture == second / "plots" / "compared-with-a.png"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_folders_without_observations_are_refused(tmp_path: Path) -> None:
    good = made(tmp_path / "a", 0.1)
    with pytest.raises(UsageError, match=r"no manifest\.json"):
        compare(good, tmp_path / "none")
    (tmp_path / "empty").mkdir()
    run.write_json(tmp_path / "empty" / "manifest.json", {"scenario": "a", "options": {}, "state": "failed"})
    with pytest.raises(UsageError, match="no observations"):
        compare(tmp_path / "empty", good)
