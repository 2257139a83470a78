"""The portal's web application: routes, the gate that bounds the work in flight, and start and end of a worker.

Knows every handler and nothing of what they do.
"""

import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from staging import (
    accounts,
    admin,
    bank,
    cases,
    catalogue,
    counter,
    data_exchange,
    digitisation,
    document_axis,
    document_store,
    dossiers,
    government_work,
    identity,
    indicators,
    keys,
    lgsp,
    openapi,
    parts,
    payments,
    population,
    remote_signatures,
    results,
    signing,
    status_sync,
    support,
    sync_adapter,
    timing,
)
from staging.answers import RETRY_AFTER_S, Problem, Refusal, answer, refuse
from staging.routes import Call, Route, Table

IN_FLIGHT_MAX = 256


class Health(msgspec.Struct):
    """The portal and its database answer."""

    ok: bool


async def health(call: Call[None]) -> Response:
    """Whether the database answers."""
    async with call.parts.database.connection() as connection:
        await connection.execute("SELECT 1")
    return answer(Health(True))


async def describe(_: Call[None]) -> Response:
    """What this portal takes and answers, as OpenAPI."""
    return Response(_description(), media_type="application/json")


@cache
def _description() -> bytes:
    return msgspec.json.encode(openapi.document(ROUTES))


ROUTES = (
    Route("GET", "/health", health, {200: Health}),
    Route("GET", "/openapi.json", describe, {200: dict[str, Any]}),
    *accounts.ROUTES,
    *identity.ROUTES,
    *catalogue.ROUTES,
    *dossiers.ROUTES,
    *payments.ROUTES,
    *bank.ROUTES,
    *digitisation.ROUTES,
    *results.ROUTES,
    *counter.ROUTES,
    *cases.ROUTES,
    *status_sync.ROUTES,
    *sync_adapter.ROUTES,
    *lgsp.ROUTES,
    *data_exchange.ROUTES,
    *population.ROUTES,
    *signing.ROUTES,
    *remote_signatures.ROUTES,
    *document_store.ROUTES,
    *document_axis.ROUTES,
    *government_work.ROUTES,
    *support.ROUTES,
    *indicators.ROUTES,
    *admin.ROUTES,
)


class Gate:
    """Times every request, tells where the time went, and turns away what comes beyond IN_FLIGHT_MAX."""

    def __init__(self, app: ASGIApp, in_flight_max: int = IN_FLIGHT_MAX) -> None:
        self._app = app
        self._in_flight = 0
        self._in_flight_max = in_flight_max
        self._why = msgspec.json.encode(Problem(f"more than {in_flight_max} requests in flight; try again"))
        headers = {
            "content-type": "application/json",
            "content-length": str(len(self._why)),
            "retry-after": str(RETRY_AFTER_S),
            "server-timing": f"{timing.PORTAL};dur=0.000",
        }
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        self._turned_away: Message = {"type": "http.response.start", "status": 503, "headers": raw}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._in_flight >= self._in_flight_max:
            # Made beforehand: under overload most answers are this one, and what they cost is missing for the others.
            await send(self._turned_away)
            await send({"type": "http.response.body", "body": self._why})
            return
        with timing.timed() as timed:

            async def send_timed(message: Message) -> None:
                if message["type"] == "http.response.start":
                    MutableHeaders(scope=message)["server-timing"] = timed.header()
                await send(message)

            self._in_flight += 1
            try:
                await self._app(scope, receive, send_timed)
            finally:
                self._in_flight -= 1


async def _http_error(request: Request, error: Exception) -> Response:
    """Paths and methods that do not exist."""
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path}: {error.detail}; GET /openapi.json lists what there is"
    response = answer(Problem(message), error.status_code)
    response.headers.update(error.headers or {})
    return response


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
    return Gate(Starlette(routes=[Table(ROUTES)], exception_handlers=handlers, lifespan=_working))
