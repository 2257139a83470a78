"""Both languages say everything, with the same values in it, and write numbers as their readers do."""

import math
import re
import string
from datetime import date

import pytest

from caodiem.dossier import OPERATIONS, Outcome
from caodiem.report.inputs import WITH_NUMBER, input_key
from caodiem.report.words import LANGUAGES, Words, catalogue, references_vi
from caodiem.scenario import Scenario, inputs
from caodiem.scenario_file import sources_of
from tests.conftest import MAIN

ALIKE = {"adoption_level", "comma", "milliseconds_short", "none", "unit_logit", "unit_milliseconds"}
EN, VI = Words("en"), Words("vi")
# What reads alike in every language: addresses, paths and files, ids of sources, commits. Letters of what is left
# are words; a decimal point is a comma in Vietnamese.
NAMES = re.compile(r"https?://\S+|\w[\w.-]*/[\w./-]+|\w+\.txt|[a-z0-9]+(?:-[a-z0-9]+)+|\(commit [0-9a-f]{40}\)")
OF_A_LANGUAGE = re.compile(r"[A-Za-z]|\d\.\d")


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("key", catalogue())
def test_each_text_is_there_in_both_languages_with_the_same_values(key: str) -> None:
    texts = catalogue()[key]
    assert set(texts) == set(LANGUAGES)
    assert all(texts.values())
    assert placeholders(texts["en"]) == placeholders(texts["vi"])


def test_only_units_and_names_read_alike() -> None:
    alike = {key for key, texts in catalogue().items() if texts["en"] == texts["vi"]}
    assert alike == ALIKE


@pytest.mark.parametrize("name", sorted({operation.system for operation in OPERATIONS.values()}))
def test_each_system_has_a_name(name: str) -> None:
    assert EN.system(name) != name


@pytest.mark.parametrize("outcome", Outcome)
def test_each_outcome_has_a_name(outcome: Outcome) -> None:
    assert VI.text(f"outcome_{outcome.value}")


@pytest.mark.parametrize(
    ("value", "english", "vietnamese"),
    [
        (1234.5, "1,234", "1.234"),
        (12.34, "12.3", "12,3"),
        (0.5, "0.5", "0,5"),
        (0, "0", "0"),
        (1e6, "1,000,000", "1.000.000"),
        (0.01234, "0.0123", "0,0123"),
        (999.9, "1,000", "1.000"),
    ],
)
def test_a_number_has_three_digits_in_each_language(value: float, english: str, vietnamese: str) -> None:
    assert (EN.number(value), VI.number(value)) == (english, vietnamese)


def test_an_input_is_written_as_it_was_given() -> None:
    assert (EN.exactly(1234.5), VI.exactly(1234.5)) == ("1,234.5", "1.234,5")


@pytest.mark.parametrize(
    ("seconds", "english", "vietnamese"),
    [
        (0.0499, "49.9 ms", "49,9 ms"),
        (2.5, "2.5 s", "2,5 giây"),
        (math.inf, "never", "không bao giờ"),
        (0, "0 s", "0 giây"),
    ],
)
def test_a_time_has_a_unit_or_never_came(seconds: float, english: str, vietnamese: str) -> None:
    assert (EN.time(seconds), VI.time(seconds)) == (english, vietnamese)


@pytest.mark.parametrize(
    ("value", "english", "vietnamese"),
    [
        (99.97, "99.97%", "99,97%"),
        (99.99996, "99.99996%", "99,99996%"),
        (100, "100%", "100%"),
        (100.02, "100.02%", "100,02%"),
        (96.46, "96.5%", "96,5%"),
        (0.00012, "0.00012%", "0,00012%"),
        (0, "0%", "0%"),
    ],
)
def test_a_share_is_all_or_nothing_only_where_it_is(value: float, english: str, vietnamese: str) -> None:
    assert (EN.percent(value), VI.percent(value)) == (english, vietnamese)


@pytest.mark.parametrize(
    ("found_s", "limit_s", "shown"),
    [
        (1.004, 1.0, "1.004 s"),
        (1.0, 1.0, "1 s"),
        (0.99996, 1.0, "999.96 ms"),
        (0.50004, 0.5, "500.04 ms"),
        (1.2346, 1.2345, "1.235 s"),
        (12.345, 3.0, "12.3 s"),
        (86_400.4, 86_400.0, "86,400.4 s"),
        (math.inf, 1.0, "never"),
    ],
)
def test_a_time_beside_a_limit_shows_on_which_side_it_is(found_s: float, limit_s: float, shown: str) -> None:
    assert EN.time(found_s, beside=limit_s) == shown


def test_what_was_asked_for_is_written_as_it_was_given() -> None:
    assert [EN.exact_time(each) for each in (0.12345, 1.2345, 0.3)] == ["123.45 ms", "1.2345 s", "300 ms"]
    assert (EN.level(78.25), VI.level(78.25), EN.level_name(78.25)) == ("78.25%", "78,25%", "78.25% fully online")
    assert EN.exact_percent(99.99) == "99.99%"


def test_a_column_of_milliseconds_keeps_its_zeros() -> None:
    shown = [EN.milliseconds(value) for value in (0.042, 1.5, math.inf, math.nan, None)]
    assert shown == ["42.0", "1,500", "never", "–", "–"]


@pytest.mark.parametrize(
    ("hours", "english", "vietnamese"),
    [(7.5, "7:30", "7 giờ 30"), (17, "17:00", "17 giờ 00"), (0.1, "0:06", "0 giờ 06")],
)
def test_hours_of_the_day_are_clock_times(hours: float, english: str, vietnamese: str) -> None:
    assert (EN.clock(hours), VI.clock(hours)) == (english, vietnamese)


def test_dates_and_lists() -> None:
    assert (EN.day(date(2024, 8, 31)), VI.day(date(2024, 8, 31))) == ("31 Aug 2024", "31/08/2024")
    assert [VI.listed(items) for items in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a và b", "a, b và c"]


def test_each_input_of_the_main_scenario_has_a_label_and_a_unit(scenario: Scenario) -> None:
    keys = {input_key(row["key"]) for row in inputs(scenario)}
    keys |= {f"unit_{unit}" for row in inputs(scenario) if (unit := row["unit"]) not in WITH_NUMBER}
    keys |= {f"station_{service.station}" for service in scenario.portal.services}
    assert sorted(keys - set(catalogue())) == [], "add these to caodiem/report/words.toml"


def test_what_a_source_of_a_scenario_says_in_words_is_said_in_vietnamese() -> None:
    sources = sources_of(MAIN)
    texts = "\n".join(path.read_text(encoding="utf-8") for path in MAIN.parent.glob("*.toml"))
    named = [sources[name] for name in set(re.findall(r'source = "([^"]+)"', texts)) & set(sources)]
    untold = {each.source for each in named if OF_A_LANGUAGE.search(NAMES.sub("", each.source))} - set(references_vi())
    assert sorted(untold) == [], "add these to caodiem/report/data_vi.toml"
    assert sorted(set(references_vi()) - {each.source for each in sources.values()}) == [], "of no source"


def test_translated_references_are_vietnamese() -> None:
    assert all(english != vietnamese for english, vietnamese in references_vi().items())
