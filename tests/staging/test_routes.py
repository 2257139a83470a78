"""Routes and their description: all are told of, all that is told can happen, and the document is sound."""

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema_rs
import msgspec
import pytest
import schemathesis

from staging import identity
from staging.answers import BODY_BYTES_MAX, STRANGERS_BYTES_MAX
from staging.app import ROUTES
from staging.routes import Route
from staging.service import Portal
from staging.tokens import AGENCY, CITIZEN, OFFICER
from tests.staging.calls import DOCUMENT, Caller, collected, occurred

SignedIn = Callable[[str], Caller]
ACCOUNTS = {CITIZEN: "citizen-000000", OFFICER: "officer-H01", AGENCY: "agency-H01"}
_SHORTEST_SUMMARY = 15


def named(routes: list[Route]) -> list[object]:
    return [pytest.param(route, id=f"{route.method} {route.path}") for route in routes]


def some_path(route: Route) -> str:
    return route.path.format(**dict.fromkeys(route.parameters, "H01-20260701-9999999"))


def allowed(route: Route, portal: Portal, signed_in: SignedIn) -> Caller:
    """Somebody who may call the route."""
    account = next((ACCOUNTS[role] for role in route.who if role in ACCOUNTS), None)
    if account is not None:
        return signed_in(account)
    return Caller(portal.url, portal.admin_token if route.who else "")


def test_the_document_is_what_the_portal_tells(portal: Portal) -> None:
    told = Caller(portal.url).get("/openapi.json")
    assert told.body == DOCUMENT
    assert {(method.upper(), path) for path, methods in told.body["paths"].items() for method in methods} == {
        (route.method, route.path) for route in ROUTES
    }
    assert len(ROUTES) == len({(route.method, route.path) for route in ROUTES})


def test_the_document_is_sound() -> None:
    """As the library that reads it, and a validator of JSON Schema, see it."""
    assert DOCUMENT["openapi"].startswith("3.1")
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    schema.validate()
    operations = [each.ok() for each in schema.get_all_operations()]
    assert len(operations) == len(ROUTES)
    for name, content in DOCUMENT["components"]["schemas"].items():
        jsonschema_rs.meta.validate(content)
        assert json.dumps(content).count('"$ref"') <= json.dumps(content).count('"#/components/schemas/'), name
    names = [each["operationId"] for methods in DOCUMENT["paths"].values() for each in methods.values()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("route", named(list(ROUTES)))
def test_a_route_says_what_it_does(route: Route) -> None:
    assert len(route.summary) >= _SHORTEST_SUMMARY, route.handler
    assert any(status < 400 for status in route.answers)
    assert all(msgspec.inspect.is_struct_type(each) for each in (route.query,) if each is not None)


@pytest.mark.parametrize("route", named([route for route in ROUTES if route.who]))
def test_nobody_and_other_roles_are_refused(route: Route, portal: Portal, signed_in: SignedIn) -> None:
    path = some_path(route)
    assert Caller(portal.url).call(route.method, path).status == 401
    for role, account in ACCOUNTS.items():
        if role not in route.who:
            assert signed_in(account).call(route.method, path).status == 403, role


@pytest.mark.parametrize("route", named([route for route in ROUTES if route.body is not None]))
def test_bodies_of_another_shape_or_too_large(route: Route, portal: Portal, signed_in: SignedIn) -> None:
    caller, path = allowed(route, portal, signed_in), some_path(route)
    assert caller.call(route.method, path, raw=b"\xff").status == 400
    assert caller.call(route.method, path, raw=b"[" * 60_000).status == 400
    assert caller.call(route.method, path, raw=b'{"a":' * 12_000).status == 400
    bytes_max = BODY_BYTES_MAX if route.who or route.says_who else STRANGERS_BYTES_MAX
    assert caller.call(route.method, path, raw=b" " * min(bytes_max, STRANGERS_BYTES_MAX)).status == 400
    assert caller.call(route.method, path, raw=b" " * (bytes_max + 1)).status == 413


@pytest.mark.parametrize("route", named([route for route in ROUTES if route.parameters]))
def test_paths_that_the_database_cannot_hold(route: Route, portal: Portal, signed_in: SignedIn) -> None:
    """NUL is in no text of PostgreSQL's. Where the path does not get that far, something else is wrong with it."""
    path = route.path.format(**dict.fromkeys(route.parameters, "%00"))
    reply = allowed(route, portal, signed_in).call(route.method, path, None if route.body is None else {})
    assert reply.status in (400, 404), reply


# OAuth has an authorization endpoint ignore what it does not know (RFC 6749, 3.1).
@pytest.mark.parametrize("route", named([route for route in ROUTES if route.query not in (None, identity.Wish)]))
def test_queries_of_another_shape(route: Route, portal: Portal, signed_in: SignedIn) -> None:
    reply = allowed(route, portal, signed_in).call(route.method, f"{some_path(route)}?nonsense=1")
    assert reply.status == 400
    assert "nonsense" in reply.body["error"]


@pytest.mark.last
def test_every_documented_answer_occurs(request: pytest.FixtureRequest) -> None:
    """In any test of this folder, but for 503 (see test_overload.py), 429 (see test_systems.py) and 408 (see
    test_access.py)."""
    if collected < {path.name for path in Path(__file__).parent.glob("test_*.py")} or request.config.option.keyword:
        pytest.skip("only some of the tests ran")
    documented = {(route.method, route.path, status) for route in ROUTES for status in route.all_answers}
    assert {answer for answer in documented - occurred if answer[2] not in (408, 429, 503)} == set()
