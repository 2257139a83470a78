"""Batches over both cores, and the portal itself: documents by revoked signers are refused with the reason."""

import itertools
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from staging import keys, pki, reasons
from staging.documents import make_pdf, sign
from staging.policy import Policy
from staging.signatures import Document, Verifier
from tests.staging import forgeries
from tests.staging.calls import Caller
from tests.staging.hierarchy import good, hierarchy, lists, verifier
from tests.staging.test_signatures_others import CONTENT, signed

SignedIn = Callable[[str], Caller]
_serials = itertools.count()


@pytest.mark.parametrize("processes", [1, 2])
def test_a_batch_keeps_the_order_and_all_kinds_of_documents(processes: int) -> None:
    message = signed("-cades", "-nodetach")
    kinds = [Document(good()), Document(forgeries.flip(good(), 3000)), Document(message)]
    kinds += [Document(CONTENT, signed("-cades")), Document(b"%PDF- no"), Document(CONTENT, message)]
    once = verifier()
    expected = [once.verify(each.content, signature=each.signature) for each in kinds]
    assert [each.valid for each in expected] == [True, False, True, True, False, False]
    found = once.verify_many(itertools.islice(itertools.cycle(kinds), 100), processes)
    assert list(found) == list(itertools.islice(itertools.cycle(expected), 100))
    once.close()


def test_a_batch_reads_only_a_little_ahead() -> None:
    taken = 0

    def documents() -> Iterator[Document]:
        nonlocal taken
        for _ in range(10_000):
            taken += 1
            yield Document(good())

    once = verifier()
    found = once.verify_many(documents(), 2)
    assert all(next(found).valid for _ in range(3))
    assert taken <= 200
    once.close()


def test_a_hierarchy_on_disk_names_its_revoked_signer(tmp_path: Path) -> None:
    pki.make_hierarchy(tmp_path / "pki")
    root, issuing = (pki.read_certificate(tmp_path / "pki" / f"{name}.pem") for name in ("root", "issuing"))
    judge = Verifier(root, (issuing,), pki.read_crls(tmp_path / "pki"))
    for number, valid in ((0, True), ("revoked", False)):
        signer = pki.read_signer(tmp_path / "pki", number)
        verdict = judge.verify(sign(make_pdf("Đơn", 1), signer, [issuing]))
        assert verdict.valid == valid
        assert (reasons.REVOKED in " ".join(verdict.reasons)) != valid


def test_the_portal_refuses_a_revoked_signers_document(signed_in: SignedIn, folder: Path) -> None:
    """For that reason, and not for whose it is."""
    citizen, pki_folder = signed_in("citizen-000000"), folder / keys.PKI_FOLDER
    issuing = pki.read_certificate(pki_folder / "issuing.pem")
    for number, signer, reason in (("0000001", 0, reasons.NOT_APPLICANT), ("0000002", "revoked", reasons.REVOKED)):
        pdf = sign(make_pdf("Đơn", 1), pki.read_signer(pki_folder, signer), [issuing])
        component = {"name": "Đơn.pdf", "content": b64encode(pdf).decode()}
        filing = {"code": f"H01-20260706-{number}", "procedure": "1.000001.H01", "components": [component]}
        reply = citizen.post("/dossiers", filing)
        assert (reply.status, reason in reply.body["components"][0]["reasons"][0]) == (422, True), reply


@pytest.mark.parametrize(
    ("made", "reason"),
    [({}, reasons.OTHER_AGENCY), ({"agency": "H01"}, reasons.OTHER_AGENCY), ({"may_sign": False}, reasons.WRONG_USAGE)],
)
def test_a_result_that_no_officer_of_the_agency_signed_is_not_returned(
    admin: Caller, signed_in: SignedIn, secret: str, folder: Path, made: dict[str, Any], reason: str
) -> None:
    """Whatever certificate stands in the tables for the officer."""
    code = f"H44-20260706-{next(_serials):07d}"
    dossier = {"code": code, "status": 9, "citizen": "citizen-000000"}
    assert admin.post("/admin/prepare", {"agencies": ["H44"], "citizens": 1, "dossiers": [dossier]}).status == 200
    officer, citizen = signed_in("officer-H44"), signed_in("citizen-000000")
    officer.post("/csc/v1/credentials/list")
    with psycopg.connect(keys.read(folder).conninfo) as connection:
        select = "SELECT key FROM signing_credentials WHERE account = 'officer-H44'"
        row = connection.execute(select).fetchone()
        assert row is not None
        key = pki.read_signer(folder / keys.PKI_FOLDER, row[0]).key
        issued = pki.make_signer("officer-H44", pki.read_issued(folder / keys.PKI_FOLDER, "remote"), key=key, **made)
        update = "UPDATE signing_credentials SET certificate = %s WHERE account = 'officer-H44'"
        connection.execute(update, (issued.certificate.public_bytes(Encoding.DER),))
    before = citizen.get("/store/documents").body
    reply = officer.post(f"/cases/{code}/return")
    assert (reply.status, reason in reply.body["components"][0]["reasons"][0]) == (422, True), reply
    assert citizen.get(f"/dossiers/{code}").body["status"] == 9
    assert citizen.get("/store/documents").body == before


def test_a_policy_without_lists_takes_documents_where_none_is_at_hand() -> None:
    one = hierarchy()
    strict = Verifier(one.root.certificate, (one.issuing.certificate,))
    assert strict.verify(good()).reasons == (reasons.NO_CRL,)
    lenient = Verifier(one.root.certificate, (one.issuing.certificate,), policy=Policy(need_crl=False))
    assert lenient.verify(good()).valid
    late = Policy(clock=lambda: Policy().clock() + timedelta(days=400))
    assert reasons.EXPIRED in Verifier(one.root.certificate, (), lists(), late).verify(good()).reasons
