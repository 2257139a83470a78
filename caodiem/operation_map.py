"""Which request of a portal is which operation of a plan: a small table in TOML, read by `caodiem plan from-log`.

agency = "H01"                # of requests that name no dossier
[[map]]                       # the first entry that fits counts
method = "GET"
path = "/dossiers/{code}"     # {…} is one segment; where {code} is a dossier's code, agency and dossier are kept
operation = "look_up_status"
items = 1                     # optional: signed components of a filing, events of a sync batch
"""

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caodiem import text_file
from caodiem.dossier import OPERATIONS, dossier_code, parse_dossier_code
from caodiem.errors import UsageError

_SEGMENT = re.compile(r"\{([a-z_]+)\}")
_ANY_DOSSIER = 2026_01_01 * 10**7


@dataclass(frozen=True, slots=True)
class Entry:
    """Requests of one kind, and the operation that they are."""

    method: str
    path: re.Pattern[str]
    operation: str
    items: int


@dataclass(frozen=True, slots=True)
class Mapped:
    """What a request is. `dossier` is 0 where it names none."""

    operation: str
    items: int
    agency: str
    dossier: int = 0


@dataclass(frozen=True, slots=True)
class OperationMap:
    """The entries in order, and the agency of requests that name no dossier."""

    entries: list[Entry]
    agency: str

    def find(self, method: str, path: str) -> Mapped | None:
        """What a request is; None when no entry fits. The path may carry a query, which is left out."""
        bare = path.partition("?")[0]
        for entry in self.entries:
            found = entry.path.fullmatch(bare) if entry.method == method else None
            if found is not None:
                agency, dossier = self._dossier(found.groupdict().get("code", ""))
                return Mapped(entry.operation, entry.items, agency, dossier)
        return None

    def of_operation(self, name: str) -> Mapped:
        """A request of which only the operation is known."""
        return Mapped(name, next((entry.items for entry in self.entries if entry.operation == name), 1), self.agency)

    def _dossier(self, code: str) -> tuple[str, int]:
        try:
            return parse_dossier_code(code)
        except ValueError:
            return self.agency, 0


def load(path: Path) -> OperationMap:
    """UsageError names the file, the entry, the key and what is accepted."""
    content = text_file.toml(path, "TOML with [[map]] entries of method, path and operation")
    agency, entries = content.get("agency", "H01"), content.get("map", [])
    try:
        parse_dossier_code(dossier_code(agency, _ANY_DOSSIER))
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path}: agency = {agency!r}: expected a code like H01") from error
    if not isinstance(entries, list) or not entries or not all(isinstance(each, dict) for each in entries):
        raise UsageError(f"{path}: no [[map]] entry; expected at least one, with method, path and operation")
    return OperationMap([_entry(f"{path}: map[{number}]", entry) for number, entry in enumerate(entries)], agency)


def known_operation(where: str, name: Any) -> str:
    """The name, if plans have such an operation; UsageError with the nearest ones."""
    if name in OPERATIONS:
        return str(name)
    near = difflib.get_close_matches(str(name), OPERATIONS, n=3) or list(OPERATIONS)
    raise UsageError(f"{where} = {name!r}: expected an operation, such as {', '.join(near)}")


def _entry(where: str, entry: dict[str, Any]) -> Entry:
    unknown = entry.keys() - {"method", "path", "operation", "items"}
    if unknown:
        raise UsageError(f"{where}.{min(unknown)}: no such key; expected method, path, operation, items")
    method, path, items = entry.get("method"), entry.get("path"), entry.get("items", 1)
    if not isinstance(method, str) or not method.isupper():
        raise UsageError(f"{where}.method = {method!r}: expected a method in capitals, such as GET")
    if not isinstance(path, str) or not path.startswith("/") or "?" in path:
        raise UsageError(f"{where}.path = {path!r}: expected a path like /dossiers/{{code}}, without a query")
    if not isinstance(items, int) or isinstance(items, bool) or items < 1:
        raise UsageError(f"{where}.items = {items!r}: expected a whole number from 1")
    operation = known_operation(f"{where}.operation", entry.get("operation"))
    return Entry(method, _pattern(path), operation, items)


def _pattern(path: str) -> re.Pattern[str]:
    words = _SEGMENT.split(path)
    names = words[1::2]
    parts = [re.escape(word) for word in words[::2]]
    segments = [f"(?P<{name}>[^/]+)" if name not in names[:place] else "[^/]+" for place, name in enumerate(names)]
    return re.compile(parts[0] + "".join(segment + part for segment, part in zip(segments, parts[1:], strict=True)))
