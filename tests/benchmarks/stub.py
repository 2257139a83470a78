"""nginx as a portal that answers at once: the same few bytes to everybody, enough for a replay to prepare and check.

Pinned to a core of its own, so that what is measured is the generator on the other one.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

GENERATOR_CORE, STUB_CORE = 0, 1
WHAT_IS_ASKED = "/catalogue?q=khai&agency=H01"

_CONFIGURATION = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  default_type application/json;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location /catalogue {{
      return 200 '{{"procedures": [{{"code": "1", "name": "khai sinh", "fee_vnd": 8000}}]}}';
    }}
    location /accounts/sign-in {{ return 200 '{{"token": "t"}}'; }}
    location /admin/prepare {{ return 200 '{{"secret": "s"}}'; }}
    location /admin/documents {{ return 200 '{{"documents": [{{"name": "a.pdf", "content": "QUJD"}}]}}'; }}
  }}
}}
"""


def missing() -> str:
    """Why the stub cannot run here; empty when it can."""
    if shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        return "no nginx; `apt-get install nginx-light`"
    if not {GENERATOR_CORE, STUB_CORE} <= os.sched_getaffinity(0):
        return f"needs cores {GENERATOR_CORE} and {STUB_CORE} for generator and stub"
    return ""


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The stub's address, as long as the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    configuration = folder / "nginx.conf"
    configuration.write_text(_CONFIGURATION.format(folder=folder, port=port))
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    with pinned(STUB_CORE):
        process = subprocess.Popen([str(nginx), "-c", str(configuration), "-e", str(folder / "error.log")])
    try:
        _wait_for(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """What is started inside the block runs on this core alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _wait_for(port: int) -> None:
    deadline_s = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.05)
