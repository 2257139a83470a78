"""Plans for the tests of the replay: journeys of every kind, due evenly, each with dossiers of its own."""

from datetime import date

import pyarrow as pa

from caodiem import plan
from caodiem.dossier import OPERATIONS, dossier_number

JOURNEYS: dict[str, list[tuple[str, int, float]]] = {
    # name: (operation, items, think_s) of each step
    "file": [("sign_in", 1, 0.0), ("file_dossier", 2, 0.2), ("pay_fee", 1, 0.1)],
    "ask": [("sign_in", 1, 0.0), ("look_up_status", 1, 0.1)],
    "receive": [("receive_dossier", 1, 0.0), ("start_handling", 1, 0.2), ("finish_dossier", 1, 0.1)],
    "sync": [("push_sync", 12, 0.0)],
    "search": [("search_catalogue", 1, 0.0)],
}


def evenly(rate_per_s: float, length_s: float, names: list[str] | None = None) -> plan.Plan:
    """Arrivals at multiples of 1/rate in [0, length_s), taking the journeys named in turn."""
    names = names or list(JOURNEYS)
    rows = []
    for arrival in range(round(rate_per_s * length_s)):
        name = names[arrival % len(names)]
        for step, (operation, items, think_s) in enumerate(JOURNEYS[name]):
            rows.append(
                {
                    "arrival": arrival,
                    "step": step,
                    "journey": name,
                    "operation": operation,
                    "agency": "H01" if arrival % 2 else "G02",
                    "system": OPERATIONS[operation].system,
                    "dossier": dossier_number(date(2026, 6, 9), arrival),
                    "items": items,
                    "due_s": arrival / rate_per_s,
                    "think_s": think_s,
                }
            )
    meta = plan.PlanMeta("0" * 64, 1, "2026-06-09T09:00:00", length_s, 1.0, 85.0)
    return plan.make(pa.Table.from_pylist(rows, schema=plan.SCHEMA), meta)
