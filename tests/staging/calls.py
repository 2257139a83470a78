"""A small client of the portal, for its tests."""

import http.client
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reply:
    """An answer: status, decoded body, headers by lower-case name."""

    status: int
    body: Any
    headers: dict[str, str]


@dataclass(frozen=True)
class Caller:
    """Calls one portal as one account."""

    url: str
    token: str = ""

    def call(self, method: str, path: str, content: object = None, raw: bytes | None = None) -> Reply:
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=30)
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        body = raw if raw is not None else (json.dumps(content).encode() if content is not None else None)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            told = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, json.loads(response.read()), told)
        finally:
            connection.close()

    def get(self, path: str) -> Reply:
        return self.call("GET", path)

    def post(self, path: str, content: object = None) -> Reply:
        return self.call("POST", path, content if content is not None else {})
