"""What the connected systems refuse and repeat: every answer that they document and no other test brings about."""

import asyncio
import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from caodiem.dossier import Status
from staging import keys
from staging.answers import Refusal
from staging.moves import check_there
from staging.payments import ORDERS_MAX
from staging.service import Portal
from tests.staging.calls import Caller

SignedIn = Callable[[str], Caller]
Prepared = Callable[[int], str]
Documents = list[dict[str, str]]
NOWHERE = "H01-20260701-9999999"
QUESTION = {"question": "refusals", "agency": "H01", "kind": "question", "text": "Khi nào xong?"}


@pytest.mark.parametrize(
    ("account", "method", "path", "content", "status"),
    [
        ("citizen-000001", "GET", "/payments/orders/none", None, 404),
        ("citizen-000001", "GET", "/store/documents/none", None, 400),
        ("citizen-000001", "GET", f"/store/documents/{'0' * 64}", None, 404),
        ("citizen-000001", "POST", f"/dossiers/{NOWHERE}/payment-orders", {"amount_vnd": 1}, 404),
        ("citizen-000001", "POST", "/dossiers/%00/withdrawal", None, 400),
        ("citizen-000001", "POST", "/support/questions/none/again", None, 404),
        ("citizen-000001", "POST", "/support/questions/none/close", {"satisfied": True}, 404),
        ("agency-H01", "POST", "/adapter/1/dossiers", {}, 404),
        ("agency-H01", "POST", "/adapter/1/catalogues", {}, 404),
        ("agency-H01", "POST", "/axis/deliveries/H02/none", {"state": "received"}, 404),
        ("agency-H01", "POST", "/axis/documents/none/H02/recall", None, 404),
        ("officer-H01", "POST", f"/cases/{NOWHERE}/ask-payment", {"amount_vnd": 1}, 404),
        ("officer-H01", "POST", f"/cases/{NOWHERE}/return", None, 404),
        ("officer-H01", "POST", "/cases/nonsense/return", None, 400),
        ("officer-H01", "POST", "/population/look-ups", {"number": "099999999999"}, 404),
        ("agency-H01", "POST", "/payments/reconciliations", {"day": "9999-12-31"}, 400),
        ("agency-H01", "POST", "/payments/reconciliations", {"day": "0001-01-01"}, 400),
        ("agency-H01", "GET", "/identity/userinfo", None, 403),
        ("officer-H01", "GET", "/csc/v1/info", None, 200),
        ("officer-H01", "POST", "/csc/v1/info", {}, 200),
    ],
)
def test_what_is_not_there(
    signed_in: SignedIn, account: str, method: str, path: str, content: object, status: int
) -> None:
    assert signed_in(account).call(method, path, content).status == status


def test_a_return_needs_a_finished_dossier(signed_in: SignedIn, prepared: Prepared) -> None:
    assert signed_in("officer-H01").post(f"/cases/{prepared(4)}/return").status == 409


def test_a_return_that_came_too_early_takes_a_dossier_nowhere(
    prepared: Prepared, folder: Path, signed_in: SignedIn
) -> None:
    """Even if it was finished in between: what is returned has a result."""
    code = prepared(9)

    async def check() -> None:
        async with await psycopg.AsyncConnection.connect(keys.read(folder).conninfo, autocommit=True) as connection:
            await check_there(connection, code, Status.RETURNED)

    with pytest.raises(Refusal):
        asyncio.run(check())
    assert signed_in("citizen-000001").get(f"/dossiers/{code}").body["status"] == 9


def test_papers_go_to_dossiers_that_are_open(signed_in: SignedIn, prepared: Prepared, scans: Documents) -> None:
    officer, code = signed_in("officer-H01"), prepared(2)
    replies = [officer.post(f"/cases/{code}/papers", scans[0]).status for _ in range(2)]
    assert replies == [201, 200]
    assert officer.post(f"/cases/{prepared(10)}/papers", scans[0]).status == 409
    assert officer.post(f"/cases/{NOWHERE}/papers", scans[0]).status == 404


def test_a_wrong_secret_opens_no_signing_service(portal: Portal) -> None:
    given = base64.b64encode(b"citizen-000001:guess").decode()
    for header in (f"Basic {given}", "Basic ?", "Bearer x"):
        reply = Caller(portal.url).call("POST", "/csc/v1/auth/login", {}, headers={"authorization": header})
        assert reply.status == 401, header


def test_an_order_has_one_outcome(signed_in: SignedIn, prepared: Prepared, admin: Caller) -> None:
    citizen, code = signed_in("citizen-000001"), prepared(1)
    order = citizen.post(f"/dossiers/{code}/payment-orders", {"amount_vnd": 25_000}).body
    failed = citizen.post(order["redirect"], {"pay": False}).body
    # Gave up, and came back before the bank had told: it signs no second outcome, and books nothing.
    assert citizen.post(order["redirect"], {"pay": True}).status == 404
    bank = Caller(citizen.url)
    assert bank.post("/payments/call-back", failed).body["state"] == "failed"
    again = citizen.post(order["redirect"], {"pay": False}).body
    assert bank.post("/payments/call-back", again).body["state"] == "failed"
    assert citizen.post(order["redirect"], {"pay": True}).status == 404
    assert citizen.get(f"/payments/orders/{order['order']}").body["state"] == "failed"
    books = signed_in("agency-H01").post("/payments/reconciliations").body["differences"]
    assert not [each for each in books if each["code"] == code]
    # An order whose dossier is gone: what the bank told of it is right, and of nothing here.
    later = prepared(1)
    gone = citizen.post(f"/dossiers/{later}/payment-orders", {"amount_vnd": 25_000}).body
    told = citizen.post(gone["redirect"], {"pay": True}).body
    clear = {"agencies": [], "citizens": 0, "dossiers": [], "absent": [later]}
    assert admin.post("/admin/prepare", clear).status == 200
    assert bank.post("/payments/call-back", told).status == 404


def test_a_fee_that_was_paid_otherwise_is_not_paid_by_an_order(signed_in: SignedIn, prepared: Prepared) -> None:
    citizen, code = signed_in("citizen-000001"), prepared(1)
    order = citizen.post(f"/dossiers/{code}/payment-orders", {"amount_vnd": 25_000}).body
    paid = citizen.post(order["redirect"], {"pay": True}).body
    assert citizen.post(f"/dossiers/{code}/payment", {"amount_vnd": 25_000}).status == 201
    assert Caller(citizen.url).post("/payments/call-back", paid).status == 409


def test_who_decides_twice_at_once_gets_one_outcome(signed_in: SignedIn, prepared: Prepared) -> None:
    citizen = signed_in("citizen-000001")
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            order = citizen.post(f"/dossiers/{prepared(1)}/payment-orders", {"amount_vnd": 25_000}).body
            decisions = [{"pay": bool(number % 2)} for number in range(8)]
            replies = list(pool.map(lambda decision, to=order["redirect"]: citizen.post(to, decision), decisions))
            told = {json.loads(each.body["told"])["state"] for each in replies if each.status == 200}
            assert len(told) == 1
            assert {each.status for each in replies} <= {200, 404}


def test_a_fee_has_so_many_orders_and_no_more(signed_in: SignedIn, prepared: Prepared, folder: Path) -> None:
    citizen, code, other = signed_in("citizen-000001"), prepared(1), prepared(1)
    insert = "INSERT INTO payment_orders (name, code, fee, amount_vnd, given_up) VALUES (%s, %s, 0, 10000, true)"
    with psycopg.connect(keys.read(folder).conninfo) as connection:
        given_up = [(f"{code}-{number}", code) for number in range(ORDERS_MAX - 1)]
        connection.cursor().executemany(insert, given_up)
    assert citizen.post(f"/dossiers/{code}/payment-orders", {"amount_vnd": 25_000}).status == 201
    assert citizen.post(f"/dossiers/{code}/payment-orders", {"amount_vnd": 25_000}).status == 409
    assert citizen.post(f"/dossiers/{other}/payment-orders", {"amount_vnd": 25_000}).status == 201
    assert citizen.post(f"/dossiers/{code}/payment", {"amount_vnd": 25_000}).status == 201


def test_a_question_has_one_name_and_steps_in_order(signed_in: SignedIn) -> None:
    citizen, officer = signed_in("citizen-000001"), signed_in("officer-H01")
    path, answered = "/support/questions/refusals", "/support/questions/citizen-000001/refusals/answer"
    assert [citizen.post("/support/questions", QUESTION).status for _ in range(2)] == [201, 200]
    assert citizen.post("/support/questions", {**QUESTION, "text": "Khác"}).status == 409
    assert officer.post(answered, {"state": "answered", "answer": "Mai"}).status == 200
    assert citizen.post(f"{path}/again").body["state"] == "open"
    assert officer.post(answered, {"state": "answered", "answer": "Hôm nay"}).status == 200
    assert citizen.post(f"{path}/close", {"satisfied": True}).status == 200
    assert citizen.post(f"{path}/again").status == 409
    assert officer.post(answered, {"state": "answered", "answer": "Rồi"}).status == 409
    assert citizen.get(path).body["answer"] == "Hôm nay"


def test_a_question_is_about_ones_own_dossier(signed_in: SignedIn, prepared: Prepared) -> None:
    """Else a citizen could learn which codes there are, and have an officer tell what another's dossier is about."""
    code, other, citizen = prepared(4), signed_in("citizen-000002"), signed_in("citizen-000001")
    about = {**QUESTION, "question": "about", "code": code}
    refused = other.post("/support/questions", about)
    unknown = other.post("/support/questions", {**about, "code": NOWHERE})
    assert (refused.status, unknown.status) == (404, 404)
    assert refused.body["error"].replace(code, "") == unknown.body["error"].replace(NOWHERE, "")
    assert other.get("/support/questions/about").status == 404, "nothing is kept"
    for wrong in ("nonsense", code.replace("H01", "H02")):
        assert citizen.post("/support/questions", {**about, "code": wrong}).status == 400
    assert citizen.post("/support/questions", {**about, "agency": "H02"}).status == 400
    assert [citizen.post("/support/questions", about).status for _ in range(2)] == [201, 200]


def test_a_work_document_travels_once(signed_in: SignedIn) -> None:
    officer = signed_in("officer-H01")
    paper = {"document": "refusals", "matter": "opinion", "title": "Xin ý kiến", "to": ["G09"], "content": "QUJD"}
    assert [officer.post("/government-work/documents", paper).status for _ in range(2)] == [201, 200]
    assert officer.post("/government-work/documents", {**paper, "title": "Khác"}).status == 409
    assert officer.post("/government-work/documents", {**paper, "to": ["H01"]}).status == 400
