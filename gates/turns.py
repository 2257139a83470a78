"""Processes that take turns: of all that run at once, one works and the others wait for it.

Each is started with two pipes (see probe.py): it asks for a turn before each round and says when a test is over. So
the rounds of all alternate within milliseconds, and whatever changes the machine's speed changes it for all of them,
while making ready (imports, fixtures) goes on side by side. Knows processes and pipes, not what they measure.
"""

import os
import select
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gates.probe import DONE, READY, TURNS_VARIABLE

_GO = b"g"
_GONE = b""
STOP_S = 10.0  # for what was asked to end, then for what was made to


@dataclass(frozen=True, slots=True)
class Command:
    """What to start, and where its output goes."""

    words: list[str]
    folder: Path
    environment: dict[str, str]
    log: Path


class _Member:
    """A process under way. `said` is its last word, if it waits for an answer to it."""

    def __init__(self, command: Command) -> None:
        asked, ask = os.pipe()
        granted, grant = os.pipe()
        try:
            with command.log.open("wb") as log:
                self.process = subprocess.Popen(
                    command.words,
                    cwd=command.folder,
                    env={**command.environment, TURNS_VARIABLE: f"{ask} {granted}"},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=(ask, granted),
                    start_new_session=True,
                )
        finally:
            os.close(ask)
            os.close(granted)
        self._asked, self._grant = asked, grant
        self.said: bytes | None = None
        self.is_late = False

    def listen(self, deadline_s: float) -> None:
        """Wait for its next word; it counts as gone when its time is over."""
        readable, _, _ = select.select([self._asked], [], [], max(deadline_s - time.monotonic(), 0))
        self.is_late = not readable
        self.said = os.read(self._asked, 1) if readable else _GONE

    def go_on(self) -> None:
        self.said = None
        with suppress(BrokenPipeError):
            os.write(self._grant, _GO)

    def signal(self, way: signal.Signals) -> None:
        """To the process and to what it has started, which may have outlived it."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, way)

    def close(self) -> None:
        os.close(self._grant)
        os.close(self._asked)


def run(commands: list[Command], limit_s: float) -> list[int]:
    """Start all, let them take turns in this order, and return their exit codes, which are negative signal numbers for
    what died of one. What is not done in `limit_s` is stopped, which takes up to two STOP_S more."""
    deadline_s = time.monotonic() + limit_s
    members: list[_Member] = []
    try:
        for command in commands:
            members.append(_Member(command))
        _take_turns(members, deadline_s)
        ending = [member for member in members if not member.is_late]
        _wait(ending, max(deadline_s - time.monotonic(), STOP_S))
    finally:
        _stop(members)
        for member in members:
            member.close()
    return [member.process.returncode for member in members]


def _stop(members: list[_Member]) -> None:
    """By Ctrl-C first, so that fixtures clean up; all at once, so that many take no longer than one."""
    running = [member for member in members if member.process.poll() is None]
    for member in running:
        member.signal(signal.SIGINT)
    _wait(running, STOP_S)
    # A server that a crashed benchmark leaves behind would disturb those that come after it.
    for member in members:
        member.signal(signal.SIGKILL)
    _wait(running, STOP_S)


def _wait(members: list[_Member], limit_s: float) -> None:
    end_s = time.monotonic() + limit_s
    for member in members:
        with suppress(subprocess.TimeoutExpired):
            member.process.wait(max(end_s - time.monotonic(), 0))


def _take_turns(members: list[_Member], deadline_s: float) -> None:
    while True:
        for member in members:
            if member.said is None:
                member.listen(deadline_s)
        present = [member for member in members if member.said != _GONE]
        if not present:
            return
        if all(member.said == DONE for member in present):
            for member in present:
                member.go_on()
            continue
        for member in present:
            if member.said == READY:
                member.go_on()
                member.listen(deadline_s)
