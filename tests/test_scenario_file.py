"""Scenario files: every mistake at once, each with file, key, value and what would be accepted."""

from pathlib import Path

import pytest

from caodiem import kinds
from caodiem.errors import UsageError
from caodiem.scenario import Scenario, inputs
from caodiem.scenario_file import ScenarioError, companion, load, sources_of
from tests.conftest import MAIN, ROOT

MISTAKES = """
extends = "adoption-43-to-85.toml"
sede = 3
[demand]
volume = { value = 88000, unit = "dossier/day", source = "volume-dossiers-per-day-2025", evidence = "derived" }
day_variation = 0.1
[casework]
fee = { value = 140, unit = "percent", source = "assumed-casework", evidence = "guess" }
[traffic]
browses = { value = 8, unit = "per dossier", source = "asumed-citizens", evidence = "assumed" }
sync_batch = { value = 50.5, unit = "events", source = "assumed-citizens", evidence = "assumed" }
"""


YES = "[portal.stations.office]\nservers = 1\noutages = [{ from = 1, to = 2, refuses = 'yes' }]"
SURGE = """
[[demand.surges]]
name = "x"
kind = "announcement"
at = 2026-05-05T08:00:00
agency = "XX"
size = { value = 5, unit = "dossiers", source = "assumed-services", evidence = "assumed" }
decay = { value = 1, unit = "hours", source = "assumed-services", evidence = "assumed" }
online = { value = 50, unit = "percent", source = "assumed-services", evidence = "assumed" }
"""


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """A folder with the main scenario and its sources, to put variants beside."""
    for name in ("adoption-43-to-85.toml", "sources.csv", "agencies.csv"):
        (tmp_path / name).write_text((ROOT / "scenarios" / name).read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path


def mistakes(path: Path) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        load(path)
    return [str(problem) for problem in caught.value.problems]


def test_every_mistake_is_reported_with_file_key_value_and_what_is_accepted(beside: Path) -> None:
    path = beside / "bad.toml"
    path.write_text(MISTAKES)
    found = mistakes(path)
    expected = [
        ("casework.fee.evidence = 'guess'", "one of seed, published, derived, measured, assumed"),
        ("casework.fee.value = 140", "0 to 100 percent"),
        ("demand.day_variation = 0.1", "a table like { value = 1"),
        ("demand.volume.unit = 'dossier/day'", "'dossiers/day'"),
        ("sede = 3", "did you mean 'seed'?"),
        ("traffic.browses.source = 'asumed-citizens'", "did you mean 'assumed-citizens'?"),
        ("traffic.sync_batch.value = 50.5", "a whole number of events"),
    ]
    assert len(found) == len(expected)
    for line, (told, accepted) in zip(found, expected, strict=True):
        assert line.startswith(f"{path}: {told}")
        assert accepted in line.split(": expected ")[1]


def test_an_inherited_mistake_names_the_file_that_made_it(beside: Path) -> None:
    (beside / "middle.toml").write_text('extends = "adoption-43-to-85.toml"\nseed = "x"\n')
    (beside / "top.toml").write_text('extends = "middle.toml"\ntitle = ""\n')
    found = mistakes(beside / "top.toml")
    assert len(found) == 2
    assert found[0].startswith(f"{beside / 'middle.toml'}: seed = 'x': expected a whole number")
    assert found[1].startswith(f"{beside / 'top.toml'}: title = ''")


def test_a_file_says_only_what_differs(beside: Path, scenario: Scenario) -> None:
    (beside / "one.toml").write_text('extends = "adoption-43-to-85.toml"\nlevels = [60]\n')
    found = load(beside / "one.toml")
    assert found.levels == [60]
    assert found.model_copy(update={"levels": scenario.levels}) == scenario
    assert found.hash != scenario.hash


def test_a_file_in_a_folder_of_ones_own_takes_lists_and_sources_from_what_it_extends(
    beside: Path, scenario: Scenario
) -> None:
    own = beside / "mine" / "own.toml"
    own.parent.mkdir()
    own.write_text('extends = "../adoption-43-to-85.toml"\nlevels = [60]\n')
    assert load(own).model_copy(update={"levels": scenario.levels}) == scenario
    assert companion(own, "agencies.csv").samefile(beside / "agencies.csv")
    columns = "id,name,value,unit,period,evidence,source,note"
    (own.parent / "sources.csv").write_text(f"{columns}\nassumed-mine,Mine,,,,assumed,Chosen,\n")
    fee = 'fee = { value = 1, unit = "percent", source = "assumed-mine", evidence = "assumed" }'
    own.write_text(f'extends = "../adoption-43-to-85.toml"\n[casework]\n{fee}\n')
    (own.parent / "agencies.csv").write_text("mine")
    assert load(own).casework.fee.source == "assumed-mine"
    assert companion(own, "agencies.csv").samefile(own.parent / "agencies.csv")


def test_a_number_that_differs_from_its_source_is_a_mistake(beside: Path) -> None:
    text = (beside / "adoption-43-to-85.toml").read_text()
    (beside / "adoption-43-to-85.toml").write_text(text.replace("value = 63,", "value = 64,"))
    (found,) = mistakes(beside / "adoption-43-to-85.toml")
    assert "share.value = 64: expected 63, which adoption-e2e-ministries-2024 says" in found


def test_values_that_contradict_each_other_are_mistakes(beside: Path) -> None:
    (beside / "late.toml").write_text(
        'extends = "adoption-43-to-85.toml"\n[office]\n'
        'morning_to = { value = 15, unit = "hour", source = "assumed-office-hours", evidence = "assumed" }\n'
    )
    (found,) = mistakes(beside / "late.toml")
    assert "office" in found
    assert "expected morning_from, morning_to, afternoon_from and afternoon_to in order" in found
    never = "".join(
        f'{key} = {{ value = {hour}, unit = "hour", source = "assumed-office-hours", evidence = "assumed" }}\n'
        for key, hour in (("morning_from", 8), ("morning_to", 8), ("afternoon_from", 17), ("afternoon_to", 17))
    )
    at_once = 'promise = { value = 0, unit = "working hours", source = "assumed-casework", evidence = "assumed" }\n'
    (beside / "never.toml").write_text(f'extends = "adoption-43-to-85.toml"\n[office]\n{never}[casework]\n{at_once}')
    (found,) = mistakes(beside / "never.toml")
    assert "office = [8.0, 8.0, 17.0, 17.0]: expected" in found and "and an office that is open" in found
    (beside / "slow.toml").write_text(
        'extends = "adoption-43-to-85.toml"\n[casework]\n'
        'promise = { value = 7501, unit = "working hours", source = "assumed-casework", evidence = "assumed" }\n'
    )
    (found,) = mistakes(beside / "slow.toml")
    assert "casework.promise = 7501.0: expected at most 7500 hours, 1000 working days of the office" in found


def test_a_title_of_ones_own_needs_its_vietnamese(beside: Path) -> None:
    path = beside / "own.toml"
    path.write_text('extends = "adoption-43-to-85.toml"\ntitle = "Mine"\n')
    (found,) = mistakes(path)
    assert found.startswith(f"{path}: title_vi = 'Từ 43%")
    assert found.endswith("expected the Vietnamese of 'Mine'")
    path.write_text('extends = "adoption-43-to-85.toml"\ntitle = "Mine"\ntitle_vi = "Của tôi"\n')
    assert load(path).title_vi == "Của tôi"


@pytest.mark.parametrize(
    ("text", "told"),
    [("title = ", "expected TOML"), ('extends = "me.toml"', "does not lead back"), ("extends = 3", "the name of a")],
)
def test_files_that_cannot_be_read(beside: Path, text: str, told: str) -> None:
    (beside / "me.toml").write_text(text)
    with pytest.raises(UsageError, match=told):
        load(beside / "me.toml")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('extends = "none.toml"', "top.toml: extends = 'none.toml': expected the name of a scenario file, from "),
        ('extends = "."', "top.toml: extends = '.': expected the name"),
        ('extends = "a\\u0000b"', "top.toml: extends = 'a\\x00b': expected the name"),
        ('extends = "middle.toml"', "middle.toml: extends = 'top.toml': expected a file that does not lead back"),
        ('extends = "adoption-43-to-85.toml"\n[arrivals]\nrate = 1', "arrivals and adoption (in "),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_extended_is_told_where_it_is_named(beside: Path, text: str, told: str) -> None:
    (beside / "middle.toml").write_text('extends = "top.toml"\n')
    (beside / "top.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        kinds.load_any(beside / "top.toml")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("levels = [true]", "levels[0] = true: expected a number"),
        ("levels = [0]", "levels[0] = 0: expected more than 0"),
        ("levels = [66.66666667]", "levels[0] = 66.66666667: expected at most six digits, as 66.6667"),
        ("levels = [85, 85.0]", "levels = [85.0, 85.0]: expected levels that differ"),
        ("levels = 43", "levels = 43: expected a list, as [43]"),
        ('agencies = "../a.csv"', "agencies = '../a.csv': expected the name of a CSV file beside this one"),
        ('agencies = "none.csv"', "none.csv: No such file or directory; expected a CSV file with the columns code"),
        ("[faults.payment]\nlatency = 5", "faults.payment.latency = 5: expected no such key"),
        ("[faults.payment]\nlatency_s_median = true", "faults.payment.latency_s_median = true: expected a number"),
        ("[faults.payment]\nlatency_s_p95 = '5'", "faults.payment.latency_s_p95 = '5': expected a number"),
        ("[faults.payment]\noutage = 'yes'", "faults.payment.outage = 'yes': expected true or false"),
        ("[faults.payment]\noutage = 1", "faults.payment.outage = 1: expected true or false"),
        (YES, "portal.stations.office.outages[0].refuses = 'yes': expected true or false"),
        ("[faults.payment]\nslowdown = nan", "slowdown = nan: expected 1 to 1000"),
        (SURGE, "demand.surges[0].agency = 'XX': expected a code of"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_main_scenario_is_one_line_that_names_it(beside: Path, text: str, told: str) -> None:
    (beside / "top.toml").write_text(f'extends = "adoption-43-to-85.toml"\n{text}')
    with pytest.raises(UsageError) as caught:
        kinds.load_any(beside / "top.toml")
    assert str(caught.value).startswith(f"{beside / 'top.toml'}: ")
    assert told in str(caught.value)


def test_every_mistake_in_a_list_of_agencies_names_the_scenario_too(beside: Path) -> None:
    (beside / "two.csv").write_text("code,group,name_vi,name_en,volume_rank,share_rank\nH01,towns,a,a,1,x\n")
    (beside / "top.toml").write_text('extends = "adoption-43-to-85.toml"\nagencies = "two.csv"')
    with pytest.raises(UsageError) as caught:
        kinds.load_any(beside / "top.toml")
    assert [line.partition(" = ")[0] for line in str(caught.value).splitlines()] == [
        f"{beside / 'top.toml'}: {beside / 'two.csv'}:2: {key}" for key in ("group", "share_rank")
    ]


def test_of_very_many_mistakes_the_first_are_shown(beside: Path) -> None:
    keys = "\n".join(f"key{number} = 1" for number in range(1000))
    (beside / "many.toml").write_text(f'{keys}\nextends = "adoption-43-to-85.toml"\n')
    with pytest.raises(ScenarioError) as caught:
        load(beside / "many.toml")
    assert len(caught.value.problems) == 1000
    assert str(caught.value).splitlines()[-1] == "and 950 mistakes more"


def test_a_source_stands_there_once(beside: Path) -> None:
    rows = (beside / "sources.csv").read_text(encoding="utf-8").splitlines()
    (beside / "sources.csv").write_text("\n".join([*rows, rows[1]]), encoding="utf-8")
    with pytest.raises(UsageError, match=f"sources.csv:{len(rows) + 1}: id .* expected an id that no row above has"):
        sources_of(beside / "adoption-43-to-85.toml")


def test_a_missing_file_and_missing_sources(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a scenario file"):
        load(tmp_path / "none.toml")
    (tmp_path / "a.toml").write_text(MAIN.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(UsageError, match="expected a CSV file with the columns"):
        load(tmp_path / "a.toml")


def test_every_input_of_the_main_scenario_is_sourced(scenario: Scenario) -> None:
    sources = sources_of(MAIN)
    rows = inputs(scenario)
    assert len(rows) > 80
    for each in rows:
        assert sources[each["source"]].source, each
    assert all(row["source"].startswith("assumed-") == (row["evidence"] == "assumed") for row in rows)
