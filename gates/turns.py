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
_STOP_S = 5.0


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

    def listen(self, deadline_s: float) -> None:
        """Wait for its next word; it counts as gone when its time is over."""
        readable, _, _ = select.select([self._asked], [], [], max(deadline_s - time.monotonic(), 0))
        if not readable:
            self.stop()
        self.said = os.read(self._asked, 1) if readable else _GONE

    def go_on(self) -> None:
        self.said = None
        with suppress(BrokenPipeError):
            os.write(self._grant, _GO)

    def stop(self) -> None:
        """By Ctrl-C first, so that fixtures clean up."""
        for way in (signal.SIGINT, signal.SIGKILL):
            if self.process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(self.process.pid, way)
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(_STOP_S)

    def close(self) -> None:
        os.close(self._grant)
        os.close(self._asked)


def run(commands: list[Command], limit_s: float) -> list[int]:
    """Start all, let them take turns in this order, and return their exit codes; negative for what was stopped."""
    deadline_s = time.monotonic() + limit_s
    members: list[_Member] = []
    try:
        for command in commands:
            members.append(_Member(command))
        _take_turns(members, deadline_s)
        for member in members:
            with suppress(subprocess.TimeoutExpired):
                member.process.wait(max(deadline_s - time.monotonic(), _STOP_S))
    finally:
        for member in members:
            member.stop()
            member.close()
    return [member.process.returncode for member in members]


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
