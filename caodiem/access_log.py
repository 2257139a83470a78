"""Access logs, line by line: when, which method, which path. Knows nothing of plans.

Two forms, told apart line by line: the combined form of nginx and Apache (also its shorter brother, the common form),
and one JSON object a line under the names that are usual.
"""

import gzip
import json
import math
import re
from collections.abc import Iterator
from datetime import datetime
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
# Above this a number cannot be seconds since 1970 (it would be the year 5138), so it is milliseconds.
_MOST_SECONDS = 1e11


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
        return _from_json(line) if line.lstrip().startswith("{") else _from_combined(line)
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None


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
    if not (isinstance(method, str) and isinstance(path, str) and path.startswith("/") and math.isfinite(at_s)):
        return None
    return Logged(at_s, offset_s, method.upper(), path)


def _first(told: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((told[name] for name in names if name in told), None)


def _instant(said: Any) -> tuple[float, float]:
    """Seconds since 1970 and the clock's offset, from ISO 8601, the combined form's time, seconds or milliseconds."""
    if isinstance(said, str) and not re.fullmatch(r"[\d.]+", said):
        at = datetime.strptime(said, _COMBINED_TIME) if "/" in said else datetime.fromisoformat(said)
        return at.timestamp() if at.tzinfo else (at - datetime(1970, 1, 1)).total_seconds(), _offset_s(at)
    at_s = float(said)
    return (at_s / 1000 if at_s > _MOST_SECONDS else at_s), 0.0


def _offset_s(at: datetime) -> float:
    offset = at.utcoffset()
    return offset.total_seconds() if offset is not None else 0.0
