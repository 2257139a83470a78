"""Plans of any size for the benchmarks: Poisson arrivals of one journey each, from a fixed seed."""

import numpy as np
import pyarrow as pa

from caodiem import plan
from caodiem.draws import uniform

SEED = 1
AGENCIES = 63
_STEPS = ("sign_in", "search_catalogue", "file_dossier", "look_up_status")
_SYSTEMS = ("identity", "national_portal", "national_portal", "national_portal")
_THINK_S = 20.0


def draw(arrivals: int, steps: int, rate_per_s: float) -> plan.Plan:
    """`arrivals` journeys of the first `steps` operations, 20 s of thought between them in the mean (exponential)."""
    due_s = np.cumsum(-np.log(uniform(SEED, "gap", np.arange(arrivals))) / rate_per_s)
    arrival, step = np.repeat(np.arange(arrivals), steps), np.tile(np.arange(steps), arrivals)
    columns = {
        "arrival": arrival,
        "step": step,
        "journey": np.full(len(arrival), "citizen_files"),
        "operation": np.array(_STEPS)[step],
        "agency": np.array([f"H{number:02d}" for number in range(1, AGENCIES + 1)])[arrival % AGENCIES],
        "system": np.array(_SYSTEMS)[step],
        "dossier": 20260504 * 10**7 + arrival,
        "items": np.ones(len(arrival), dtype=np.int32),
        "due_s": due_s[arrival],
        "think_s": np.where(step > 0, -_THINK_S * np.log(uniform(SEED, "think", arrival, step)), 0.0),
    }
    meta = plan.PlanMeta("0" * 64, SEED, "2026-05-04T09:00:00", float(due_s[-1]) + 1, 1.0, 85.0)
    return plan.make(pa.table({name: columns[name] for name in plan.SCHEMA.names}), meta)
