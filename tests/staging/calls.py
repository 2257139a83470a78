"""A small client of the portal, for its tests: every answer must be one that /openapi.json tells of."""

import json
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import unquote

import jsonschema_rs

from staging import openapi
from staging.app import ROUTES
from staging.routes import Table
from staging.service import Portal

DOCUMENT = openapi.document(ROUTES)
TABLE = Table(ROUTES)
collected: set[str] = set()  # the files of this folder that have tests in this run, selected or not
occurred: set[tuple[str, str, int]] = set()  # (method, path of the route, status) of every answer so far


@dataclass(frozen=True)
class Reply:
    """An answer: status, decoded body, headers by lower-case name."""

    status: int
    body: Any
    headers: dict[str, str]


def check_documented(method: str, path: str, reply: Reply) -> None:
    """Whether the route, if there is one, tells of this status, media type and content."""
    by_method, _ = TABLE.find(unquote(path.partition("?")[0]))
    if method not in by_method:
        assert reply.status == (405 if by_method else 404), reply
        return
    route = by_method[method]
    told = DOCUMENT["paths"][route.path][method.lower()]["responses"]
    assert str(reply.status) in told, f"{method} {route.path} answers {reply}, documented are {', '.join(told)}"
    media = told[str(reply.status)].get("content", {})
    given = reply.headers.get("content-type", "").partition(";")[0]
    assert given in (media or {""}), f"{method} {route.path} {reply.status}: {given!r}, documented is {list(media)}"
    if "schema" in media.get(given, {}):
        _validator(route.path, method.lower(), reply.status).validate(reply.body)
    occurred.add((method, route.path, reply.status))


@cache
def _validator(path: str, method: str, status: int) -> Any:
    schema = DOCUMENT["paths"][path][method]["responses"][str(status)]["content"]["application/json"]["schema"]
    return jsonschema_rs.validator_for({**schema, "components": DOCUMENT["components"]})


@dataclass(frozen=True)
class Caller:
    """Calls one portal as one account."""

    url: str
    token: str = ""
    ca: str = ""

    def call(
        self,
        method: str,
        path: str,
        content: object = None,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        connection = Portal(self.url, "", 0, self.ca).connect()
        headers = {**({"authorization": f"Bearer {self.token}"} if self.token else {}), **(headers or {})}
        body = raw if raw is not None else (json.dumps(content).encode() if content is not None else None)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            told = {name.lower(): value for name, value in response.getheaders()}
            content = response.read()
            is_json = told.get("content-type", "").startswith("application/json")
            reply = Reply(response.status, json.loads(content) if is_json else content, told)
            check_documented(method, path, reply)
            return reply
        finally:
            connection.close()

    def get(self, path: str) -> Reply:
        return self.call("GET", path)

    def post(self, path: str, content: object = None) -> Reply:
        return self.call("POST", path, content if content is not None else {})
