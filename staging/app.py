"""The portal's web application: routes, the gate that bounds the work in flight, and start and end of a worker.

Knows every handler and nothing of what they do.
"""

import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing import parent_process
from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from staging import accounts, admin, cases, catalogue, dossiers, keys, parts, payments, status_sync, timing
from staging.answers import Refusal, answer, refuse

IN_FLIGHT_MAX = 256


async def health(request: Request) -> Response:
    """GET /health: whether the database answers."""
    async with parts.parts_of(request).database.connection() as connection:
        await connection.execute("SELECT 1")
    return answer({"ok": True})


ROUTES = [
    Route("/health", health),
    Route("/accounts/sign-in", accounts.sign_in, methods=["POST"]),
    Route("/catalogue", catalogue.search),
    Route("/dossiers", dossiers.file_dossier, methods=["POST"]),
    Route("/dossiers/{code}", dossiers.look_up),
    Route("/dossiers/{code}/components", dossiers.supplement, methods=["POST"]),
    Route("/dossiers/{code}/payment", payments.pay, methods=["POST"]),
    Route("/cases/{code}/{action}", cases.act, methods=["POST"]),
    Route("/sync", status_sync.push, methods=["POST"]),
    Route("/admin/prepare", admin.prepare, methods=["POST"]),
    Route("/admin/documents", admin.documents),
    Route("/admin/counts", admin.counts),
]


class Gate:
    """Times every request, tells where the time went, and turns away what comes beyond IN_FLIGHT_MAX."""

    def __init__(self, app: ASGIApp, in_flight_max: int = IN_FLIGHT_MAX) -> None:
        self._app = app
        self._in_flight = 0
        self._in_flight_max = in_flight_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with timing.timed() as timed:

            async def send_timed(message: Message) -> None:
                if message["type"] == "http.response.start":
                    MutableHeaders(scope=message)["server-timing"] = timed.header()
                await send(message)

            self._in_flight += 1
            try:
                await self._admit(scope, receive, send_timed)
            finally:
                self._in_flight -= 1

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._in_flight <= self._in_flight_max:
            await self._app(scope, receive, send)
            return
        refusal = Refusal(503, f"more than {self._in_flight_max} requests in flight; try again")
        response = await refuse(Request(scope), refusal)
        await response(scope, receive, send)


async def _http_error(request: Request, error: Exception) -> Response:
    """Paths and methods that do not exist."""
    assert isinstance(error, HTTPException)
    known = ", ".join(route.path for route in ROUTES)
    message = f"{request.method} {request.url.path}: {error.detail}; expected one of {known}"
    return answer({"error": message}, error.status_code)


async def _unforeseen(request: Request, error: Exception) -> Response:
    """A fault of the portal's own: the caller learns its kind; it goes on to the log by itself."""
    message = f"{request.method} {request.url.path}: {type(error).__name__} in the portal; see its log"
    return answer({"error": message}, 500)


@asynccontextmanager
async def _working(app: Starlette) -> AsyncIterator[None]:
    """The parts of a worker, from its start to its end."""
    _end_with_parent()
    made = parts.make(Path(os.environ[keys.FOLDER_VARIABLE]))
    app.state.parts = made
    await made.database.open()
    try:
        yield
    finally:
        await made.database.close()
        made.verifier.close()


def _end_with_parent() -> None:
    """End this worker when the process that started it dies, even by kill -9."""
    parent = parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, name="end-with-parent", daemon=True).start()


def create() -> ASGIApp:
    """The application, as Granian asks for it in each worker."""
    handlers = {Refusal: refuse, HTTPException: _http_error, Exception: _unforeseen}
    return Gate(Starlette(routes=ROUTES, exception_handlers=handlers, lifespan=_working))
