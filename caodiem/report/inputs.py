"""Every input of a run as the report lists it: in words, with its unit, bounds, evidence and source."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from caodiem.report.material import Json, Material
from caodiem.report.words import Words, catalogue, references_vi

_INDEX = re.compile(r"\[(\d+)\]")
# A station of the portal, or a system that it asks, by its name.
_STATION = re.compile(r"(portal\.(?:stations|connected)\.)(\w+)\.")
_STEP = re.compile(r"(\w+)(?:\[(\d+)\])?")
# Units that are written with each number, and ratios that are no multiple of anything.
WITH_NUMBER = ("percent", "hour")
_PURE = ("variation", "jitter", "share")
_LONG_GROUP = 30
_URL = re.compile(r"https?://[^\s;,)]+[^\s;,).]")


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a source's text: a link when it has an address; `language` when it is not the page's."""

    text: str
    address: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True)
class Input:
    """One input as shown."""

    key: str
    label: str
    value: str
    unit: str
    bounds: str
    source: str
    reference: list[Piece]
    evidence: str
    evidence_text: str


@dataclass(frozen=True, slots=True)
class InputGroup:
    """The inputs of one table of the scenario."""

    title: str
    count: str
    inputs: list[Input]
    is_long: bool


def groups(material: Material, words: Words) -> list[InputGroup]:
    """Every input, grouped by the scenario's tables."""
    grouped: dict[str, list[Json]] = {}
    for each in material.inputs:
        grouped.setdefault(re.split(r"[.\[]", each["key"])[0], []).append(each)
    resolved = (material.scenario or {}).get("resolved", {})
    return [_input_group(name, rows, resolved, words) for name, rows in grouped.items()]


def input_key(key: str) -> str:
    """The key of words.toml for an input: rows of a list share one, so do stations without a text of their own."""
    own = f"input_{_INDEX.sub('', key)}"
    return own if own in catalogue() else _STATION.sub(r"\1", own)


def _input_group(name: str, rows: list[Json], resolved: Json, words: Words) -> InputGroup:
    assumed = sum(each["evidence"] == "assumed" for each in rows)
    count = words.text("inputs_group_count", inputs=words.number(len(rows)), assumed=words.number(assumed))
    shown = [_input(each, resolved, words) for each in rows]
    return InputGroup(words.text_or(f"group_{name}", name), count, shown, is_long=len(rows) > _LONG_GROUP)


def _input(row: Json, resolved: Json, words: Words) -> Input:
    return Input(
        key=row["key"],
        label=_input_label(row["key"], resolved, words),
        value=_value(row["value"], row["unit"], words),
        unit=_unit(row, words),
        bounds=_bounds(row, words),
        source=row["source"],
        reference=list(_reference(row.get("reference") or "", words)),
        evidence=row["evidence"],
        evidence_text=words.text_or(f"evidence_{row['evidence']}", row["evidence"]),
    )


def _input_label(key: str, resolved: Json, words: Words) -> str:
    """What the input is, in words; the key itself where words.toml or the run says too little."""
    said = words.text_or(input_key(key), key)
    row = _row_of(key, resolved)
    if station := _STATION.search(key):
        row = {**row, "station": station[2]}
    if "{" not in said:
        return said
    return said.format(**_named(row, words)) if row else key


def _row_of(key: str, resolved: Json) -> Json:
    """The row of a list that a key points into: for `slo[0].response` the scenario's first SLO. Empty if unknown."""
    found: Any = resolved
    for name, number in _STEP.findall(key.rpartition(".")[0]):
        found = found.get(name, {})
        if number:
            found = found[int(number)] if int(number) < len(found) else {}
    row: Json = found
    return row


def _named(row: Json, words: Words) -> dict[str, str]:
    """What a row says of itself, in words; what it does not say is left empty."""
    return {
        "group": words.text_or(row.get("group", ""), ""),
        "name": words.text_or(f"name_{row.get('name')}", str(row.get("name", ""))),
        "day": words.day(date.fromisoformat(row["on"])) if "on" in row else "",
        "operation": words.operation(row.get("operation", "")),
        "station": words.text_or(f"station_{row.get('station')}", words.system(str(row.get("station", "")))),
    }


def _value(value: Any, unit: str, words: Words) -> str:
    if isinstance(value, list):
        # No commas between them: a comma is a decimal sign in Vietnamese.
        return " · ".join(_number(each, unit, words) for each in value)
    return _number(value, unit, words) if isinstance(value, int | float) else str(value)


def _number(value: float, unit: str, words: Words) -> str:
    """As it was given, with what its unit writes at the number itself."""
    if unit == "hour":
        return words.clock(value)
    return words.exact_percent(value) if unit == "percent" else words.exactly(value)


def _unit(row: Json, words: Words) -> str:
    """The unit behind the number; empty where the number has it, or needs none."""
    is_pure = row["unit"] == "ratio" and row["key"].endswith(_PURE)
    return "" if is_pure or row["unit"] in WITH_NUMBER else words.unit(row["unit"])


def _bounds(row: Json, words: Words) -> str:
    found = {name: row[name] for name in ("low", "high") if row.get(name) is not None}
    bounds = {name: _number(value, row["unit"], words) for name, value in found.items()}
    if not bounds:
        return ""
    return words.text("range_both" if len(bounds) == 2 else f"range_{next(iter(bounds))}", **bounds)


def _reference(text: str, words: Words) -> Iterator[Piece]:
    """The source's text in pieces, addresses as links; marked as English where no translation is known."""
    language = ""
    if words.language != "en":
        language = "" if text in references_vi() else "en"
        text = references_vi().get(text, text)
    at = 0
    for found in _URL.finditer(text):
        if found.start() > at:
            yield Piece(text[at : found.start()], language=language)
        yield Piece(found[0], address=found[0])
        at = found.end()
    if at < len(text):
        yield Piece(text[at:], language=language)
