"""Processes that take turns: their rounds alternate, and one that dies or hangs holds up nobody."""

import sys
import time
from pathlib import Path

from gates import turns

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


WAITER = """
import os, subprocess, sys, time
from pathlib import Path

ask, granted = map(int, os.environ["CAODIEM_GATE_TURNS"].split())
name = sys.argv[1]
server = subprocess.Popen(["sleep", "60"])
Path(f"{name}.server").write_text(str(server.pid))
os.write(ask, b"r")
try:
    while name != "dead":
        os.read(granted, 1)
finally:
    time.sleep(1)
    Path(f"{name}.clean").touch()
"""


def is_running(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_what_is_stopped_cleans_up_and_leaves_no_server(tmp_path: Path) -> None:
    """All hear Ctrl-C at once, also those that wait for a turn; what one that is gone has started is stopped too."""
    names = ["a", "b", "c", "dead"]
    began_s = time.monotonic()
    turns.run([command(tmp_path, name, WAITER) for name in names], 2)
    assert time.monotonic() - began_s < 2 + turns.STOP_S
    assert sorted(path.stem for path in tmp_path.glob("*.clean")) == names
    servers = [int(path.read_text()) for path in tmp_path.glob("*.server")]
    assert len(servers) == 4
    deadline_s = time.monotonic() + 5
    while any(map(is_running, servers)) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert not any(map(is_running, servers))
