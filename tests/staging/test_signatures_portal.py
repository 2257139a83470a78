"""Batches over both cores, and the portal itself: documents by revoked signers are refused with the reason."""

import itertools
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from staging import keys, pki, reasons
from staging.documents import make_pdf, sign
from staging.policy import Policy
from staging.service import running
from staging.signatures import Document, Verifier
from tests.staging import forgeries
from tests.staging.calls import Caller
from tests.staging.hierarchy import good, hierarchy, lists, verifier
from tests.staging.test_signatures_others import CONTENT, signed


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


def reachable(tmp_path: Path, data: str) -> Path:
    """The log, after opening the folder to PostgreSQL, which may run as another user."""
    Path(data).chmod(0o755)
    return tmp_path / "log.txt"


def test_the_portal_refuses_a_revoked_signers_document(tmp_path: Path) -> None:
    # Not under pytest's folders: a socket's path must be short.
    with tempfile.TemporaryDirectory() as data, running(reachable(tmp_path, data), data=Path(data)) as portal:
        (folder,) = Path(data).glob(f"*/{keys.PKI_FOLDER}")
        admin = Caller(portal.url, portal.admin_token)
        secret = admin.post("/admin/prepare", {"agencies": ["H01"], "citizens": 1, "dossiers": []}).body["secret"]
        token = Caller(portal.url).post("/accounts/sign-in", {"account": "citizen-000000", "secret": secret}).body
        citizen = Caller(portal.url, token["token"])
        procedure = citizen.get("/catalogue").body["procedures"][0]["code"]
        issuing = pki.read_certificate(folder / "issuing.pem")
        for number, signer, status in (("0000001", 0, 201), ("0000002", "revoked", 422)):
            pdf = sign(make_pdf("Đơn", 1), pki.read_signer(folder, signer), [issuing])
            component = {"name": "Đơn.pdf", "content": b64encode(pdf).decode()}
            filing = {"code": f"H01-20260701-{number}", "procedure": procedure, "components": [component]}
            reply = citizen.post("/dossiers", filing)
            assert reply.status == status, reply
        assert reasons.REVOKED in reply.body["components"][0]["reasons"][0]


def test_a_policy_without_lists_takes_documents_where_none_is_at_hand() -> None:
    one = hierarchy()
    strict = Verifier(one.root.certificate, (one.issuing.certificate,))
    assert strict.verify(good()).reasons == (reasons.NO_CRL,)
    lenient = Verifier(one.root.certificate, (one.issuing.certificate,), policy=Policy(need_crl=False))
    assert lenient.verify(good()).valid
    late = Policy(clock=lambda: Policy().clock() + timedelta(days=400))
    assert reasons.EXPIRED in Verifier(one.root.certificate, (), lists(), late).verify(good()).reasons
