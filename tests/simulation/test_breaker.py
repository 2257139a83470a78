"""Circuit breakers, rate limits and entrances: traces worked out by hand, and breakers recomputed from the log."""

import numpy as np
import pytest

from caodiem.draws import uniform
from simulation import compiled, reference
from simulation import work as works
from simulation.distributions import Exponential, Fixed
from simulation.log import End, Log
from simulation.network import Breaker, Network, Operation, Outage, Pace, Retries, Station, Visit

ENGINES = [reference.run, compiled.run]
OK, REFUSED, CUT = End.OK, End.REFUSED, End.CUT_OFF


def work_at(network: Network, operations: tuple[Operation, ...], due_s: list[float]) -> works.Work:
    """Journeys at these times, each with one step of every operation."""
    count, steps = len(due_s), len(operations)
    return works.draw(
        network,
        operations,
        works.Steps(
            np.array(due_s, dtype=float),
            np.arange(count + 1) * steps,
            np.repeat(np.arange(count), steps),
            np.tile(np.arange(steps), count),
            np.tile(np.arange(steps), count),
            np.zeros(count * steps),
        ),
        seed=1,
    )


def guarded(breaker: Breaker, queue: int = 0, **more: object) -> tuple[Network, tuple[Operation, ...]]:
    visit = Operation((Visit(0, Fixed(1.0)),))
    return Network((Station("desk", 1, queue=queue, breaker=breaker, **more),)), (visit,)  # type: ignore[arg-type]


@pytest.mark.parametrize("run", ENGINES)
def test_a_breaker_opens_probes_and_closes(run: object) -> None:
    """Somebody each second, a service of a second, nobody let in from 2 to 6.5.

    2 and 3 fail: two in a row, open until 6. 4, 5 are cut off. The probe of 6 fails: open until 9. 7, 8 are cut off.
    The probe of 9 is served until 10, when the breaker closes, just before the next comes.
    """
    breaker = Breaker(share=1, calls=2, least=2, open_s=3)
    network, operations = guarded(breaker, outages=(Outage(2, 6.5, refuses=True),))
    log = run(network, work_at(network, operations, [float(k) for k in range(12)]))  # type: ignore[operator]
    assert log.visits["end"].tolist() == [OK, OK, REFUSED, REFUSED, CUT, CUT, REFUSED, CUT, CUT, OK, OK, OK]
    assert log.attempts["end"].tolist() == [OK, OK, *7 * [REFUSED], OK, OK, OK]


@pytest.mark.parametrize("run", ENGINES)
def test_two_probes_must_both_succeed_and_others_wait_for_neither(run: object) -> None:
    """Nobody is let in from 0 to 2; one failure opens for 2 s. At 2 a probe is served, at 2.25 the other waits until 3;
    2.5 and 3 are too many. At 4 the second has succeeded: closed. 4.25 waits, 4.5 finds the queue full: open again.
    """
    breaker = Breaker(share=0.5, calls=4, least=1, open_s=2, probes=2)
    network, operations = guarded(breaker, 1, outages=(Outage(0, 2, refuses=True),))
    log = run(network, work_at(network, operations, [0, 1, 2, 2.25, 2.5, 3, 4, 4.25, 4.5, 5]))  # type: ignore[operator]
    assert log.visits["end"].tolist() == [REFUSED, CUT, OK, OK, CUT, CUT, OK, OK, REFUSED, CUT]


@pytest.mark.parametrize("run", ENGINES)
def test_who_is_too_late_for_a_client_has_failed(run: object) -> None:
    """Services take 3 s, clients wait for 1: two time-outs open the breaker at 2.25, for 10 s.

    Who came at 2.2 is served from 3 on for nobody: its failure no longer counts.
    """
    network = Network((Station("desk", 1, breaker=Breaker(share=0.6, calls=3, least=2, open_s=10)),))
    operation = Operation((Visit(0, Fixed(3.0)),), timeout_s=1.0)
    log = run(network, work_at(network, (operation,), [0, 1.25, 2.2, 2.25, 12.2, 12.25, 12.3]))  # type: ignore[operator]
    assert log.visits["end"].tolist() == [OK, End.TIMED_OUT, OK, CUT, CUT, OK, CUT]
    assert log.attempts["end"][0] == End.TIMED_OUT


@pytest.mark.parametrize("run", ENGINES)
def test_a_paced_station_begins_a_burst_and_then_by_the_clock(run: object) -> None:
    network = Network((Station("desk", 9, pace=Pace(rate_per_s=0.5, burst=2)),))
    operation = Operation((Visit(0, Fixed(0.25)),))
    log = run(network, work_at(network, (operation,), [1, 1, 1, 1, 20, 20, 20]))  # type: ignore[operator]
    assert log.visits["began_s"].tolist() == [1, 1, 3, 5, 20, 20, 22]


@pytest.mark.parametrize("run", ENGINES)
def test_an_entrance_keeps_a_journey_s_place_to_its_end(run: object) -> None:
    """Two inside: each needs 1 s at the desk and a retry 2 s after being refused there, where one works and none waits.

    0 is served until 1. 0.25 is refused and comes again at 2.25. 0.5 waits outside, comes in at 1, is
    served until 2. 0.75 comes in at 2, is served until 3, so 0.25 is refused at 2.25 again: of two attempts none is
    left, its place goes on to 0.9, who is refused at once and at 4.25 is served until 5.25.
    """
    network = Network((Station("desk", 1, queue=0), Station("entrance", 2, queue=3, entrance=True)))
    desk = Operation((Visit(0, Fixed(1.0)),), retries=Retries(2, 2.0))
    todo = work_at(network, (Operation((Visit(1, Fixed(0.0)),)), desk), [0, 0.25, 0.5, 0.75, 0.9, 0.95])
    log = run(network, todo)  # type: ignore[operator]
    inside = log.visits[todo.visit_at[todo.first[:-1]]]
    assert inside["end"].tolist() == [*5 * [OK], REFUSED]
    assert inside["began_s"][:5].tolist() == [0, 0.25, 1, 2, 2.25]
    assert inside["left_s"].tolist() == [1, 2.25, 2, 3, 5.25, 0.95]


@pytest.mark.parametrize("seed", range(4))
def test_breakers_recomputed_from_the_log_cut_off_the_same_visits(seed: int) -> None:
    """A second computation, from what was written: who came when, and when its client knew how the visit ended."""
    breaker = Breaker(share=0.5, calls=10, least=6, open_s=1.5, probes=3)
    network = Network(
        (Station("desk", 2, queue=5, breaker=breaker, outages=(Outage(20, 30), Outage(50, 52, refuses=True))),)
    )
    operation = Operation(
        (Visit(0, Exponential(0.5), Exponential(1.0)),), timeout_s=1.2, retries=Retries(3, 0.3, jitter=1)
    )
    due_s = np.cumsum(-np.log(uniform(seed, "gap", np.arange(400)))) / 3.0
    log = compiled.run(network, work_at(network, (operation,), due_s.tolist()))
    cut_off = log.visits["end"] == End.CUT_OFF
    assert 20 < cut_off.sum() < 600
    assert np.array_equal(recomputed(breaker, log), np.flatnonzero(cut_off))


def recomputed(breaker: Breaker, log: Log) -> np.ndarray:
    """Which visits must be cut off; one visit an attempt, no two things at one instant."""
    made = np.flatnonzero(log.visits["end"] != End.NONE)
    # An end is put before what comes at that instant: whoever is refused is so at the instant of coming, though.
    happens = [(log.visits["came_s"][i], 0, i) for i in made] + [(log.attempts["ended_s"][i], 1, i) for i in made]
    opened_s, history, let_in, cut = None, "", {}, []
    epoch = 0
    for now_s, is_end, i in sorted(happens):
        half_open = opened_s is not None and now_s >= opened_s + breaker.open_s
        if not is_end:
            probing = half_open and sum(each == epoch for each in let_in.values()) < breaker.probes
            if opened_s is not None and not probing:
                cut.append(i)
            else:
                let_in[i] = epoch
        elif let_in.get(i) == epoch:
            history += "+" if log.attempts["end"][i] == End.OK else "-"
            last = history[-breaker.calls :]
            if opened_s is None:
                change = opens = len(last) >= breaker.least and last.count("-") / len(last) >= breaker.share
            else:
                opens = history[-1] == "-"
                change = opens or len(history) == breaker.probes
            if change:
                epoch, history, opened_s = epoch + 1, "", now_s if opens else None
    return np.array(sorted(cut))
