"""The compiled engine does what the reference engine says, visit by visit, bit for bit."""

import signal
from dataclasses import replace
from types import FrameType

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.stats import gamma

from caodiem.draws import uniform
from caodiem.errors import UsageError
from simulation import compiled, reference
from simulation import work as works
from simulation.distributions import Fixed, Gamma
from simulation.log import End
from simulation.network import Calendar, Network, Operation, Outage, Retries, Station, Visit
from tests.conftest import make_plan
from tests.simulation.networks import work


@settings(max_examples=1500, deadline=None)
@given(work())
def test_both_engines_write_the_same_log(drawn: tuple[Network, works.Work]) -> None:
    assert reference.run(*drawn).same_as(compiled.run(*drawn))


@pytest.mark.slow
@settings(max_examples=5_000, deadline=None)
@given(work())
def test_both_engines_write_the_same_log_however_long_one_tries(drawn: tuple[Network, works.Work]) -> None:
    assert reference.run(*drawn).same_as(compiled.run(*drawn))


def test_a_log_that_differs_in_one_bit_is_another() -> None:
    network, todo = one_station(Fixed(1.0), dues=5)
    found, other = compiled.run(network, todo), compiled.run(network, todo)
    other.visits["left_s"][3] = np.nextafter(other.visits["left_s"][3], 99)
    assert not found.same_as(other)


def test_both_engines_make_the_same_tables_of_a_plan() -> None:
    plan = make_plan([0.0, 0.0, 1.0, 1.5, 9.0], ("sign_in", "look_up_status"))
    retries = Retries(attempts=2, pause_s=0.5)
    network = Network(
        (Station("desk", 1, queue=1, outages=(Outage(3.0, 4.0, refuses=True),)),),
        {"sign_in": Operation((Visit(0, Fixed(1.0)),), retries=retries), "look_up_status": Operation(())},
    )
    meant, found = reference.execute(network, plan), compiled.execute(network, plan)
    assert found[0].drop(["worker"]).equals(meant[0].drop(["worker"]))
    assert found[1].equals(meant[1])
    assert set(meant[0]["outcome"].to_pylist()) == {"ok", "refused"}


def test_what_the_compiled_engine_lacks_is_refused_by_name() -> None:
    network, todo = one_station(Fixed(1.0), dues=1, attempts=2000)
    with pytest.raises(UsageError, match="takes no operation of more than 1023 attempts or visits"):
        compiled.run(network, todo)


def test_a_signal_is_heard_while_the_engine_runs() -> None:
    """A calendar that changes every 10 ns makes 10^10 events while one visit is served: minutes."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    network, todo = one_station(Fixed(100.0), dues=1)
    busy = replace(network.stations[0], calendar=Calendar((0.0,), (1,), period_s=1e-8))
    compiled.run(*one_station(Fixed(1.0), dues=1))  # so that nothing is left to compile, which hears signals too
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(KeyboardInterrupt):
            compiled.run(replace(network, stations=(busy,)), todo)
    finally:
        signal.signal(signal.SIGALRM, before)


def one_station(service: Fixed, dues: int, attempts: int = 1) -> tuple[Network, works.Work]:
    operation = Operation((Visit(0, service),), retries=Retries(attempts, 1.0, factor=1.0) if attempts > 1 else None)
    network = Network((Station("desk", 1),), {"ask": operation})
    zeros = np.zeros(dues, dtype=np.int64)
    steps = works.Steps(np.arange(dues) / 2, np.arange(dues + 1), np.arange(dues), zeros, zeros, np.zeros(dues))
    return network, works.draw(network, (operation,), steps, seed=1)


def test_later_attempts_are_drawn_for_the_blocks_that_make_them() -> None:
    """Three blocks of steps, of which the middle one fails: its second attempts are drawn, the others' are not."""
    block = 1 << works.BLOCK_BITS
    refuses = Outage(1.2 * block, 1.4 * block, refuses=True)
    operation = Operation((Visit(0, Gamma(0.1, 0.7)),), retries=Retries(3, pause_s=0.4 * block, jitter=0.5))
    network = Network((Station("desk", 1, outages=(refuses,)),), {"ask": operation})
    zeros = np.zeros(3 * block, dtype=np.int64)
    numbers = np.arange(3 * block)
    steps = works.Steps(numbers.astype(float), np.arange(3 * block + 1), numbers, zeros, zeros, zeros.astype(float))
    lazy, whole = (works.draw(network, (operation,), steps, seed=7) for _ in range(2))
    works.draw_rest(network, whole)
    log = compiled.run(network, lazy)
    assert lazy.drawn[:3, 0].tolist() == [[True, False, False], [True, True, False], [True, False, False]]
    assert log.same_as(compiled.run(network, whole))
    assert not np.isnan(log.visits["left_s"][log.visits["end"] == End.OK]).any()
    # One by one as keyed: nothing depends on what else is drawn in the same call, or on how the quantile is called.
    for step in (block + 5, 2 * block - 1):
        chance = uniform(7, "service desk 0", step, 0, 1)
        assert lazy.service_s[lazy.visit_at[step] + 1] == gamma.ppf(chance, 0.7**-2, scale=0.1 * 0.7**2)[0]
    works.draw_rest(network, lazy)
    assert lazy.service_s.tobytes() == whole.service_s.tobytes()


def test_ends_are_all_met_by_random_work() -> None:
    """The strategy reaches every branch: else the test above proves little."""
    seen: set[int] = set()

    @settings(max_examples=200, deadline=None, database=None)
    @given(work())
    def collect(drawn: tuple[Network, works.Work]) -> None:
        log = compiled.run(*drawn)
        seen.update(log.visits["end"].tolist(), log.attempts["end"].tolist())

    collect()
    assert seen == {int(end) for end in End}
