"""What a route is: method, path, who may call, what goes in, every answer that comes out; and which one is asked for.

A route's description is what runs: it signs the caller in, reads query and body by the types that /openapi.json shows.
Knows HTTP, tokens and the parts of a worker; nothing of what handlers do.
"""

import hmac
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from staging.answers import BODY_BYTES_MAX, STRANGERS_BYTES_MAX, Problem, Refusal, read_body
from staging.tokens import ADMIN, NOBODY, Identity, bearer, identify

if TYPE_CHECKING:
    # Whoever times one hot path by itself need not wait for the import of all the portal's parts.
    from staging.parts import Parts

Body = TypeVar("Body")
_PARAMETER = re.compile(r"\{(\w+)\}")


@dataclass(slots=True)
class Call(Generic[Body]):
    """One request that has passed its route: who calls, and what they sent, decoded and checked."""

    request: Request
    parts: "Parts"
    identity: Identity  # NOBODY where a route asks for no role
    path: dict[str, str]
    query: Any
    body: Body


# What an answer holds: a type that msgspec encodes as JSON, a media type for anything else, None for nothing.
Content = Any
Handler = Callable[[Call[Any]], Awaitable[Response]]


@dataclass(frozen=True)
class Route:
    """One operation. The first line of the handler's docstring is its summary.

    `who`: the roles of staging.tokens that may call, ADMIN for the token made at start-up; empty for anybody. `query`:
    a Struct whose fields have defaults. `body`: what it is decoded as; `form`: from an HTML form's encoding, not JSON.
    `says_who`: the body itself says who calls, so it may be as large as that of somebody who has signed in.
    `system`: whose work it is, of caodiem.faults.SYSTEMS; empty for what serves the load test itself and never fails on
    demand. `answers`: content by status, but for the answers that follow from the rest (`all_answers`).
    """

    method: str
    path: str
    handler: Handler
    answers: Mapping[int, Content]
    system: str = ""
    who: tuple[str, ...] = ()
    query: type[msgspec.Struct] | None = None
    body: Any = None
    form: bool = False
    says_who: bool = False
    parameters: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", tuple(_PARAMETER.findall(self.path)))

    @property
    def summary(self) -> str:
        return (self.handler.__doc__ or "").partition("\n")[0].strip()

    @property
    def all_answers(self) -> dict[int, Content]:
        """Every answer, those included that the route gives before its handler is asked."""
        statuses = {503}  # too much in flight, or what stands behind the portal is away
        if self.system:
            statuses |= {502}
        if self.who:
            statuses |= {401, 403}
        if self.query is not None or self.parameters:
            statuses |= {400}
        if self.body is not None:
            statuses |= {400, 408, 413}
        return dict(sorted({**dict.fromkeys(statuses, Problem), **self.answers}.items()))

    async def call(self, request: Request, path: dict[str, str]) -> Response:
        """The handler's answer; Refusal when the caller, the query or the body is not what the route takes."""
        parts: Parts = request.app.state.parts
        identity = _identify(request, parts, self.who) if self.who else NOBODY
        if self.system not in parts.faults.all():  # spares a context for each request
            return await self._handle(request, parts, identity, path)
        async with parts.faults.reach(self.system):
            return await self._handle(request, parts, identity, path)

    async def _handle(self, request: Request, parts: "Parts", identity: Identity, path: dict[str, str]) -> Response:
        query = _read_query(request, self.query) if self.query is not None else None
        return await self.handler(Call(request, parts, identity, path, query, await self._read_body(request)))

    async def _read_body(self, request: Request) -> Any:
        """The body, if the route takes one; less of it from strangers."""
        if self.body is None:
            return None
        bytes_max = BODY_BYTES_MAX if self.who or self.says_who else STRANGERS_BYTES_MAX
        return await read_body(request, self.body, form=self.form, bytes_max=bytes_max)


def _identify(request: Request, parts: "Parts", who: tuple[str, ...]) -> Identity:
    if ADMIN not in who:
        return identify(request, parts.tokens, who)
    token = bearer(request)
    if not token:
        raise Refusal(401, "admin calls: expected `Authorization: Bearer TOKEN` with the token made at start-up")
    if not hmac.compare_digest(token.encode(), parts.keys.admin_token.encode()):
        raise Refusal(403, "admin calls: another token; expected the one made at start-up")
    return Identity(ADMIN, ADMIN, "")


def _read_query(request: Request, shape: type[msgspec.Struct]) -> msgspec.Struct:
    try:
        return msgspec.convert(dict(request.query_params), shape, strict=False)
    except msgspec.ValidationError as error:
        raise Refusal(400, f"query of {request.method} {request.url.path}: {error}") from error


class Table(BaseRoute):
    """All routes as one of Starlette's: found by looking up, where Starlette would try one pattern after another."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._fixed: dict[str, dict[str, Route]] = {}
        self._open: dict[tuple[int, str], list[tuple[re.Pattern[str], dict[str, Route]]]] = {}
        for route in routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        if not route.parameters:
            self._fixed.setdefault(route.path, {})[route.method] = route
            return
        pattern = re.compile(_PARAMETER.sub(r"(?P<\1>[^/]+)", route.path))
        alike = self._open.setdefault(_likeness(route.path), [])
        by_method = next((methods for known, methods in alike if known == pattern), None)
        if by_method is None:
            alike.append((pattern, {route.method: route}))
        else:
            by_method[route.method] = route

    def find(self, path: str) -> tuple[dict[str, Route], dict[str, str]]:
        """(the routes of a path by method, its parameters); nothing for a path that does not exist."""
        fixed = self._fixed.get(path)
        if fixed is not None:
            return fixed, {}
        for pattern, by_method in self._open.get(_likeness(path), ()):
            found = pattern.fullmatch(path)
            if found is not None:
                return by_method, found.groupdict()
        return {}, {}

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return (Match.FULL, {}) if scope["type"] == "http" else (Match.NONE, {})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        by_method, path = self.find(scope["path"])
        route = by_method.get(scope["method"])
        if route is None:
            allowed = {"allow": ", ".join(by_method)} if by_method else None
            raise HTTPException(405 if by_method else 404, headers=allowed)
        response = await route.call(Request(scope, receive, send), path)
        await response(scope, receive, send)


def _likeness(path: str) -> tuple[int, str]:
    """What a path shares with the paths of its route: how many parts, and the first."""
    parts = path.split("/")
    return len(parts), parts[1] if len(parts) > 1 else ""
