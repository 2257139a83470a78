"""Reads scenario files: TOML in, `Scenario` out, or every mistake at once with file, key, value and what is accepted.

Knows `extends` (a file that says only what differs), scenarios/sources.csv, and nothing of what the values mean.
"""

import csv
import difflib
import tomllib
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from caodiem.document import Document as DocumentBase
from caodiem.errors import UsageError
from caodiem.quantity import EVIDENCE, OWN, Profile, Quantity
from caodiem.scenario import Scenario

Location = tuple[str | int, ...]
Change = tuple[Location, Any]  # a key and the value that it gets
# What errors name as the file of a changed key.
CHANGED = Path("--set")
Document = TypeVar("Document", bound=DocumentBase)


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
class _Laid:
    """A file with what it extends laid under it: the keys, which file each came from, and what it may hold."""

    path: Path
    kind: type[DocumentBase]
    raw: dict[str, Any]
    origins: dict[Location, Path]

    def origin(self, location: Location) -> Path:
        """The file that set a key, or the nearest table above it."""
        for end in range(len(location), 0, -1):
            if location[:end] in self.origins:
                return self.origins[location[:end]]
        return self.path

    def model(self, location: Location) -> type[BaseModel] | None:
        """The class that describes the table at a place of the file."""
        kind: Any = self.kind
        for step in location:
            if isinstance(kind, type) and issubclass(kind, BaseModel) and str(step) in kind.model_fields:
                kind = kind.model_fields[str(step)].annotation
            elif get_origin(kind) in (list, dict):
                kind = get_args(kind)[-1]
            else:
                return None
            while get_origin(kind) in (Annotated, Union, types.UnionType):
                kind = get_args(kind)[0]
        if get_origin(kind) is list:  # of which the file gives one, as `[arrivals]`
            kind = get_args(kind)[0]
        return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


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
    return load_document(path, Scenario)


def load_document(path: Path, kind: type[Document], changes: tuple[Change, ...] = ()) -> Document:
    """The same for any kind of scenario file: `kind` says what it may hold, `changes` what differs from the file."""
    raw, origins = _merged(path)
    problems: list[Problem] = []
    for location, value in changes:
        added = _added(raw, location)
        problems += _change(raw, location, value)
        origins = {at: file for at, file in origins.items() if at[: len(location)] != location} | {added: CHANGED}
    laid = _Laid(path, kind, raw, origins)
    sources = {} if kind.own_numbers and not _names_sources(raw) else sources_of(path)
    problems += _source_problems(raw, (), sources, laid)
    try:
        document = kind.model_validate(raw, context={"strict": not kind.own_numbers})
    except ValidationError as error:
        problems += [problem for entry in error.errors() for problem in _problems(entry, laid)]
        raise ScenarioError(sorted(problems, key=lambda problem: problem.key)) from error
    changed = [_dotted(location) for location, _ in changes]
    for key, value, expected in document.contradictions():
        problems.append(Problem(CHANGED if _is_within(key, changed) else path, key, value, expected))
    problems += _half_translated(laid)
    if problems:
        raise ScenarioError(problems)
    return document


def _half_translated(laid: _Laid) -> list[Problem]:
    """Texts that a file says anew in English alone: the Vietnamese that it inherits is of another text."""
    return [
        Problem(laid.origin((key,)), f"{key}_vi", laid.raw[f"{key}_vi"], f"the Vietnamese of {laid.raw[key]!r}")
        for key in ("title", "question")
        if f"{key}_vi" in laid.raw and laid.origin((f"{key}_vi",)) != laid.origin((key,))
    ]


def top_keys(path: Path) -> set[str]:
    """The keys at the top of a file and of those that it extends: what kind of scenario it is."""
    return set(_merged(path)[0])


def companion(path: Path, name: str) -> Path:
    """The file of that name beside a scenario file, or else beside the first of those that it extends which has one."""
    places = [file.parent / name for file, _ in _lineage(path)]
    return next((place for place in places if place.exists()), places[0])


def sources_of(path: Path) -> dict[str, Source]:
    """The sources by id, from every sources.csv beside a scenario file and those that it extends; the nearest counts.

    UsageError when there is none or one has other columns.
    """
    places = dict.fromkeys(file.parent / "sources.csv" for file, _ in reversed(_lineage(path)))
    found = [place for place in places if place.exists()] or [companion(path, "sources.csv")]
    return {name: source for place in found for name, source in _load_sources(place).items()}


def _load_sources(path: Path) -> dict[str, Source]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {row["id"]: Source(**row) for row in csv.DictReader(file)}
    except (OSError, TypeError, KeyError, UnicodeDecodeError) as error:
        columns = ",".join(Source.__dataclass_fields__)
        raise UsageError(f"{path}: {error}; expected a CSV file with the columns {columns}") from error


def _merged(path: Path) -> tuple[dict[str, Any], dict[Location, Path]]:
    """The file's tables laid over those of the files that it extends, and which file each key came from."""
    merged: dict[str, Any] = {}
    origins: dict[Location, Path] = {}
    for file, raw in reversed(_lineage(path)):
        own = {key: value for key, value in raw.items() if key != "extends"}
        merged = _overlay(merged, own, (), file, origins)
    return merged, origins


def _lineage(path: Path) -> list[tuple[Path, dict[str, Any]]]:
    """A file, the one that it extends, and so on, each with what stands in it."""
    found: list[tuple[Path, dict[str, Any]]] = []
    while True:
        if path.resolve() in [file.resolve() for file, _ in found]:
            raise ScenarioError([Problem(path, "extends", path.name, "a file that does not lead back to this one")])
        raw = _read(path)
        found.append((path, raw))
        if "extends" not in raw:
            return found
        if not isinstance(raw["extends"], str):
            raise ScenarioError([Problem(path, "extends", raw["extends"], "the name of a scenario file")])
        path = path.parent / raw["extends"]


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; expected a scenario file (TOML), see scenarios/") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}; expected TOML") from error


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


def _change(raw: dict[str, Any], location: Location, value: Any) -> list[Problem]:
    """Give a key another value, or say why there is no such key.

    Of a number only the value changes, and it is `assumed` by whoever changed it. Tables on the way that a file leaves
    out are made, since their keys may have defaults.
    """
    node: Any = raw
    for number, step in enumerate(location):
        if not _takes(node, step):
            return [_no_place(location, number, node, value)]
        if number == len(location) - 1:
            node[step] = _changed(node.get(step) if isinstance(node, dict) else node[step], value)
        else:
            node = node.setdefault(step, {}) if isinstance(node, dict) else node[step]
    return []


def _added(raw: dict[str, Any], location: Location) -> Location:
    """The key, or the outermost of the tables around it that a change of it has to make."""
    node: Any = raw
    for number, step in enumerate(location):
        if isinstance(node, dict) and step not in node:
            return location[: number + 1]
        if not _takes(node, step):
            break
        node = node[step]
    return location


def _is_within(key: str, others: list[str]) -> bool:
    """Whether a key, as errors name it, is one of these or lies within one."""
    return any(key == other or key.startswith((f"{other}.", f"{other}[")) for other in others)


def _takes(node: Any, step: str | int) -> bool:
    """Whether a table can have this key, or a list has this place."""
    if isinstance(node, list):
        return isinstance(step, int) and step < len(node)
    return isinstance(node, dict) and isinstance(step, str)


def _changed(below: Any, value: Any) -> Any:
    """A number in place of another: with its unit, and without what bounded the other."""
    if not isinstance(below, dict) or "value" not in below or isinstance(value, dict):
        return value
    unit = {"unit": below["unit"]} if "unit" in below else {}
    return {"value": value, **unit, "source": OWN, "evidence": "assumed"}


def _no_place(location: Location, number: int, node: Any, value: Any) -> Problem:
    above = _dotted(location[:number]) or "the file"
    if isinstance(node, list):
        expected = f"a place of {above} from 0 to {len(node) - 1}"
    else:
        expected = f"a key of the scenario; {above} is {'a table' if isinstance(node, dict) else 'no table'}"
    return Problem(CHANGED, _dotted(location), value, expected)


def _problems(entry: Any, laid: _Laid) -> list[Problem]:
    """A validation error of pydantic's in our words."""
    location = _within(laid.raw, entry["loc"])
    file = laid.origin(location)
    key, value = _dotted(location), entry["input"]
    if entry["type"] == "quantity":
        return [Problem(file, f"{key}.{name}", bad, good) for name, bad, good in entry["ctx"]["problems"]]
    if entry["type"] == "extra_forbidden":
        above = laid.model(location[:-1])
        return [Problem(file, key, value, _nearest(str(location[-1]), _keys(above) if above else []))]
    if entry["type"] == "missing":
        return [Problem(file, key, None, f"a value; this key is required{_form(laid.model(location))}")]
    if entry["type"] in ("model_type", "model_attributes_type", "dict_type"):
        model = laid.model(location)
        if laid.kind.own_numbers and model is Quantity:
            return [Problem(file, key, value, 'a number, or a table like { value = 1, unit = "..." }')]
        return [Problem(file, key, value, f"a table{_form(model)}")]
    if entry["type"] == "list_type":
        return [Problem(file, key, value, f"a list, as [{value!r}]")]
    if entry["type"] == "too_short":
        return [Problem(file, key, value, f"at least {entry['ctx']['min_length']} of them")]
    if entry["type"] == "literal_error":
        accepted = entry["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return [Problem(file, key, value, _nearest(str(value), accepted))]
    return [Problem(file, key, value, entry["msg"].removeprefix("Input should be ").removeprefix("Value error, "))]


def _names_sources(node: Any) -> bool:
    """Whether any number names a source that sources.csv must know; a network of one's own need not."""
    if isinstance(node, list):
        return any(_names_sources(child) for child in node)
    if not isinstance(node, dict):
        return False
    if "source" in node and "value" in node:
        return bool(node["source"] != OWN)
    return any(_names_sources(child) for child in node.values())


def _source_problems(node: Any, at: Location, sources: dict[str, Source], laid: _Laid) -> list[Problem]:
    """Sources that sources.csv does not know, and values that differ from what their source says."""
    if isinstance(node, list):
        return [each for n, child in enumerate(node) for each in _source_problems(child, (*at, n), sources, laid)]
    if not isinstance(node, dict):
        return []
    if "source" not in node or "value" not in node:
        return [each for k, child in node.items() for each in _source_problems(child, (*at, k), sources, laid)]
    file, key, value = laid.origin(at), _dotted(at), node["value"]
    if node["source"] == OWN and (laid.kind.own_numbers or file == CHANGED):
        return []
    source = sources.get(str(node["source"]))
    if source is None:
        return [Problem(file, f"{key}.source", node["source"], _nearest(str(node["source"]), list(sources)))]
    if node.get("evidence") in EVIDENCE and node["evidence"] != source.evidence:
        expected = f"{source.evidence!r}, as {source.id} is in sources.csv"
        return [Problem(file, f"{key}.evidence", node["evidence"], expected)]
    if isinstance(value, int | float) and source.number not in (None, float(value)):
        return [Problem(file, f"{key}.value", value, f"{source.value}, which {source.id} says")]
    return []


def _within(raw: Any, location: Location) -> Location:
    """The part of a pydantic location that is keys of the file (pydantic adds the names of union members)."""
    known: list[str | int] = []
    node = raw
    for number, step in enumerate(location):
        # A place in a list of which the file gives one, as `[arrivals]`, is none of its keys.
        is_missing_key = number == len(location) - 1 and isinstance(step, str)
        if isinstance(node, dict) and (step in node or is_missing_key):
            known.append(step)
            node = node.get(step)
        elif isinstance(node, list) and isinstance(step, int):
            known.append(step)
            node = node[step] if step < len(node) else None
    return tuple(known)


def _dotted(location: Location) -> str:
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def _nearest(word: str, known: list[str]) -> str:
    """What is accepted instead of `word`, and which of it was probably meant."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    listed = ", ".join(known) if len(known) <= 16 else f"{', '.join(known[:5])} and {len(known) - 5} more"
    return f"one of {listed}" + (f"; did you mean {close[0]!r}?" if close else "")


def _form(model: type[BaseModel] | None) -> str:
    """What a table of this class looks like, as a hint."""
    if model is not None and issubclass(model, Quantity | Profile):
        return ' like { value = 1, unit = "...", source = "...", evidence = "assumed" }'
    return f" with the keys {', '.join(_keys(model))}" if model is not None else ""


def _keys(model: type[BaseModel]) -> list[str]:
    """The keys of a table as a file writes them."""
    return [field.alias or name for name, field in model.model_fields.items()]
