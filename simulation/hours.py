"""Hours of the busiest day, simulated whole: what a portal's clients feel while a system that it asks is away or slow.

The slice that is replayed is too short for an outage of an hour. So the journeys of whole hours are drawn anew for each
replication, for the whole country, as sizing draws its window (subject.py), and go through the portal as a network.
The figures are those of a network of one's own (figures.py, recovery.py), and beside them each SLO before, during and
after the fault.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from caodiem.plan import Plan
from caodiem.scenario import Scenario
from simulation import figures, objectives, recovery, replications
from simulation import work as works
from simulation.log import Log
from simulation.network import Network
from simulation.objectives import Counted, Rows
from simulation.subject import BusiestWindow, Drawn

Figures = dict[str, Any]
Phases = dict[str, tuple[float, float]]
CONFIDENCE = 0.95
_ALL = ["all"]


def simulate(scenario: Scenario, plan: Plan, progress: Callable[[float], None] = lambda share: None) -> Figures:
    """Replications of the hours that `plan` covers, a plan of the scenario's at any scale.

    `slo` has for each SLO and phase the share of bad steps, of those due in the phase, and the quantile of their
    response times, each with its interval over replications; a quantile of null was infinite.
    """
    assert scenario.hours is not None
    window = BusiestWindow(scenario, plan)
    network = window.sized(window.today)
    engine, run, notice = replications.choose(window.engine, network)
    span = recovery.fault(network, window.horizon_s)
    phases = _phases(span, window.horizon_s)
    found: list[Figures] = []
    failed: list[Figures] = []
    counted: list[list[Counted]] = []
    for number in range(scenario.hours.replications):
        work = works.of_plan(network, window.redrawn(1.0, number))
        log = run(network, work)
        found.append(_figures(network, work, log, window.horizon_s))
        counted.append(_counted(window, window.rows(Drawn(work, work.kind), log), phases))
        if span:
            failed.append(recovery.of_replication(work, log, span, window.horizon_s))
        progress((number + 1) / scenario.hours.replications)
    merged = replications.intervals(failed, CONFIDENCE) if span else {}
    return {
        "starts_at": plan.meta.starts_at,
        "horizon_s": window.horizon_s,
        "engine": engine,
        "notices": [notice] if notice else [],
        "seed": plan.meta.seed,
        "replications": len(found),
        "confidence": CONFIDENCE,
        **replications.intervals(found, CONFIDENCE),
        "slo": _judged(window, counted, phases),
        **({"faults": recovery.summary(failed, merged, span, window.horizon_s)} if span else {}),
    }


def _phases(span: tuple[float, float] | None, horizon_s: float) -> Phases:
    """Before, during and after the fault; without one the whole."""
    if span is None:
        return {"whole": (0.0, horizon_s)}
    return {"before": (0.0, span[0]), "during": span, "after": (span[1], horizon_s)}


def _figures(network: Network, work: works.Work, log: Log, horizon_s: float) -> Figures:
    """`system` and `stations`, as of a network of one's own."""
    journey = np.zeros(work.arrivals, dtype=np.int64)
    found = figures.of_replication(network, work, log, journey, _ALL, 0.0, horizon_s)
    return {name: found[name] for name in ("system", "stations")}


def _counted(window: BusiestWindow, rows: Rows, phases: Phases) -> list[Counted]:
    """Each SLO in each phase, phase by phase."""
    return [objectives.count(each, rows, *phase) for each in window.objectives for phase in phases.values()]


def _judged(window: BusiestWindow, counted: list[list[Counted]], phases: Phases) -> dict[str, Figures]:
    """By the SLO's name."""
    columns = iter(zip(*counted, strict=True))
    judged = {}
    for objective in window.objectives:
        told: Figures = asdict(objective)
        for phase in phases:
            one = objectives.judge(objective, list(next(columns)), CONFIDENCE)
            told[phase] = {"result": one.decision.value, "bad_share": one.bad_share, "response_s": one.response_s}
        judged[objective.name] = told
    return judged
