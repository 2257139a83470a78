"""Which hosts may be loaded, how hard, until when. Everything not allowed here is refused by name.

The check runs before a run starts, on every request and on every redirect.
"""

import math
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from caodiem import text_file
from caodiem.errors import SafetyError, UsageError

FILE = Path("targets.toml")
_SECRETS = re.compile(r"(?<=//)[^/?#]*@|[?#].*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Target:
    """One permission: the host's name as it stands in addresses, its top rate, the last day."""

    host: str
    top_rate_per_s: float
    until: date


@dataclass(frozen=True, slots=True)
class Targets:
    """The permissions in force on the day `today`, None: the day of each check. Loopback is always among them."""

    listed: tuple[Target, ...]
    today: date | None = None
    where: str = str(FILE)

    def check(self, url: str, rate_per_s: float = 0.0) -> None:
        """SafetyError unless `url` may be loaded today with `rate_per_s` in its highest second; UsageError for an
        address that is none."""
        host = _host(url)
        if is_loopback(host):
            return
        found = self._of(url)
        if found is None:
            allowed = ", ".join(["loopback", *(target.host for target in self.listed)])
            raise SafetyError(
                f"host {host!r} ({without_secrets(url)}) may not be loaded: {self.where} allows {allowed}"
            )
        if (self.today or date.today()) > found.until:
            raise SafetyError(f"host {host!r}: the permission in {self.where} ended on {found.until}")
        if rate_per_s > found.top_rate_per_s:
            raise SafetyError(
                f"host {host!r}: the plan's highest second asks {rate_per_s:g} steps/s; "
                f"{self.where} allows {found.top_rate_per_s:g}"
            )

    def top_rate_per_s(self, url: str) -> float:
        """The most steps that `url` may be sent in any second; infinite for loopback. SafetyError as `check`."""
        self.check(url)
        found = self._of(url)
        return math.inf if found is None else found.top_rate_per_s

    def ends_at_s(self, url: str) -> float:
        """The midnight (Unix time) at which the permission for `url` ends; infinite for loopback. Errors as `check`."""
        self.check(url)
        found = self._of(url)
        if found is None:
            return math.inf
        return datetime.combine(found.until + timedelta(days=1), time.min).timestamp()

    def _of(self, url: str) -> Target | None:
        host = _host(url)
        return None if is_loopback(host) else next((each for each in self.listed if each.host == host), None)


def without_secrets(url: str) -> str:
    """An address as it may stand in messages and files: without user, password, query and fragment."""
    return _SECRETS.sub("", url)


def _host(url: str) -> str:
    """The host of an address; UsageError when the address is none that can be loaded."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError as error:
        told = f"address {without_secrets(url)!r}: {error}; expected one like http://127.0.0.1:8080"
        raise UsageError(told) from None
    if parts.scheme not in ("http", "https") or not host or port == 0:
        raise UsageError(f"address {without_secrets(url)!r}: expected one like http://127.0.0.1:8080")
    return host


def is_loopback(host: str) -> bool:
    """Whether a host as written in an address is this machine. Names other than localhost are not resolved."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def load(path: Path = FILE, today: date | None = None) -> Targets:
    """Read the permissions; no file means loopback only. UsageError names entry, key and what is accepted."""
    if not path.exists():
        return Targets((), today, str(path))
    entries = text_file.toml(path).get("target", [])
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise UsageError(f"{path}: target = {entries!r}: expected [[target]] entries of host, top_rate_per_s and until")
    listed = tuple(_target(path, n, entry) for n, entry in enumerate(entries))
    first: dict[str, int] = {}
    for number, target in enumerate(listed):
        if first.setdefault(target.host, number) != number:
            # Whichever counted, somebody would take the other for the one in force.
            said = f"target[{number}].host = {entries[number]['host']!r}: so is target[{first[target.host]}].host"
            raise UsageError(f"{path}: {said}; expected one entry for each host")
    return Targets(listed, today, str(path))


def _target(path: Path, number: int, entry: dict[str, Any]) -> Target:
    expected: dict[str, tuple[Callable[[Any], bool], str]] = {
        "host": (lambda value: isinstance(value, str), "a host name"),
        "top_rate_per_s": (_is_rate, "a number above 0"),
        "until": (lambda value: isinstance(value, date) and not isinstance(value, datetime), "a date like 2026-12-31"),
    }
    for key, (is_right, form) in expected.items():
        if not is_right(entry.get(key)):
            raise UsageError(f"{path}: target[{number}].{key} = {entry.get(key)!r}: expected {form}")
    return Target(entry["host"].lower(), float(entry["top_rate_per_s"]), entry["until"])


def _is_rate(value: Any) -> bool:
    """Nothing is above nan, and little above inf: either would be no limit at all."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 < value <= sys.float_info.max
