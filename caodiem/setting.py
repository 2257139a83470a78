"""A setting: a key of a scenario, as error messages name it, with the values that it takes one after the other.

`--set casework.processing=8,20` or `--set stations[0].servers=1,2,3`. Values are TOML; a bare word is a text.
"""

import itertools
import re
import tomllib
from dataclasses import dataclass
from typing import Any

from caodiem.errors import UsageError
from caodiem.scenario_file import Location

Chosen = tuple[tuple["Setting", Any], ...]  # a value of each setting: one point of the grid
_STEP = re.compile(r"\.?([A-Za-z0-9_-]+)|\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Setting:
    """One key with its values, in the order given."""

    key: str
    location: Location
    values: tuple[Any, ...]


def parse(texts: list[str]) -> list[Setting]:
    """The settings; UsageError tells every mistake in them at once."""
    found: list[Setting] = []
    problems = []
    for text in texts:
        key, equals, listed = text.partition("=")
        key = key.strip()
        location, values = _location(key), _values(listed)
        above = next((each.key for each in found if _overlap(each.location, location)), None)
        if not equals or not location or not values or "" in values:
            problems.append(
                f"--set {text}: expected KEY=V1,V2,… as in stations[0].servers=1,2 or casework.processing=20"
            )
        elif any(_same(a, b) for a, b in itertools.combinations(values, 2)):
            problems.append(f"--set {text}: expected values that differ")
        elif above is not None:
            problems.append(f"--set {text}: expected each key once, and none within another; {above} is set above")
        else:
            found.append(Setting(key, location, values))
    if problems:
        raise UsageError("\n".join(problems))
    return found


def grid(settings: list[Setting]) -> list[Chosen]:
    """Every combination of values, the last key's changing fastest."""
    values = itertools.product(*(setting.values for setting in settings))
    return [tuple(zip(settings, chosen, strict=True)) for chosen in values]


def shown(chosen: Chosen) -> tuple[tuple[str, Any], ...]:
    """(key, value) of each setting of a point, a value that is no number and no word as text."""
    return tuple(
        (each.key, value if isinstance(value, bool | int | float | str) else str(value)) for each, value in chosen
    )


def _overlap(one: Location, other: Location) -> bool:
    """Whether two keys are the same, or one lies within the other."""
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _same(one: Any, other: Any) -> bool:
    """Whether two values are; 1 and 1.0 are, 1 and true are not."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _location(key: str) -> Location:
    """`stations[0].servers` as ("stations", 0, "servers"); empty when it is no key."""
    steps: list[str | int] = []
    at = 0
    while at < len(key):
        step = _STEP.match(key, at)
        if step is None or (not steps and step[0].startswith((".", "["))):
            return ()
        steps.append(int(step[2]) if step[2] else step[1])
        at = step.end()
    return tuple(steps)


def _values(listed: str) -> tuple[Any, ...]:
    try:
        return tuple(tomllib.loads(f"value = [{listed}]")["value"])
    except tomllib.TOMLDecodeError:
        return tuple(_value(each.strip()) for each in listed.split(","))


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
