"""Hours of the busiest day, simulated whole: what a portal's clients feel while a system that it asks is away or slow.

The slice that is replayed is too short for an outage of an hour. So the journeys of whole hours are drawn anew for each
replication, for the whole country, as sizing draws its window (subject.py), and go through the portal as a network.
The figures are those of a network of one's own (figures.py, recovery.py), and beside them each SLO before, during and
after the fault. Sizing takes the hours too (`WholeHours`).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from caodiem.plan import Plan
from caodiem.scenario import Scenario
from simulation import figures, objectives, recovery, replications
from simulation import work as works
from simulation.log import Log
from simulation.network import Network
from simulation.objectives import WHOLE, Counted, Phase
from simulation.subject import MOST_FACTOR, BusiestWindow, Drawn

Figures = dict[str, Any]
CONFIDENCE = 0.95
_ALL = ["all"]
# Replications after which sizing looks first whether they decide: each is long, with little left to chance.
_PILOTS = 3
# Visits that the attempts of one replication could make: a few gigabytes of draws and logs.
_MOST_VISITS = 2**25


class WholeHours(BusiestWindow):
    """The portal in the hours that a plan covers. Each SLO is held before, during and after the fault by itself."""

    def __init__(self, scenario: Scenario, plan: Plan) -> None:
        assert scenario.hours is not None
        super().__init__(scenario, plan)
        self.replications = min(_PILOTS, scenario.hours.replications)
        self.most_replications = scenario.hours.replications
        self.confidence = CONFIDENCE
        self.span = recovery.fault(self.sized(self.today), self.horizon_s)
        self.objectives = [replace(each, phase=phase) for each in self.objectives for phase in self._phases()]
        self.most_factor = min(max(_MOST_VISITS / max(self.visits(), 1), 1.0), MOST_FACTOR)

    def _phases(self) -> list[Phase]:
        """Before, during and after the fault, but for what has no time; without one the whole."""
        if self.span is None:
            return [Phase(WHOLE.name, 0.0, self.horizon_s)]
        from_s, to_s = self.span
        phases = [Phase("before", 0.0, from_s), Phase("during", from_s, to_s), Phase("after", to_s, self.horizon_s)]
        return [each for each in phases if each.from_s < each.to_s]


def simulate(scenario: Scenario, plan: Plan, progress: Callable[[float], None] = lambda share: None) -> Figures:
    """Replications of the hours that `plan` covers, a plan of the scenario's at any scale.

    `slo` has for each SLO and phase the share of bad steps, of the journeys due in the phase, and the quantile of their
    response times, each with its interval over replications; a quantile of null was infinite.
    """
    window = WholeHours(scenario, plan)
    network = window.sized(window.today)
    engine, run, notice = replications.choose(window.engine, network)
    found: list[Figures] = []
    failed: list[Figures] = []
    counted: list[list[Counted]] = []
    for number in range(window.most_replications):
        drawn = window.draw(1.0, number)
        log = run(network, drawn.work)
        found.append(_figures(network, drawn.work, log, window.horizon_s))
        counted.append(_counted(window, drawn, log))
        if window.span:
            failed.append(recovery.of_replication(drawn.work, log, window.span, window.horizon_s))
        progress((number + 1) / window.most_replications)
    merged = replications.intervals(failed, CONFIDENCE) if window.span else {}
    return {
        "starts_at": plan.meta.starts_at,
        "horizon_s": window.horizon_s,
        "engine": engine,
        "notices": [notice] if notice else [],
        "seed": plan.meta.seed,
        "replications": len(found),
        "confidence": CONFIDENCE,
        **replications.intervals(found, CONFIDENCE),
        "slo": _judged(window, counted),
        **({"faults": recovery.summary(failed, merged, window.span, window.horizon_s)} if window.span else {}),
    }


def _figures(network: Network, work: works.Work, log: Log, horizon_s: float) -> Figures:
    """`system` and `stations`, as of a network of one's own."""
    journey = np.zeros(work.arrivals, dtype=np.int64)
    found = figures.of_replication(network, work, log, journey, _ALL, 0.0, horizon_s)
    return {name: found[name] for name in ("system", "stations")}


def _counted(window: WholeHours, drawn: Drawn, log: Log) -> list[Counted]:
    rows = window.rows(drawn, log)
    return [objectives.count(each, rows, 0.0) for each in window.objectives]


def _judged(window: WholeHours, counted: list[list[Counted]]) -> dict[str, Figures]:
    """By the SLO's rule, its phases in it."""
    judged: dict[str, Figures] = {}
    for objective, column in zip(window.objectives, zip(*counted, strict=True), strict=True):
        said = {"of": objective.of, "kind": objective.kind, "allowed": objective.allowed, "limit_s": objective.limit_s}
        one = objectives.judge(objective, list(column), CONFIDENCE)
        told = {"result": one.decision.value, "bad_share": one.bad_share, "response_s": one.response_s}
        judged.setdefault(objective.rule, said)[objective.phase.name] = told
    return judged
