"""The accounts of a replay: from the parts that workers left to one closed table, and what is said of it.

Settling needs only files, so it works as well for a replay whose workers are dead. Knows neither Locust nor gevent.
"""

import fcntl
import shutil
from pathlib import Path
from typing import IO, Any, Self

from caodiem import observations, plan, run, summary
from caodiem.errors import InvalidRun


class Presence:
    """That a process is at work on a replay: a lock beside the parts, which goes with the process however it ends.

    So whoever finds itself the last one there knows that nobody else will close the accounts.
    """

    def __init__(self, lock: IO[bytes]) -> None:
        self._lock = lock
        fcntl.flock(lock, fcntl.LOCK_SH)

    @classmethod
    def beside(cls, execution: run.Execution) -> Self | None:
        """None where the folder is not: on another machine that does not share it."""
        return cls((execution.parts / "presence").open("wb")) if execution.parts.is_dir() else None

    def is_last(self) -> bool:
        """Whether no other process is at work there; ours counts no longer once this was asked."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            return False
        return True


def clear(execution: run.Execution) -> None:
    """Forget an earlier replay in the same folder, so that its rows never mix with those to come."""
    shutil.rmtree(execution.parts, ignore_errors=True)
    left = (execution.plan, execution.observations, execution.components, execution.info)
    for path in (*left, progress_file(execution.folder)):
        path.unlink(missing_ok=True)
    execution.parts.mkdir(parents=True)


def settle(planned: plan.Plan, execution: run.Execution, info: dict[str, Any]) -> dict[str, int]:
    """Write components, observations and, last, info; returns the arrivals by outcome.

    A step without a row becomes `lost` or takes the outcome that ended its journey (observations.close_accounts).
    The parts go once everything is written. InvalidRun when the arrivals do not add up, or the disk does not take
    them; then the parts stay.
    """
    rows, components = observations.read_parts(execution.parts)
    closed = observations.close_accounts(planned, rows)
    outcomes = summary.arrival_outcomes(closed)
    if sum(outcomes.values()) != planned.arrivals:
        raise InvalidRun(f"{execution.folder}: {outcomes} for {planned.arrivals} arrivals; expected them to add up")
    try:
        observations.write(components, execution.components)
        observations.write(closed, execution.observations)
        run.write_json(execution.info, {**info, "arrivals": planned.arrivals, "arrival_outcomes": outcomes})
    except OSError as error:
        raise InvalidRun(
            f"{execution.folder}: {error.strerror or error}; expected room for the accounts; "
            f"the {rows.num_rows} rows written so far are in {execution.parts}"
        ) from error
    progress_file(execution.folder).unlink(missing_ok=True)
    shutil.rmtree(execution.parts, ignore_errors=True)
    return outcomes


def progress_file(folder: Path) -> Path:
    """Where a replay under way says how many seconds of the plan it has played."""
    return folder / "progress.json"


def in_words(execution: run.Execution) -> str:
    """A few lines for a terminal: arrivals by outcome, response times from due, where the rows are."""
    closed = observations.read(execution.observations)
    response_s = summary.response_s(summary.last_attempts(closed))
    quantiles = "  ".join(f"p{q * 100:g} {summary.quantile(response_s, q):.3f} s" for q in (0.5, 0.95, 0.99))
    outcomes = "  ".join(f"{name} {count}" for name, count in summary.arrival_outcomes(closed).items() if count)
    return (
        f"arrivals: {outcomes}\n"
        f"response time from due, all {len(response_s)} steps: {quantiles} (infinite: not answered well)\n"
        f"observations: {execution.observations}"
    )
