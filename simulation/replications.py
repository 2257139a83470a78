"""Replications of a planner's network: how many, from where on they count, and what interval they give.

Each replication is a run of its own seed, so its figures are independent of the others', and Student's interval over
them is one. A quantile is taken of all replications' values together, since that of a short run alone is too low in the
mean; its interval takes each replication as one cluster, as waits within a run are correlated.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import stdtrit

from caodiem.behaviour import seconds
from caodiem.errors import UsageError
from caodiem.network import NetworkScenario
from caodiem.quantity import Quantity
from simulation import expectation, figures, own, recovery, reference
from simulation.figures import QUANTILES, Ended, Figures, Pooled, Spread
from simulation.log import Log
from simulation.network import Network
from simulation.work import Work

Floats = np.ndarray
Engine = Callable[[Network, Work], Log]
_BATCH = 5
NO_STEADY_STATE = "MSER-5 found no steady state in the first half of the horizon; expected a longer one, or less load"
MOST_PILOTS = 10
# Of fewer journeys MSER-5 finds no steady state by chance alone: half of the time of 30, one time of 15 of 100.
_TELLING = 200


def simulate(scenario: NetworkScenario, progress: Callable[[float], None] = lambda share: None) -> dict[str, Any]:
    """Run the replications; the figures with their intervals, and how they were made."""
    network, horizon_s = own.network_of(scenario), seconds(scenario.run.horizon)
    engine, run, notice = choose(scenario.run.engine, network)
    from_s, warm_up_note = _warm_up_s(scenario, network, run)
    span = recovery.fault(network, horizon_s)
    found: list[Figures] = []
    failed: list[Figures] = []
    asked = scenario.run.replications
    while len(found) < asked:
        work, journey = own.draw(scenario, network, len(found))
        log = run(network, work)
        names = own.journeys(scenario)
        found.append(figures.of_replication(network, work, log, journey, names, from_s, horizon_s))
        if span:
            failed.append(recovery.of_replication(work, log, span, horizon_s))
        if len(found) == asked and not _precise(scenario, found) and asked < scenario.run.most_replications:
            asked += 1
        progress(len(found) / asked)
    return {
        "title": scenario.title,
        "scenario_hash": scenario.hash,
        "engine": engine,
        "notices": [
            *(note for note in (notice, warm_up_note, _precision_note(scenario, found)) if note),
            *expectation.overloads(scenario),
        ],
        "seed": scenario.run.seed,
        "replications": len(found),
        "confidence": scenario.run.confidence,
        "horizon_s": horizon_s,
        "warm_up_s": from_s,
        **intervals(found, scenario.run.confidence),
        **_faults(failed, scenario.run.confidence, span, horizon_s),
    }


def _faults(
    failed: list[Figures], confidence: float, span: tuple[float, float] | None, horizon_s: float
) -> dict[str, Figures]:
    """`faults`, where something fails."""
    if span is None:
        return {}
    return {"faults": recovery.summary(failed, intervals(failed, confidence), span, horizon_s)}


def choose(asked: str, network: Network) -> tuple[str, Engine, str]:
    """(name, engine, notice): the compiled one, or the reference where asked for or where the other lacks something."""
    if asked == reference.NAME:
        return reference.NAME, reference.run, ""
    # Imported here: a planner who asks for the reference needs no Numba.
    from simulation import compiled

    missing = compiled.unsupported(network)
    if not missing:
        return compiled.NAME, compiled.run, ""
    lacks = f"the compiled engine takes no {', no '.join(missing)}"
    if asked == compiled.NAME:
        raise UsageError(f'run.engine = "compiled": {lacks}; expected "auto" or "reference"')
    return reference.NAME, reference.run, f"{lacks}; the reference engine ran instead"


def interval(values: list[float], confidence: float) -> dict[str, float]:
    """The mean over replications and Student's interval around it; no interval from fewer than two."""
    known = np.array([value for value in values if not math.isnan(value)])
    if len(known) == 0:
        return {"value": math.nan, "low": math.nan, "high": math.nan}
    mean = float(known.mean())
    if len(known) == 1:
        return {"value": mean, "low": math.nan, "high": math.nan}
    half = float(stdtrit(len(known) - 1, (1 + confidence) / 2) * known.std(ddof=1) / math.sqrt(len(known)))
    return {"value": mean, "low": mean - half, "high": mean + half}


def intervals(found: list[Figures], confidence: float) -> Figures:
    """The same figures, each number replaced by its interval over the replications."""
    return {key: _interval_of([each[key] for each in found], confidence) for key in found[0]}


def _interval_of(values: list[Any], confidence: float) -> Any:
    if isinstance(values[0], np.ndarray):
        each = [interval(list(column), confidence) for column in np.transpose(values)]
        return {name: [one[name] for one in each] for name in ("value", "low", "high")}
    if isinstance(values[0], Spread):
        return _of_spreads(values, confidence)
    return intervals(values, confidence) if isinstance(values[0], dict) else interval(values, confidence)


def _of_spreads(spreads: list[Spread], confidence: float) -> Figures:
    """The mean with Student's interval, and quantiles of all values together."""
    known = [each for each in spreads if each.count]
    if not known:
        return {name: interval([], confidence) for name in ("mean", *QUANTILES)}
    pooled = figures.pooled(known)
    found: Figures = {"mean": interval([each["mean"] for each in known], confidence)}
    return found | {name: _of_quantile(q, known, pooled, confidence) for name, q in QUANTILES.items()}


def _of_quantile(q: float, spreads: list[Spread], pooled: Pooled, confidence: float) -> dict[str, float]:
    """A quantile with R. Woodruff's interval (JASA 47, 1952), replications being the clusters: of the share that does
    not exceed it, Student's interval of a ratio, and the quantiles at the two ends of that.
    """
    value, count = pooled.quantile(q), len(spreads)
    if count == 1:
        return {"value": value, "low": math.nan, "high": math.nan}
    sizes = np.array([each.count for each in spreads], dtype=np.float64)
    within = np.array([each.within(value) for each in spreads])
    residuals = (within - within.sum() / sizes.sum() * sizes) / sizes.mean()
    half = float(stdtrit(count - 1, (1 + confidence) / 2)) * float(residuals.std(ddof=1)) / math.sqrt(count)
    return {"value": value, "low": pooled.quantile(q - half), "high": pooled.quantile(q + half)}


def mser5(series: Floats) -> int:
    """How many leading values to leave out (White 1997, MSER-5): the batches of five before the place d that makes
    the standard error of the rest, s²(d) / (n - d)², least. Only the first half is searched.
    """
    batches = series[: len(series) // _BATCH * _BATCH].reshape(-1, _BATCH).mean(axis=1)
    count = len(batches)
    if count < 2:
        return 0
    # Sums of the values from d on, for every d at once; around the mean, so that no digits are lost.
    centred = batches - batches.mean()
    left = np.arange(count, 0, -1)
    sums, squares = centred[::-1].cumsum()[::-1], (centred**2)[::-1].cumsum()[::-1]
    errors = (squares - sums**2 / left) / left**2
    return int(np.argmin(errors[: count // 2 + 1])) * _BATCH


def _warm_up_s(scenario: NetworkScenario, network: Network, run: Engine) -> tuple[float, str]:
    """(seconds to leave out, notice). MSER-5 looks at the response times averaged over pilot replications."""
    asked = scenario.run.warm_up
    if isinstance(asked, Quantity):
        return seconds(asked), ""
    if asked is None and not scenario.steady:
        return 0.0, ""
    responses, dues = [], []
    for replication in range(min(scenario.run.replications, MOST_PILOTS)):
        work, _ = own.draw(scenario, network, replication)
        ended = Ended(work, run(network, work))
        responses.append(ended.ended_s - ended.due_s)
        dues.append(work.due_s)
    from_s, steady = settled_from_s(dues, responses)
    return from_s, "" if steady else NO_STEADY_STATE


def settled_from_s(dues: list[Floats], responses: list[Floats]) -> tuple[float, bool]:
    """(seconds to leave out, by MSER-5 over the mean of replications; False where it found no steady state).

    It says nothing of a steady state, for or against, where a replication has fewer journeys than that tells.
    """
    length = min(len(each) for each in responses)
    left_out = mser5(np.mean([each[:length] for each in responses], axis=0))
    if left_out == 0:
        return 0.0, True
    found = length < _TELLING or left_out < (length // _BATCH // 2) * _BATCH
    return float(np.mean([each[left_out] for each in dues])), found


def _precise(scenario: NetworkScenario, found: list[Figures]) -> bool:
    """Whether the mean response is as precise as asked: half its interval over the mean."""
    if scenario.run.precision is None:
        return True
    mean = interval([each["system"]["response_s"]["mean"] for each in found], scenario.run.confidence)
    return bool((mean["high"] - mean["low"]) / 2 <= scenario.run.precision * mean["value"])


def _precision_note(scenario: NetworkScenario, found: list[Figures]) -> str:
    if _precise(scenario, found):
        return ""
    return f"the precision asked for was not reached in {len(found)} replications"
