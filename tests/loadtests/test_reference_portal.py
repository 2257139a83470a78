"""What the reference portal class asks, without any portal."""

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from caodiem import plan
from caodiem.dossier import Outcome, Status
from loadtests.journeys import Journey, Step
from loadtests.portals import Answer, Request
from loadtests.portals.openings import never_signed_in, opening_statuses
from loadtests.portals.reference import ReferencePortal
from tests.loadtests import replay_plans

PREPARED = {
    "secret": "s",
    "applications": {"citizen-000042": json.dumps({"name": "application.pdf", "content": "QUJD"})},
    "papers": [json.dumps({"name": f"{n}.pdf", "content": "QUJD"}) for n in range(24)],
    "scans": {"H01": [json.dumps({"name": f"scan {n}.pdf", "content": "QUJD"}) for n in range(3)]},
    "procedures": {"H01": [["1.000001", "Đăng ký khai sinh", 8000]]},
    "officers": {"H01": "officer"},
    "systems": {"H01": "system"},
    "citizens": {"citizen-000042": "beforehand"},
    "plan_hash": "0123456789abcdef0",
    "starts_at": "2026-06-09T09:00:00",
}
DOSSIER = 20260609_0000042
META = plan.PlanMeta("0" * 64, 1, "2026-06-09T09:00:00", 2.0, 1.0, 85.0)


def asked(operation: str, items: int = 1) -> Request:
    portal = ReferencePortal()
    portal.use(PREPARED)
    step = Step(0, operation, "national_portal", items)
    return portal.request(Journey(7, "any", "H01", DOSSIER, 1.5, (step,), token="t"))


def test_a_filing_carries_its_components_and_is_checked() -> None:
    request = asked("file_dossier", items=3)
    body = json.loads(request.body)
    assert (request.method, request.path, body["code"]) == ("POST", "/dossiers", "H01-20260609-0000042")
    names = [component["name"] for component in body["components"]]
    assert (names[0], len(set(names))) == ("application.pdf", 3), "the applicant's own, then papers"
    right = {"code": body["code"], "status": 1, "components": [{"name": "a", "verdict": "valid"}]}
    assert request.check(201, json.dumps(right).encode()) is None
    right["components"][0]["verdict"] = "invalid"
    assert request.check(201, json.dumps(right).encode()) is not None
    assert request.check(422, b"{}") is not None


def test_an_officer_files_scans_for_the_citizen_of_the_dossier() -> None:
    request = asked("file_at_counter", items=2)
    body = json.loads(request.body)
    assert (request.method, request.path, request.headers) == ("POST", "/cases", {"Authorization": "Bearer officer"})
    assert (body["code"], body["citizen"]) == ("H01-20260609-0000042", "099000000042")
    assert [component["name"] for component in body["components"]] == ["scan 0.pdf", "scan 1.pdf"]
    right = {"code": body["code"], "status": 1, "components": [{"name": "a", "verdict": "valid"}]}
    assert request.check(201, json.dumps(right).encode()) is None
    assert request.check(201, json.dumps({**right, "code": "H01-20260609-0000043"}).encode()) is not None


def test_an_officers_action_is_checked_for_its_status() -> None:
    request = asked("start_handling")
    assert request.path == "/cases/H01-20260609-0000042/handle"
    assert request.headers == {"Authorization": "Bearer officer"}
    assert request.check(200, b'{"code": "H01-20260609-0000042", "status": 4}') is None
    assert request.check(200, b'{"code": "H01-20260609-0000042", "status": 2}') is not None


def test_a_sync_batch_is_the_same_each_time_and_legal() -> None:
    body = json.loads(asked("push_sync", items=12).body)
    assert body == json.loads(asked("push_sync", items=12).body)
    assert len(body["events"]) == 12
    by_code: dict[str, list[dict[str, Any]]] = {}
    for event in body["events"]:
        by_code.setdefault(event["code"], []).append(event)
    for events in by_code.values():
        assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
        assert events[0]["status"] == Status.REGISTERED
    assert asked("push_sync", items=2).check(200, b'{"accepted": 1, "stale": 1, "rejected": []}') is None
    assert asked("push_sync", items=2).check(200, b'{"accepted": 1, "stale": 0, "rejected": [1]}') is not None


def test_signing_in_keeps_the_token() -> None:
    portal = ReferencePortal()
    portal.use(PREPARED)
    journey = Journey(7, "any", "H01", DOSSIER, 1.5, (Step(0, "sign_in", "identity", 1),))
    request = portal.request(journey)
    assert json.loads(request.body) == {"account": "citizen-000042", "secret": "s"}
    assert request.check(401, b"{}") is not None
    assert request.check(200, b'{"token": "abc", "role": "citizen"}') is None
    assert journey.token == "abc"


def test_who_never_signs_in_is_signed_in_beforehand() -> None:
    portal = ReferencePortal()
    portal.use(PREPARED)
    journey = Journey(7, "any", "H01", DOSSIER, 1.5, (Step(0, "look_up_status", "national_portal", 1),))
    assert portal.request(journey).headers == {"Authorization": "Bearer beforehand"}
    assert never_signed_in(replay_plans.evenly(1, 10, ["file", "ask", "receive", "sync"])) == []
    assert never_signed_in(replay_plans.evenly(1, 3, ["file", "search"])) == ["citizen-000001"]


def test_dossiers_open_in_the_status_that_their_first_step_expects() -> None:
    opening = {entry["code"]: entry["status"] for entry in opening_statuses(replay_plans.evenly(1, 5))}
    # Arrivals 0 to 4: file, ask, receive, sync, search.
    codes = {0: "G02-20260609-0000000", 1: "H01-20260609-0000001", 2: "G02-20260609-0000002"}
    assert opening == {codes[0]: 0, codes[1]: Status.REGISTERED, codes[2]: Status.REGISTERED}


def test_a_look_up_does_not_decide_what_an_officer_needs() -> None:
    asked = replay_plans.evenly(1, 2, ["ask", "receive"]).table
    rows = asked.drop_columns(["dossier", "agency"]).append_column("dossier", pa.array([DOSSIER] * len(asked)))
    one = plan.make(rows.append_column("agency", pa.array(["H01"] * len(asked))), META)
    finish = one.table.filter(
        pc.is_in(one.table["operation"], pa.array(["sign_in", "look_up_status", "finish_dossier"]))
    )
    late = plan.Plan(finish, META)
    assert [entry["status"] for entry in opening_statuses(one)] == [Status.REGISTERED]
    assert [entry["status"] for entry in opening_statuses(late)] == [Status.IN_PROCESS]


def test_preparing_sends_dossiers_in_chunks_and_signs_staff_in() -> None:
    sent: list[tuple[str, Any]] = []

    def send(request: Request) -> Answer:
        path = request.path.partition("?")[0]
        sent.append((path, json.loads(request.body or b"{}")))
        procedures = [{"code": "1", "name": "a", "fee_vnd": 0}, {"code": "2", "name": "b", "fee_vnd": 5}]
        told = {
            "/admin/prepare": {"secret": "s"},
            "/admin/documents": {"documents": [{"name": "a", "content": "b"}]},
            "/catalogue": {"procedures": procedures},
            "/accounts/sign-in": {"token": "t"},
        }
        return Answer(Outcome.OK, 200, json.dumps(told[path]).encode())

    prepared = ReferencePortal("admin").prepare(replay_plans.evenly(500, 10, ["ask"]), send)
    accounts, *chunks = [content for path, content in sent if path == "/admin/prepare"]
    assert accounts["agencies"] == ["G02", "H01"]
    assert [len(chunk["dossiers"]) for chunk in chunks] == [2000, 2000, 1000]
    assert {each["procedure"] for each in chunks[0]["dossiers"]} == {"2"}, "the one whose fee the plan pays"
    assert prepared["procedures"]["H01"] == [["2", "b", 5]]
    assert {content["account"] for path, content in sent if path == "/accounts/sign-in"} == {
        "officer-G02", "officer-H01", "agency-G02", "agency-H01"
    }  # fmt: skip
