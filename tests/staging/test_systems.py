"""The connected systems over HTTP: their states, their failures, and what others say of their signatures."""

import asyncio
import base64
import hashlib
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from psycopg import AsyncConnection

from staging.answers import Refusal
from staging.rate_limits import take
from staging.service import Portal
from tests.staging.calls import Caller
from tests.staging.openssl import openssl, write_pem

SignedIn = Callable[[str], Caller]
Prepared = Callable[[int], str]
Documents = list[dict[str, str]]
_names = (f"name-{number}" for number in count())


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


# --- remote signing ---


@pytest.fixture
def slow_signers(admin: Caller) -> None:
    """Nobody approves unless they are told to."""
    times = {"median_s": 3600, "sigma": 0, "timeout_s": 600}
    assert admin.call("PUT", "/admin/approvals", times).status == 200


def credential(caller: Caller) -> str:
    reply = caller.post("/csc/v1/credentials/list")
    return str(reply.body["credentialIDs"][0])


def authorize(caller: Caller, name: str, digest: bytes) -> tuple[int, dict[str, object]]:
    wish = {"credentialID": name, "numSignatures": 1, "hash": [text(digest)]}
    reply = caller.post("/csc/v1/credentials/authorize", wish)
    return reply.status, reply.body


def sign_hash(caller: Caller, name: str, sad: object, digest: bytes) -> tuple[int, dict[str, object]]:
    wish = {"credentialID": name, "SAD": sad, "hash": [text(digest)], "signAlgo": "1.2.840.113549.1.1.1"}
    reply = caller.post("/csc/v1/signatures/signHash", wish)
    return reply.status, reply.body


def test_a_remote_signature_from_log_in_to_openssl(
    portal: Portal, secret: str, slow_signers: None, tmp_path: Path
) -> None:
    basic = {"authorization": f"Basic {text(f'citizen-000002:{secret}'.encode())}"}
    logged_in = Caller(portal.url).call("POST", "/csc/v1/auth/login", {}, headers=basic)
    citizen = Caller(portal.url, logged_in.body["access_token"])
    name, content = credential(citizen), b"to be signed"
    described = citizen.post("/csc/v1/credentials/info", {"credentialID": name, "certificates": "chain"}).body
    digest = hashlib.sha256(content).digest()
    status, pending = authorize(citizen, name, digest)
    assert (status, pending["error"]) == (202, "authorization_pending")
    assert authorize(citizen, name, digest)[1]["transaction"] == pending["transaction"]
    assert citizen.post("/csc/v1/approvals", {"transaction": pending["transaction"], "approve": True}).status == 200
    status, released = authorize(citizen, name, digest)
    assert status == 200
    assert sign_hash(citizen, name, released["SAD"], hashlib.sha256(b"other").digest())[0] == 400
    status, signed = sign_hash(citizen, name, released["SAD"], digest)
    assert status == 200
    certificate, authority = (
        x509.load_der_x509_certificate(base64.b64decode(each)) for each in described["cert"]["certificates"]
    )
    (tmp_path / "content").write_bytes(content)
    (tmp_path / "signature").write_bytes(base64.b64decode(signed["signatures"][0]))
    write_pem(tmp_path / "certificate.pem", certificate)
    key = openssl("x509", "-in", tmp_path / "certificate.pem", "-pubkey", "-noout").stdout
    (tmp_path / "key.pem").write_text(key)
    told = openssl(
        "dgst", "-sha256", "-verify", tmp_path / "key.pem", "-signature", tmp_path / "signature", tmp_path / "content"
    )
    assert told.stdout.strip() == "Verified OK", told
    certificate.verify_directly_issued_by(authority)
    assert sign_hash(citizen, name, released["SAD"], digest)[0] == 400, "a release serves once"


def test_a_signer_who_refuses_or_does_not_answer(admin: Caller, signed_in: SignedIn, slow_signers: None) -> None:
    citizen = signed_in("citizen-000003")
    name, digest = credential(citizen), hashlib.sha256(next(_names).encode()).digest()
    _, pending = authorize(citizen, name, digest)
    other = signed_in("citizen-000004").post(
        "/csc/v1/approvals", {"transaction": pending["transaction"], "approve": True}
    )
    assert other.status == 404
    citizen.post("/csc/v1/approvals", {"transaction": pending["transaction"], "approve": False})
    status, refused = authorize(citizen, name, digest)
    assert (status, refused["error"]) == (400, "access_denied")
    assert authorize(citizen, name, digest)[0] == 202, "may be asked anew"
    admin.call("PUT", "/admin/approvals", {"median_s": 3600, "sigma": 0, "timeout_s": 1e-6})
    late = hashlib.sha256(next(_names).encode()).digest()
    assert authorize(citizen, name, late)[0] == 202
    status, told = authorize(citizen, name, late)
    assert (status, told["error"]) == (400, "access_denied")
    assert "in time" in str(told["error_description"])


def test_nobody_signs_with_anothers_credential(signed_in: SignedIn) -> None:
    name = credential(signed_in("citizen-000003"))
    status, told = authorize(signed_in("citizen-000004"), name, bytes(32))
    assert (status, told["error"]) == (400, "invalid_request")


def test_signing_with_one_call(admin: Caller, signed_in: SignedIn) -> None:
    admin.call("PUT", "/admin/approvals", {"median_s": 0, "sigma": 0, "timeout_s": 600})
    citizen, content = signed_in("citizen-000003"), next(_names).encode()
    wish = {"hashes": [text(hashlib.sha256(content).digest())], "told": "Tờ khai"}
    assert citizen.post("/signatures", wish).status == 202
    reply = citizen.post("/signatures", wish)
    assert reply.status == 200
    assert "signing;dur=" in reply.headers["server-timing"]
    key = x509.load_der_x509_certificate(base64.b64decode(reply.body["certificates"][0])).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(base64.b64decode(reply.body["signatures"][0]), content, padding.PKCS1v15(), hashes.SHA256())


# --- signed results ---


def test_a_result_verifies_with_openssl(signed_in: SignedIn, prepared: Prepared, tmp_path: Path) -> None:
    citizen, officer, code = signed_in("citizen-000001"), signed_in("officer-H01"), prepared(9)
    assert citizen.get(f"/dossiers/{code}/result").status == 409
    assert officer.post(f"/cases/{code}/return").body == {"code": code, "status": 10}
    result = citizen.get(f"/dossiers/{code}/result")
    assert officer.post(f"/cases/{code}/return").status == 200
    assert citizen.get(f"/dossiers/{code}/result").body == result.body, "a repeat signs nothing anew"
    assert signed_in("citizen-000002").get(f"/dossiers/{code}/result").status == 404
    (tmp_path / "result.p7m").write_bytes(result.body)
    told = openssl("cms", "-verify", "-noverify", "-inform", "DER", "-in", tmp_path / "result.p7m")
    assert told.returncode == 0, told
    assert f'"code":"{code}"' in told.stdout
    # The portal's own check, chain and revocation included: a result may be filed like any signed paper.
    paper = {"name": "result", "content": text(result.body)}
    assert citizen.post("/store/documents", paper).status == 201
    broken = bytearray(result.body)
    broken[broken.index(code.encode())] ^= 1
    assert citizen.post("/store/documents", {"name": "result", "content": text(bytes(broken))}).status == 422


# --- fees ---


def test_an_obligation_is_paid_once_and_handling_goes_on(signed_in: SignedIn, prepared: Prepared) -> None:
    citizen, officer, code = signed_in("citizen-000001"), signed_in("officer-H01"), prepared(4)
    assert citizen.post(f"/dossiers/{code}/payment", {"amount_vnd": 25_000}).status == 201  # the fee for filing
    asked = officer.post(f"/cases/{code}/ask-payment", {"amount_vnd": 70_000})
    assert asked.body == {"code": code, "status": 6}
    assert officer.post(f"/cases/{code}/ask-payment", {"amount_vnd": 70_000}).status == 200
    assert officer.post(f"/cases/{code}/ask-payment", {"amount_vnd": 80_000}).status == 409
    assert citizen.post(f"/dossiers/{code}/payment", {"amount_vnd": 60_000}).status == 409
    assert citizen.post(f"/dossiers/{code}/payment", {"amount_vnd": 70_000}).status == 201
    assert citizen.get(f"/dossiers/{code}").body["status"] == 4
    assert officer.post(f"/cases/{code}/stop").body == {"code": code, "status": 8}


def test_a_bank_calls_back_twice_late_and_forged(signed_in: SignedIn, prepared: Prepared, admin: Caller) -> None:
    citizen, code = signed_in("citizen-000001"), prepared(1)
    order = citizen.post(f"/dossiers/{code}/payment-orders", {"amount_vnd": 25_000}).body
    assert signed_in("citizen-000002").post(order["redirect"], {"pay": True}).status == 404
    call_back = citizen.post(order["redirect"], {"pay": True}).body
    told = citizen.post(order["redirect"], {"pay": False}).body["told"]
    assert '"state":"paid"' in told, "what is booked cannot be given up"
    bank = Caller(citizen.url)
    forged = {**call_back, "told": call_back["told"].replace("25000", "1")}
    assert bank.post("/payments/call-back", forged).status == 403
    assert citizen.get(f"/dossiers/{code}").body["paid"] is False
    # The day's books differ until the call-back comes.
    agency = signed_in("agency-H01")
    (missing,) = [each for each in agency.post("/payments/reconciliations").body["differences"] if each["code"] == code]
    assert (missing["portal_vnd"], missing["bank_vnd"]) == (None, 25_000)
    before = admin.get("/admin/counts").body["payments"]
    for _ in range(2):
        assert bank.post("/payments/call-back", call_back).body["state"] == "paid"
    assert admin.get("/admin/counts").body["payments"] == before + 1
    assert citizen.get(f"/dossiers/{code}").body["paid"] is True
    assert not [each for each in agency.post("/payments/reconciliations").body["differences"] if each["code"] == code]
    assert citizen.post(f"/dossiers/{code}/payment-orders", {"amount_vnd": 25_000}).status == 409


# --- documents between agencies ---


def document(name: str, to: list[str]) -> dict[str, object]:
    return {"document": name, "kind": "letter", "title": "Công văn", "to": to, "content": text(b"content")}


def test_a_document_goes_step_by_step(signed_in: SignedIn) -> None:
    sender, receiver, name = signed_in("agency-H01"), signed_in("agency-G09"), next(_names)
    assert sender.post("/axis/documents", document(name, ["G09", "H02"])).status == 201
    assert sender.post("/axis/documents", document(name, ["G09", "H02"])).status == 200
    assert sender.post("/axis/documents", document(name, ["H02"])).status == 409
    assert sender.post("/axis/documents", document(next(_names), ["H99"])).status == 400
    path = f"/axis/deliveries/H01/{name}"
    assert receiver.post(path, {"state": "received"}).status == 409, "not delivered yet"
    fetched = [receiver.post("/axis/inbox").body["documents"] for _ in range(2)]
    assert [each["document"] for each in fetched[0]].count(name) == 1
    assert name not in [each["document"] for each in fetched[1]]
    assert name in [each["document"] for each in receiver.get("/axis/inbox").body["documents"]]
    assert receiver.post(path, {"state": "done"}).status == 409
    assert receiver.post(path, {"state": "received"}).status == 200
    assert sender.post(f"/axis/documents/{name}/G09/recall").status == 409
    assert sender.post(f"/axis/documents/{name}/H02/recall").status == 200
    assert sender.get(f"/axis/documents/{name}").body["receivers"] == {"G09": "received", "H02": "recalled"}
    assert receiver.get(f"/axis/documents/{name}").status == 404


def test_an_answer_brings_so_many_bytes_and_no_more(admin: Caller, signed_in: SignedIn) -> None:
    """An agency of its own: documents of 3 MB, of which three are more than 8 MiB."""
    assert admin.post("/admin/prepare", {"agencies": ["H43"], "citizens": 0, "dossiers": []}).status == 200
    sender, receiver = signed_in("agency-H01"), signed_in("agency-H43")
    for number in range(4):
        large = document(f"large-{number}", ["H43"]) | {"content": text(bytes(3_000_000))}
        assert sender.post("/axis/documents", large).status == 201
    told = [receiver.post("/axis/inbox").body for _ in range(2)]
    assert [(len(each["documents"]), each["more"]) for each in told] == [(3, True), (1, False)]
    undone = receiver.get("/axis/inbox").body
    assert ([each["document"] for each in undone["documents"]], undone["more"]) == (
        ["large-0", "large-1", "large-2"], True
    )  # fmt: skip


# --- look-ups ---


def test_an_exchange_carries_a_message_once(signed_in: SignedIn) -> None:
    agency, name = signed_in("agency-H01"), next(_names)
    person = signed_in("officer-H01").post("/population/look-ups", {"number": "099000000003"}).body
    asked = {"service": "population.verify", **person}
    first = agency.post("/exchange/messages", {"message": name, "asked": asked}).body
    assert (first["state"], first["answer"]["match"], first["repeated"]) == ("answered", True, False)
    again = agency.post("/exchange/messages", {"message": name, "asked": asked}).body
    assert again == {**first, "repeated": True}
    other = {**asked, "name": "Ai Khác"}
    assert agency.post("/exchange/messages", {"message": name, "asked": other}).status == 409
    told = agency.post("/exchange/messages", {"message": next(_names), "asked": other}).body
    assert told["answer"]["match"] is False
    stranger = {"service": "dossiers.status", "code": "H02-20260701-0000001"}
    assert agency.post("/exchange/messages", {"message": next(_names), "asked": stranger}).status == 403


def test_who_asks_too_often_is_refused(conninfo: str) -> None:
    """A bucket of three that as good as never fills, in the database, so that every worker counts with it."""

    async def ask(caller: str) -> int:
        async with await AsyncConnection.connect(conninfo, autocommit=True) as connection:
            try:
                await take(connection, caller, 1e-6, 3)
            except Refusal as refusal:
                return refusal.status
        return 200

    assert [asyncio.run(ask("H01")) for _ in range(5)] == [200, 200, 200, 429, 429]
    assert asyncio.run(ask("H02")) == 200


# --- papers ---


def test_a_paper_is_provided_once(signed_in: SignedIn, prepared: Prepared, scans: Documents) -> None:
    citizen, other, code = signed_in("citizen-000001"), signed_in("citizen-000002"), prepared(1)
    paper = scans[1]
    digest = hashlib.sha256(base64.b64decode(paper["content"])).hexdigest()
    assert citizen.post(f"/dossiers/{code}/reused", {"digest": "0" * 64}).status == 404
    scanned = signed_in("officer-H01").post(f"/cases/{code}/papers", paper)
    assert (scanned.status, scanned.body["digest"]) == (201, digest)
    unsigned = {"name": "scan", "content": text(b"%PDF-1.7 nothing")}
    assert signed_in("officer-H01").post(f"/cases/{code}/papers", unsigned).status == 422
    assert signed_in("officer-H02").post(f"/cases/{code}/papers", paper).status == 403
    another = prepared(1)
    assert citizen.post(f"/dossiers/{another}/reused", {"digest": digest}).status == 201
    assert citizen.post(f"/dossiers/{another}/reused", {"digest": digest}).status == 200
    assert other.post(f"/dossiers/{another}/reused", {"digest": digest}).status == 404
    assert citizen.get(f"/store/documents/{digest}").body == base64.b64decode(paper["content"])
    assert citizen.post(f"/dossiers/{prepared(4)}/reused", {"digest": digest}).status == 409


# --- support, withdrawal, indicators ---


def test_a_question_is_answered_and_closed(signed_in: SignedIn, prepared: Prepared) -> None:
    citizen, officer, name = signed_in("citizen-000001"), signed_in("officer-H01"), next(_names)
    question = {"question": name, "agency": "H01", "kind": "complaint", "text": "Chậm"}
    assert citizen.post("/support/questions", question).status == 201
    assert citizen.post("/support/questions", question).status == 200
    assert citizen.post("/support/questions", {**question, "code": prepared(4)}).status == 409
    path = f"/support/questions/{name}"
    assert citizen.post(f"{path}/close", {"satisfied": True}).status == 409
    assert name in [each["question"] for each in officer.get("/support/open").body["questions"]]
    reply = {"state": "answered", "answer": "Đã xử lý"}
    answered = f"/support/questions/citizen-000001/{name}/answer"
    assert signed_in("officer-H02").post(answered, reply).status == 404
    assert officer.post(answered, reply).body["state"] == "answered"
    assert citizen.post(f"{path}/close", {"satisfied": False}).body["state"] == "closed"
    assert signed_in("citizen-000002").get(path).status == 404


def test_only_the_owner_withdraws(signed_in: SignedIn, prepared: Prepared) -> None:
    citizen, code = signed_in("citizen-000001"), prepared(1)
    assert signed_in("citizen-000002").post(f"/dossiers/{code}/withdrawal").status == 404
    assert [citizen.post(f"/dossiers/{code}/withdrawal").status for _ in range(2)] == [200, 200]
    assert citizen.post(f"/dossiers/{prepared(9)}/withdrawal").status == 409


def test_indicators_count_what_happened(admin: Caller, signed_in: SignedIn) -> None:
    """An agency of its own with four dossiers, worked out by hand."""
    codes = [f"H40-20260301-{serial:07d}" for serial in range(4)]
    statuses = [9, 4, 1, 10]
    dossiers = [
        {"code": code, "status": status, "citizen": "citizen-000001"}
        for code, status in zip(codes, statuses, strict=True)
    ]
    admin.post("/admin/prepare", {"agencies": ["H40"], "citizens": 0, "dossiers": dossiers})
    assert signed_in("officer-H40").post(f"/cases/{codes[0]}/return").status == 200
    events = [{"code": code, "status": 1, "sequence": 1, "at": "20260301080000"} for code in codes[:2]]
    signed_in("agency-H40").post("/sync", {"batch": next(_names), "events": events})
    told = Caller(admin.url).get("/indicators/H40?first=2026-03-01&last=2026-03-01").body
    assert (told["dossiers"], told["dossiers_online"]) == (4, 4)
    assert told["synchronised_1_4"] == 50.0
    # Three were received; two of them have ended, and in time.
    assert told["on_time_clock_stops_2_1"] == told["on_time_clock_runs_2_1"] == 66.67
    assert (told["submitted_online"], told["submitted_online_3_3"]) == (100.0, 50.0)
    assert told["procedures_online_3_1"] == 75.0
    assert told["electronic_results_4_1"] == 50.0  # the one prepared as returned has no result
    assert told["feedback_on_time_5_2"] is None
    empty = Caller(admin.url).get("/indicators/H41?first=2026-03-01&last=2026-03-01").body
    assert (empty["dossiers"], empty["synchronised_1_4"]) == (0, None)
