"""How long a gate may take, as people write it: 90s, 5m."""

import re

from caodiem.errors import UsageError

_UNITS_S = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_SHORTEST_S = 10.0


def parse(text: str) -> float:
    """Seconds; UsageError for what is no time or too short for a single ring."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text.strip())
    if not found or found[2] not in _UNITS_S:
        raise UsageError(f"--budget {text}: expected a number and s, m or h, like 90s or 5m")
    budget_s = float(found[1]) * _UNITS_S[found[2]]
    if budget_s < _SHORTEST_S:
        raise UsageError(f"--budget {text}: expected at least {_SHORTEST_S:g} s")
    return budget_s
