"""Reads scenario files: TOML in, `Scenario` out, or every mistake at once with file, key, value and what is accepted.

Knows `extends` (a file that says only what differs), scenarios/sources.csv, and nothing of what the values mean.
"""

import csv
import difflib
import tomllib
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from caodiem.errors import UsageError
from caodiem.quantity import EVIDENCE, Profile, Quantity
from caodiem.scenario import Scenario

Location = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a scenario file."""

    file: Path
    key: str
    value: object
    expected: str

    def __str__(self) -> str:
        shown = repr(self.value)
        return (
            f"{self.file}: {self.key} = {shown if len(shown) < 80 else shown[:76] + ' ...'}: expected {self.expected}"
        )


class ScenarioError(UsageError):
    """A scenario with mistakes; `problems` holds all of them."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


@dataclass(frozen=True, slots=True)
class Source:
    """A row of sources.csv: what a number is, where it was read, how good the evidence is."""

    id: str
    name: str
    value: str
    unit: str
    period: str
    evidence: str
    source: str
    note: str

    @property
    def number(self) -> float | None:
        """The value as a number; None where the row holds a text or stands for several numbers."""
        try:
            return float(self.value)
        except ValueError:
            return None


def load(path: Path) -> Scenario:
    """The scenario in `path`. ScenarioError lists every mistake; nothing is written anywhere."""
    raw, origins = _merged(path, ())
    sources = load_sources(path.parent / "sources.csv")
    problems = _source_problems(raw, (), sources, origins, path)
    try:
        scenario = Scenario.model_validate(raw)
    except ValidationError as error:
        problems += [problem for entry in error.errors() for problem in _problems(entry, raw, origins, path)]
        raise ScenarioError(sorted(problems, key=lambda problem: problem.key)) from error
    problems += [Problem(path, key, value, expected) for key, value, expected in _contradictions(scenario)]
    if problems:
        raise ScenarioError(problems)
    return scenario


def load_sources(path: Path) -> dict[str, Source]:
    """The sources by id; UsageError when the file is missing or has other columns."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {row["id"]: Source(**row) for row in csv.DictReader(file)}
    except (OSError, TypeError, KeyError) as error:
        columns = ",".join(Source.__dataclass_fields__)
        raise UsageError(f"{path}: {error}; expected a CSV file with the columns {columns}") from error


def _merged(path: Path, above: tuple[Path, ...]) -> tuple[dict[str, Any], dict[Location, Path]]:
    """The file's tables laid over those of the file that it extends, and which file each key came from."""
    if path.resolve() in above:
        raise ScenarioError([Problem(path, "extends", path.name, "a file that does not lead back to this one")])
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; expected a scenario file (TOML), see scenarios/") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}; expected TOML") from error
    base: dict[str, Any] = {}
    origins: dict[Location, Path] = {}
    if "extends" in raw:
        name = raw.pop("extends")
        if not isinstance(name, str):
            raise ScenarioError([Problem(path, "extends", name, "the name of a scenario file beside this one")])
        base, origins = _merged(path.parent / name, (*above, path.resolve()))
    return _overlay(base, raw, (), path, origins), origins


def _overlay(
    base: dict[str, Any], over: dict[str, Any], at: Location, path: Path, origins: dict[Location, Path]
) -> dict[str, Any]:
    """`over` laid over `base`, table by table; a list replaces a list, a quantity replaces a quantity."""
    merged = dict(base)
    for key, value in over.items():
        here = (*at, key)
        below = base.get(key)
        if isinstance(value, dict) and isinstance(below, dict) and "value" not in value:
            merged[key] = _overlay(below, value, here, path, origins)
        else:
            merged[key] = value
            origins[here] = path
    return merged


def _problems(entry: Any, raw: Any, origins: dict[Location, Path], path: Path) -> list[Problem]:
    """A validation error of pydantic's in our words."""
    location = _within(raw, entry["loc"])
    file = _origin(location, origins, path)
    key, value = _dotted(location), entry["input"]
    if entry["type"] == "quantity":
        return [Problem(file, f"{key}.{name}", bad, good) for name, bad, good in entry["ctx"]["problems"]]
    if entry["type"] == "extra_forbidden":
        return [Problem(file, key, value, _nearest(str(location[-1]), _fields(location[:-1])))]
    if entry["type"] == "missing":
        return [Problem(file, key, None, f"a value; this key is required{_form(location)}")]
    if entry["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return [Problem(file, key, value, f"a table{_form(location)}")]
    if entry["type"] == "literal_error":
        return [
            Problem(
                file,
                key,
                value,
                _nearest(str(value), entry["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")),
            )
        ]
    return [Problem(file, key, value, entry["msg"].removeprefix("Input should be ").removeprefix("Value error, "))]


def _source_problems(
    node: Any, at: Location, sources: dict[str, Source], origins: dict[Location, Path], path: Path
) -> list[Problem]:
    """Sources that sources.csv does not know, and values that differ from what their source says."""
    if isinstance(node, list):
        return [p for n, child in enumerate(node) for p in _source_problems(child, (*at, n), sources, origins, path)]
    if not isinstance(node, dict):
        return []
    if "source" not in node or "value" not in node:
        return [p for k, child in node.items() for p in _source_problems(child, (*at, k), sources, origins, path)]
    file, key = _origin(at, origins, path), _dotted(at)
    source = sources.get(str(node["source"]))
    if source is None:
        return [Problem(file, f"{key}.source", node["source"], _nearest(str(node["source"]), list(sources)))]
    if node.get("evidence") in EVIDENCE and node["evidence"] != source.evidence:
        return [
            Problem(file, f"{key}.evidence", node["evidence"], f"{source.evidence!r}, as {source.id} is in sources.csv")
        ]
    if isinstance(node["value"], int | float) and source.number not in (None, float(node["value"])):
        return [Problem(file, f"{key}.value", node["value"], f"{source.value}, which {source.id} says")]
    return []


def _contradictions(scenario: Scenario) -> list[tuple[str, object, str]]:
    """Values that are fine alone and wrong together."""
    found: list[tuple[str, object, str]] = []
    stations = set(scenario.portal.stations)
    for number, service in enumerate(scenario.portal.services):
        if service.station not in stations:
            found.append(
                (f"portal.services[{number}].station", service.station, _nearest(service.station, sorted(stations)))
            )
    for group in ("ministries", "localities"):
        days = [point.on for point in scenario.adoption.points if point.group == group]
        if len(days) < 2 or days != sorted(set(days)):
            found.append(
                (
                    f"adoption.points ({group})",
                    [str(day) for day in days],
                    "two or more days, each after the one before",
                )
            )
    office = scenario.office
    hours = [office.morning_from.value, office.morning_to.value, office.afternoon_from.value, office.afternoon_to.value]
    if hours != sorted(hours) or hours[0] == hours[3]:
        found.append(("office", hours, "four hours, each after the one before"))
    return found


def _within(raw: Any, location: Location) -> Location:
    """The part of a pydantic location that is keys of the file (pydantic adds the names of union members)."""
    known: list[str | int] = []
    node = raw
    for number, step in enumerate(location):
        last = number == len(location) - 1
        if isinstance(node, dict) and (step in node or last):
            known.append(step)
            node = node.get(step)
        elif isinstance(node, list) and isinstance(step, int):
            known.append(step)
            node = node[step] if step < len(node) else None
    return tuple(known)


def _origin(location: Location, origins: dict[Location, Path], path: Path) -> Path:
    """The file that set a key, or the nearest table above it."""
    for end in range(len(location), 0, -1):
        if location[:end] in origins:
            return origins[location[:end]]
    return path


def _dotted(location: Location) -> str:
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    listed = ", ".join(known) if len(known) <= 16 else f"{', '.join(known[:5])} and {len(known) - 5} more"
    return f"one of {listed}" + (f"; did you mean {close[0]!r}?" if close else "")


def _form(location: Location) -> str:
    """What a table at this place looks like, as a hint."""
    model = _model(location)
    if model is not None and issubclass(model, Quantity | Profile):
        return ' like { value = 1, unit = "...", source = "...", evidence = "assumed" }'
    return f" with the keys {', '.join(model.model_fields)}" if model is not None else ""


def _fields(location: Location) -> list[str]:
    model = _model(location)
    return list(model.model_fields) if model is not None else []


def _model(location: Location) -> type[BaseModel] | None:
    """The class that describes the table at a place of a scenario file."""
    kind: Any = Scenario
    for step in location:
        if isinstance(kind, type) and issubclass(kind, BaseModel) and str(step) in kind.model_fields:
            kind = kind.model_fields[str(step)].annotation
        elif get_origin(kind) in (list, dict):
            kind = get_args(kind)[-1]
        else:
            return None
        while get_origin(kind) in (Annotated, Union, types.UnionType):
            kind = get_args(kind)[0]
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
