"""The pytest plugin in every process that is measured: more clocks than one, a reference workload, instruction counts.

Runs in the measured repository's own environment, so it imports the standard library and pytest only. It is told what
to do by environment variables and leaves one JSON file. It is also the timer of pytest-benchmark, which asks it twice
a round, before and after: that is a public option, so it works with any release and any kind of benchmark.
"""

import ctypes
import hashlib
import json
import mmap
import os
import platform
import signal
import sys
import time
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

OUTPUT_VARIABLE = "CAODIEM_GATE_OUTPUT"
TURNS_VARIABLE = "CAODIEM_GATE_TURNS"  # two file descriptors: where to ask for a turn, where it is granted
CORE_VARIABLE = "CAODIEM_GATE_CORE"  # the one that all rounds of a ring are done on
COUNT_VARIABLE = "CAODIEM_GATE_COUNT"  # the stem of valgrind's dumps, when instructions are counted instead
REFERENCE = "reference"
REFERENCE_ROUNDS = 20
READY, DONE = b"r", b"d"
CLOCK_PRECISION_S = 1e-5

Reading = tuple[float, float, float, float]
# Wall, processor, waited for a core, children's processor: all in seconds since some beginning.
_readings: list[Reading] = []
_found: dict[str, Any] = {"benchmarks": {}, "failed": {}, "collected": []}


def clock() -> float:
    """The wall clock for pytest-benchmark; what the other clocks said is kept beside it.

    A round begins with the first of two calls. It waits there for its turn, so that the rounds of all commits
    alternate and no two processes work at once.
    """
    is_start = len(_readings) % 2 == 0
    if is_start:
        _turns.take()
    elif _counter is not None:
        _counter.switch()
    # What takes longest to read is read farthest from the round.
    if is_start:
        children_s, waited_s, cpu_s, wall_s = _children_s(), _waited_s(), time.process_time(), time.perf_counter()
    else:
        wall_s, cpu_s, waited_s, children_s = time.perf_counter(), time.process_time(), _waited_s(), _children_s()
    _readings.append((wall_s, cpu_s, waited_s, children_s))
    if is_start and _counter is not None:
        _counter.switch()
    return wall_s


class Turns:
    """Asks the gate for turns; without a gate everybody may always go on."""

    def __init__(self, descriptors: str) -> None:
        self._ask, self._granted = [int(each) for each in descriptors.split()] if descriptors else (-1, -1)

    def take(self) -> None:
        """Give the turn that we have, if any, to the others and wait for our next."""
        self._say(READY)

    def leave(self) -> None:
        """Say that a test is over, and wait until it is over for all."""
        self._say(DONE)

    def _say(self, what: bytes) -> None:
        if self._ask >= 0:
            os.write(self._ask, what)
            if not os.read(self._granted, 1):
                raise SystemExit("the gate is gone")


# Counts are the same whoever works beside, so counting takes no turns.
_turns = Turns("" if os.environ.get(COUNT_VARIABLE) else os.environ.get(TURNS_VARIABLE, ""))


def _waited_s() -> float:
    """How long this thread has been ready to run and had no core, as Linux counts it; elsewhere 0."""
    if _schedule < 0:
        return 0.0
    return int(os.pread(_schedule, 100, 0).split()[1]) / 1e9


def _children_s() -> float:
    """Processor time of the processes that descend from this one, such as a database; 0 where Linux does not tell."""
    taken_s, found = 0.0, [_OWN]
    while found:
        process = found.pop()
        try:
            for listed in Path(f"/proc/{process}/task").glob("*/children"):
                found += [int(child) for child in listed.read_bytes().split()]
            if process != _OWN:
                taken_s += int(Path(f"/proc/{process}/schedstat").read_bytes().split()[0]) / 1e9
        except OSError:  # it has ended meanwhile, or this is not Linux
            continue
    return taken_s


_OWN = os.getpid()


def _open_schedule() -> int:
    try:
        return os.open("/proc/thread-self/schedstat", os.O_RDONLY)
    except OSError:
        return -1


_schedule = _open_schedule()


def reference() -> None:
    """A workload that no commit changes: half Python, half library. Milliseconds long."""
    total, table = 0, {}
    for number in range(12_000):
        total += number * number % 7
        table[number & 255] = total
    hashlib.sha256(b"\x5a" * 1_000_000).digest()


class Counter:
    """Has valgrind's callgrind count between two calls of `switch`, and write each count to a file of its own.

    The requests are callgrind's client requests: a sequence of rotations that does nothing on a processor and that
    valgrind knows (valgrind.h, callgrind.h). They are put into memory as machine code, so that nothing is compiled.
    """

    _TOOL = ord("C") << 24 | ord("T") << 16
    _ZERO, _DUMP, _START, _STOP = _TOOL + 1, _TOOL + 3, _TOOL + 4, _TOOL + 5
    # mov rax,rdi; xor edx,edx; rol rdi,3; rol rdi,13; rol rdi,61; rol rdi,51; xchg rbx,rbx; mov rax,rdx; ret
    _CODE = bytes.fromhex("4889f8 31d2 48c1c703 48c1c70d 48c1c73d 48c1c733 4887db 4889d0 c3")

    def __init__(self) -> None:
        assert platform.machine() == "x86_64", platform.machine()
        self._memory = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self._memory.write(self._CODE)
        place = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self._ask = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p)(place)
        self._requests = {each: self._request(each) for each in (self._ZERO, self._START, self._STOP)}
        self._is_on = False
        self.dumps = 0

    def switch(self) -> None:
        self._is_on = not self._is_on
        if self._is_on:
            self._ask(self._requests[self._START])
            self._ask(self._requests[self._ZERO])
        else:
            label = ctypes.create_string_buffer(f"{self.dumps}".encode())
            self._ask(self._request(self._DUMP, ctypes.addressof(label)))
            self._ask(self._requests[self._STOP])
            self.dumps += 1

    @staticmethod
    def _request(code: int, argument: int = 0) -> ctypes.Array[ctypes.c_uint64]:
        return (ctypes.c_uint64 * 6)(code, argument, 0, 0, 0, 0)


_counter = Counter() if os.environ.get(COUNT_VARIABLE) else None


def pytest_configure() -> None:
    """Tell pytest-benchmark how fine the clock is, where it would try for a second in each process.

    And listen to Ctrl-C, which a process in a shell's background was told to ignore: so it cleans up when stopped.
    """
    from pytest_benchmark.fixture import BenchmarkFixture

    signal.signal(signal.SIGINT, signal.default_int_handler)
    BenchmarkFixture._precisions[clock] = CLOCK_PRECISION_S


def pytest_collection_finish(session: pytest.Session) -> None:
    _found["collected"] = [item.nodeid for item in session.items if "benchmark" in getattr(item, "fixturenames", ())]


def pytest_runtestloop(session: pytest.Session) -> None:
    """Before any test: settle on one core, and the reference, measured as a benchmark is."""
    if _counter is None and not session.config.option.collectonly:
        if core := os.environ.get(CORE_VARIABLE):
            for thread in Path("/proc/self/task").iterdir():  # an import may have started some
                with suppress(ProcessLookupError):
                    os.sched_setaffinity(int(thread.name), {int(core)})
        for _ in range(REFERENCE_ROUNDS):
            clock()
            reference()
            clock()
        _found["benchmarks"][REFERENCE] = _last_rounds(REFERENCE_ROUNDS, 1)
        _turns.leave()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    _readings.clear()
    done = yield
    # Not when Ctrl-C ends it: then nobody answers any more, and fixtures are to clean up.
    _turns.leave()
    if _counter is not None:  # which is so slow that it may be stopped at any time
        _write()
    return done


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: "pytest.CallInfo[None]"
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    benchmark = getattr(item, "funcargs", {}).get("benchmark")
    if report.failed or report.skipped:
        _found["failed"][item.nodeid] = f"{report.outcome} in {report.when}: {report.longreprtext[-500:]}"
    elif report.when == "call" and getattr(benchmark, "stats", None) is not None:
        _found["benchmarks"][item.nodeid] = _taken(benchmark)
    return report


def _taken(benchmark: Any) -> dict[str, Any]:
    count = benchmark.stats["rounds"]
    taken = _last_rounds(count, benchmark.stats["iterations"])
    taken["counters"] = benchmark.extra_info.get("counters", {})
    if _counter is not None:
        taken["dumps"] = [_counter.dumps - count, _counter.dumps]
    return taken


def _last_rounds(count: int, iterations: int) -> dict[str, Any]:
    """What the last readings say: those of the rounds that count. Before them come calibration and warm-up."""
    starts, ends = _readings[-2 * count :: 2], _readings[1 - 2 * count :: 2]
    rounds = [
        [max(after - before, 0.0) / iterations for before, after in zip(start, end, strict=True)]
        for start, end in zip(starts, ends, strict=True)
    ]
    return {"rounds": rounds, "iterations": iterations}


def pytest_sessionfinish(session: pytest.Session) -> None:
    _found["broken"] = session.testsfailed if session.config.option.collectonly else 0
    _write()


def _write() -> None:
    _found["modules"] = {
        name: file for name, module in list(sys.modules.items()) if (file := getattr(module, "__file__", None))
    }
    output = Path(os.environ[OUTPUT_VARIABLE])
    part = output.with_suffix(".part")
    part.write_text(json.dumps(_found), encoding="utf-8")
    part.replace(output)
