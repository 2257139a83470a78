"""A master and workers as processes of their own, and what must be true of every replay that something happened to."""

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest

from caodiem import observations, plan, run, summary
from tests import marked
from tests.conftest import ROOT
from tests.loadtests.conftest import Served, serve

__all__ = ["serve"]

Process = subprocess.Popen[str]


def wait_for(condition: Callable[[], object], within_s: float = 30.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.05)


class Machines:
    """Locust processes that replay one plan into one folder; each carries a mark, so that none is left behind."""

    def __init__(self, folder: Path, planned: plan.Plan, host: str) -> None:
        self.mark = uuid.uuid4().hex
        self.planned = planned
        self.plan = folder / "plan.parquet"
        plan.write(planned, self.plan)
        self.into = run.Execution(folder / "replayed")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.host = host

    def start(self, *words: str, locustfile: str = "loadtests/locustfile.py", **environment: str) -> Process:
        command = [sys.executable, "-m", "locust", "-f", str(ROOT / locustfile), *words]
        known = {
            **os.environ,
            marked.VARIABLE: self.mark,
            "CAODIEM_ADMIN_TOKEN": "admin",
            "PYTHONPATH": str(ROOT),
            **environment,
        }
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, cwd=ROOT, env=known, text=True, start_new_session=True, **pipes)

    def master(self, *words: str, workers: int = 2, **environment: str) -> Process:
        bound = ("--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", str(self.port))
        return self.start(*bound, "--expect-workers", str(workers), *self.replay_words(), *words, **environment)

    def replay_words(self) -> tuple[str, ...]:
        asked = {"--host": self.host, "--plan": self.plan, "--observations": self.into.folder, "-u": 20, "-r": 100}
        return "--headless", "--only-summary", *(str(word) for pair in asked.items() for word in pair)

    def worker(self, **options: Any) -> Process:
        words = ("--worker", "--master-host", "127.0.0.1", "--master-port", str(self.port))
        return self.start(*words, **options)

    def wait_until_played(self, played_s: float) -> None:
        progress = self.into.folder / "progress.json"
        wait_for(lambda: progress.is_file() and run.read_json(progress)["played_s"] >= played_s)

    def wait_until_written(self, rows: int) -> None:
        """Until so many rows, told by whichever worker, stand on the master's disk."""
        wait_for(lambda: observations.read_parts(self.into.parts)[0].num_rows >= rows)

    def accounts(self) -> tuple[pa.Table, dict[str, int]]:
        """Rows and arrivals by outcome from the files; every arrival and every step has one."""
        rows = observations.read(self.into.observations)
        outcomes = summary.arrival_outcomes(rows)
        assert sum(outcomes.values()) == self.planned.arrivals
        assert rows.num_rows == self.planned.steps
        assert not self.into.parts.exists()
        return rows, outcomes

    @property
    def info(self) -> dict[str, Any]:
        found: dict[str, Any] = run.read_json(self.into.info)
        return found

    def alive(self) -> list[psutil.Process]:
        return marked.alive(self.mark)


def ended(process: Process, within_s: float = 60.0) -> tuple[int, str]:
    """Exit code and what was said on standard error."""
    _, said = process.communicate(timeout=within_s)
    return process.returncode, said


@pytest.fixture
def machines(tmp_path: Path, serve: Callable[..., Served]) -> Iterator[Callable[..., Machines]]:
    """Makes machines for a plan, against a small portal of their own unless another host is given."""
    made: list[Machines] = []

    def make(planned: plan.Plan, host: str = "") -> Machines:
        made.append(Machines(tmp_path, planned, host or serve().url))
        return made[-1]

    yield make
    for each in made:
        for process in each.alive():
            process.send_signal(signal.SIGKILL)
