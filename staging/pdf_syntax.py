"""PDF's syntax, read without doubt or not at all: values, objects, cross-reference tables.

Knows nothing of signatures. Takes only what every reader understands alike: strict tables, no key twice, no escaped
names, no comments. Whatever else there is raises Doubt.
"""

import re
from typing import Any, NamedTuple

_TOKENS_MAX = 1_000  # of one object
_ENTRIES_MAX = 100_000  # of one table
_END = re.compile(rb"startxref[\r\n]+(\d{1,10})[\r\n]+%%EOF[\r\n]*\Z")
_SECTION = re.compile(rb"(\d{1,8}) (\d{1,6}) ?(?:\r\n|\n|\r)((?:\d{10} \d{5} [nf](?: \r| \n|\r\n))*)")
_OBJECT = re.compile(rb"(\d{1,8}) (\d{1,5}) obj\b")
_TOKEN = re.compile(
    rb"""[\0\t\n\f\r ]*(?:
        (?P<name>/[A-Za-z0-9_.+:*-]*(?=[\0\t\n\f\r /<>\[\]()]))
      | (?P<open><<) | (?P<close>>>) | (?P<begin>\[) | (?P<end>\])
      | (?P<number>\d{1,8})\ (?P<generation>\d{1,5})\ R(?=[\0\t\n\f\r /<>\[\]()])
      | (?P<integer>[+-]?\d{1,15}(?=[\0\t\n\f\r /<>\[\]()])) | (?P<real>[+-]?\d+\.\d*(?=[\0\t\n\f\r /<>\[\]()]))
      | (?P<hex><[0-9A-Fa-f]*>) | \((?P<text>(?:[^()\\]|\\[^()])*)\)
      | (?P<word>true|false|null)(?=[\0\t\n\f\r /<>\[\]()])
    )""",
    re.VERBOSE | re.DOTALL,
)
_SLASH = ord("/")
_PAIRED = {("open", "close"), ("begin", "end")}


class Doubt(Exception):
    """Readers may differ on what this is."""


class Reference(NamedTuple):
    """An indirect object."""

    number: int
    generation: int


class Text(NamedTuple):
    """A literal string, escapes as they stand."""

    raw: bytes


class Digits(NamedTuple):
    """Where a hexadecimal string stands, brackets included."""

    start: int
    end: int


def last_section(pdf: bytes) -> tuple[int, int]:
    """Where the newest cross-reference section begins, and where the words that say so begin."""
    ending = _END.search(pdf, max(0, len(pdf) - 64))
    if not pdf.startswith(b"%PDF-") or ending is None:
        raise Doubt
    return int(ending[1]), ending.start()


def table(pdf: bytes, at: int) -> tuple[dict[Reference, int], dict[bytes, Any]]:
    """(offsets of the objects in use, trailer) of the cross-reference table at `at`."""
    if not pdf.startswith(b"xref", at):
        raise Doubt
    offsets, at = _sections(pdf, at + 4)
    if not pdf.startswith(b"trailer", at):
        raise Doubt
    trailer, _ = value(pdf, at + 7)
    if not isinstance(trailer, dict):
        raise Doubt
    return offsets, trailer


def _sections(pdf: bytes, at: int) -> tuple[dict[Reference, int], int]:
    """The offsets in a table's sections, and where they end."""
    while pdf[at : at + 1] in (b"\r", b"\n", b" "):
        at += 1
    numbers: set[int] = set()
    offsets: dict[Reference, int] = {}
    while (section := _SECTION.match(pdf, at)) is not None:
        first, count, entries = int(section[1]), int(section[2]), section[3]
        if count > _ENTRIES_MAX or len(entries) != 20 * count or not numbers.isdisjoint(range(first, first + count)):
            raise Doubt
        numbers.update(range(first, first + count))
        for place in range(count):
            entry = entries[20 * place : 20 * place + 18]
            if entry[17:] == b"n":
                offsets[Reference(first + place, int(entry[11:16]))] = int(entry[:10])
        at = section.end()
    return offsets, at


def indirect(pdf: bytes, at: int) -> tuple[Reference, Any, int]:
    """(name, value, end) of the object that begins at `at`; `end` is that of the value, before any stream."""
    found = _OBJECT.match(pdf, at)
    if found is None:
        raise Doubt
    inner, end = value(pdf, found.end())
    return Reference(int(found[1]), int(found[2])), inner, end


def value(pdf: bytes, at: int) -> tuple[Any, int]:
    """The value that begins at `at`, and where it ends."""
    opened: list[tuple[str, list[Any]]] = []  # the containers around the place, innermost last
    match = _TOKEN.match
    for _ in range(_TOKENS_MAX):
        found = match(pdf, at)
        if found is None:
            raise Doubt
        kind, at = found.lastgroup, found.end()
        if kind == "name":
            made: Any = found[1]
        elif kind == "open" or kind == "begin":
            opened.append((kind, []))
            continue
        elif kind == "close" or kind == "end":
            began, items = opened.pop() if opened else ("", [])
            if (began, kind) not in _PAIRED:
                raise Doubt
            made = _dictionary(items) if kind == "close" else items
        else:
            made = _simple(found, kind)
        if not opened:
            return made, at
        opened[-1][1].append(made)
    raise Doubt


def _simple(found: re.Match[bytes], kind: str | None) -> Any:
    """A token that is a value by itself."""
    if kind == "integer":
        return int(found["integer"])
    if kind == "generation":
        return Reference(int(found["number"]), int(found["generation"]))
    if kind == "hex":
        return Digits(found.start(kind), found.end())
    if kind == "text":
        return Text(found["text"])
    return float(found["real"]) if kind == "real" else found["word"]


def _dictionary(items: list[Any]) -> dict[bytes, Any]:
    """From names and values in turn; Doubt for a name twice."""
    names = items[::2]
    for name in names:
        if type(name) is not bytes or name[0] != _SLASH:
            raise Doubt
    made = dict(zip(names, items[1::2], strict=False))
    if 2 * len(made) != len(items):
        raise Doubt
    return made
