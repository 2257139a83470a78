"""What an engine executes: every arrival, every step, and every draw that any attempt could need.

Draws are keyed by (seed, quantity, arrival, step, attempt), so that all engines serve a visit equally long, whenever
it is drawn. First attempts are drawn before anything runs; later ones, which most steps never make, when an engine
first comes to one of them (`draw_later`), for a block of steps at once. Rows are steps; they stand arrival by arrival
in order of (due time, arrival).

    steps      first[i] … first[i+1] are the steps of arrival i
    attempts   attempt_at[row] + attempt
    visits     visit_at[row] + attempt · (visits of the operation) + visit      (attempt, visit = 0, 1, …)
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from caodiem.draws import uniform
from caodiem.errors import UsageError
from caodiem.plan import Plan
from simulation.groups import places
from simulation.network import Network, Operation, Retries, Visit

Floats = np.ndarray
Integers = np.ndarray

# An operation without visits, such as one that the network does not know: answered at once.
_NOTHING = Operation(())

# Steps whose later attempts are drawn at once: 2 to the power of this.
BLOCK_BITS = 14


@dataclass(frozen=True, slots=True)
class Work:
    """Arrays as the module says; `operations` are what `kind` counts."""

    operations: tuple[Operation, ...]
    due_s: Floats  # of each arrival, rising
    first: Integers  # one more than arrivals
    arrival: Integers  # of each step, as the plan numbers it: the key of its draws
    step: Integers  # of each step, within its journey
    kind: Integers  # of each step, its operation
    think_s: Floats  # of each step, before its first attempt
    attempt_at: Integers  # one more than steps
    visit_at: Integers  # one more than steps
    service_s: Floats  # of each visit; NaN where it is not drawn yet
    patience_s: Floats  # of each visit, infinite where it is not drawn yet; empty where nobody has any
    pause_s: Floats  # of each attempt, after it and before the next; empty where nobody tries again
    drawn: np.ndarray  # bool, by block of steps, operation and attempt: whether its visits' times are drawn
    seed: int

    @property
    def arrivals(self) -> int:
        return len(self.due_s)

    @property
    def steps(self) -> int:
        return len(self.kind)


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps before anything is drawn for them; arrays as in `Work`."""

    due_s: Floats
    first: Integers
    arrival: Integers
    step: Integers
    kind: Integers
    think_s: Floats


def of_plan(network: Network, plan: Plan) -> Work:
    """The work of a plan: its rows already stand in order of (due_s, arrival, step)."""
    column = plan.table["operation"].combine_chunks()
    names = column.dictionary.to_pylist()
    arrival, step = plan.table["arrival"].to_numpy(), plan.table["step"].to_numpy().astype(np.int64)
    first = np.flatnonzero(step == 0)
    steps = Steps(
        due_s=plan.table["due_s"].to_numpy()[first],
        first=np.append(first, len(step)),
        arrival=arrival,
        step=step,
        kind=column.indices.to_numpy().astype(np.int64),
        think_s=plan.table["think_s"].to_numpy(),
    )
    if np.any(np.diff(steps.due_s) < 0):
        raise UsageError("the plan's rows do not stand in order of due_s; expected a plan that caodiem.plan.make made")
    return draw(network, tuple(network.operations.get(name, _NOTHING) for name in names), steps, plan.meta.seed)


def draw(network: Network, operations: tuple[Operation, ...], steps: Steps, seed: int) -> Work:
    """Draw for each step the times of the visits of its first attempt, and the pauses after all of its attempts."""
    attempts = np.array([each.attempts for each in operations], dtype=np.int64)
    visits = np.array([len(each.visits) for each in operations], dtype=np.int64)
    attempt_at = _places(attempts[steps.kind])
    visit_at = _places((attempts * visits)[steps.kind])
    patient = any(visit.patience for each in operations for visit in each.visits)
    most = int(attempts.max(initial=1))
    work = Work(
        operations, steps.due_s, steps.first, steps.arrival, steps.step, steps.kind, steps.think_s,
        attempt_at, visit_at,
        service_s=np.full(visit_at[-1], np.nan),
        patience_s=np.full(visit_at[-1] if patient else 0, np.inf),
        pause_s=np.zeros(attempt_at[-1] if most > 1 else 0),
        drawn=np.zeros(((len(steps.kind) >> BLOCK_BITS) + 1, len(operations), most), dtype=np.bool_),
        seed=seed,
    )  # fmt: skip
    for operation, rows in zip(operations, places(steps.kind, len(operations)), strict=True):
        _draw_attempt(network, work, rows, operation, 0)
        keys = steps.arrival[rows], steps.step[rows]
        for attempt in range(operation.attempts - 1):
            assert operation.retries is not None
            work.pause_s[attempt_at[rows] + attempt] = _pauses(operation.retries, attempt, seed, keys)
    work.drawn[:, :, 0] = True
    return work


def draw_later(network: Network, work: Work, row: int, attempt: int) -> None:
    """Draw the visits' times of this attempt for all steps of the row's block and operation."""
    block, kind = row >> BLOCK_BITS, int(work.kind[row])
    begins = block << BLOCK_BITS
    rows = begins + np.flatnonzero(work.kind[begins : begins + (1 << BLOCK_BITS)] == kind)
    _draw_attempt(network, work, rows, work.operations[kind], attempt)
    work.drawn[block, kind, attempt] = True


def draw_rest(network: Network, work: Work) -> None:
    """Draw every attempt that is not drawn yet."""
    for number, operation in enumerate(work.operations):
        for attempt in range(operation.attempts):
            if not work.drawn[:, number, attempt].all():
                _draw_attempt(network, work, np.flatnonzero(work.kind == number), operation, attempt)
    work.drawn[:] = True


def _draw_attempt(network: Network, work: Work, rows: Integers, operation: Operation, attempt: int) -> None:
    """Draw the times of all visits of one attempt of some steps of an operation."""
    keys = work.arrival[rows], work.step[rows]
    at = work.visit_at[rows] + attempt * len(operation.visits)
    for place, visit in enumerate(operation.visits):
        _draw_visit(network, visit, place, attempt, work.seed, keys, at + place, work.service_s, work.patience_s)


def _draw_visit(
    network: Network,
    visit: Visit,
    place: int,
    attempt: int,
    seed: int,
    keys: tuple[Integers, Integers],
    at: Integers,
    service_s: Floats,
    patience_s: Floats,
) -> None:
    """The times of one visit of one attempt, for all steps of an operation, put where they belong."""
    name = f"{network.stations[visit.station].name} {place}"
    # A first attempt keeps its draw when somebody allows retries.
    tried = (attempt,) if attempt else ()
    service_s[at] = visit.service.times_s(uniform(seed, f"service {name}", *keys, *tried))
    if visit.patience:
        patience_s[at] = visit.patience.times_s(uniform(seed, f"patience {name}", *keys, *tried))


def _pauses(retries: Retries, attempt: int, seed: int, keys: tuple[Integers, Integers]) -> Floats:
    chance = uniform(seed, "retry", *keys, attempt) if retries.jitter else np.zeros(len(keys[0]))
    return retries.pause_after(attempt + 1) * (1 - retries.jitter * chance)


def _places(counts: Integers) -> Integers:
    return np.concatenate([[0], np.cumsum(counts)])


def as_dictionary(words: list[str], codes: Integers) -> pa.DictionaryArray:
    """Codes into words as a column of text."""
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(words, type=pa.string()))
