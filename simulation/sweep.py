"""A sweep: a scenario at every point of a grid of settings, each point's figures kept as soon as they are there.

Points run in local processes or on a Dask cluster. A point's file is named by all that its figures depend on (the
resolved scenario, the agencies, the scale, this code), so a sweep goes on where it stopped and never takes figures of
another scenario or version for its own.
"""

import hashlib
import logging
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import as_completed
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from caodiem import observations, run, summary
from caodiem.errors import InvalidRun, UsageError
from caodiem.network import NetworkScenario
from caodiem.scenario import Scenario
from simulation import agencies, level, own, replications
from simulation.parallel import SMALLER_SAMPLE, predict, processes

_CONNECT_S = 10
_GOES_ON = "the same command goes on from what is finished"
CONFIDENCE = 0.95
Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Point:
    """One scenario of the grid, with all that its figures depend on."""

    settings: tuple[tuple[str, Any], ...]  # key and value
    scenario: NetworkScenario | Scenario
    agencies: str  # the text of the scenario's list of agencies; empty for a network of its own
    scale: float
    code: str

    @property
    def hash(self) -> str:
        parts = (self.scenario.hash, hashlib.sha256(self.agencies.encode()).hexdigest(), repr(self.scale), self.code)
        return hashlib.sha256("/".join(parts).encode()).hexdigest()


def code_hash() -> str:
    """SHA-256 of the modules that figures depend on: whatever is in simulation/ and directly in caodiem/."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted([*here.glob("*.py"), *(here.parent / "caodiem").glob("*.py")]):
        digest.update(f"{path.parent.name}/{path.name}".encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def execute(
    points: list[Point], into: Path, scheduler: str | None, progress: Callable[[float], None] = lambda share: None
) -> int:
    """Run every point that has no file in `into` yet, and write its file; how many had one already.

    InvalidRun when processes or workers die again and again; what was finished is kept.
    """
    missing = [point for point in points if not (into / f"{point.hash}.json").is_file()]
    known = len(points) - len(missing)
    progress(known / len(points))
    for number, (point, figures) in enumerate(_results(missing, scheduler) if missing else (), 1):
        settings = [list(each) for each in point.settings]
        run.write_json(into / f"{point.hash}.json", {"settings": settings, "figures": figures})
        progress((known + number) / len(points))
    return known


def figures_of(point: Point) -> Figures:
    """The figures of a point; InvalidRun where other code runs than that which the point was made for."""
    if code_hash() != point.code:
        raise InvalidRun("a worker runs another version of Caodiem; expected the same code on every machine")
    if isinstance(point.scenario, NetworkScenario):
        return replications.simulate(point.scenario)
    with tempfile.TemporaryDirectory(prefix="caodiem-sweep-") as folder:
        return _figures_of_levels(point.scenario, point, Path(folder))


def _figures_of_levels(scenario: Scenario, point: Point, folder: Path) -> Figures:
    file = folder / "agencies.csv"
    file.write_text(point.agencies, encoding="utf-8")
    known, found = agencies.load(file, scenario), {}
    for percent in scenario.levels:
        place = run.Level(folder / f"level-{percent:g}")
        predict(scenario, level.draw(scenario, known, percent, point.scale, place), place)
        rows = observations.read(place.executed("simulated").observations)
        traffic = run.read_json(place.traffic)
        found[f"{percent:g}%"] = {
            "busiest_hour": {name: each for name, each in traffic["busiest_hour"].items() if not isinstance(each, str)},
            "offered_load_erlangs": traffic["plan"]["offered_load_erlangs"],
            **summary.summarise(rows),
            **({"hours": run.read_json(place.hours)} if place.hours.is_file() else {}),
        }
    return {"levels": found}


def _results(points: list[Point], scheduler: str | None) -> Iterator[tuple[Point, Figures]]:
    """Points with their figures as they come."""
    with _local(points) if scheduler is None else _on_cluster(points, scheduler) as results:
        yield from results


@contextmanager
def _local(points: list[Point]) -> Iterator[Iterator[tuple[Point, Figures]]]:
    is_network = isinstance(points[0].scenario, NetworkScenario)
    remedy = "a shorter run.horizon or fewer run.replications" if is_network else SMALLER_SAMPLE
    with processes(len(points), f"{remedy}; {_GOES_ON}") as pool:
        jobs = {pool.submit(figures_of, point): point for point in points}
        yield ((jobs[job], job.result()) for job in as_completed(jobs))


@contextmanager
def _on_cluster(points: list[Point], scheduler: str) -> Iterator[Iterator[tuple[Point, Figures]]]:
    """Dask gives a lost worker's points to others, also those whose figures it had not handed over yet."""
    with _client(scheduler) as client:
        from distributed import CancelledError, KilledWorker
        from distributed import as_completed as as_dask_completes

        jobs = {job.key: (job, point) for point in points for job in [client.submit(figures_of, point, key=point.hash)]}
        try:
            done = as_dask_completes([job for job, _ in jobs.values()], loop=client.loop)
            yield ((jobs[job.key][1], job.result()) for job in done)
        except KilledWorker as error:
            raise InvalidRun(f"workers die again and again at one point ({error}); what is finished is kept") from error
        except CancelledError as error:
            raise InvalidRun(f"--scheduler {scheduler}: the scheduler is gone; {_GOES_ON}") from error
        finally:
            client.cancel([job for job, _ in jobs.values()])


def workers(scheduler: str) -> int:
    """How many workers a cluster has just now; UsageError where none is at this address."""
    with _client(scheduler) as client:
        return len(client.scheduler_info(n_workers=-1)["workers"])


def _client(scheduler: str) -> AbstractContextManager[Any]:
    try:
        from distributed import Client
        from distributed.comm import get_address_host_port
    except ImportError as error:
        raise UsageError(f"--scheduler {scheduler}: expected the package distributed (extra `cluster`)") from error
    # It would log each attempt to come back to a scheduler that is gone, with the stack; we say it once.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    try:
        # A client of an address that is none takes half a minute to end.
        get_address_host_port(scheduler)
        return Client(scheduler, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        expected = "expected the address of a Dask scheduler that runs, as tcp://host:8786"
        raise UsageError(f"--scheduler {scheduler}: {error or 'no answer'}; {expected}") from error


def replicated(points: list[Point], replications: int) -> list[Point]:
    """Each point so many times, with a seed of its own each time: the first with the scenario's, then the same seeds
    for all points of one seed.
    """
    return [
        replace(point, scenario=point.scenario.model_copy(update={"seed": seed}))
        for point in points
        if isinstance(point.scenario, Scenario)
        for seed in (point.scenario.seed, *(own.seed_of(point.scenario.seed, n) for n in range(1, replications)))
    ]


def rows(points: list[Point], into: Path) -> list[Figures]:
    """The table: of each finished point its settings, then its figures, flat; an interval is three columns.

    Points of the same settings are replications of one: each figure becomes the interval over them.
    """
    found: dict[str, list[Figures]] = {}
    settings = {}
    for point in points:
        path, key = into / f"{point.hash}.json", repr(point.settings)
        if path.is_file():
            settings[key] = dict(point.settings)
            found.setdefault(key, []).append(run.read_json(path)["figures"])
    return [settings[key] | (_flat(made[0]) if len(made) == 1 else _over(made)) for key, made in found.items()]


def _over(replications_made: list[Figures]) -> Figures:
    """The flat figures over replications, each with its interval; one that any replication lacks (or in which it was
    infinite) has none. What was asked for stays as it is, and the seed, of which each has another, is left out.
    """
    flat = [_flat(_values(each)) for each in replications_made]
    merged: Figures = {"replications": len(flat)}
    for key in flat[0]:
        values, name = [each.get(key) for each in flat], key.rpartition(".")[2]
        if name == "seed":
            continue
        if name not in _ASKED and all(isinstance(value, int | float) for value in values):
            found = replications.interval([float(value) for value in values if value is not None], CONFIDENCE)
            merged |= {key: found["value"], f"{key}.low": found["low"], f"{key}.high": found["high"]}
        else:
            merged[key] = values[0] if all(value == values[0] for value in values) else None
    return merged


def _values(figures: Any) -> Any:
    """The same figures, each interval within a replication replaced by its value."""
    if not isinstance(figures, dict):
        return figures
    return figures["value"] if set(figures) == _INTERVAL else {name: _values(each) for name, each in figures.items()}


_INTERVAL = {"value", "low", "high"}
# By the last part of their names: numbers that a scenario says, not figures of what came of it.
_ASKED = ("replications", "confidence", "horizon_s", "from_s", "to_s", "allowed", "limit_s")
_LEFT_OUT = ("title", "scenario_hash", "notices")


def _flat(figures: Figures, above: str = "") -> Figures:
    flat: Figures = {}
    for name, each in figures.items():
        key = f"{above}.{name}" if above else name
        if key in _LEFT_OUT:
            continue
        if isinstance(each, dict) and set(each) == _INTERVAL:
            flat |= {key: each["value"], f"{key}.low": each["low"], f"{key}.high": each["high"]}
        elif isinstance(each, dict):
            flat |= _flat(each, key)
        else:
            flat[key] = each
    return flat
