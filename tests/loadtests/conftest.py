"""The small portal as a process, for tests that replay."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest


class Served(NamedTuple):
    """Where the portal answers, and its process, to be paused or killed."""

    url: str
    process: "subprocess.Popen[str]"


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Starts small portals, or those of another script, with the options given; stops them after the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*options: str, script: str = "small_portal.py") -> Served:
        command = [sys.executable, str(Path(__file__).with_name(script)), *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        return Served(process.stdout.readline().strip(), process)

    yield start
    for process in started:
        process.kill()
        process.communicate()
