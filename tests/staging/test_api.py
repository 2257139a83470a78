"""The whole API as schemathesis asks it, from /openapi.json: no 5xx, no answer that is not told of."""

from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from staging.app import ROUTES
from staging.service import Portal
from tests.staging.calls import DOCUMENT, Caller

SignedIn = Callable[[str], Caller]
ACCOUNTS = {"citizen": "citizen-000001", "officer": "officer-H01", "agency": "agency-H01"}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
# Wishes that are allowed and would take all the time: accounts by the million, documents by the hundred.
DEAR = {"citizens": 20, "count": 2, "stored": 2}
_WHO = {(route.path, route.method): route.who for route in ROUTES}
_HEALTH = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture]

api = schemathesis.openapi.from_dict(DOCUMENT)


def of_quick(max_examples: int) -> settings:
    return settings(
        max_examples=max_examples,
        deadline=None,
        derandomize=max_examples < 100,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=_HEALTH,
    )


@pytest.fixture
def token(portal: Portal, signed_in: SignedIn) -> Callable[[tuple[str, ...]], str]:
    """For roles that may call: one of them, by its token."""

    def find(who: tuple[str, ...]) -> str:
        account = next((ACCOUNTS[role] for role in who if role in ACCOUNTS), None)
        return signed_in(account).token if account else portal.admin_token if who else ""

    return find


@pytest.fixture
def no_faults(admin: Caller) -> Any:
    yield
    admin.call("PUT", "/admin/faults", {"faults": {}})


def ask(case: Any, portal: Portal, code: str, token: str) -> None:
    """One case with the role that it needs, now and then about a dossier that exists."""
    for given in (case.body, case.query):
        for name, most in DEAR.items():
            if isinstance(given, dict) and isinstance(given.get(name), int):
                given[name] = min(given[name], most)
    if code and "code" in (case.path_parameters or {}):
        case.path_parameters["code"] = code
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    case.call_and_validate(base_url=portal.url, headers=headers, checks=CHECKS)
    if case.path == "/admin/faults" and case.method == "PUT":
        Caller(portal.url, portal.admin_token).call("PUT", "/admin/faults", {"faults": {}})


@api.given(known=st.booleans())
@api.parametrize()
@of_quick(8)
def test_every_operation_answers_as_it_says(
    case: Any,
    known: bool,
    portal: Portal,
    prepared: Callable[[int], str],
    token: Callable[[tuple[str, ...]], str],
    no_faults: None,
) -> None:
    ask(case, portal, prepared(4) if known else "", token(_WHO[case.path, case.method]))


@pytest.mark.slow
@api.given(known=st.booleans())
@api.parametrize()
@of_quick(400)
def test_every_operation_answers_as_it_says_for_long(
    case: Any,
    known: bool,
    portal: Portal,
    prepared: Callable[[int], str],
    token: Callable[[tuple[str, ...]], str],
    no_faults: None,
) -> None:
    ask(case, portal, prepared(4) if known else "", token(_WHO[case.path, case.method]))
