"""The words and numbers of the report in one language. The texts stand in words.toml; this file only fills them in.

Knows nothing of runs. A number is written as the language writes it: 1,234.5 in English, 1.234,5 in Vietnamese.
"""

import functools
import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from importlib.resources import files
from typing import Any

from babel.dates import format_date
from babel.numbers import format_decimal

from caodiem.dossier import OPERATIONS

LANGUAGES = ("en", "vi")
LANGUAGE_NAMES = {"en": "English", "vi": "Tiếng Việt"}
_DATES = {"en": "d MMM y", "vi": "dd/MM/y"}
_MOST_DECIMALS = 9


@functools.cache
def catalogue() -> dict[str, dict[str, str]]:
    """Each key's text by language, as words.toml has it."""
    return _load("words.toml")


@functools.cache
def references_vi() -> dict[str, str]:
    """Vietnamese for texts of the catalogue of sources, by the English text."""
    found: dict[str, str] = _load("data_vi.toml")["reference"]
    return found


@dataclass(frozen=True, slots=True)
class Words:
    """One language: `text` for sentences, the others for values inside them."""

    language: str

    def text(self, key: str, **values: object) -> str:
        """The text of `key` with its {braces} filled in; KeyError for a key that the catalogue lacks."""
        return catalogue()[key][self.language].format(**values)

    def text_or(self, key: str, otherwise: str) -> str:
        """The text of `key`, or `otherwise` for what a newer run may hold and the catalogue does not know yet."""
        return catalogue()[key][self.language] if key in catalogue() else otherwise

    def operation(self, name: str) -> str:
        if name == "all":
            return self.text("operation_all")
        operation = OPERATIONS.get(name)
        return name if operation is None else {"en": operation.label_en, "vi": operation.label_vi}[self.language]

    def curve(self, name: str) -> str:
        return self.text_or(f"curve_{name}", name)

    def system(self, name: str) -> str:
        return self.text_or(f"system_{name}", name)

    def unit(self, name: str) -> str:
        return self.text_or(f"unit_{name}", name)

    def number(self, value: float, digits: int = 3, optional: str = "#", beside: Sequence[float] = ()) -> str:
        """`value` with `digits` significant digits or all of its whole number; `optional="0"` keeps last zeros.

        More digits where it would else not stay on its side of a number `beside` it.
        """
        if not math.isfinite(value):
            return self.text("never")
        whole = math.floor(math.log10(abs(value))) + 1 if value else 1
        decimals = max(digits - whole, 0)
        sides = [_side(value, other) for other in beside]
        while decimals < _MOST_DECIMALS and [_side(round(value, decimals), other) for other in beside] != sides:
            decimals += 1
        pattern = "#,##0" + ("." + optional * min(decimals, _MOST_DECIMALS) if decimals else "")
        return str(format_decimal(round(value, decimals), format=pattern, locale=self.language))

    def exactly(self, value: float) -> str:
        """An input as it was given, up to nine decimals."""
        return str(format_decimal(value, format="#,##0." + "#" * _MOST_DECIMALS, locale=self.language))

    def percent(self, value: float, beside: float = 100.0) -> str:
        """A share that was found: 43 gives 43%. Only all is 100%; `beside` a limit it shows on which side it is."""
        return self.number(value, beside=(100.0, beside)) + "%"

    def exact_percent(self, value: float) -> str:
        """A share that was asked for, as it was given."""
        return self.exactly(value) + "%"

    def level(self, percent: float) -> str:
        """A level in a sentence; a plan that stands alone has none, which it says as 0%."""
        return self.exact_percent(percent) if percent else self.text("level_of_plan")

    def level_name(self, percent: float) -> str:
        """A level as a title."""
        return self.text("level_is", percent=self.exact_percent(percent)) if percent else self.text("level_alone")

    def time(self, seconds: float, beside: float | None = None) -> str:
        """Milliseconds below one second, else seconds; words for a time that never came. `beside` a limit in seconds it
        shows on which side it is.
        """
        if not math.isfinite(seconds):
            return self.text("never")
        unit, per_s = _unit(seconds)
        return self.text(unit, value=self.number(seconds * per_s, beside=() if beside is None else (beside * per_s,)))

    def exact_time(self, seconds: float) -> str:
        """A time that was asked for, as it was given, in the units of `time`."""
        unit, per_s = _unit(seconds)
        return self.text(unit, value=self.exactly(seconds * per_s))

    def clock(self, hours: float) -> str:
        """A time of day, as hours from midnight."""
        hour, minutes = divmod(round(60 * hours), 60)
        return self.text("clock", hour=hour, minutes=f"{minutes:02d}")

    def milliseconds(self, seconds: float | None) -> str:
        """A time for a column of milliseconds: no unit; words for never, a dash for not known."""
        if seconds is None or math.isnan(seconds):
            return self.text("none")
        return self.text("never") if math.isinf(seconds) else self.number(seconds * 1000, optional="0")

    def day(self, day: date) -> str:
        return str(format_date(day, format=_DATES[self.language], locale=self.language))

    def moment(self, moment: datetime) -> str:
        return f"{self.day(moment.date())}, {moment:%H:%M}"

    def listed(self, items: Sequence[str]) -> str:
        """`a`, `a and b`, `a, b and c`."""
        if len(items) < 2:
            return "".join(items)
        return self.text("comma").join(items[:-1]) + self.text("and") + items[-1]


def _unit(seconds: float) -> tuple[str, float]:
    """The text of the unit in which a time is told, and how many of it a second has."""
    return ("milliseconds_short", 1000.0) if 0 < abs(seconds) < 1 else ("seconds_short", 1.0)


def _side(value: float, other: float) -> int:
    """Below, at or above the other, as far as decimals can tell."""
    other = round(other, _MOST_DECIMALS)
    return (value > other) - (value < other)


def _load(name: str) -> dict[str, Any]:
    return tomllib.loads((files("caodiem.report") / name).read_text(encoding="utf-8"))
