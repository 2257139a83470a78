"""Processes side by side: the adoption levels of a run, each in one of its own, or the points of a sweep.

Ctrl-C in the parent ends the children at once, and they end by themselves when it is killed; they leave no half-written
table, since tables are written whole.
"""

import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from caodiem import observations, run
from caodiem.errors import InvalidRun
from caodiem.plan import Plan
from caodiem.scenario import Scenario
from simulation import agencies, compiled, level, network

# What is asked for where the memory is too small.
SMALLER_SAMPLE = "less to do with a smaller --scale"
_POLL_S = 0.1
_CONTEXT = multiprocessing.get_context("spawn")
_told: Any = None


def simulate_levels(
    scenario: Scenario, agencies_file: Path, scale: float, into: run.Run, progress: dict[float, Callable[[float], None]]
) -> None:
    """Draw and simulate every level of the scenario into its folder; `progress` has a bar for each level."""
    told = _CONTEXT.Queue()
    with processes(len(scenario.levels), SMALLER_SAMPLE, told) as pool:
        jobs = [
            pool.submit(_simulate_level, scenario, agencies_file, percent, scale, into) for percent in scenario.levels
        ]
        _follow(jobs, told, progress)


@contextmanager
def processes(most: int, remedy: str, told: Any = None) -> Iterator[ProcessPoolExecutor]:
    """At most so many processes, and no more than cores; an error or Ctrl-C in the parent ends them at once.

    InvalidRun, with `remedy` at its end, when one of them is killed or cannot start.
    """
    workers = min(most, multiprocessing.cpu_count())
    with ProcessPoolExecutor(workers, _CONTEXT, initializer=_begin, initargs=(told,)) as pool:
        try:
            yield pool
        except BaseException as error:
            for child in multiprocessing.active_children():
                child.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
            if isinstance(error, BrokenProcessPool):
                why = "as where the system lacks memory; expected more of it, or"
                raise InvalidRun(f"a process of this command ended early, {why} {remedy}") from error
            raise


def _follow(jobs: list[Future[None]], told: Any, progress: dict[float, Callable[[float], None]]) -> None:
    """Pass progress on until every job is done; the first error of a job is raised."""
    while not all(job.done() for job in jobs):
        try:
            percent, share = told.get(timeout=_POLL_S)
            progress[percent](share)
        except queue.Empty:
            continue
        for job in jobs:
            if job.done():
                job.result()
    for job in jobs:
        job.result()
    for bar in progress.values():
        bar(1.0)


def _begin(told: Any) -> None:
    """In each child: the parent alone answers Ctrl-C, and the child ends with it."""
    global _told
    _told = told
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # A parent that was killed tells nobody: its children would wait for work, and hold their memory, for ever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _simulate_level(scenario: Scenario, agencies_file: Path, percent: float, scale: float, into: run.Run) -> None:
    place = into.level(percent)
    known = agencies.load(agencies_file, scenario)
    drawn = level.draw(scenario, known, percent, scale, place, lambda share: _told.put((percent, 0.9 * share)))
    predict(scenario, drawn, place)


def predict(scenario: Scenario, drawn: Plan, place: run.Level) -> None:
    """The compiled engine's observations of a plan, into the level's folder."""
    rows, components = compiled.execute(network.of(scenario.portal, drawn.meta), drawn)
    into = place.executed("simulated")
    into.folder.mkdir(parents=True, exist_ok=True)
    observations.write(rows, into.observations)
    observations.write(components, into.components)
