"""Which interpreter and whose code: demands that differ, modules that come from elsewhere, processes that hang."""

import json
import sys
import time
from pathlib import Path

import pytest

from caodiem.errors import InvalidRun
from gates import environment, sampling, turns
from gates.sampling import Laboratory, Side


def test_only_what_decides_packages_makes_environments_differ(tmp_path: Path) -> None:
    base, head = tmp_path / "base", tmp_path / "head"
    for side in (base, head):
        side.mkdir()
        (side / "pyproject.toml").write_text('[project]\ndependencies = ["numpy"]\n[tool.ruff]\nline-length = 80\n')
    assert environment.interpreters(base, head) == (Path(sys.executable), Path(sys.executable))
    (head / "pyproject.toml").write_text('[project]\ndependencies = ["numpy"]\n[tool.ruff]\nline-length = 120\n')
    assert environment.demands(base) == environment.demands(head)
    (head / "pyproject.toml").write_text('[project]\ndependencies = ["numpy>2"]\n')
    assert environment.demands(base) != environment.demands(head)
    (head / "pyproject.toml").write_text((base / "pyproject.toml").read_text())
    (head / "requirements.lock").write_text("numpy==2.3\n")
    assert environment.demands(base) != environment.demands(head)


def test_code_that_comes_from_elsewhere_is_seen(tmp_path: Path) -> None:
    """As where an editable install wins over the checkout."""
    root, checkout = tmp_path / "root", tmp_path / "checkout"
    for folder in (root, checkout):
        (folder / "work").mkdir(parents=True)
        (folder / "work" / "__init__.py").touch()
    laboratory = Laboratory(tmp_path, root, {"head-1": Side(checkout, Path(sys.executable))})
    laboratory.check_modules("head-1", {"work": str(checkout / "work/__init__.py"), "json": json.__file__})
    with pytest.raises(InvalidRun, match="module work was imported from"):
        laboratory.check_modules("head-1", {"work": str(root / "work/__init__.py")})
    with pytest.raises(InvalidRun, match=r"module work\.hot"):
        laboratory.check_modules("head-1", {"work.hot": str(tmp_path / "site-packages/work/hot.py")})


TAKER = """
import os, sys
ask, granted = map(int, os.environ["CAODIEM_GATE_TURNS"].split())
for turn in range(3):
    os.write(ask, b"r")
    os.read(granted, 1)
    print(sys.argv[1], flush=True)
os.write(ask, b"d")
os.read(granted, 1)
"""


def command(tmp_path: Path, name: str, code: str) -> turns.Command:
    output = tmp_path / f"{name}.log"
    return turns.Command([sys.executable, "-c", code, name], tmp_path, {}, output)


def test_rounds_alternate(tmp_path: Path) -> None:
    shared = f"import sys; sys.stdout = open({str(tmp_path / 'order')!r}, 'a')\n" + TAKER
    assert turns.run([command(tmp_path, name, shared) for name in "abc"], 30) == [0, 0, 0]
    assert (tmp_path / "order").read_text().split() == ["a", "b", "c"] * 3


def test_one_that_dies_or_hangs_holds_up_nobody(tmp_path: Path) -> None:
    dies = "raise SystemExit(5)"
    assert turns.run([command(tmp_path, "a", TAKER), command(tmp_path, "b", dies)], 30) == [0, 5]
    hangs = "import time; time.sleep(60)"
    began_s = time.monotonic()
    codes = turns.run([command(tmp_path, "a", TAKER), command(tmp_path, "b", hangs)], 3)
    assert codes[1] != 0
    assert time.monotonic() - began_s < 30


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
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "test_served.py").write_text(SERVED)
    side = Side(checkout, Path(sys.executable))
    laboratory = Laboratory(tmp_path, tmp_path, dict.fromkeys(("base-1", "base-2", "head-1"), side))
    (name,) = laboratory.collect("test_served.py")["base-1"]
    ring = laboratory.ring([name], reverse=False)
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
