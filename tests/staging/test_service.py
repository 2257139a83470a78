"""Start and stop: nothing stays behind, whoever ends and however."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from caodiem.errors import InvalidRun, UsageError
from staging.service import Portal, running
from tests.staging.calls import Caller

GONE_WITHIN_S = 8.0
_ROOT = Path(__file__).parents[2]
# A caller that starts a portal, tells where it is, and waits to be killed.
_CALLER = """
import sys, time
from pathlib import Path
from staging.service import running
with running(Path(sys.argv[1])) as portal:
    print(portal.pid, portal.url, flush=True)
    time.sleep(60)
"""


_WORKER = "import sys, staging.app, staging.signatures, staging.status_sync; print('pyhanko' in sys.modules)"


def tree(pid: int) -> list[psutil.Process]:
    """The supervisor and all below it: workers, PostgreSQL and its own processes."""
    supervisor = psutil.Process(pid)
    return [supervisor, *supervisor.children(recursive=True)]


def data_folder(processes: list[psutil.Process]) -> Path:
    """The temporary folder, from PostgreSQL's command line."""
    server = next(each.cmdline() for each in processes if each.name() == "postgres" and "-D" in each.cmdline())
    return Path(server[server.index("-D") + 1]).parent


def is_gone(process: psutil.Process) -> bool:
    """Ended; one that nobody has waited for yet counts as ended."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until(condition: Callable[[], bool], within_s: float = GONE_WITHIN_S) -> bool:
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


def all_gone(processes: list[psutil.Process], within_s: float = GONE_WITHIN_S) -> bool:
    return wait_until(lambda: all(is_gone(each) for each in processes), within_s)


def test_a_worker_starts_without_what_it_seldom_needs() -> None:
    """pyHanko would make loading it half as long again."""
    done = subprocess.run([sys.executable, "-c", _WORKER], capture_output=True, text=True, check=True, cwd=_ROOT)
    assert done.stdout.strip() == "False"


def test_nothing_stays_behind(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    with running(log, workers=2) as portal:
        processes = tree(portal.pid)
        folder = data_folder(processes)
        token = portal.admin_token
        assert len([each for each in processes if "spawn_main" in " ".join(each.cmdline())]) == 2
        assert Caller(portal.url).get("/health").status == 200
        assert all(token not in " ".join(each.cmdline()) for each in processes)
    assert all_gone(processes, within_s=1.0)
    assert not folder.exists()
    assert token not in log.read_text()


def test_an_exception_in_the_block_stops_it_too(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), running(tmp_path / "log.txt") as portal:
        processes = tree(portal.pid)
        raise KeyboardInterrupt
    assert all_gone(processes, within_s=1.0)


def test_a_caller_killed_takes_the_portal_along(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    caller = subprocess.Popen(
        [sys.executable, "-c", _CALLER, str(tmp_path / "log.txt")], stdout=subprocess.PIPE, env=environment, text=True
    )
    assert caller.stdout is not None
    pid, url = caller.stdout.readline().split()
    processes = tree(int(pid))
    folder = data_folder(processes)
    assert Caller(url).get("/health").status == 200
    caller.kill()
    caller.wait()
    assert all_gone(processes)
    assert wait_until(lambda: not folder.exists())


def test_a_supervisor_killed_takes_workers_and_database_along(tmp_path: Path) -> None:
    with running(tmp_path / "log.txt") as portal:
        processes = tree(portal.pid)
        folder = data_folder(processes)
        os.kill(portal.pid, signal.SIGKILL)
        if sys.platform == "linux":
            assert all_gone(processes)
        started_s = time.monotonic()
    assert time.monotonic() - started_s < GONE_WITHIN_S
    assert all_gone(processes, within_s=1.0)
    assert not folder.exists()


def test_a_worker_killed_is_replaced_and_the_end_does_not_hang(tmp_path: Path) -> None:
    with running(tmp_path / "log.txt") as portal:
        worker = next(each for each in tree(portal.pid) if "spawn_main" in " ".join(each.cmdline()))
        worker.kill()
        assert wait_until(lambda: is_gone(worker))

        def answers() -> bool:
            try:
                return Caller(portal.url).get("/health").status == 200
            except OSError:
                return False

        assert wait_until(answers)
        processes = tree(portal.pid)
        started_s = time.monotonic()
    assert time.monotonic() - started_s < GONE_WITHIN_S
    assert all_gone(processes, within_s=1.0)


def test_ctrl_c_at_the_terminal_is_not_for_the_portal(portal: Portal) -> None:
    assert os.getsid(portal.pid) != os.getsid(0)


def test_bad_options_are_told(tmp_path: Path, portal: Portal) -> None:
    log = tmp_path / "log.txt"
    port = int(portal.url.rsplit(":", 1)[1])
    with pytest.raises(UsageError, match=f"port {port}"), running(log, port=port):
        pass
    with pytest.raises(UsageError, match="data folder"), running(log, data=tmp_path / "nowhere"):
        pass


def test_a_database_that_cannot_be_reached_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAODIEM_DATABASE_URL", f"postgresql://nobody@/none?host={tmp_path}")
    log, kept = tmp_path / "log.txt", tmp_path / "kept"
    with pytest.raises((UsageError, InvalidRun), match="CAODIEM_DATABASE_URL"), running(log, keep=kept):
        pass
    assert not kept.exists()  # so that the right name finds no half of a portal there


def test_another_server_gets_one_schema_and_loses_it(
    tmp_path: Path, conninfo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    def schemas() -> int:
        with psycopg.connect(conninfo) as connection:
            row = connection.execute("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'caodiem%'").fetchone()
        assert row is not None
        return int(row[0])

    monkeypatch.setenv("CAODIEM_DATABASE_URL", conninfo)
    with running(tmp_path / "log.txt") as portal:
        assert Caller(portal.url).get("/catalogue?q=khai").status == 200
        assert not [each for each in tree(portal.pid) if each.name() == "postgres"]
        assert schemas() == 1
    assert schemas() == 0
