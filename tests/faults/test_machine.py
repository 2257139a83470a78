"""The machine fails the replay: a full disk, a damaged plan, a clock that is set meanwhile."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from caodiem import observations, plan, run
from caodiem.errors import ExitCode, InvalidRun
from loadtests.replay import replay
from tests.faults.conftest import Machines, ended
from tests.loadtests import replay_plans
from tests.loadtests.conftest import Served
from tests.loadtests.test_replay import check_accounts

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
# libfaketime 0.9.10 moves the timed waits of threads along, also those on the monotonic clock. CPython hands its lock
# from thread to thread by them: a second thread gets it twice a second instead of two hundred times, and workers fall
# silent. WAIT_MS makes each such wait a millisecond long.
FAKED = {"LD_PRELOAD": str(FAKETIME), "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_WAIT_MS": "1"}
Serve = Callable[..., Served]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=120k", "caodiem-test", str(folder)], check=False)
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_ends_the_replay_and_leaves_what_it_holds(
    serve: Serve, small_disk: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    planned = replay_plans.evenly(100, 40, ["search"])
    plan.write(planned, tmp_path / "plan.parquet")
    into = run.Execution(small_disk / "replayed")
    began_s = time.monotonic()
    with pytest.raises(InvalidRun, match="No space left on device; expected room for the accounts"):
        replay(tmp_path / "plan.parquet", into, serve().url, "admin", 20, 1.0, None)
    assert time.monotonic() - began_s < 40  # it was stopped, not played to its end
    rows, _ = observations.read_parts(into.parts)
    record_property("rows_left", rows.num_rows)
    assert rows.num_rows > 100 and set(rows["outcome"].to_pylist()) == {"ok"}
    assert "No space left on device" in (into.folder / "locust.log").read_text(errors="replace")


def cut_short(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    middle = len(content) // 3
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


def emptied(content: bytes) -> bytes:
    return b""


@pytest.mark.parametrize(
    "damage", [cut_short, pytest.param(flipped, marks=pytest.mark.slow), pytest.param(emptied, marks=pytest.mark.slow)]
)
def test_a_damaged_plan_is_refused_before_anything_is_sent(
    machines: Callable[..., Machines], damage: Callable[[bytes], bytes]
) -> None:
    at = machines(replay_plans.evenly(50, 20), "http://127.0.0.1:9")
    at.plan.write_bytes(damage(at.plan.read_bytes()))
    code, said = ended(at.start(*at.replay_words()))
    assert code == 2
    assert f"error: {at.plan}: " in said and ("expected the Parquet file that a run wrote" in said or "hash" in said)
    assert not at.into.folder.exists() and not at.alive()


@pytest.mark.slow
@pytest.mark.skipif(FAKETIME is None, reason="no libfaketime; `apt-get install faketime`")
def test_a_permission_that_ends_meanwhile_stops_the_replay(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.0.0.0 is this machine, but needs a permission; the replay begins some seconds before its last day is over."""
    (tmp_path / "targets.toml").write_text('[[target]]\nhost = "0.0.0.0"\ntop_rate_per_s = 100\nuntil = 2026-12-31\n')
    monkeypatch.chdir(tmp_path)
    planned = replay_plans.evenly(20, 40, ["search"])
    plan.write(planned, tmp_path / "plan.parquet")
    into = run.Execution(tmp_path / "replayed")
    url = serve().url.replace("127.0.0.1", "0.0.0.0")
    for name, value in {**FAKED, "FAKETIME": "@2026-12-31 23:59:45"}.items():
        monkeypatch.setenv(name, value)
    assert replay(tmp_path / "plan.parquet", into, url, "admin", 20, 1.0, None) == ExitCode.SAFETY
    rows, outcomes = check_accounts(planned, into)
    assert outcomes["ok"] > 20 and outcomes["lost"] > 200
    assert outcomes["ok"] + outcomes["lost"] + outcomes["dropped"] == planned.arrivals  # late on a busy machine
    info = run.read_json(into.info)
    assert "host '0.0.0.0': the permission in targets.toml ended on 2026-12-31" in info["stopped_because"]
    sent_s = rows["started_s"].to_numpy()
    assert np.nanmax(sent_s) < 20


@pytest.mark.slow
@pytest.mark.skipif(FAKETIME is None, reason="no libfaketime; `apt-get install faketime`")
def test_a_clock_that_is_set_meanwhile_changes_nothing(machines: Callable[..., Machines], tmp_path: Path) -> None:
    """The time of day goes an hour ahead and then two back; due times count on the monotonic clock."""
    at = machines(replay_plans.evenly(50, 8))
    said_time = tmp_path / "time"
    said_time.write_text("+0")
    faked = {**FAKED, "FAKETIME_TIMESTAMP_FILE": str(said_time), "FAKETIME_CACHE_DURATION": "1"}
    shown = "import time; print(time.time())"
    master = at.start("--processes", "2", *at.replay_words(), **faked)
    for played_s, offset in ((2.0, "+3600"), (5.0, "-3600")):
        at.wait_until_played(played_s)
        said_time.write_text(offset)
        found = float(subprocess.run([sys.executable, "-c", shown], env=faked, capture_output=True, check=True).stdout)
        assert found - time.time() == pytest.approx(float(offset), abs=60)  # the step is real for who asks
    code, said = ended(master)
    rows, outcomes = at.accounts()
    assert outcomes["ok"] + outcomes["dropped"] == at.planned.arrivals, f"{outcomes}\n{said}"
    assert code == (0 if outcomes["dropped"] == 0 else 3)
    for name in ("due_s", "released_s", "started_s", "finished_s"):
        times_s = rows[name].to_numpy()
        assert times_s[times_s == times_s].min() >= 0 and times_s[times_s == times_s].max() < 60
