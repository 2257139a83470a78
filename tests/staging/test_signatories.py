"""Who may have signed what citizens hand in: they themselves or an agency, and nobody else with a good certificate."""

import itertools
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from staging import keys, pki, reasons
from staging.documents import make_pdf, sign
from staging.signatories import Applicant, Officers
from staging.signers import Signer
from tests.staging.calls import Caller, Reply

SignedIn = Callable[[str], Caller]
Application = Callable[[str], dict[str, str]]
Documents = list[dict[str, str]]
CITIZEN, NUMBER, OTHER = "citizen-000001", "099000000001", "citizen-000002"
_serials = itertools.count()


def file(caller: Caller, *components: dict[str, str]) -> Reply:
    code = f"H01-20260707-{next(_serials):07d}"
    reply = caller.post("/dossiers", {"code": code, "procedure": "1.000001.H01", "components": components})
    assert caller.get(f"/dossiers/{code}").status == (200 if reply.status == 201 else 404), "filed or not at all"
    return reply


def faults(reply: Reply) -> list[str]:
    """What is wrong with each component; empty where nothing is."""
    assert reply.status == 422, reply
    return [" ".join(each["reasons"]) for each in reply.body["components"]]


@pytest.fixture
def issued(folder: Path, secret: str) -> Callable[..., pki.Issued]:
    """A certificate by the portal's own authority, for whoever is named."""
    authority = pki.read_issued(folder / keys.PKI_FOLDER, "remote")
    key = pki.read_signer(folder / keys.PKI_FOLDER, 0).key
    return lambda **named: pki.make_signer("Người ký", authority, key=key, **named)


def signed(folder: Path, *signers: pki.Issued) -> dict[str, str]:
    """A document that the signers signed one after the other."""
    pdf, chain = make_pdf("Đơn", 1), [pki.read_certificate(folder / keys.PKI_FOLDER / "remote.pem")]
    for number, signer in enumerate(signers):
        pdf = sign(pdf, signer, chain, f"ChuKy{number}")
    return {"name": "Đơn.pdf", "content": b64encode(pdf).decode()}


def test_an_application_is_its_applicants(signed_in: SignedIn, application: Application, documents: Documents) -> None:
    citizen, own, others, paper = signed_in(CITIZEN), application(CITIZEN), application(OTHER), documents[1]
    assert file(citizen, own).status == 201
    assert file(citizen, own, paper).status == 201
    assert file(citizen, paper, own).status == 201
    refused = file(citizen, others)
    assert reasons.NOT_APPLICANT in faults(refused)[0]
    assert f"signed by {OTHER} of no agency, expected {NUMBER}" in faults(refused)[0]
    first, second = faults(file(citizen, own, others))
    assert (first, reasons.NOT_APPLICANT in second) == ("", True)
    assert file(signed_in(OTHER), others).status == 201


def test_agencies_papers_alone_are_no_application(signed_in: SignedIn, documents: Documents, scans: Documents) -> None:
    reply = file(signed_in(CITIZEN), documents[1], scans[0])
    assert faults(reply) == ["", ""]
    assert f"no component is signed by the applicant, {NUMBER}" in reply.body["error"]


def test_a_trusted_certificate_of_nobody_in_particular_signs_nothing(
    signed_in: SignedIn, folder: Path, issued: Callable[..., pki.Issued]
) -> None:
    citizen = signed_in(CITIZEN)
    assert reasons.NOT_APPLICANT in faults(file(citizen, signed(folder, issued())))[0]
    # The same key: it is the certificate that says who signed.
    assert file(citizen, signed(folder, issued(number=NUMBER))).status == 201


def test_the_last_signature_counts(signed_in: SignedIn, folder: Path, issued: Callable[..., pki.Issued]) -> None:
    """It covers what the others signed, and more."""
    citizen, own, other = signed_in(CITIZEN), issued(number=NUMBER), issued(number="099000000002")
    assert file(citizen, signed(folder, other, own)).status == 201
    assert reasons.NOT_APPLICANT in faults(file(citizen, signed(folder, own, other)))[0]


def test_supplements_and_stored_papers_are_ones_own_or_an_agencys(
    signed_in: SignedIn, prepared: Callable[[int], str], application: Application, documents: Documents
) -> None:
    citizen, paper = signed_in(CITIZEN), documents[1]
    for wrong, right in ((application(OTHER), paper), (application(OTHER), application(CITIZEN))):
        path = f"/dossiers/{prepared(5)}/components"
        assert reasons.NOT_APPLICANT in faults(citizen.post(path, {"components": [wrong]}))[0]
        assert citizen.post(path, {"components": [right]}).status == 200
        assert reasons.NOT_APPLICANT in faults(citizen.post("/store/documents", wrong))[0]
        assert citizen.post("/store/documents", right).status == 201


def test_who_signs_documents_for_load_tests(admin: Caller, secret: str) -> None:
    for nobody in ("agency-H01", "citizen-999999", "%00"):
        assert admin.get(f"/admin/documents?count=1&signer={nobody}").status == 400, nobody
    numbered = admin.get(f"/admin/documents?count=2&signer={CITIZEN}&first=7").body["documents"]
    assert [each["name"][-8:] for each in numbered] == ["0007.pdf", "0008.pdf"]


@pytest.mark.parametrize("nobody", [None, Signer("", "", ""), Signer("Bình", "", "")])
def test_who_is_not_named_is_nobody(nobody: Signer | None) -> None:
    """A signature check of somebody else's may name no signer; a certificate may have no number, or two."""
    assert reasons.NOT_APPLICANT in Applicant(NUMBER).fault(nobody)
    assert reasons.OTHER_AGENCY in Officers("H01").fault(nobody)
    assert Applicant(NUMBER, must_sign=True).lack([nobody])
