"""Every operation that a plan may ask for is asked by the reference portal class, and answered well by the portal."""

import http.client
from datetime import date

import pyarrow as pa
import pytest

from caodiem import part, plan
from caodiem.dossier import OPERATIONS, Outcome, dossier_number
from loadtests.journeys import Journey, Step
from loadtests.portals import Answer, Request
from loadtests.portals.reference import ReferencePortal
from staging.service import Portal
from tests.staging.calls import Caller

META = plan.PlanMeta("0" * 64, 1, "2026-06-09T09:00:00", 60.0, 1.0, 85.0)


def planned() -> plan.Plan:
    """One arrival for each operation, with a dossier of its own."""
    rows = [
        {
            "arrival": arrival,
            "step": 0,
            "journey": name,
            "operation": name,
            "agency": "H01" if arrival % 2 else "G09",
            "system": operation.system,
            "dossier": dossier_number(date(2026, 6, 9), 7_000 + arrival),
            "items": 1,
            "due_s": float(arrival),
            "think_s": 0.0,
        }
        for arrival, (name, operation) in enumerate(OPERATIONS.items())
    ]
    return plan.make(pa.Table.from_pylist(rows, schema=plan.SCHEMA), META)


def call(portal: Portal, request: Request) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(portal.url.removeprefix("http://"), timeout=30)
    try:
        connection.request(request.method, request.path, request.body, dict(request.headers))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def prepared(portal: Portal, admin: Caller, asked: plan.Plan) -> ReferencePortal:
    # Other tests leave signers who approve at once, or never.
    assert admin.call("PUT", "/admin/approvals", {"median_s": 20, "sigma": 0.7, "timeout_s": 180}).status == 200

    def send(request: Request) -> Answer:
        status, body = call(portal, request)
        return Answer(Outcome.OK, status, body)

    reference = ReferencePortal(portal.admin_token)
    reference.use(reference.prepare(asked, send))
    return reference


@pytest.fixture(scope="module")
def ready(portal: Portal, admin: Caller) -> ReferencePortal:
    return prepared(portal, admin, planned())


def journey_of(name: str, asked: plan.Plan | None = None) -> Journey:
    row = next(row for row in (asked or planned()).table.to_pylist() if row["operation"] == name)
    step = Step(0, name, row["system"], 1)
    return Journey(row["arrival"], name, row["agency"], row["dossier"], row["due_s"], (step,))


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_is_served(name: str, portal: Portal, ready: ReferencePortal) -> None:
    request = ready.request(journey_of(name))
    status, body = call(portal, request)
    assert request.check(status, body) is None, (status, body[:500])
    if name != "supplement_dossier":  # what was asked for is there, and a second supplement is another one
        status, body = call(portal, request)
        assert request.check(status, body) is None, (status, body[:500])


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_wrong_answer_is_noticed(name: str, ready: ReferencePortal) -> None:
    request = ready.request(journey_of(name))
    for status, body in ((500, b"{}"), (404, b"{}"), (200, b"not JSON"), (200, b"{}"), (200, b"[]")):
        assert request.check(status, body) is not None, (status, body)


@pytest.mark.slow
def test_a_plan_that_is_replayed_again_asks_the_same_work(portal: Portal, admin: Caller) -> None:
    """A portal that stays: not a stored answer to what it has already, nor a contradiction to what it was told."""

    def work(asked: plan.Plan) -> list[object]:
        reference = prepared(portal, admin, asked)
        before = admin.get("/admin/counts").body
        done: list[object] = []
        for name in OPERATIONS:
            request = reference.request(journey_of(name, asked))
            status, body = call(portal, request)
            done.append((name, status, request.check(status, body)))
        after = admin.get("/admin/counts").body
        return [*done, *((name, after[name] - before[name]) for name in after if name != "accounts")]

    first = work(planned())
    assert ("sync_events", 1) in first and ("send_document", 201, None) in first
    assert work(planned()) == first
    assert work(part.parse("", 1.0, 2.0, "").of(planned())) == first
