"""`caodiem project` of observed shares: from a CSV or TOML file to curves, criterion, projections with bands."""

import json
import math
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from caodiem import kinds
from caodiem.cli import app
from caodiem.errors import UsageError
from caodiem.shares import SharesScenario

LAUNCH = date(2019, 12, 9)
CSV = "name,on,percent\nministries,2023-12-31,25.2\nministries,2024-08-31,63\n"
LOCALITIES = "localities,2023-12-31,7.16\nlocalities,2024-07-31,17\nlocalities,2024-08-31,17.9\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def projected(text: str, *options: str, name: str = "seen.csv") -> dict[str, Any]:
    Path(name).write_text(text, encoding="utf-8")
    said = CliRunner().invoke(app, ["project", name, "--json", *options], catch_exceptions=False)
    assert said.exit_code == 0, said.output
    found: dict[str, Any] = json.loads(said.stdout)
    return found


def curves(found: dict[str, Any], series: str) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in found["series"][series]["curves"]}


def test_points_of_a_logistic_curve_are_continued_by_it() -> None:
    """1 / (1 + exp(-(t - 2000) / 200)), t days since the launch: at t = 2200 it is 1 / (1 + 1/e) = 73.106%."""
    days = [LAUNCH + timedelta(days=t) for t in (1400, 1600, 1800, 2000)]
    shares = [100 / (1 + math.exp(-(t - 2000) / 200)) for t in (1400, 1600, 1800, 2000)]
    text = "on,percent\n" + "".join(f"{day},{share}\n" for day, share in zip(days, shares, strict=True))
    on = LAUNCH + timedelta(days=2200)
    found = projected(text, "--on", on.isoformat())
    best = found["series"]["seen"]["curves"][0]
    assert (best["name"], best["projections"][0]["on"]) == ("logistic", on.isoformat())
    assert best["projections"][0]["percent"] == pytest.approx(73.106, abs=0.01)
    # Bass's curve comes arbitrarily near to it; the other two do not.
    assert sum(curves(found, "seen")[name]["weight"] for name in ("logistic", "Bass")) > 0.9
    (mean,) = found["projections"]
    assert mean["low"] < 73.106 < mean["high"]


def test_points_of_a_line_are_continued_by_it() -> None:
    text = "on,percent\n2024-01-01,10\n2024-04-10,20\n2024-07-19,30\n"  # a hundred days apart
    found = projected(text, "--on", "2024-10-27")
    assert curves(found, "seen")["linear"]["projections"][0]["percent"] == pytest.approx(40, abs=1e-6)
    assert found["series"]["seen"]["curves"][0]["name"] == "linear"


def test_later_points_are_held_against_it_and_the_picture_is_drawn() -> None:
    found = projected(CSV + LOCALITIES, "--on", "2025-12-31")
    run = Path(found["run"])
    assert (run / "plots" / "growth.png").stat().st_size > 10_000
    assert curves(found, "ministries")["linear"]["error_points"] is None  # two points judge no curve
    assert curves(found, "localities")["linear"]["projections"][0]["percent"] == pytest.approx(40, abs=0.5)
    (localities,) = [each for each in found["projections"] if each["name"] == "localities"]
    assert localities["low"] < localities["expected"] < localities["high"]
    held = projected("name,on,percent\n" + LOCALITIES, "--fit-until", "2024-07-31", name="held.csv")
    (row,) = held["projections"]
    assert (row["on"], row["published"]) == ("2024-08-31", 17.9)
    assert row["error_points"] == pytest.approx(row["expected"] - 17.9)
    assert row["expected"] == pytest.approx(18.9, abs=0.1) and not row["is_within_band"]  # as tests/backtest has it


def test_a_toml_file_says_start_and_ceiling_too() -> None:
    text = """
title = "Localities"
ceiling = 60
project_to = [2035-01-01]
[shares]
localities = [{ on = 2023-12-31, share = 7.16 }, { on = 2024-07-31, share = 17 }]
"""
    found = projected(text, name="localities.toml")
    assert found["ceiling_percent"] == 60
    assert max(each["projections"][0]["percent"] for each in found["series"]["localities"]["curves"]) <= 60
    assert isinstance(kinds.load_any(Path("localities.toml")), SharesScenario)
    with pytest.raises(UsageError, match="expected `caodiem project"):
        kinds.load_main(Path("localities.toml"))


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        ("day,share\n2024-01-01,5\n", (), "no column on, percent"),
        ("on,percent\n2024-01-01,5\n2024-02-30,6\n", (), "seen.csv:3: 2024-02-30,6: expected a day and 0 to 100"),
        ("on,percent\n2024-01-01,5\n2024-02-01,600\n", (), "seen.csv:3: 2024-02-01,600: expected"),
        ("on,percent\n2024-01-01\n", (), "seen.csv:2: 1 values; expected 2, one for each column (on, percent)"),
        ("on,percent\n", (), "no rows; expected 2 or more"),
        ("on,percent\n2024-01-01,5\n", ("--on", "2025-01-01"), "expected 2 days or more"),
        ("on,percent\n2024-01-01,5\n2024-02-01,4\n", ("--on", "2025-01-01"), "share.value = 4.0: expected at least 5"),
        ("on,percent\n2024-01-01,5\n2023-02-01,6\n", ("--on", "2025-01-01"), "[1].on = 2023-02-01: expected a day"),
        ("on,percent\n2024-01-01,5\n2024-02-01,6\n", (), "project_to = []: expected one or more days"),
        ("on,percent\n2024-01-01,5\n9999-12-31,6\n", (), "[1].on = 9999-12-31: expected a day"),
        ("on,percent\n2024-01-01,5\n2024-02-01,6\n", ("--on", "2100-02-30"), "'2100-02-30': expected a day, like"),
        ('name,on,percent\n"a\nb",2024-01-01,5\n', (), 'shares."a\\nb" = \'a\\nb\': expected one line'),
        ("nmae,on,percent\na,2024-01-01,5\n", (), "seen.csv: a column 'nmae'; did you mean 'name'?"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place(text: str, options: tuple[str, ...], told: str) -> None:
    Path("seen.csv").write_text(text, encoding="utf-8")
    said = CliRunner().invoke(app, ["project", "seen.csv", *options])
    found = str(said.exception) if isinstance(said.exception, UsageError) else said.output
    assert told in found
    assert said.exit_code
    assert not Path("results").exists()


def test_a_name_with_signs_of_formulas_is_drawn_as_it_stands() -> None:
    projected("name,on,percent\n" + LOCALITIES.replace("localities", "a$x_{$"), "--on", "2025-12-31")


def test_the_terminal_says_criterion_and_band() -> None:
    Path("seen.csv").write_text("name,on,percent\n" + LOCALITIES, encoding="utf-8")
    said = CliRunner().invoke(app, ["project", "seen.csv", "--on", "2025-12-31"]).stdout
    assert (
        "localities: 3 points; points off in foretelling each from those before: linear 1 (weight 0.30; 40.0%)" in said
    )
