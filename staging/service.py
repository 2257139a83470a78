"""Starting and stopping the portal: `serve` in this process, `running` in one of its own for as long as a block lasts.

Knows processes, folders and signals; nothing of requests. The tree is: the caller, the supervisor (`serve`), and below
it Granian's workers and PostgreSQL. Whoever loses its parent stops by itself: the supervisor when the pipe from its
caller ends, a worker when the supervisor's ends, PostgreSQL by a signal from the kernel (Linux).
"""

import fcntl
import http.client
import json
import multiprocessing
import os
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg
from granian.constants import Interfaces
from granian.http import HTTP1Settings, HTTP2Settings
from granian.server import Server

from caodiem.errors import CaodiemError, ExitCode, InvalidRun, UsageError
from caodiem.faults import Fault
from staging import adapters, keys, pki, postgres, procedures
from staging.faults import Faults

HOST = "127.0.0.1"
START_MAX_S = 30.0
_DRAIN_MAX_S = 5
_STOP_MAX_S = 15.0
_LOG_LINES_TOLD = 15
_POLL_S = 0.02
_COMPLETE = "complete"  # a file that says that everything of a first start is there
_HEADER_BYTES_MAX = 64 * 1024  # of a request's line and headers together
_HEADER_MAX_MS = 10_000


@dataclass(frozen=True)
class Portal:
    """A portal that answers. `pid` is the supervisor's; `ca`: the file with the root to trust, where it speaks TLS."""

    url: str
    admin_token: str = field(repr=False)
    pid: int
    ca: str = ""

    def connect(self, timeout_s: float = 30.0) -> http.client.HTTPConnection:
        """A connection to it, verified where it speaks TLS."""
        address = self.url.partition("://")[2]
        if not self.ca:
            return http.client.HTTPConnection(address, timeout=timeout_s)
        context = ssl.create_default_context(cafile=self.ca)
        return http.client.HTTPSConnection(address, timeout=timeout_s, context=context)


def serve(
    port: int = 0,
    workers: int = 1,
    *,
    data: Path | None = None,
    keep: Path | None = None,
    faults: dict[str, Fault] | None = None,
    tls: bool = False,
    ready: Callable[[Portal, Path], None] | None = None,
) -> None:
    """Serve on loopback until SIGINT or SIGTERM; must run in the main thread.

    `data`: the folder to make the temporary folder in (the system's own). `keep`: a folder to use instead and to leave
    behind, with database, accounts and authorities, for the next portal that is given it. `faults`: what goes wrong
    from the start, by system. `tls`: with a certificate of the authority made at start-up. `ready` is called from
    another thread, with the portal and its folder, when the portal answers; without it they are printed for a person.
    UsageError for a port in use, or a database of one's own that cannot be reached.
    """
    signal.signal(signal.SIGTERM, _leave)
    for variable in (adapters.SIGNATURES, adapters.STATUS_SYNC):
        if os.environ.get(variable):
            adapters.find(variable)  # a worker could tell nobody
    port = _claim(port)
    postgres.check()  # before a folder is made that is to stay
    with kept_folder(keep) if keep else _temporary_folder(data) as folder, ThreadPoolExecutor(1) as side:
        hierarchy = side.submit(pki.make_hierarchy, folder / keys.PKI_FOLDER)
        with postgres.database(folder, keep=keep is not None) as conninfo:
            url = f"http{'s' * tls}://{HOST}:{port}"
            known = keys.make(conninfo, url, folder)
            Faults(folder).set(faults or {})
            with psycopg.connect(conninfo) as connection:
                procedures.fill(connection)
            hierarchy.result()
            (folder / _COMPLETE).touch()
            root = str(folder / keys.PKI_FOLDER / "root.pem") if tls else ""
            portal = Portal(url, known.admin_token, os.getpid(), root)
            announce = ready or _print_for_person
            threading.Thread(target=_announce_when_ready, args=(portal, folder, announce), daemon=True).start()
            _serve_http(port, workers, folder, tls=tls)


@contextmanager
def running(
    log: Path,
    *,
    workers: int = 1,
    port: int = 0,
    data: Path | None = None,
    keep: Path | None = None,
    faults: dict[str, Fault] | None = None,
    tls: bool = False,
) -> Iterator[Portal]:
    """A portal in processes of its own, stopped with all that belongs to it when the block ends.

    What it prints goes to `log`. UsageError for bad options, InvalidRun when it does not come up; both with the log's
    last lines.
    """
    words = ["--port", str(port), "--workers", str(workers), *["--tls"] * tls]
    words += ["--data", str(data)] if data else []
    words += ["--keep", str(keep)] if keep else []
    supervisor, ready_read = _start_supervisor(words, log)
    folder: Path | None = None
    try:
        try:
            portal, folder = _read_ready(ready_read, supervisor, log)
        finally:
            os.close(ready_read)
        if faults:
            _admin(portal, "PUT", "/admin/faults", {"faults": {name: asdict(each) for name, each in faults.items()}})
        yield portal
    finally:
        _stop(supervisor, folder)
        if folder is not None and keep is None:
            shutil.rmtree(folder, ignore_errors=True)


def stop_when_orphaned() -> None:
    """Make this process stop itself when standard input, a pipe that its caller holds, comes to its end."""

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="stop-when-orphaned", daemon=True).start()


def tell_ready(descriptor: int) -> Callable[[Portal, Path], None]:
    """A `ready` for `serve` that writes one JSON line to a pipe: to the caller only, never to the log."""

    def ready(portal: Portal, folder: Path) -> None:
        told = {"url": portal.url, "admin_token": portal.admin_token, "ca": portal.ca, "folder": str(folder)}
        line = json.dumps(told)
        with os.fdopen(descriptor, "w") as pipe:
            pipe.write(line + "\n")

    return ready


def _leave(_number: int, _frame: FrameType | None) -> None:
    """SIGTERM before Granian listens for it: leave through the `finally`s."""
    raise SystemExit(0)


def _claim(port: int) -> int:
    """A port to listen on, free at this moment; UsageError when `port` is not."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise UsageError(f"port {port}: {error}; expected a free port, or 0 to pick one") from error
        return int(probe.getsockname()[1])


@contextmanager
def _temporary_folder(data: Path | None) -> Iterator[Path]:
    """A folder that no one else can list, removed at the end."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="caodiem-staging-", dir=data)).resolve()
    except OSError as error:
        raise UsageError(f"data folder {data}: {error}; expected a folder to write in") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def kept_folder(folder: Path) -> Iterator[Path]:
    """A folder for one portal at a time; made when it is not there, and never removed."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (folder / _COMPLETE).exists() and any(folder.iterdir()):
            raise UsageError(
                f"folder {folder}: not one that a portal left behind whole; expected one, or an empty one: "
                "where a first start broke off, empty it"
            )
        lock = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise UsageError(f"folder {folder}: {error}; expected a folder to write in") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield folder.resolve()
    except BlockingIOError as error:
        raise UsageError(f"folder {folder}: another portal uses it; expected one of its own") from error
    finally:
        os.close(lock)


def _serve_http(port: int, workers: int, folder: Path, *, tls: bool) -> None:
    """Granian's main loop. Workers are spawned, not forked: this process has threads and a database to look after."""
    multiprocessing.set_start_method("spawn", force=True)
    os.environ[keys.FOLDER_VARIABLE] = str(folder)
    Server(
        "staging.app:create",
        factory=True,
        address=HOST,
        port=port,
        interface=Interfaces.ASGI,
        workers=workers,
        websockets=False,
        respawn_failed_workers=True,
        workers_kill_timeout=_DRAIN_MAX_S,
        http1_settings=HTTP1Settings(max_buffer_size=_HEADER_BYTES_MAX, header_read_timeout=_HEADER_MAX_MS),
        http2_settings=HTTP2Settings(max_headers_size=_HEADER_BYTES_MAX),
        ssl_cert=folder / keys.PKI_FOLDER / "server.pem" if tls else None,
        ssl_key=folder / keys.PKI_FOLDER / "server.key" if tls else None,
    ).serve()


def _announce_when_ready(portal: Portal, folder: Path, announce: Callable[[Portal, Path], None]) -> None:
    """Ask for /health until it answers, then announce; gives up silently, for the caller waits no longer either."""
    deadline_s = time.monotonic() + START_MAX_S
    while time.monotonic() < deadline_s:
        if _is_healthy(portal):
            announce(portal, folder)
            return
        time.sleep(_POLL_S)


def _is_healthy(portal: Portal) -> bool:
    connection = portal.connect(5.0)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _print_for_person(portal: Portal, _folder: Path) -> None:
    """Where the portal is and how to sign in, with one account made for it."""
    secret = _admin(portal, "POST", "/admin/prepare", {"agencies": ["H01"], "citizens": 1, "dossiers": []})["secret"]
    print(f"portal       {portal.url}", f"described    {portal.url}/openapi.json", sep="\n")
    if portal.ca:
        print(f"trust        {portal.ca}")
    print(f"admin token  {portal.admin_token}")
    print(f"accounts     citizen-000000, officer-H01, agency-H01; secret {secret}")
    print("Ctrl-C stops it; what it made is thrown away, unless --keep named a folder.", flush=True)


def _start_supervisor(words: list[str], log: Path) -> tuple[subprocess.Popen[bytes], int]:
    """`python -m staging` with these words, and the end of the pipe that it writes to when the portal answers."""
    ready_read, ready_write = os.pipe()
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    with log.open("ab") as output:
        # A session of its own: Ctrl-C is for the caller, which stops the portal after its clients have drained.
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "staging", "--ready-fd", str(ready_write), *words],
            stdin=subprocess.PIPE,  # held open by us; its end tells the supervisor that we are gone
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            pass_fds=(ready_write,),
            start_new_session=True,
        )
    os.close(ready_write)
    return supervisor, ready_read


def _admin(portal: Portal, method: str, path: str, content: object) -> dict[str, Any]:
    """The answer to an admin call; InvalidRun when it is not a good one."""
    connection = portal.connect()
    try:
        headers = {"Authorization": f"Bearer {portal.admin_token}"}
        connection.request(method, path, json.dumps(content), headers)
        response = connection.getresponse()
        told = json.loads(response.read())
    finally:
        connection.close()
    if response.status != 200:
        raise InvalidRun(f"staging portal: {method} {path} answered {response.status} {told}; expected 200")
    return dict(told)


def _read_ready(pipe: int, supervisor: subprocess.Popen[bytes], log: Path) -> tuple[Portal, Path]:
    """The line that the supervisor writes when the portal answers."""
    line = b""
    deadline_s = time.monotonic() + START_MAX_S
    while not line.endswith(b"\n"):
        readable, _, _ = select.select([pipe], [], [], max(deadline_s - time.monotonic(), 0.0))
        chunk = os.read(pipe, 4096) if readable else b""
        if not chunk:
            raise _start_error(supervisor, log, timed_out=not readable)
        line += chunk
    told = json.loads(line)
    return Portal(told["url"], told["admin_token"], supervisor.pid, told["ca"]), Path(told["folder"])


def _start_error(supervisor: subprocess.Popen[bytes], log: Path, *, timed_out: bool) -> CaodiemError:
    """Why there is no portal, with the end of its log."""
    lines = "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES_TOLD:])
    if timed_out:
        return InvalidRun(f"staging portal: no answer within {START_MAX_S:g} s; the end of {log}:\n{lines}")
    code = supervisor.wait(_STOP_MAX_S)
    kind = UsageError if code == ExitCode.USAGE else InvalidRun
    return kind(f"staging portal: ended with exit code {code} at its start; the end of {log}:\n{lines}")


def _stop(supervisor: subprocess.Popen[bytes], folder: Path | None) -> None:
    """End the supervisor and, if it can no longer do so itself, all that it started."""
    assert supervisor.stdin is not None
    with suppress(OSError):
        supervisor.stdin.close()
    try:
        supervisor.wait(_STOP_MAX_S)
    except subprocess.TimeoutExpired:
        supervisor.kill()
        supervisor.wait()
    _kill_left_over(supervisor.pid, folder)


def _kill_left_over(group: int, folder: Path | None) -> None:
    """What a supervisor that was killed left: its workers at once, PostgreSQL when it does not stop by itself."""
    _kill(-group)
    server = _postgres_pid(folder)
    deadline_s = time.monotonic() + _DRAIN_MAX_S
    while server is not None and _is_alive(server) and time.monotonic() < deadline_s:
        time.sleep(_POLL_S)
    if server is not None:
        _kill(server)


def _kill(target: int) -> None:
    """Kill a process, or with a negative number a process group, if there is one."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(target, signal.SIGKILL)


def _postgres_pid(folder: Path | None) -> int | None:
    """The server's process while its folder says that it runs."""
    try:
        return int((folder / postgres.DATA_FOLDER / "postmaster.pid").read_text().split()[0]) if folder else None
    except (OSError, ValueError, IndexError):
        return None


def _is_alive(process: int) -> bool:
    """Whether a process exists."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
