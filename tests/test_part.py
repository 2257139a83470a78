"""Parts of a plan: a window, a share, a speed; what comes of them is a plan with a hash of its own."""

import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from caodiem import plan
from caodiem.errors import UsageError
from caodiem.part import Part, of_options, parse
from tests.conftest import make_plan

DUES_S = [float(second) for second in range(100)]


@pytest.fixture
def whole() -> plan.Plan:
    return make_plan(DUES_S, ("sign_in", "look_up_status"))


@pytest.mark.parametrize(
    ("window", "start_s", "length_s"),
    [("", 0, math.inf), ("600+60", 600, 60), ("10min + 90s", 600, 90), ("0+1.5h", 0, 5400), (" 0.5 s+2 min", 0.5, 120)],
)
def test_windows_as_people_write_them(window: str, start_s: float, length_s: float) -> None:
    assert parse(window, 1.0, 1.0) == Part(start_s, length_s)


@pytest.mark.parametrize(
    ("window", "scale", "speed", "told"),
    [
        ("600", 1, 1, "--window '600': expected START\\+LENGTH"),
        ("-5+60", 1, 1, "expected START\\+LENGTH"),
        ("5+60d", 1, 1, "expected START\\+LENGTH"),
        ("09:00+60", 1, 1, "expected START\\+LENGTH"),
        ("5+0", 1, 1, "a length of 0"),
        ("", 0, 1, "--scale 0: expected more than 0"),
        ("", 1.1, 1, "--scale 1.1"),
        ("", math.nan, 1, "--scale nan"),
        ("", 1, 0, "--speed 0: expected 0.001 to 1000"),
        ("", 1, math.inf, "--speed inf"),
    ],
)
def test_anything_else_is_refused(window: str, scale: float, speed: float, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        parse(window, scale, speed)


@pytest.mark.parametrize(
    "part",
    [
        Part(),
        Part(600.125, 5400, scale=0.05),
        Part(speed=2.5, journeys=("citizen_tracks", "agency_syncs")),
        Part(0, 1234567.5, 0.1, 0.001, ("citizen_files",)),
    ],
)
def test_its_options_ask_for_it_again(part: Part) -> None:
    said = dict(zip(part.options[::2], part.options[1::2], strict=True))
    again = parse(
        said.get("--window", ""),
        float(said.get("--scale", 1)),
        float(said.get("--speed", 1)),
        said.get("--journeys", ""),
    )
    assert again == part


def test_all_of_a_plan_is_the_plan(whole: plan.Plan) -> None:
    assert parse("", 1.0, 1.0).of(whole) is whole


def test_a_window_at_another_speed(whole: plan.Plan) -> None:
    found = parse("40+20", 1.0, 4.0).of(whole)
    assert (found.arrivals, found.steps) == (20, 40)
    first = found.table["step"].to_numpy() == 0
    assert np.array_equal(found.table["due_s"].to_numpy()[first], np.arange(20) / 4)
    assert set(found.table["think_s"].to_numpy()[~first]) == {0.25}
    assert (found.meta.length_s, found.meta.speed, found.meta.starts_at[:19]) == (5.0, 4.0, "2026-05-04T09:00:40")
    assert found.meta.plan_hash != whole.meta.plan_hash
    # A part of that part: its seconds are four of the day's.
    assert parse("2+1", 1.0, 1.0).of(found).meta.starts_at[:19] == "2026-05-04T09:00:48"


def test_a_share_keeps_whole_journeys_and_multiplies_the_scale(whole: plan.Plan) -> None:
    tenth, fifth = (parse("", scale, 1.0).of(whole) for scale in (0.1, 0.2))
    assert set(tenth.table["arrival"].to_pylist()) < set(fifth.table["arrival"].to_pylist())
    assert fifth.steps == 2 * fifth.arrivals and 0 < fifth.arrivals < 50
    assert parse("", 0.5, 1.0).of(fifth).meta.scale == pytest.approx(0.1)


def test_a_part_is_written_and_read_as_a_plan(whole: plan.Plan, tmp_path: Path) -> None:
    found = parse("0+10", 1.0, 2.0).of(whole)
    plan.write(found, tmp_path / "plan.parquet")
    assert plan.read(tmp_path / "plan.parquet").meta == found.meta


def test_a_window_is_cut_at_the_plans_end_and_never_empty(whole: plan.Plan) -> None:
    assert parse("90+60", 1.0, 1.0).of(whole).meta.length_s == 10
    with pytest.raises(UsageError, match="starts at second 100: expected less than 100 s"):
        parse("100+1", 1.0, 1.0).of(whole)
    with pytest.raises(UsageError, match=r"window 10.2\+0.5 s, scale 1, speed 1: nobody arrives"):
        parse("10.2+0.5", 1.0, 1.0).of(whole)


def test_a_part_of_a_part_is_a_part_of_the_whole(whole: plan.Plan) -> None:
    earlier = Part(10, 60, scale=0.5, speed=4.0, journeys=("citizen_tracks",))
    later = Part(5, 100, scale=0.8, speed=0.5)
    found = later.after(earlier)
    assert found == Part(30, 40, 0.4, 2.0, ("citizen_tracks",))
    assert later.of(earlier.of(whole)).meta.plan_hash == found.of(whole).meta.plan_hash
    assert Part(scale=0.2).after(Part(scale=0.25)) == Part(scale=0.05)
    assert of_options(asdict(found)) == found and of_options({"length_s": None}) == Part()
