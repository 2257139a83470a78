"""What is to go wrong with a portal's systems in an experiment: latency, errors, slow-down, outage, by system.

Knows the systems' names and TOML; nothing of how a portal brings it about. These are settings of what is tried, not
figures about the world, so they have no source.
"""

import math
from dataclasses import dataclass
from pathlib import Path

from caodiem import text_file
from caodiem.dossier import OPERATIONS
from caodiem.errors import UsageError

# Beside the systems of the operations: one that other operations' steps visit.
SYSTEMS = tuple(sorted({operation.system for operation in OPERATIONS.values()} | {"signature_verification"}))
_NORMAL_P95 = 1.6448536269514722
LONGEST_S = 600.0
GREATEST_SLOWDOWN = 1000.0


@dataclass(frozen=True, slots=True)
class Fault:
    """What each visit to a system suffers. The defaults are no fault at all.

    `latency_s_median`, `latency_s_p95`: added latency, log-normal through these two points; without the second it is
    always the first. `error_share`: of the visits, that fail after their latency. `slowdown`: how many times as long
    everything takes. `outage`: every visit is turned away at once.
    """

    latency_s_median: float = 0.0
    latency_s_p95: float | None = None
    error_share: float = 0.0
    slowdown: float = 1.0
    outage: bool = False

    def __post_init__(self) -> None:
        """ValueError names the field, its value and what would be right."""
        for name in ("latency_s_median", "latency_s_p95", "error_share", "slowdown"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float | None):
                raise ValueError(f"{name} = {value!r}: expected a number")
        p95_s = self.latency_s_median if self.latency_s_p95 is None else self.latency_s_p95
        wrong = [
            (0 <= self.latency_s_median <= LONGEST_S, "latency_s_median", f"0 to {LONGEST_S:g}"),
            (self.latency_s_median <= p95_s <= LONGEST_S, "latency_s_p95", f"the median to {LONGEST_S:g}"),
            (self.latency_s_median > 0 or p95_s == 0, "latency_s_median", "more than 0, as there is a latency_s_p95"),
            (0 <= self.error_share <= 1, "error_share", "0 to 1"),
            (isinstance(self.outage, bool), "outage", "true or false"),
            (1 <= self.slowdown <= GREATEST_SLOWDOWN, "slowdown", f"1 to {GREATEST_SLOWDOWN:g}"),
        ]
        for is_right, name, expected in wrong:
            if not is_right:
                raise ValueError(f"{name} = {getattr(self, name)!r}: expected {expected}")

    def latency_s(self, normal: float) -> float:
        """The latency at a standard normal draw."""
        if self.latency_s_p95 is None or self.latency_s_median == 0:
            return self.latency_s_median
        deviation = math.log(self.latency_s_p95 / self.latency_s_median) / _NORMAL_P95
        return self.latency_s_median * math.exp(normal * deviation)


Faults = dict[str, Fault]


def check(faults: Faults) -> Faults:
    """The same; ValueError for a system that there is not."""
    for system in faults:
        if system not in SYSTEMS:
            raise ValueError(f"system {system!r}: expected one of {', '.join(SYSTEMS)}")
    return faults


def read(path: Path) -> Faults:
    """The `[faults]` table of a TOML file; UsageError names file, key, value and what would be right."""
    tables = text_file.toml(path, "a TOML file").get("faults")
    if not isinstance(tables, dict):
        raise UsageError(f"{path}: no table [faults.SYSTEM]; expected one or more")
    found: Faults = {}
    for system, table in tables.items():
        try:
            found |= check({system: Fault(**table)})
        except (TypeError, ValueError) as error:
            names = ", ".join(Fault.__dataclass_fields__)
            raise UsageError(f"{path}: faults.{system} = {table!r}: {error}; a table may hold {names}") from error
    return found
