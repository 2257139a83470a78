"""Random small offices and the cases that come to them, for the tests that hold over all of them."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from caodiem.scenario import Scenario
from simulation.cases import CASE, Channel
from simulation.desks import Desks
from simulation.office import OfficeClock

# Few times, all of them multiples of a half: so that many things happen at one instant.
GRID = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 7.0]
NEVER = [0.0, 0.5, 1.0, 2.0, 5.0, 9.0, np.inf]
AGENCIES = 3


def changed(scenario: Scenario, values: dict[str, Any]) -> Scenario:
    """The scenario with other values of its casework."""
    work = scenario.casework
    update = {key: getattr(work, key).model_copy(update={"value": value}) for key, value in values.items()}
    return scenario.model_copy(update={"casework": work.model_copy(update=update)})


@st.composite
def clocks(draw: st.DrawFn) -> OfficeClock:
    """Desks that open and close; the last opening is long enough for everybody."""
    edges = np.cumsum([draw(st.sampled_from([0.0, 1.0, 2.5])), *draw(st.lists(st.sampled_from([1.0, 2.0, 4.5])))])
    opens_s = edges[::2].copy()
    closes_s = np.append(edges[1::2], np.inf)[: len(opens_s)]
    closes_s[-1] = opens_s[-1] + 1e6
    return OfficeClock(opens_s, closes_s, np.concatenate([[0.0], np.cumsum(closes_s - opens_s)[:-1]]))


@st.composite
def work(draw: st.DrawFn) -> tuple[OfficeClock, Desks, np.ndarray, float]:
    """Clock, desks, at most 40 cases in order of filing, and the term of an answer."""
    clock = draw(clocks())
    count, term_s = draw(st.integers(1, 40)), draw(st.sampled_from([2.0, 4.0]))
    pick = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    made = np.zeros(count, dtype=CASE)
    made["dossier"] = 202605110000000 + np.arange(count)
    made["last_s"] = np.sort(pick.choice(GRID, count))
    made["ready_s"] = clock.to_office(made["last_s"] + pick.choice(GRID, count))
    made["ready_s"][pick.random(count) < 0.1] = np.nan
    made["withdrawn_s"] = np.where(pick.random(count) < 0.3, made["last_s"] + pick.choice(NEVER, count), np.inf)
    made["withdraws_s"] = clock.to_office(made["withdrawn_s"])
    for name in ("receive_s", "handle_s", "processing_s", "handle_again_s", "settle_s", "return_s"):
        made[name] = pick.choice(GRID, count)
    for name in ("answer_s", "pay_s"):
        after_s = pick.choice(NEVER, count)
        made[name] = np.where(after_s <= term_s, after_s, np.inf)
    made["agency"], made["channel"] = pick.integers(0, AGENCIES, count), pick.integers(0, len(Channel), count)
    made["components"] = pick.integers(1, 4, count)
    for name in ("refused", "supplements", "owes"):
        made[name] = pick.random(count) < 0.3
    means = np.ones(AGENCIES)
    promise_s = draw(st.sampled_from(GRID))
    return clock, Desks(pick.integers(1, 3, (AGENCIES, 2)), means, means, means, promise_s), made, term_s
