"""Text files that a person wrote, TOML and CSV: read whole, or refused with what is wrong, where, and what would do.

Knows nothing of what stands in them. Whatever a person hands over by mistake (a folder, a pipe, a picture, a copy in
another encoding, far too much) ends in one line, soon and in little memory.
"""

import csv
import difflib
import io
import re
import stat
import tomllib
from pathlib import Path
from typing import Any

from caodiem.errors import UsageError

# The largest that we know of has 60 kB. Reading TOML takes a second for each megabyte.
_MOST_BYTES = 5_000_000
_MOST_DEPTH = 100
# Keys such as a.b.c, of which reading takes time and memory by the square of their length.
_DEEP_KEY = re.compile(rf"^[ \t\[]*(?:[\w-]+[ \t]*\.[ \t]*){{{_MOST_DEPTH}}}", re.MULTILINE)
_SEPARATORS = {";": "semicolons", "\t": "tabs"}

Row = dict[str, str]


def toml(path: Path, expected: str = "TOML") -> dict[str, Any]:
    """The tables of a TOML file. UsageError says what is wrong with it; `expected` is what to hand over instead."""
    text = _text(path, expected)
    try:
        found = tomllib.loads(text) if not _DEEP_KEY.search(text) else None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: {_in_words(error)}; expected TOML") from error
    except RecursionError:
        found = None
    except ValueError as error:  # Python reads no longer ones
        raise UsageError(f"{path}: a whole number of thousands of digits; expected fewer") from error
    if found is None or _is_deep(found):
        raise UsageError(f"{path}: tables or lists within each other, too deep; expected at most {_MOST_DEPTH}")
    return found


def rows(path: Path, columns: tuple[str, ...], also: tuple[str, ...] = ()) -> list[tuple[int, Row]]:
    """(line, values by column) of every row of a CSV file. UsageError says what is wrong, and in which line.

    It has these columns, may have those of `also`, and others that are not misspelt ones of them.
    """
    named = ", ".join(columns) + (f" and, if wanted, {', '.join(also)}" if also else "")
    reader = csv.reader(io.StringIO(_text(path, f"a CSV file with the columns {named}"), newline=""), strict=True)
    found: list[list[str]] = []
    lines: list[int] = []
    begins = 1
    try:
        for values in reader:
            # Spreadsheets write empty rows and columns as commas alone.
            if any(values):
                found.append(values)
                lines.append(begins)
            begins = reader.line_num + 1
    except csv.Error as error:
        told = "a quote that is not closed, or a value without end; expected values apart by commas"
        raise UsageError(f"{path}:{begins}: {told}") from error
    header = found[0] if found else []
    if problem := _wrong_columns(header, columns, also):
        raise UsageError(f"{path}: {problem}; expected a CSV file with the columns {named}")
    for line, values in zip(lines, found, strict=True):
        if len(values) != len(header):
            told = f"{len(values)} values; expected {len(header)}, one for each column ({', '.join(header)})"
            raise UsageError(f"{path}:{line}: {told}")
    return [(line, dict(zip(header, each, strict=True))) for line, each in zip(lines[1:], found[1:], strict=True)]


def _text(path: Path, expected: str) -> str:
    """What stands in a file, without the mark that some editors put before it."""
    try:
        status = path.stat()
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            raise UsageError(f"{path}: a pipe or a device; expected {expected}")
        if status.st_size > _MOST_BYTES:
            size = f"{status.st_size / 1e6:.3g} MB"
            raise UsageError(f"{path}: {size}; expected {expected}, of at most {_MOST_BYTES / 1e6:g} MB")
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; expected {expected}") from error
    except ValueError as error:
        raise UsageError(f"{str(path)!r}: no name of a file; expected {expected}") from error
    if b"\0" in content:
        raise UsageError(f"{path}: holds NUL bytes, as no text in UTF-8 does; expected {expected}, saved as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        told = f"byte 0x{content[error.start]:02x} in line {line} is no UTF-8"
        raise UsageError(f"{path}: {told}; expected {expected}, saved as UTF-8") from error


def _in_words(error: tomllib.TOMLDecodeError) -> str:
    """What the reader of TOML says, without words of its own for what a person did."""
    return str(error).replace("Cannot overwrite a value", "a key for the second time")


def _is_deep(tables: dict[str, Any]) -> bool:
    """Whether more tables and lists stand within each other than anything needs; without recursion of our own."""
    level: list[Any] = [tables]
    for _ in range(_MOST_DEPTH):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
    return bool(level)


def _wrong_columns(header: list[str], columns: tuple[str, ...], also: tuple[str, ...]) -> str:
    """What is wrong with the names of a file's columns; empty when nothing is."""
    if not header:
        return "empty"
    missing = [column for column in columns if column not in header]
    for separator, name in _SEPARATORS.items():
        if missing and len(header) == 1 and separator in header[0]:
            return f"{name} between the columns, not commas"
    for each in header:
        meant = difflib.get_close_matches(each, [name for name in (*columns, *also) if name not in header], n=1)
        if each not in (*columns, *also) and meant:
            return f"a column {each!r}; did you mean {meant[0]!r}?"
    named = [each for each in header if each]
    if len(set(named)) < len(named):
        return f"columns {', '.join(header)}, of which two have one name"
    return f"no column {', '.join(missing)}" if missing else ""
