"""Calibration: the service times that a replay measured, as the `portal.services` of a scenario.

Reads the components that the portal reported (`Server-Timing`); what they do not explain of a step's service time,
the way there and back and the server's own reading and writing, becomes a station of its own, `connection`, in which
nobody waits.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from caodiem.dossier import Outcome
from caodiem.observations import step_keys

CONNECTION = "connection"


@dataclass(frozen=True, slots=True)
class Measured:
    """One operation at one station: mean in ms, standard deviation over mean, and from how many steps."""

    operation: str
    station: str
    mean_ms: float
    variation: float
    steps: int


def services(rows: pa.Table, components: pa.Table, stations: list[str]) -> list[Measured]:
    """What each operation took at each of `stations`, in their order; of steps with outcome ok only."""
    rows = rows.filter(pc.equal(rows["outcome"].cast(pa.string()), Outcome.OK.value))
    key = step_keys(rows)
    operation = dict(zip(key.tolist(), rows["operation"].to_pylist(), strict=True))
    taken_s = dict(
        zip(key.tolist(), (rows["finished_s"].to_numpy() - rows["started_s"].to_numpy()).tolist(), strict=True)
    )
    served: dict[tuple[str, str], list[float]] = {}
    for at, station, wait_s, service_s in zip(
        step_keys(components).tolist(),
        components["station"].to_pylist(),
        components["wait_s"].to_pylist(),
        components["service_s"].to_pylist(),
        strict=True,
    ):
        if at in operation:
            served.setdefault((operation[at], station), []).append(service_s)
            taken_s[at] -= wait_s + service_s
    for at, rest_s in taken_s.items():
        served.setdefault((operation[at], CONNECTION), []).append(max(rest_s, 0.0))
    return [
        _measured(name, station, served[name, station])
        for name in sorted(set(operation.values()))
        for station in stations
        if (name, station) in served
    ]


def as_toml(found: list[Measured]) -> Iterator[str]:
    """Lines to put into a scenario, each service with the number of steps that it was measured from."""
    sourced = 'source = "measured-portal", evidence = "measured" }'
    for each in found:
        yield f"[[portal.services]] # from {each.steps} steps"
        yield f'operation = "{each.operation}"'
        yield f'station = "{each.station}"'
        yield f'mean = {{ value = {each.mean_ms:.3f}, unit = "milliseconds", {sourced}'
        yield f'variation = {{ value = {each.variation:.2f}, unit = "ratio", {sourced}'
        yield ""


def _measured(operation: str, station: str, values_s: list[float]) -> Measured:
    values = np.array(values_s)
    mean = float(values.mean())
    return Measured(operation, station, 1000 * mean, float(values.std() / mean) if mean else 0.0, len(values))
