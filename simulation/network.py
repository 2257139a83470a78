"""The portal as a network of stations: which stations a step visits, and how long each visit is served.

Service times are drawn before anything runs, keyed by (seed, station, arrival, step), so that every engine serves
the same visit equally long.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy.stats import gamma

from caodiem.draws import uniform
from caodiem.plan import Plan
from caodiem.scenario import Portal

Floats = np.ndarray


@dataclass(frozen=True, slots=True)
class Station:
    """Servers that take one visit each, first come first served."""

    name: str
    servers: int


@dataclass(frozen=True, slots=True)
class Network:
    """Stations, and for each operation the stations that it visits in order, with mean (s) and variation."""

    stations: list[Station]
    routes: dict[str, list[tuple[int, float, float]]]  # operation -> (station index, mean_s, variation)


def of(portal: Portal) -> Network:
    """The network that a scenario describes."""
    stations = [Station(name, int(each.servers.value)) for name, each in portal.stations.items()]
    index = {station.name: number for number, station in enumerate(stations)}
    routes: dict[str, list[tuple[int, float, float]]] = {}
    for service in portal.services:
        visit = (index[service.station], service.mean.value / 1000, service.variation.value)
        routes.setdefault(service.operation, []).append(visit)
    return Network(stations, routes)


def draw_services(network: Network, plan: Plan) -> list[list[tuple[int, float]]]:
    """For each row of the plan its visits, in order: (station index, service_s)."""
    operation = np.array(plan.table["operation"].cast(pa.string()).to_pylist(), dtype=str)
    arrival, step = plan.table["arrival"].to_numpy(), plan.table["step"].to_numpy()
    visits: list[list[tuple[int, float]]] = [[] for _ in range(plan.steps)]
    for name, route in network.routes.items():
        rows = np.flatnonzero(operation == name)
        for number, (station, mean_s, variation) in enumerate(route):
            stream = f"service {network.stations[station].name} {number}"
            chance = uniform(plan.meta.seed, stream, arrival[rows], step[rows])
            for row, service_s in zip(rows.tolist(), service_times(mean_s, variation, chance).tolist(), strict=True):
                visits[row].append((station, service_s))
    return visits


def service_times(mean_s: float, variation: float, chance: Floats) -> Floats:
    """Gamma service times of a mean and a standard deviation over mean, by inversion; 1 is exponential, 0 fixed."""
    if variation == 0 or mean_s == 0:
        return np.full(len(chance), mean_s)
    if variation == 1:
        return -mean_s * np.log(chance)
    return np.asarray(gamma.ppf(chance, variation**-2, scale=mean_s * variation**2))


def offered_load(network: Network, plan: Plan) -> dict[str, float]:
    """Offered load a = λS of each station in erlangs: the servers that the plan's window keeps busy in the mean."""
    total = dict.fromkeys((station.name for station in network.stations), 0.0)
    counted = plan.table["operation"].value_counts().to_pylist()
    for entry in counted:
        for station, mean_s, _ in network.routes.get(entry["values"], []):
            total[network.stations[station].name] += entry["counts"] * mean_s / plan.meta.length_s
    return total
