"""Values of inputs as a reader of each language writes them, with their units where they belong."""

from pathlib import Path
from typing import Any

import pytest

from caodiem.report.inputs import Input, groups
from caodiem.report.material import gather
from caodiem.report.words import Words
from caodiem.run import read_json, write_json
from tests.report.small_run import make_run


def shown(folder: Path, language: str, **row: Any) -> Input:
    run = make_run(folder)
    scenario = read_json(run.scenario)
    told = {"source": "own", "reference": "", "evidence": "assumed", **row}
    write_json(run.scenario, {**scenario, "inputs": [told]})
    (group,) = groups(gather(run), Words(language))
    return group.inputs[0]


@pytest.mark.parametrize(
    ("key", "unit", "value", "english", "vietnamese"),
    [
        ("casework.fee", "percent", 12.5, ("12.5%", ""), ("12,5%", "")),
        ("casework.components", "percent", [70, 30], ("70% · 30%", ""), ("70% · 30%", "")),
        ("office.morning_from", "hour", 7.5, ("7:30", ""), ("7 giờ 30", "")),
        ("sync.outage.length", "hours", 7.5, ("7.5", "hours"), ("7,5", "giờ")),
        ("demand.after_holiday", "ratio", 1.4, ("1.4", "times"), ("1,4", "lần")),
        ("casework.desk_variation", "ratio", 0.7, ("0.7", ""), ("0,7", "")),
        ("portal.retries.jitter", "ratio", 0.5, ("0.5", ""), ("0,5", "")),
        ("portal.connected.identity.breaker.share", "ratio", 0.5, ("0.5", ""), ("0,5", "")),
    ],
)
def test_a_value_stands_with_its_unit(
    tmp_path: Path, key: str, unit: str, value: Any, english: tuple[str, str], vietnamese: tuple[str, str]
) -> None:
    for language, expected in (("en", english), ("vi", vietnamese)):
        found = shown(tmp_path / language, language, key=key, unit=unit, value=value)
        assert (found.value, found.unit) == expected


def test_bounds_are_written_like_the_value(tmp_path: Path) -> None:
    found = shown(tmp_path, "vi", key="casework.fee", unit="percent", value=40.0, low=10.5, high=60.0)
    assert found.bounds == "10,5% đến 60%"
