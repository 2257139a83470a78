"""The kinds of scenario: which one a file is, and the file read as what it is.

A kind is told by one key at the top; without any it is the main job's. May see simulation, which knows whether a
scenario's path reaches its levels and whether its list of agencies will do.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from caodiem.document import Document
from caodiem.errors import UsageError
from caodiem.network import NetworkScenario
from caodiem.scenario import Scenario
from caodiem.scenario_file import Change, companion, load_document, top_keys
from caodiem.series import SeriesScenario
from caodiem.shares import SharesScenario
from caodiem.year import YearScenario

if TYPE_CHECKING:
    from simulation.agencies import Agencies

# The key that makes a file a scenario of another kind than the main job's.
_KINDS: dict[str, type[Document]] = {
    "arrivals": NetworkScenario,
    "year": YearScenario,
    "series": SeriesScenario,
    "shares": SharesScenario,
}
# What no main scenario does without.
_MAIN_KEY = "adoption"


def load_any(path: Path) -> Document:
    """A scenario of whatever kind its keys say, and its list of agencies where it has one."""
    kind = kind_of(path)
    if kind is NetworkScenario:
        return load_network(path)
    scenario = load_main(path) if kind is Scenario else load_document(path, kind)
    if isinstance(scenario, Scenario):
        agencies_of(path, scenario)
    return scenario


def agencies_of(path: Path, scenario: Scenario) -> "Agencies":
    """The list of agencies that a scenario's file names; UsageError where it will not do, or not for this scenario."""
    from simulation import agencies

    try:
        return agencies.load(companion(path, scenario.agencies), scenario)
    except UsageError as error:
        raise UsageError("\n".join(f"{path}: {line}" for line in str(error).splitlines())) from error


def kind_of(path: Path) -> type[Document]:
    """The kind of scenario that a file's keys say it is; UsageError where they say two."""
    keys = top_keys(path)
    if not keys:
        raise UsageError(f"{path}: no keys; expected a scenario, or a network with [arrivals] and [[stations]]")
    if "stations" in keys and "arrivals" not in keys:
        return NetworkScenario
    said = [key for key in _KINDS if key in keys]
    # A year is a main scenario with one table more; files of other kinds share nothing with those.
    if said and said[0] != "year" and _MAIN_KEY in keys:
        said.append(_MAIN_KEY)
    if len(said) > 1:
        told = " and ".join(key if keys[key] == path else f"{key} (in {keys[key]})" for key in said)
        raise UsageError(f"{path}: {told}: expected one of them; each makes a scenario of another kind")
    return _KINDS[said[0]] if said else Scenario


def load_simulated(path: Path, changes: tuple[Change, ...] = ()) -> NetworkScenario | Scenario:
    """A network of its own or a scenario, with some keys changed."""
    return load_network(path, changes) if is_network(path) else load_main(path, changes)


def load_network(path: Path, changes: tuple[Change, ...] = ()) -> NetworkScenario:
    """A network to which somebody comes, that this machine has room for, and that the engine asked for takes."""
    from simulation import expectation, own, reference, replications

    scenario = load_document(path, NetworkScenario, changes)
    try:
        expectation.check(scenario)
        if scenario.run.engine not in ("auto", reference.NAME):
            replications.choose(scenario.run.engine, own.network_of(scenario))
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    return scenario


def load_main(path: Path, changes: tuple[Change, ...] = ()) -> Scenario:
    """A scenario whose levels its path reaches. UsageError names the command for a file of another kind."""
    from simulation import adoption

    kind = kind_of(path)
    if kind in (SeriesScenario, SharesScenario):
        raise UsageError(f"{path}: counts or shares over time; expected `caodiem project {path}`")
    if kind is not Scenario:
        told = "a network of its own" if kind is NetworkScenario else "a national year"
        raise UsageError(f"{path}: {told}; expected `caodiem simulate {path}`")
    scenario = load_document(path, Scenario, changes)
    way = adoption.path(scenario)
    try:
        for percent in scenario.levels:
            adoption.reached_on(way, percent)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    return scenario


def is_network(path: Path) -> bool:
    """Whether the file is a network of its own: it has `[arrivals]`."""
    return kind_of(path) is NetworkScenario


def is_year(path: Path) -> bool:
    """Whether the file is a year of the country: it has `[year]`."""
    return kind_of(path) is YearScenario
