"""Access logs, line by line: when, which method, which path. Knows nothing of plans.

Two forms, told apart line by line: the combined form of nginx and Apache (also its shorter brother, the common form),
and one JSON object a line under the names that are usual.
"""

import gzip
import json
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from caodiem.errors import UsageError

_COMBINED = re.compile(r'\S+ \S+ .*?\[(?P<time>[^\]]+)\] "(?P<method>[A-Z]+) (?P<path>\S+)(?: HTTP/[\d.]+)?" \d{3} ')
_COMBINED_TIME = "%d/%b/%Y:%H:%M:%S %z"
_TIMES = ("time", "timestamp", "@timestamp", "time_iso8601", "time_local", "msec", "ts")
_METHODS = ("method", "request_method", "verb")
_PATHS = ("path", "uri", "request_uri", "url")
# Spreadsheets begin a CSV with a mark.
_ENCODING = "utf-8-sig"
# How many of its unit a second has, by what a number since 1970 must be below: more seconds would be the year 5138, so
# they are milliseconds, then microseconds, then nanoseconds.
_PER_S = {1e11: 1.0, 1e14: 1e3, 1e17: 1e6, math.inf: 1e9}
# What lies outside is no time at which a portal was asked: 1970 to 2200.
_EARLIEST_S, _LATEST_S = 0.0, datetime(2200, 1, 1, tzinfo=UTC).timestamp()


class Logged(NamedTuple):
    """One request. `at_s` counts from 1970 in UTC; `offset_s` is what the log's own clock adds."""

    at_s: float
    offset_s: float
    method: str
    path: str


def lines(path: Path) -> Iterator[str]:
    """The lines of a log, unpacked if it is packed (.gz); UsageError when it cannot be read."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding=_ENCODING, errors="replace") as file:
            yield from file
    except (OSError, EOFError) as error:
        raise UsageError(f"{path}: cannot be read ({error}); expected an access log, or a CSV (.csv)") from error


def parse(line: str) -> Logged | None:
    """The request that a line tells; None when it is damaged."""
    try:
        found = _from_json(line) if line.lstrip().startswith("{") else _from_combined(line)
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None
    return found if found is not None and _EARLIEST_S <= found.at_s < _LATEST_S else None


def _from_combined(line: str) -> Logged | None:
    found = _COMBINED.match(line)
    if found is None:
        return None
    at = datetime.strptime(found["time"], _COMBINED_TIME)
    return Logged(at.timestamp(), _offset_s(at), found["method"], found["path"])


def _from_json(line: str) -> Logged | None:
    told = json.loads(line)
    at_s, offset_s = _instant(_first(told, _TIMES))
    if "request" in told and isinstance(told["request"], str):
        method, path = told["request"].split()[:2]
    else:
        method, path = _first(told, _METHODS), _first(told, _PATHS)
    if not (isinstance(method, str) and isinstance(path, str) and path.startswith("/")):
        return None
    return Logged(at_s, offset_s, method.upper(), path)


def _first(told: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((told[name] for name in names if name in told), None)


def _instant(said: Any) -> tuple[float, float]:
    """Seconds since 1970 and the clock's offset, from ISO 8601, the combined form's time, or a number since 1970."""
    if isinstance(said, str) and not re.fullmatch(r"[\d.]+", said):
        at = datetime.strptime(said, _COMBINED_TIME) if "/" in said else datetime.fromisoformat(said)
        return at.timestamp() if at.tzinfo else (at - datetime(1970, 1, 1)).total_seconds(), _offset_s(at)
    number = float(said)
    return number / next((per_s for below, per_s in _PER_S.items() if number < below), math.nan), 0.0


def _offset_s(at: datetime) -> float:
    offset = at.utcoffset()
    return offset.total_seconds() if offset is not None else 0.0
