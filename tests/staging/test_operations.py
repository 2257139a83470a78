"""Each operation over HTTP: what it does, what it refuses, and that a repeat changes nothing."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from caodiem.dossier import TRANSITIONS, Status
from staging.answers import BODY_BYTES_MAX
from staging.cases import ACTIONS
from staging.service import Portal
from tests.staging.calls import Caller

SignedIn = Callable[[str], Caller]
Prepared = Callable[[int], str]
Documents = list[dict[str, str]]
Application = Callable[[str], dict[str, str]]
PROCEDURE = "1.000001.H01"
_CODE = "H01-20260701-0000001"
_WANTED = {"code": "H01-20260701-0000001", "status": 1, "citizen": "citizen-000001"}
_ENTRY = re.compile(r"[a-z_]+(-wait)?;dur=\d+\.\d+")


def filing(code: str, documents: Documents, procedure: str = PROCEDURE) -> dict[str, object]:
    return {"code": code, "procedure": procedure, "components": documents}


def test_sign_in_gives_token_and_role(signed_in: SignedIn, portal: Portal, secret: str) -> None:
    for account, role in (("citizen-000000", "citizen"), ("officer-H01", "officer"), ("agency-H01", "agency")):
        reply = Caller(portal.url).post("/accounts/sign-in", {"account": account, "secret": secret})
        assert (reply.status, reply.body["role"]) == (200, role)


@pytest.mark.parametrize(("account", "wrong"), [("citizen-000000", "guess"), ("nobody", "guess"), ("nobody", "")])
def test_sign_in_refuses(portal: Portal, secret: str, account: str, wrong: str) -> None:
    assert Caller(portal.url).post("/accounts/sign-in", {"account": account, "secret": wrong}).status == 401


@pytest.mark.parametrize(
    "content", [{}, {"account": 3, "secret": "x"}, {"account": "a", "secret": "b", "more": 1}, [1], "text"]
)
def test_body_of_another_shape_is_named(portal: Portal, content: object) -> None:
    reply = Caller(portal.url).post("/accounts/sign-in", content)
    assert reply.status == 400
    assert "/accounts/sign-in" in reply.body["error"]


@pytest.mark.parametrize(
    "code", ["", "H01", "H01-20260701-0000001\n", "H01-20260701-000000\u0661", "X01-20260701-0000001"]
)
def test_a_code_of_another_form_is_named(signed_in: SignedIn, documents: Documents, code: str) -> None:
    reply = signed_in("citizen-000000").post("/dossiers", filing(code, documents))
    assert reply.status == 400
    assert repr(code) in reply.body["error"]


def test_tokens_are_needed_and_cannot_be_made_up(portal: Portal, signed_in: SignedIn) -> None:
    path = "/dossiers/H01-20260701-0000000"
    good = signed_in("citizen-000000").token
    content, _, seal = good.partition(".")
    for token in ("", "x", ".", "é", f"{content}.", f"{content[:-4]}AAAA.{seal}", f"{content}.{seal[:-1]}"):
        assert Caller(portal.url, token.encode().decode("latin-1")).get(path).status == 401, token


@pytest.mark.parametrize(
    ("method", "path", "account"),
    [
        ("POST", "/dossiers", "officer-H01"),
        ("GET", "/dossiers/H01-20260701-0000000", "agency-H01"),
        ("POST", "/dossiers/H01-20260701-0000000/payment", "officer-H01"),
        ("POST", "/cases/H01-20260701-0000000/receive", "citizen-000000"),
        ("POST", "/cases/H01-20260701-0000000/receive", "officer-H02"),
        ("POST", "/sync", "citizen-000000"),
        ("POST", "/admin/prepare", "citizen-000000"),
        ("GET", "/admin/documents", "officer-H01"),
        ("GET", "/admin/counts", "agency-H01"),
    ],
)
def test_other_roles_and_agencies_are_refused(signed_in: SignedIn, method: str, path: str, account: str) -> None:
    assert signed_in(account).call(method, path, {}).status == 403


def test_catalogue_searches_without_diacritics(portal: Portal) -> None:
    anyone = Caller(portal.url)
    plain = anyone.get("/catalogue?q=dang%20ky%20khai%20sinh&agency=H01").body["procedures"]
    accented = anyone.get("/catalogue?q=%C4%90%C4%83ng%20k%C3%BD%20khai%20sinh&agency=H01").body["procedures"]
    assert plain == accented
    assert [procedure["name"] for procedure in plain] == ["Đăng ký giấy khai sinh"]
    assert set(plain[0]) == {"code", "name", "agency", "level", "fee_vnd"}


def test_catalogue_takes_word_beginnings_and_finds_at_most_twenty(portal: Portal) -> None:
    anyone = Caller(portal.url)
    assert anyone.get("/catalogue?q=khongco").body["procedures"] == []
    assert len(anyone.get("/catalogue?q=gi").body["procedures"]) == 20
    assert len(anyone.get("/catalogue").body["procedures"]) == 20
    assert anyone.get(f"/catalogue?q={'a%20' * 100}").status == 200
    assert anyone.get(f"/catalogue?q={'a%20' * 101}").status == 400, "every word costs a look-up"
    for hostile in ("%27%20OR%201%3D1--", "%26%20%7C%20%21%20%3A%2A", "%00", "%25%5C"):
        assert anyone.get(f"/catalogue?q={hostile}").status == 200, hostile


def test_filing_and_its_repeat(signed_in: SignedIn, documents: Documents, admin: Caller) -> None:
    citizen, code = signed_in("citizen-000000"), "H01-20260702-0000001"
    first = citizen.post("/dossiers", filing(code, documents))
    assert first.status == 201
    verdicts = [{"name": document["name"], "verdict": "valid"} for document in documents]
    assert first.body == {"code": code, "status": 1, "components": verdicts}
    before = admin.get("/admin/counts").body
    again = citizen.post("/dossiers", filing(code, documents))
    assert (again.status, again.body) == (200, first.body)
    assert admin.get("/admin/counts").body == before
    for station in ("portal", "signature_verification", "database"):
        assert f"{station};dur=" in first.headers["server-timing"]


def test_filing_refuses_a_code_in_use(signed_in: SignedIn, application: Application, documents: Documents) -> None:
    code, first, second = "H01-20260702-0000002", "citizen-000000", "citizen-000001"
    assert signed_in(first).post("/dossiers", filing(code, [application(first)])).status == 201
    assert signed_in(second).post("/dossiers", filing(code, [application(second)])).status == 409
    assert signed_in(first).post("/dossiers", filing(code, documents[:2])).status == 409


def test_filing_refuses_what_is_not_signed(signed_in: SignedIn, documents: Documents, admin: Caller) -> None:
    before = admin.get("/admin/counts").body
    bad = {"name": "bad.pdf", "content": "JVBERi0xLjcK"}
    reply = signed_in("citizen-000000").post("/dossiers", filing("H01-20260702-0000003", [documents[0], bad]))
    assert reply.status == 422
    assert [component["verdict"] for component in reply.body["components"]] == ["valid", "invalid"]
    assert reply.body["components"][1]["reasons"]
    assert "bad.pdf" in reply.body["error"]
    assert admin.get("/admin/counts").body == before


@pytest.mark.parametrize(
    ("code", "procedure", "count", "status"),
    [
        ("H1-20260702-0000004", PROCEDURE, 1, 400),
        ("H01-20260702-0000004", "1.999999.H01", 1, 422),
        ("H01-20260702-0000004", PROCEDURE, 0, 400),
        ("H01-20260702-0000004", PROCEDURE, 4, 400),
    ],
)
def test_filing_refuses_bad_fields(
    signed_in: SignedIn, documents: Documents, code: str, procedure: str, count: int, status: int
) -> None:
    reply = signed_in("citizen-000000").post("/dossiers", filing(code, (documents * 2)[:count], procedure))
    assert reply.status == status
    assert reply.body["error"]


def test_body_too_large(signed_in: SignedIn) -> None:
    reply = signed_in("citizen-000000").call("POST", "/dossiers", raw=b" " * (BODY_BYTES_MAX + 1))
    assert reply.status == 413
    assert str(BODY_BYTES_MAX) in reply.body["error"]


def test_one_payment_a_dossier(signed_in: SignedIn, prepared: Prepared, admin: Caller) -> None:
    citizen, code = signed_in("citizen-000001"), prepared(1)
    before = admin.get("/admin/counts").body["payments"]
    assert signed_in("citizen-000002").post(f"/dossiers/{code}/payment", {"amount_vnd": 25_000}).status == 404
    first = citizen.post(f"/dossiers/{code}/payment", {"amount_vnd": 25_000})
    again = citizen.post(f"/dossiers/{code}/payment", {"amount_vnd": 25_000})
    assert (first.status, again.status) == (201, 200)
    assert first.body == again.body
    assert citizen.post(f"/dossiers/{code}/payment", {"amount_vnd": 60_000}).status == 409
    assert signed_in("citizen-000002").post(f"/dossiers/{code}/payment", {"amount_vnd": 25_000}).status == 404
    assert citizen.post(f"/dossiers/{code}/payment", {"amount_vnd": 0}).status == 400
    assert admin.get("/admin/counts").body["payments"] == before + 1
    assert citizen.get(f"/dossiers/{code}").body["paid"] is True


def test_a_fee_is_paid_in_full_and_not_twice_over(
    signed_in: SignedIn, prepared: Prepared, application: Application
) -> None:
    account = "citizen-000001"
    citizen, officer, code = signed_in(account), signed_in("officer-H01"), prepared(4)
    reply = citizen.post(f"/dossiers/{code}/payment", {"amount_vnd": 1})
    assert (reply.status, "expected 25000" in reply.body["error"]) == (409, True)
    assert citizen.post(f"/dossiers/{code}/payment-orders", {"amount_vnd": 1}).status == 409
    # A repeat of what was paid for an obligation is no payment of the fee for filing, which is due again by then.
    assert officer.post(f"/cases/{code}/ask-payment", {"amount_vnd": 70_000}).status == 200
    first, again = (citizen.post(f"/dossiers/{code}/payment", {"amount_vnd": 70_000}) for _ in range(2))
    assert (first.status, again.status, again.body) == (201, 200, first.body)
    assert citizen.post(f"/dossiers/{code}/payment", {"amount_vnd": 25_000}).status == 201
    for over in (3, 7, 8):
        assert citizen.post(f"/dossiers/{prepared(over)}/payment", {"amount_vnd": 25_000}).status == 409
    # Of an agency's 64 procedures the first costs nothing.
    free = "H01-20260702-0000010"
    assert citizen.post("/dossiers", filing(free, [application(account)])).status == 201
    reply = citizen.post(f"/dossiers/{free}/payment", {"amount_vnd": 1})
    assert (reply.status, "nothing is due" in reply.body["error"]) == (409, True)


def test_who_pays_many_times_at_once_pays_once(signed_in: SignedIn, prepared: Prepared) -> None:
    citizen, officer = signed_in("citizen-000001"), signed_in("officer-H01")
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            code = prepared(4)
            assert officer.post(f"/cases/{code}/ask-payment", {"amount_vnd": 70_000}).status == 200
            path, amount = f"/dossiers/{code}/payment", {"amount_vnd": 70_000}
            replies = list(pool.map(lambda _, to=path, of=amount: citizen.post(to, of), range(8)))
            assert sorted(each.status for each in replies) == [200] * 7 + [201]
            assert len({each.body["transaction"] for each in replies}) == 1


def test_look_up_tells_the_owner_alone(signed_in: SignedIn, prepared: Prepared) -> None:
    code = prepared(10)
    reply = signed_in("citizen-000001").get(f"/dossiers/{code}")
    assert (reply.status, reply.body["status_name"], reply.body["paid"]) == (200, "Đã trả kết quả", False)
    statuses = [Status(entry["status"]) for entry in reply.body["history"]]
    assert statuses[0] == Status.REGISTERED
    assert statuses[-1] == Status.RETURNED
    assert all(after in TRANSITIONS[before] for before, after in pairwise(statuses))
    assert signed_in("citizen-000002").get(f"/dossiers/{code}").status == 404
    assert signed_in("citizen-000001").get("/dossiers/H01-20260701-9999999").status == 404


def test_supplement_only_when_asked(signed_in: SignedIn, prepared: Prepared, documents: Documents) -> None:
    citizen, code = signed_in("citizen-000001"), prepared(4)
    path, content = f"/dossiers/{code}/components", {"components": documents[1:]}
    assert citizen.post(path, content).status == 409
    assert signed_in("officer-H01").post(f"/cases/{code}/ask-supplement").body == {"code": code, "status": 5}
    assert signed_in("citizen-000002").post(path, content).status == 404
    unsigned = {"components": [{"name": "bad.pdf", "content": "JVBERi0xLjcK"}]}
    assert citizen.post(path, unsigned).status == 422
    reply = citizen.post(path, content)
    assert (reply.status, reply.body["status"]) == (200, 4)
    assert citizen.get(f"/dossiers/{code}").body["history"][-1]["status"] == 4


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("status", range(1, 11))
def test_officers_follow_the_transitions(signed_in: SignedIn, prepared: Prepared, action: str, status: int) -> None:
    target, code = ACTIONS[action], prepared(status)
    reply = signed_in("officer-H01").post(f"/cases/{code}/{action}")
    if target in TRANSITIONS[Status(status)] or target == status:
        assert (reply.status, reply.body) == (200, {"code": code, "status": target})
    else:
        assert reply.status == 409
        assert Status(status).name in reply.body["error"]
        assert target.name in reply.body["error"]


def test_a_repeated_action_leaves_one_entry(signed_in: SignedIn, prepared: Prepared) -> None:
    officer, code = signed_in("officer-H01"), prepared(1)
    assert [officer.post(f"/cases/{code}/receive").status for _ in range(3)] == [200] * 3
    history = signed_in("citizen-000001").get(f"/dossiers/{code}").body["history"]
    assert [entry["status"] for entry in history] == [1, 2]


def test_unknown_cases_and_actions(signed_in: SignedIn, prepared: Prepared) -> None:
    officer = signed_in("officer-H01")
    assert officer.post("/cases/H01-20260701-9999999/receive").status == 404
    assert officer.post(f"/cases/{prepared(1)}/dance").status == 404
    assert officer.post("/cases/nonsense/receive").status == 400


def test_prepare_starts_a_dossier_anew(signed_in: SignedIn, prepared: Prepared, admin: Caller) -> None:
    citizen, code = signed_in("citizen-000001"), prepared(1)
    citizen.post(f"/dossiers/{code}/payment", {"amount_vnd": 25_000})
    wanted = {"code": code, "status": 9, "citizen": "citizen-000001"}
    assert admin.post("/admin/prepare", {"agencies": [], "citizens": 0, "dossiers": [wanted]}).status == 200
    reply = citizen.get(f"/dossiers/{code}").body
    assert (reply["status"], reply["paid"]) == (9, False)


def test_prepare_clears_the_way_for_filings(
    signed_in: SignedIn, application: Application, admin: Caller, prepared: Prepared
) -> None:
    code = prepared(2)
    wanted = {"agencies": [], "citizens": 0, "dossiers": [], "absent": [code, "H01-20260701-8888888"]}
    assert admin.post("/admin/prepare", wanted).status == 200
    assert signed_in("citizen-000001").get(f"/dossiers/{code}").status == 404
    citizen = "citizen-000002"
    assert signed_in(citizen).post("/dossiers", filing(code, [application(citizen)])).status == 201


@pytest.mark.parametrize(
    "wanted",
    [
        {"agencies": ["X1"], "citizens": 0, "dossiers": []},
        {"agencies": [], "citizens": -1, "dossiers": []},
        {"agencies": [], "citizens": 0, "dossiers": [{"code": "x", "status": 1, "citizen": "citizen-000001"}]},
        {"agencies": [], "citizens": 0, "dossiers": [{"code": "H01-20260701-0000001", "status": 1, "citizen": "me"}]},
        {"agencies": [], "citizens": 0, "dossiers": [{**_WANTED, "procedure": "1.000001.H02"}]},
    ],
)
def test_prepare_refuses_bad_wishes(admin: Caller, wanted: dict[str, object]) -> None:
    assert admin.post("/admin/prepare", wanted).status == 400


def test_prepare_makes_many_in_a_few_seconds(admin: Caller) -> None:
    dossiers = [
        {"code": f"H02-20260703-{each:07d}", "status": each % 10 + 1, "citizen": f"citizen-{each % 997:06d}"}
        for each in range(5_000)
    ]
    before = admin.get("/admin/counts").body["dossiers"]
    reply = admin.post("/admin/prepare", {"agencies": [], "citizens": 0, "dossiers": dossiers})
    assert reply.status == 200
    assert admin.get("/admin/counts").body["dossiers"] == before + 5_000


@pytest.mark.parametrize("path", ["/health", "/catalogue?q=a", "/nowhere", "/sync", "/dossiers/x", "/admin/counts"])
def test_every_answer_tells_its_times(portal: Portal, path: str) -> None:
    reply = Caller(portal.url).get(path)
    entries = reply.headers["server-timing"].split(", ")
    assert entries[0].startswith("portal;dur=")
    assert all(_ENTRY.fullmatch(entry) for entry in entries)


def test_values_that_the_database_cannot_hold(portal: Portal, signed_in: SignedIn, documents: Documents) -> None:
    citizen, nul = signed_in("citizen-000000"), "\0"
    assert Caller(portal.url).post("/accounts/sign-in", {"account": nul, "secret": "x"}).status == 400
    assert citizen.get("/dossiers/%00").status == 400
    assert citizen.post("/dossiers", filing("H01-20260702-0000009", documents[:1], nul)).status == 400
    assert signed_in("agency-H01").post("/sync", {"batch": nul, "events": []}).status == 400


def test_health_and_unknown_paths(portal: Portal) -> None:
    anyone = Caller(portal.url)
    assert anyone.get("/health").body == {"ok": True}
    assert anyone.get("/nowhere").status == 404
    refused = anyone.get("/sync")
    assert (refused.status, refused.headers["allow"]) == (405, "POST")
    assert "/openapi.json" in anyone.get("/nowhere").body["error"]
