"""What goes over the wire: JSON in, JSON out, and refusals that say what would have been right.

Knows HTTP, and nothing of dossiers or databases.
"""

import asyncio
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import Response

BODY_BYTES_MAX = 10 * 1024 * 1024
# From those who have not signed in: a crowd of strangers must not fill the memory.
STRANGERS_BYTES_MAX = 64 * 1024
BODY_MAX_S = 30.0
RETRY_AFTER_S = 1


class Problem(msgspec.Struct):
    """What every refusal says; some add fields of their own."""

    error: str


class Refusal(Exception):
    """An answer other than success. `fields` stand beside `error` in the body."""

    def __init__(self, status: int, message: str, **fields: object) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.fields = fields


def answer(content: object, status: int = 200) -> Response:
    """A JSON response."""
    return Response(msgspec.json.encode(content), status, media_type="application/json")


async def refuse(_: Request, refusal: Exception) -> Response:
    """The response to a `Refusal`; 401 says what to sign in with, 503 asks the client to come back."""
    assert isinstance(refusal, Refusal)
    response = answer({"error": refusal.message, **refusal.fields}, refusal.status)
    if refusal.status == 503:
        response.headers["retry-after"] = str(RETRY_AFTER_S)
    elif refusal.status == 401:
        response.headers["www-authenticate"] = "Bearer"
    return response


async def read_body(request: Request, shape: Any, *, form: bool = False, bytes_max: int = BODY_BYTES_MAX) -> Any:
    """The body as a `shape`, from JSON or from a form's encoding; Refusal 413 beyond `bytes_max`, 408 when it takes
    longer than BODY_MAX_S to come, 400 when it is not of that shape.
    """
    try:
        async with asyncio.timeout(BODY_MAX_S):
            content = await _read(request, bytes_max)
    except TimeoutError as error:
        raise Refusal(408, f"body: not whole within {BODY_MAX_S:g} s; expected it sooner") from error
    try:
        if form:
            return msgspec.convert(dict(parse_qsl(content.decode(), keep_blank_values=True)), shape, strict=False)
        return msgspec.json.decode(content, type=shape)
    except msgspec.MsgspecError as error:
        raise Refusal(400, f"body of {request.method} {request.url.path}: {error}") from error
    except RecursionError as error:
        raise Refusal(400, f"body of {request.method} {request.url.path}: nested too deep") from error
    except UnicodeDecodeError as error:
        raise Refusal(400, f"body of {request.method} {request.url.path}: not UTF-8 ({error})") from error


async def _read(request: Request, bytes_max: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    # An oversized body is read to its end and thrown away: a client that is still writing would miss the answer.
    async for chunk in request.stream():
        size += len(chunk)
        if size <= bytes_max:
            chunks.append(chunk)
    if size > bytes_max:
        raise Refusal(413, f"body of {size} bytes: expected at most {bytes_max}")
    return b"".join(chunks)
