"""Reads scenario files: TOML in, `Scenario` out, or every mistake at once with file, key, value and what is accepted.

Knows `extends` (a file that says only what differs), scenarios/sources.csv, and nothing of what the values mean.
"""

import json
import re
import types
from dataclasses import dataclass, replace
from datetime import date, time
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from caodiem import text_file
from caodiem.document import Document as DocumentBase
from caodiem.errors import UsageError, one_of
from caodiem.quantity import EVIDENCE, OWN, Profile, Quantity
from caodiem.scenario import Scenario

Location = tuple[str | int, ...]
Change = tuple[Location, Any]  # a key and the value that it gets
# What errors name as the file of a changed key.
CHANGED = Path("--set")
Document = TypeVar("Document", bound=DocumentBase)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_MEANT = re.compile("did you mean '(.*)'")
# What is accepted where pydantic says it otherwise than a person would.
_EXPECTED = {
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(
        ("date_type", "date_parsing", "date_from_datetime_parsing", "date_from_datetime_inexact"),
        "a day, like 2024-08-31",
    ),
    **dict.fromkeys(
        ("datetime_type", "datetime_parsing", "datetime_from_date_parsing"), "a time, like 2024-08-31T09:00:00"
    ),
    "unexpected_keyword_argument": "no such key",
    "string_type": "a text, in quotes",
    "string_too_short": "a text that is not empty",
    "too_short": "at least {min_length} of them",
    "too_long": "at most {max_length} of them",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
}
# So many mistakes fit on a screen or two; one that a program made is made in every line.
_MOST_TOLD = 50


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a scenario file."""

    file: Path
    key: str
    value: object
    expected: str

    def __str__(self) -> str:
        shown = _shown(self.value)
        return (
            f"{self.file}: {self.key} = {shown if len(shown) < 80 else shown[:76] + ' ...'}: expected {self.expected}"
        )


class ScenarioError(UsageError):
    """A scenario with mistakes; `problems` holds all of them."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        lines = [str(problem) for problem in problems[:_MOST_TOLD]]
        if len(problems) > _MOST_TOLD:
            lines.append(f"and {len(problems) - _MOST_TOLD} mistakes more")
        super().__init__("\n".join(lines))


@dataclass(frozen=True, slots=True)
class _Laid:
    """A file with what it extends laid under it: the keys, which file each came from, and what it may hold."""

    path: Path
    kind: type[DocumentBase]
    raw: dict[str, Any]
    origins: dict[Location, Path]
    changed: tuple[str, ...] = ()  # keys that got another value than a file's

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
            if get_origin(kind) is list and isinstance(step, str):  # of which the file gives one, as `[arrivals]`
                kind = _bare(get_args(kind)[0])
            if _is_model(kind):
                fields = {field.alias or name: field.annotation for name, field in kind.model_fields.items()}
                kind = fields.get(str(step))
            elif get_origin(kind) in (list, dict):
                kind = get_args(kind)[-1]
            else:
                return None
            kind = _bare(kind)
        if get_origin(kind) is list:
            kind = _bare(get_args(kind)[0])
        return kind if _is_model(kind) else None


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _bare(kind: Any) -> Any:
    """A type without what stands around it; of several the one that is a table, if any is."""
    if get_origin(kind) is Annotated:
        return _bare(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        members = [_bare(member) for member in get_args(kind)]
        return next((member for member in members if _is_model(member)), members[0])
    return kind


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
    changed = tuple(_dotted(location) for location, _ in changes)
    return _checked(_Laid(path, kind, raw, origins, changed), problems, kind)


def of_tables(path: Path, kind: type[Document], raw: dict[str, Any]) -> Document:
    """The same of tables that stand in `path` in another form than TOML."""
    return _checked(_Laid(path, kind, raw, {}), [], kind)


def _checked(laid: _Laid, problems: list[Problem], kind: type[Document]) -> Document:
    sources = {} if kind.own_numbers and not _names_sources(laid.raw) else sources_of(laid.path)
    problems += _source_problems(laid.raw, (), sources, laid)
    try:
        document = kind.model_validate(laid.raw, context={"strict": not kind.own_numbers})
    except ValidationError as error:
        problems += _problems(error, laid)
        raise ScenarioError(sorted(problems, key=lambda problem: problem.key)) from error
    for key, value, expected in document.contradictions():
        problems.append(Problem(CHANGED if _is_within(key, laid.changed) else laid.path, key, value, expected))
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


def top_keys(path: Path) -> dict[str, Path]:
    """The keys at the top of a file and of those that it extends, which say its kind, and which file has each."""
    return {key: file for file, raw in reversed(_lineage(path)) for key in raw if key != "extends"}


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
    columns = tuple(Source.__dataclass_fields__)
    found: dict[str, Source] = {}
    for line, row in text_file.rows(path, columns):
        source = Source(**{column: row[column] for column in columns})
        if source.id in found:
            raise UsageError(f"{path}:{line}: id {source.id!r}; expected an id that no row above has")
        found[source.id] = source
    if not found:
        raise UsageError(f"{path}: no rows; expected one for each source")
    return found


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
    seen: set[Path] = set()
    while True:
        raw = text_file.toml(path, "a scenario file (TOML), like those in scenarios/")
        found.append((path, raw))
        seen.add(path.resolve())
        if "extends" not in raw:
            return found
        below = raw["extends"]
        if not isinstance(below, str) or not (path.parent / below).is_file():
            raise ScenarioError([Problem(path, "extends", below, f"the name of a scenario file, from {path.parent}")])
        if (path.parent / below).resolve() in seen:
            raise ScenarioError([Problem(path, "extends", below, "a file that does not lead back to this one")])
        path = path.parent / below


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


def _is_within(key: str, others: tuple[str, ...]) -> bool:
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


def _problems(error: ValidationError, laid: _Laid) -> list[Problem]:
    """Everything that pydantic found, one line for each mistake."""
    told = [(entry["type"], problem) for entry in error.errors() for problem in _of_entry(entry, laid)]
    keys = [problem.key for _, problem in told]
    meant = {_sibling(problem.key, found[1]) for kind, problem in told if (found := _MEANT.search(problem.expected))}
    problems: dict[tuple[Path, str], Problem] = {}
    for kind, problem in told:
        # A key that is misspelt is missing as well; a value that is no word of a choice is wrong as a number too.
        is_misspelt = kind == "missing" and problem.key in meant
        is_other = kind == "literal_error" and any(key.startswith(f"{problem.key}.") for key in keys)
        if is_misspelt or is_other:
            continue
        at = (problem.file, problem.key)
        if at in problems:
            problem = replace(problem, expected=f"{problems[at].expected}; or {problem.expected}")
        problems[at] = problem
    return list(problems.values())


def _of_entry(entry: Any, laid: _Laid) -> list[Problem]:
    """One error of pydantic's in our words."""
    location = _within(laid.raw, entry["loc"], entry["type"] == "missing")
    file, key = laid.origin(location), _dotted(location)
    if entry["type"] == "quantity":
        return [Problem(file, f"{key}.{name}", bad, good) for name, bad, good in entry["ctx"]["problems"]]
    if entry["type"] == "missing" and isinstance(entry["loc"][-1], str):
        return [Problem(file, key, None, f"a value; this key is required{_form(laid.model(location))}")]
    return [Problem(file, key, entry["input"], _expected(entry, location, laid))]


def _expected(entry: Any, location: Location, laid: _Laid) -> str:
    """What would be right where pydantic found something else."""
    kind, context, model = entry["type"], entry.get("ctx", {}), laid.model(location)
    if kind == "extra_forbidden":
        above = laid.model(location[:-1])
        return one_of(str(location[-1]), _keys(above) if above else [])
    is_table = kind in ("model_type", "model_attributes_type", "dict_type")
    if is_table and laid.kind.own_numbers and model is Quantity:
        return 'a number, or a table like { value = 1, unit = "..." }'
    if kind == "list_type" and model is None:
        return f"a list, as [{_shown(entry['input'])}]"
    if model is not None and (kind == "list_type" or (is_table and laid.kind.own_numbers and _is_row(model))):
        return _list_form(model, location)
    if is_table:
        return f"a table{_form(model)}"
    if kind == "literal_error":
        return one_of(str(entry["input"]), context["expected"].replace("'", "").replace(" or ", ", ").split(", "))
    if kind in ("tuple_type", "missing") or context.get("field_type") == "Tuple":
        return "a pair of numbers, like [0, 1.5]"
    if kind in _EXPECTED:
        bounds = {name: f"{bound:g}" if isinstance(bound, float) else bound for name, bound in context.items()}
        return _EXPECTED[kind].format(**bounds)
    return str(entry["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")


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
        return [Problem(file, f"{key}.source", node["source"], one_of(str(node["source"]), list(sources)))]
    if node.get("evidence") in EVIDENCE and node["evidence"] != source.evidence:
        expected = f"{source.evidence!r}, as {source.id} is in sources.csv"
        return [Problem(file, f"{key}.evidence", node["evidence"], expected)]
    if isinstance(value, int | float) and source.number not in (None, float(value)):
        return [Problem(file, f"{key}.value", value, f"{source.value}, which {source.id} says")]
    return []


def _within(raw: Any, location: Location, is_missing: bool) -> Location:
    """The part of a pydantic location that is keys of the file (pydantic adds the names of union members)."""
    known: list[str | int] = []
    node = raw
    for number, step in enumerate(location):
        # A place in a list of which the file gives one, as `[arrivals]`, is none of its keys.
        is_missing_key = is_missing and number == len(location) - 1 and isinstance(step, str)
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
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            name = step if _BARE_KEY.fullmatch(step) else json.dumps(step, ensure_ascii=False)
            text += f".{name}" if text else name
    return text


def _sibling(key: str, name: str) -> str:
    """The key of that name in the table in which another stands."""
    above, dot, _ = key.rpartition(".")
    return f"{above}{dot}{name}"


def _shown(value: object) -> str:
    """A value as a file writes it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, date | time) else repr(value)


def _form(model: type[BaseModel] | None) -> str:
    """What a table of this class looks like, as a hint."""
    if model is not None and issubclass(model, Quantity | Profile):
        return ' like { value = 1, unit = "...", source = "...", evidence = "assumed" }'
    return f" with the keys {', '.join(_keys(model))}" if model is not None else ""


def _is_row(model: type[BaseModel]) -> bool:
    """Whether a class is of one number's or more numbers' values with what they rest on."""
    return "value" in model.model_fields


def _list_form(model: type[BaseModel], location: Location) -> str:
    """What a list of these looks like: numbers, pairs of them, or tables."""
    if _is_row(model):
        items = get_args(model.model_fields["value"].annotation)
        is_pairs = bool(items) and get_origin(_bare(items[0])) is tuple
        return f"a list like {'[[0, 1], [60, 2]]' if is_pairs else '[1, 2.5]'}"
    heads = f", each headed [[{location[0]}]]," if len(location) == 1 else ""
    return f"a list of tables{heads}{_form(model)}"


def _keys(model: type[BaseModel]) -> list[str]:
    """The keys of a table as a file writes them."""
    return [field.alias or name for name, field in model.model_fields.items()]
