"""Filing at a counter: by an officer for a citizen, with scans that the officer's agency signed, and nobody else's."""

import asyncio
from base64 import b64decode, b64encode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from staging import cades, pki, reasons
from tests.staging.calls import Caller, Reply
from tests.staging.openssl import openssl

SignedIn = Callable[[str], Caller]
Documents = list[dict[str, str]]
Application = Callable[[str], dict[str, str]]
CITIZEN, NUMBER = "citizen-000001", "099000000001"
_serials = iter(range(10**7))


def new_code(agency: str = "H01") -> str:
    return f"{agency}-20260703-{next(_serials):07d}"


def filing(code: str, scans: Documents, **changed: object) -> dict[str, object]:
    return {"code": code, "procedure": "1.000001.H01", "citizen": NUMBER, "components": scans, **changed}


@pytest.fixture(scope="module")
def foreign(admin: Caller, secret: str) -> Documents:
    """A scan by an officer of another agency."""
    return list(admin.get("/admin/documents?count=1&signer=officer-H02").body["documents"])


def test_a_dossier_filed_at_a_counter_is_the_citizens(signed_in: SignedIn, scans: Documents) -> None:
    officer, citizen, code = signed_in("officer-H01"), signed_in(CITIZEN), new_code()
    replies = [officer.post("/cases", filing(code, scans)) for _ in range(2)]
    assert [each.status for each in replies] == [201, 200]
    assert replies[0].body == replies[1].body
    assert (replies[0].body["code"], replies[0].body["status"]) == (code, 1)
    seen = citizen.get(f"/dossiers/{code}").body
    assert (seen["channel"], seen["status"]) == ("counter", 1)
    assert signed_in("citizen-000002").get(f"/dossiers/{code}").status == 404
    assert officer.post(f"/cases/{code}/receive").body == {"code": code, "status": 2}
    # The scans are the citizen's from now on: provided once.
    digest = sha256(b64decode(scans[0]["content"])).hexdigest()
    assert citizen.get(f"/store/documents/{digest}").body == b64decode(scans[0]["content"])
    assert citizen.post(f"/dossiers/{code}/withdrawal").body == {"code": code, "status": 7}


def test_what_is_for_the_counter_only_is_filed_there(
    signed_in: SignedIn, scans: Documents, application: Application
) -> None:
    found = Caller(signed_in(CITIZEN).url).get("/catalogue?agency=H01&q=thu%20hoi").body["procedures"]
    procedure, code = next(each["code"] for each in found if each["level"] == "counter"), new_code()
    online = {"code": code, "procedure": procedure, "components": [application(CITIZEN)]}
    assert signed_in(CITIZEN).post("/dossiers", online).status == 422
    assert signed_in("officer-H01").post("/cases", filing(code, scans, procedure=procedure)).status == 201


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"code": "H02-20260703-0000000"}, 403),
        ({"code": "nonsense"}, 400),
        ({"citizen": "099999999999"}, 404),
        ({"citizen": CITIZEN}, 400),
        ({"procedure": "1.000001.H02"}, 422),
        ({"procedure": "none"}, 422),
        ({"components": []}, 400),
        ({"officer": "officer-H02"}, 400),
    ],
)
def test_what_an_officer_cannot_file(
    signed_in: SignedIn, scans: Documents, changed: dict[str, object], status: int
) -> None:
    code = new_code()
    assert signed_in("officer-H01").post("/cases", filing(code, scans) | changed).status == status
    assert signed_in(CITIZEN).get(f"/dossiers/{code}").status == 404


def refused_for(reply: Reply) -> str:
    assert reply.status == 422
    return str(reply.body["components"][-1]["reasons"])


def test_scans_are_signed_by_the_officers_agency(
    signed_in: SignedIn, prepared: Callable[[int], str], scans: Documents, documents: Documents, foreign: Documents
) -> None:
    officer, code, open_code = signed_in("officer-H01"), new_code(), prepared(2)
    of_others = ((documents[0], "no agency"), (documents[1], "of G00"), (foreign[0], "officer-H02 of H02"))
    for wrong, whose in of_others:
        for reply in (
            officer.post("/cases", filing(code, [scans[0], wrong])),
            officer.post(f"/cases/{open_code}/papers", wrong),
        ):
            told = refused_for(reply)
            assert reasons.OTHER_AGENCY in told
            assert whose in told
    assert signed_in(CITIZEN).get(f"/dossiers/{code}").status == 404
    # Signed by the agency, altered afterwards.
    content = bytearray(b64decode(scans[0]["content"]))
    content[3000] ^= 1
    altered = {"name": "a.pdf", "content": b64encode(bytes(content)).decode()}
    assert reasons.ALTERED in refused_for(officer.post("/cases", filing(code, [altered])))


def test_a_code_is_one_filings(signed_in: SignedIn, scans: Documents, application: Application) -> None:
    """Neither way of filing takes over, or passes for, what came by the other."""
    officer, citizen, code, online = signed_in("officer-H01"), signed_in(CITIZEN), new_code(), new_code()
    assert officer.post("/cases", filing(code, scans)).status == 201
    assert officer.post("/cases", filing(code, scans[:1])).status == 409
    assert officer.post("/cases", filing(code, scans, citizen="099000000002")).status == 409
    same = {"code": code, "procedure": "1.000001.H01", "components": [application(CITIZEN)]}
    assert citizen.post("/dossiers", same).status == 409
    assert citizen.post("/dossiers", {**same, "code": online}).status == 201
    assert officer.post("/cases", filing(online, scans)).status == 409
    assert citizen.get(f"/dossiers/{online}").body["channel"] == "online"


def test_a_citizen_files_with_the_agency_of_the_procedure(signed_in: SignedIn, application: Application) -> None:
    given = {"code": new_code("H02"), "procedure": "1.000001.H01", "components": [application(CITIZEN)]}
    reply = signed_in(CITIZEN).post("/dossiers", given)
    assert (reply.status, "procedure" in reply.body["error"]) == (422, True)


def test_a_scan_signed_remotely_by_its_officer(admin: Caller, signed_in: SignedIn) -> None:
    """As an officer's own program would do it: the key stays with the signing service."""
    assert admin.call("PUT", "/admin/approvals", {"median_s": 0, "sigma": 0, "timeout_s": 600}).status == 200
    officer = signed_in("officer-H01")

    def ask(content: bytes) -> dict[str, list[str]]:
        wish = {"hashes": [b64encode(sha256(content).digest()).decode()], "told": "Bản quét"}
        assert officer.post("/signatures", wish).status == 202
        return dict(officer.post("/signatures", wish).body)

    chain = [x509.load_der_x509_certificate(b64decode(each)) for each in ask(b"certificates")["certificates"]]

    def sign(attributes: bytes) -> bytes:
        return b64decode(ask(attributes)["signatures"][0])

    message = asyncio.run(cades.envelop(b"a scan", chain[0], chain[1:], sign))
    scan = {"name": "scan.p7m", "content": b64encode(message).decode()}
    assert officer.post("/cases", filing(new_code(), [scan])).status == 201
    assert signed_in("officer-H02").post("/cases", filing(new_code("H02"), [scan])).status == 422


def test_indicators_tell_the_ways_apart(admin: Caller, signed_in: SignedIn, application: Application) -> None:
    wanted = {"agencies": ["H42"], "citizens": 2, "dossiers": []}
    assert admin.post("/admin/prepare", wanted).status == 200
    scans = admin.get("/admin/documents?count=1&signer=officer-H42").body["documents"]
    given = {"code": "H42-20260704-0000001", "procedure": "1.000001.H42"}
    assert signed_in("officer-H42").post("/cases", filing(scans=scans, **given)).status == 201
    online = {**given, "code": "H42-20260704-0000002", "components": [application(CITIZEN)]}
    assert signed_in(CITIZEN).post("/dossiers", online).status == 201
    told = Caller(admin.url).get("/indicators/H42?first=2026-07-04&last=2026-07-04").body
    assert (told["dossiers"], told["dossiers_online"], told["submitted_online"]) == (2, 1, 50.0)


def test_a_certificate_says_who_its_owner_is(tmp_path: Path) -> None:
    """As OpenSSL reads it."""
    issuing = pki.make_authority("Issuing", None, path_length=0)
    made = pki.make_signer("Bình", issuing, number=NUMBER, agency="H01").certificate
    (tmp_path / "made.pem").write_bytes(made.public_bytes(Encoding.PEM))
    told = openssl("x509", "-in", tmp_path / "made.pem", "-noout", "-subject", "-nameopt", "utf8,sname,sep_multiline")
    lines = {line.strip() for line in told.stdout.splitlines()}
    assert lines >= {f"UID=CCCD:{NUMBER}", "CN=Bình", "organizationIdentifier=H01"}, told
