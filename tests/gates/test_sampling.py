"""Rings of real pytest processes: what is measured, and what is told of a benchmark that cannot be."""

import json
import sys
import time
from pathlib import Path

import pytest

from gates import instructions, sampling
from gates.sampling import Laboratory, Side


def laboratory_of(tmp_path: Path, files: dict[str, str]) -> Laboratory:
    """Base and head are the same checkout of these files."""
    checkout = tmp_path / "checkout"
    for file, content in files.items():
        (checkout / file).parent.mkdir(parents=True, exist_ok=True)
        (checkout / file).write_text(content)
    side = Side(checkout, Path(sys.executable))
    return Laboratory(tmp_path, tmp_path, dict.fromkeys(("base-1", "base-2", "head-1"), side))


SERVED = """
import os, subprocess, sys

def test_that_is_served(benchmark):
    serve = "import sys\\nfor _ in sys.stdin:\\n sum(range(600_000)); print(flush=True)"
    server = subprocess.Popen([sys.executable, "-c", serve], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask():
        server.stdin.write(b"x\\n"); server.stdin.flush(); server.stdout.readline()

    benchmark.pedantic(ask, rounds=12, warmup_rounds=3)
    server.stdin.close()
    server.wait()
    assert len(os.sched_getaffinity(0)) == 1
"""


@pytest.mark.skipif(not Path("/proc/thread-self/schedstat").exists(), reason="the kernel does not tell who waits")
def test_what_children_do_is_work_and_not_waiting(tmp_path: Path) -> None:
    """All on one core: while a child serves, its parent waits for the core, and that time is the benchmark's."""
    laboratory = laboratory_of(tmp_path, {"test_served.py": SERVED})
    (name,) = laboratory.collect("test_served.py", 60)["base-1"]
    ring = laboratory.ring([name], reverse=False, limit_s=60)
    assert not ring.problems
    rows = json.loads((tmp_path / "base-1-0.json").read_text())["benchmarks"][name]["rounds"]
    cpu_s, children_s = (sum(row[place] for row in rows) for place in (1, 3))
    assert children_s > 5 * cpu_s > 0
    assert ring.pairs[name][0].base_s > children_s / len(rows) / 2


def test_time_in_the_queue_behind_ones_own_database_is_not_taken_off() -> None:
    """Rounds of wall, processor, waited for a core, children's processor: the same work, queued in other ways."""
    blocked, queued = [6.2, 2.4, 0.0, 3.8], [6.2, 2.4, 3.8, 3.8]
    pair = sampling._pair({"rounds": [blocked] * 3}, {"rounds": [queued] * 3})
    assert (pair.log_ratio, pair.log_cpu_ratio, pair.more_waiting, pair.more_queueing) == (0, 0, 0, 0)
    # Two seconds more than its children used: somebody else had the core.
    disturbed = sampling._pair({"rounds": [blocked] * 3}, {"rounds": [[8.2, 2.4, 5.8, 3.8]] * 3})
    assert disturbed.log_ratio == pytest.approx(0)
    assert disturbed.more_queueing == pytest.approx(2 / 6.2)


ODD = """
import time
import pytest

def test_good(benchmark):
    benchmark(sum, range(50_000))

@pytest.mark.benchmark(timer=time.time)
def test_own_timer(benchmark):
    benchmark(sum, range(50_000))

@pytest.fixture
def torn():
    yield
    raise OSError("no room")

def test_torn(benchmark, torn):
    benchmark(sum, range(50_000))
"""


def test_a_project_in_a_folder_with_settings_of_its_own_is_measured(tmp_path: Path) -> None:
    settings = '[tool.pytest.ini_options]\naddopts = "--benchmark-disable --lf"\n'
    laboratory = laboratory_of(tmp_path, {"backend/pyproject.toml": settings, "backend/tests/test_odd.py": ODD})
    names = laboratory.collect("backend/tests", 60)["head-1"]
    assert [name.split("::")[0] for name in names] == ["backend/tests/test_odd.py"] * 3
    ring = laboratory.ring(names, reverse=True, limit_s=60)
    good, own_timer, torn = names
    assert len(ring.pairs[good]) == 2
    assert "no round was timed" in ring.problems[own_timer]
    assert "no room" in ring.problems[torn]
    assert set(ring.pairs) & {own_timer, torn} == set()


HANGS = """
import os, signal, time
from pathlib import Path
import pytest

@pytest.fixture
def served(tmp_path):
    yield
    Path(f"{os.getpid()}.clean").touch()

def test_fast(benchmark):
    benchmark(sum, range(50_000))

def test_hangs(benchmark, served):
    time.sleep(90)

def test_dies(benchmark):
    os.kill(os.getpid(), signal.SIGSEGV)
"""


@pytest.mark.slow
def test_one_that_hangs_is_stopped_and_takes_nothing_from_the_others(tmp_path: Path) -> None:
    laboratory = laboratory_of(tmp_path, {"test_hangs.py": HANGS})
    fast, hangs, dies = laboratory.collect("test_hangs.py", 60)["base-1"]
    began_s = time.monotonic()
    ring = laboratory.ring([fast, hangs], reverse=False, limit_s=20)
    assert time.monotonic() - began_s < 20 + sampling.turns.STOP_S
    assert ring.is_late
    assert list(ring.problems) == [hangs]
    assert "20 s" in ring.problems[hangs]
    assert len(ring.pairs[fast]) == 2
    assert len(list((tmp_path / "checkout").glob("*.clean"))) == 4
    # Stopped while it still imports: nothing is known, and nothing breaks off.
    early = laboratory.ring([fast], reverse=False, limit_s=0.3)
    assert early.is_late and "0 s" in early.problems[fast] and not early.pairs
    assert "ended by SIGSEGV" in laboratory.ring([dies], reverse=False, limit_s=60).problems[dies]


COUNTED = """
import time

def test_once(benchmark):
    benchmark(sum, range(10_000))

def test_twice(benchmark):
    benchmark(sum, range(20_000))

def test_hangs(benchmark):
    time.sleep(300)
"""


@pytest.mark.slow
@pytest.mark.skipif(bool(instructions.missing()), reason="nothing counts instructions here")
def test_what_was_counted_before_the_time_was_over_is_kept_and_is_the_rounds_alone(tmp_path: Path) -> None:
    laboratory = laboratory_of(tmp_path, {"test_counted.py": COUNTED})
    names = laboratory.collect("test_counted.py", 60)["base-1"]
    counted = instructions.count(laboratory, names, 100)
    once, twice, _ = names
    assert list(counted) == [once, twice]
    for side in (0, 1):
        assert counted[twice][side] / counted[once][side] == pytest.approx(2, rel=0.01)
