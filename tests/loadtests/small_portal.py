"""A portal small enough to read: speaks the staging portal's contract from memory, in one asyncio process.

    python small_portal.py [--service-s 0.002] [--redirect-to URL]

prints its address, then serves until it is killed. With `--redirect-to` it answers every look-up with a redirect.
"""

import argparse
import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

ADMIN = "Bearer admin"
AFTER = {"receive": 2, "refuse": 3, "handle": 4, "ask-supplement": 5, "finish": 9, "return": 10}
BEFORE = {"receive": {1, 5}, "refuse": {1}, "handle": {2, 5}, "ask-supplement": {1, 2, 4}, "finish": {4}, "return": {9}}
Reply = tuple[int, dict[str, Any]]


class SmallPortal:
    """Statuses by code; whoever knows the secret is who he says."""

    def __init__(self, service_s: float, redirect_to: str) -> None:
        self.statuses: dict[str, int] = {}
        self.service_s, self.redirect_to = service_s, redirect_to
        self.routes: list[tuple[str, Callable[..., Reply]]] = [
            (r"POST /accounts/sign-in", lambda body: (200, {"token": body["account"], "role": "any"})),
            (r"GET /catalogue", lambda body: (200, {"procedures": [self.procedure()]})),
            (r"POST /dossiers", self.file),
            (r"POST /dossiers/([^/]+)/payment", lambda body, code: (201, {"transaction": f"T-{code}"})),
            (r"GET /dossiers/([^/]+)", self.look_up),
            (r"POST /dossiers/([^/]+)/components", lambda body, code: self.move(code, {5}, 4)),
            (r"POST /cases/([^/]+)/([a-z-]+)", lambda body, code, act: self.move(code, BEFORE[act], AFTER[act])),
            (r"POST /sync", lambda body: (200, {"accepted": len(body["events"]), "stale": 0, "rejected": []})),
            (r"POST /admin/prepare", self.prepare),
            (r"GET /admin/documents", lambda body: (200, {"documents": [{"name": "a.pdf", "content": "QUJD"}] * 24})),
        ]

    @staticmethod
    def procedure() -> dict[str, Any]:
        return {"code": "1.000001", "name": "Đăng ký khai sinh", "agency": "H01", "level": 4, "fee_vnd": 8000}

    def prepare(self, body: dict[str, Any]) -> Reply:
        self.statuses.update({d["code"]: d["status"] for d in body["dossiers"]})
        return 200, {"secret": "s"}

    def file(self, body: dict[str, Any]) -> Reply:
        known = self.statuses.setdefault(body["code"], 1)
        verdicts = [{"name": c["name"], "verdict": "valid"} for c in body["components"]]
        return 201, {"code": body["code"], "status": known, "components": verdicts}

    def look_up(self, body: None, code: str) -> Reply:
        if self.redirect_to:
            return 302, {"location": self.redirect_to}
        return (200, {"code": code, "status": self.statuses[code]}) if code in self.statuses else (404, {})

    def move(self, code: str, before: set[int], after: int) -> Reply:
        if self.statuses.get(code) not in before:
            return 409, {"error": "transition not allowed"}
        self.statuses[code] = after
        return 200, {"code": code, "status": after}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = re.search(r"(?i)content-length: (\d+)", head)
                body = await reader.readexactly(int(length[1])) if length else b""
                if self.service_s:
                    await asyncio.sleep(self.service_s)
                writer.write(self.answer(head, body))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def answer(self, head: str, body: bytes) -> bytes:
        method, path, _ = head.split(" ", 2)
        status, content = self.route(f"{method} {path.partition('?')[0]}", json.loads(body) if body else None)
        location = f"Location: {content.pop('location')}\r\n" if "location" in content else ""
        if "/admin/" in path and f"Authorization: {ADMIN}" not in head:
            status, content = 401, {}
        data = json.dumps(content).encode()
        timing = f"Server-Timing: portal;dur={self.service_s * 1000}, portal-wait;dur=0.5\r\n{location}"
        return f"HTTP/1.1 {status} X\r\nContent-Length: {len(data)}\r\n{timing}\r\n".encode() + data

    def route(self, asked: str, body: Any) -> Reply:
        for pattern, handle in self.routes:
            found = re.fullmatch(pattern, asked)
            if found:
                return handle(body, *found.groups())
        return 404, {}


async def serve(portal: SmallPortal) -> None:
    """On a free port of loopback, which is printed."""
    server = await asyncio.start_server(portal.serve, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--service-s", type=float, default=0.0)
    parser.add_argument("--redirect-to", default="")
    options = parser.parse_args()
    asyncio.run(serve(SmallPortal(options.service_s, options.redirect_to)))
