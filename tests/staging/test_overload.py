"""The gate: a bounded number of requests in flight, 503 with Retry-After beyond it."""

import asyncio
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from staging.app import Gate

SCOPE: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}


async def _statuses(requests: int, in_flight_max: int) -> list[tuple[int, dict[bytes, bytes]]]:
    """(status, headers) of requests sent while all the admitted ones are being handled."""
    release = asyncio.Event()
    told: list[tuple[int, dict[bytes, bytes]]] = []

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await release.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            told.append((message["status"], dict(message["headers"])))

    gate = Gate(slow, in_flight_max)
    calls = [asyncio.create_task(gate(SCOPE, receive, send)) for _ in range(requests)]
    await asyncio.sleep(0.05)
    release.set()
    await asyncio.gather(*calls)
    return told


def test_beyond_the_bound_is_turned_away_at_once() -> None:
    told = asyncio.run(_statuses(requests=5, in_flight_max=2))
    assert [status for status, _ in told] == [503, 503, 503, 200, 200]
    assert all(b"retry-after" in headers for status, headers in told if status == 503)
    assert all(b"server-timing" in headers for _, headers in told)


def test_room_comes_free_again() -> None:
    assert [status for status, _ in asyncio.run(_statuses(requests=2, in_flight_max=2))] == [200, 200]
