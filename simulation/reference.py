"""The reference engine: a plan through a network, as SimPy processes written to be read. It defines the meaning.

Each arrival is a process: it waits until it is due, visits the stations of its first step, thinks, goes on with the
next step. Its rows have the same schema as those of a replay; nothing is late, dropped or lost in a simulation.
"""

from collections.abc import Callable, Generator
from itertools import groupby
from typing import Any

import pyarrow as pa
import simpy

from caodiem import observations
from caodiem.dossier import Outcome
from caodiem.plan import SCHEMA, Plan
from simulation.network import Network, draw_services

_OK = 200
Step = dict[str, Any]


def execute(
    network: Network, plan: Plan, progress: Callable[[float], None] = lambda due_s: None
) -> tuple[pa.Table, pa.Table]:
    """(observations, components) of every step of the plan. `progress` is told the second of the plan reached."""
    env = simpy.Environment()
    servers = [simpy.Resource(env, capacity=station.servers) for station in network.stations]
    names = [station.name for station in network.stations]
    rows: list[observations.Row] = []
    components: list[observations.Row] = []

    def visit(station: int, service_s: float) -> Generator[simpy.Event, Any, float]:
        """Queue at a station and be served; returns the seconds waited."""
        came_s = env.now
        with servers[station].request() as turn:
            yield turn
            waited_s = env.now - came_s
            yield env.timeout(service_s)
        return waited_s

    def journey(steps: list[tuple[Step, list[tuple[int, float]]]]) -> Generator[simpy.Event, Any, None]:
        for step, visits in steps:
            yield env.timeout(step["think_s"])
            due_s = env.now
            for station, service_s in visits:
                waited_s = yield from visit(station, service_s)
                components.append((step["arrival"], step["step"], names[station], waited_s, service_s))
            keys = tuple(step[name] for name in SCHEMA.names[:8])
            rows.append((*keys, due_s, due_s, due_s, env.now, Outcome.OK.value, _OK, 1, "reference"))

    def arrive() -> Generator[simpy.Event, Any, None]:
        for due_s, steps in _arrivals(plan, draw_services(network, plan)):
            yield env.timeout(due_s - env.now)
            progress(due_s)
            env.process(journey(steps))

    env.process(arrive())
    env.run()
    table = observations.close_accounts(plan, observations.table_of(rows))
    return table, observations.table_of(components, observations.COMPONENTS_SCHEMA)


def _arrivals(
    plan: Plan, visits: list[list[tuple[int, float]]]
) -> Generator[tuple[float, list[tuple[Step, list[tuple[int, float]]]]], None, None]:
    """The plan's arrivals in order of due time, each with its steps, in order, and their visits."""
    for _, steps in groupby(zip(plan.table.to_pylist(), visits, strict=True), key=lambda pair: pair[0]["arrival"]):
        ordered = list(steps)
        yield ordered[0][0]["due_s"], ordered
