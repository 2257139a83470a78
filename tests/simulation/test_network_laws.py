"""Laws that hold in every network, whatever the distributions: conservation, Little's law, work conservation."""

import numpy as np
from hypothesis import given, settings

from simulation import compiled
from simulation import work as works
from simulation.figures import Ended, present
from simulation.log import End, station_of_visits
from simulation.network import Network, Station
from tests.simulation.networks import endless, work

Drawn = tuple[Network, works.Work]


@settings(max_examples=100, deadline=None)
@given(work())
def test_whoever_comes_is_served_refused_or_gone(drawn: Drawn) -> None:
    log = compiled.run(*drawn)
    visits = log.visits[log.visits["end"] != End.NONE]
    served = visits["end"] == End.OK
    assert np.array_equal(served, ~np.isnan(visits["began_s"]))
    assert np.all(visits["came_s"] <= visits["left_s"])
    assert np.all(visits["came_s"][served] <= visits["began_s"][served])
    refused = visits["end"] == End.REFUSED
    assert np.array_equal(visits["left_s"][refused], visits["came_s"][refused])


@settings(max_examples=100, deadline=None)
@given(work())
def test_every_journey_ends_once(drawn: Drawn) -> None:
    network, todo = drawn
    log = compiled.run(network, todo)
    ended = Ended(todo, log)
    assert np.all(ended.end != End.NONE)
    lengths = np.diff(todo.first)
    assert np.array_equal(ended.steps[ended.end == End.OK], lengths[ended.end == End.OK])
    made = log.attempts["end"] != End.NONE
    # Of a step's attempts only the last can be good, and none follows a good one.
    for row in range(todo.steps):
        ends = log.attempts["end"][todo.attempt_at[row] : todo.attempt_at[row + 1]]
        count = int(made[todo.attempt_at[row] : todo.attempt_at[row + 1]].sum())
        assert np.all(ends[:count] != End.NONE)
        assert np.all(ends[: max(count - 1, 0)] != End.OK)


@settings(max_examples=100, deadline=None)
@given(work())
def test_littles_law(drawn: Drawn) -> None:
    """L·T = Σ W over a time that holds every visit, counted a second way: by stepping from event to event."""
    network, todo = drawn
    log = compiled.run(network, todo)
    visits = log.visits[log.visits["end"] != End.NONE]
    if not len(visits):
        return
    end_s = float(visits["left_s"].max()) + 1
    changes = np.concatenate([visits["came_s"], visits["left_s"]])
    signs = np.repeat([1, -1], len(visits))
    order = np.argsort(changes, kind="stable")
    area = float((np.cumsum(signs[order])[:-1] * np.diff(changes[order])).sum())
    assert np.isclose(present(visits["came_s"], visits["left_s"], 0.0, end_s) * end_s, area)
    assert np.isclose(area, (visits["left_s"] - visits["came_s"]).sum())


@settings(max_examples=100, deadline=None)
@given(work())
def test_no_server_is_idle_while_somebody_waits(drawn: Drawn) -> None:
    """Just after the beginning of every wait that is not over at once, all servers are busy."""
    network, todo = endless(drawn[0]), drawn[1]
    log = compiled.run(network, todo)
    where = station_of_visits(todo)
    for number, station in enumerate(network.stations):
        visits = log.visits[(where == number) & (log.visits["end"] != End.NONE)]
        served = visits[visits["end"] == End.OK]
        until = np.where(visits["end"] == End.OK, visits["began_s"], visits["left_s"])
        for came_s, until_s in zip(visits["came_s"], until, strict=True):
            for now_s in (came_s, (came_s + until_s) / 2) if until_s > came_s else ():
                busy = ((served["began_s"] <= now_s) & (served["left_s"] > now_s)).sum()
                assert busy == station.servers


@settings(max_examples=100, deadline=None)
@given(work())
def test_no_more_are_served_than_there_are_servers(drawn: Drawn) -> None:
    """And no service begins while a station is closed, whatever is left in service.

    Who is served elsewhere at the instant of a change comes before it (instants.py), so just before counts too. The
    hours and an outage may change a station at one instant; what takes servers away then comes first.
    """
    network, todo = drawn
    log = compiled.run(network, todo)
    where = station_of_visits(todo)
    for number, station in enumerate(network.stations):
        served = log.visits[(where == number) & (log.visits["end"] == End.OK)]
        for began_s in served["began_s"]:
            busy = ((served["began_s"] <= began_s) & (served["left_s"] > began_s)).sum()
            assert busy <= max(_servers_at(station, at_s) for at_s in (began_s, np.nextafter(began_s, -1)))


def _servers_at(station: Station, now_s: float) -> int:
    opened, limit = station.hours.servers[0], station.servers + 10
    for time_s, servers in station.hours.changes():
        if time_s > now_s:
            break
        opened = servers
    for outage in station.outages:
        if outage.from_s <= now_s < outage.to_s:
            limit = outage.servers
    return min(opened, limit)
