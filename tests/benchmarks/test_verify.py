"""Signature verification: 50 kB PAdES documents, RSA-2048, three certificates and their authorities' revocation lists;
one core, in process, all checks on.

pytest-benchmark runs one benchmark's rounds after another's and has no simple way to interleave them, so on a noisy
machine compare several runs. No verdict is remembered: a round judges each of its documents anew.
"""

import asyncio
import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO

import pikepdf
import pytest
from asn1crypto import crl
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext
from pytest_benchmark.fixture import BenchmarkFixture

from staging import pki
from staging.documents import make_pdf, sign, to_asn1
from staging.signatures import Verifier

pytestmark = [pytest.mark.slow, pytest.mark.benchmark(group="verify")]

DOCUMENTS, SIGNERS = 20, 4
SIGNED_BYTES = 50_000
_SIGNATURE_BYTES = 8_700  # what signing adds, about


@dataclass(frozen=True)
class Corpus:
    """Valid documents, the two authorities that a verifier knows, and their revocation lists."""

    root: x509.Certificate
    issuing: x509.Certificate
    crls: tuple[bytes, bytes]
    documents: list[bytes]


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    root = pki.make_authority("Root", None, path_length=1)
    issuing = pki.make_authority("Issuing", root, path_length=0)
    signers = [pki.make_signer(f"Công dân {number}", issuing) for number in range(SIGNERS)]
    chain = [issuing.certificate]
    documents = [sign(page(number), signers[number % SIGNERS], chain) for number in range(DOCUMENTS)]
    assert [len(each) for each in documents] == pytest.approx([SIGNED_BYTES] * DOCUMENTS, rel=0.01)
    return Corpus(root.certificate, issuing.certificate, (listing(root), listing(issuing, 100)), documents)


def listing(authority: pki.Issued, revoked: int = 0) -> bytes:
    """A revocation list of so many entries, in DER."""
    when = datetime.now(UTC) - timedelta(days=1)
    entries = [(x509.random_serial_number(), when) for _ in range(revoked)]
    return pki.make_crl(authority, entries).public_bytes(serialization.Encoding.DER)


def page(number: int) -> bytes:
    """The portal's unsigned page with a second scan that makes all of them equally large."""
    made = make_pdf(f"Đơn số {number}", number)
    with pikepdf.open(BytesIO(made)) as pdf:
        rest = SIGNED_BYTES - _SIGNATURE_BYTES - len(made)
        pdf.pages[0].Resources.XObject.Back = pdf.make_stream(random.Random(number).randbytes(rest))
        written = BytesIO()
        pdf.save(written)
    return written.getvalue()


def altered(document: bytes) -> bytes:
    """The document with one byte of its scan changed."""
    return document[:3000] + bytes([document[3000] ^ 1]) + document[3001:]


def measure(benchmark: BenchmarkFixture, judge_all: Callable[[list[bytes]], list[bool]], corpus: Corpus) -> None:
    """Time the judging of every document, then see that good ones were called good and an altered one is not."""
    benchmark.extra_info |= {"unit": "documents", "units_per_round": DOCUMENTS}
    assert benchmark(judge_all, corpus.documents) == [True] * DOCUMENTS
    assert judge_all([altered(corpus.documents[0]), *corpus.documents[1:3]]) == [False, True, True]


def test_ours(benchmark: BenchmarkFixture, corpus: Corpus) -> None:
    verifier = Verifier(corpus.root, (corpus.issuing,), corpus.crls)

    def judge_all(documents: list[bytes]) -> list[bool]:
        return [verifier.verify(document).valid for document in documents]

    measure(benchmark, judge_all, corpus)
    verifier.close()


def test_pyhanko(benchmark: BenchmarkFixture, corpus: Corpus) -> None:
    """pyHanko as its manual shows it, in its faster, asynchronous form."""
    roots, known = [to_asn1(corpus.root)], [to_asn1(corpus.issuing)]
    lists = [crl.CertificateList.load(each) for each in corpus.crls]
    usage = KeyUsageConstraints(key_usage={"non_repudiation"})

    async def judge(document: bytes) -> bool:
        signature = PdfFileReader(BytesIO(document)).embedded_regular_signatures[0]
        context = ValidationContext(
            trust_roots=roots, other_certs=known, crls=lists, allow_fetching=False, revocation_mode="require"
        )
        status = await async_validate_pdf_signature(signature, context, key_usage_settings=usage)
        return bool(status.bottom_line) and status.coverage == SignatureCoverageLevel.ENTIRE_FILE

    async def judge_each(documents: list[bytes]) -> list[bool]:
        return [await judge(document) for document in documents]

    measure(benchmark, lambda documents: asyncio.run(judge_each(documents)), corpus)


@dataclass(frozen=True)
class Parts:
    """What a signature is about, taken out of the document beforehand."""

    gap: tuple[int, int]
    digest: bytes
    attributes: bytes
    signature: bytes
    key: rsa.RSAPublicKey


def parts_of(document: bytes) -> Parts:
    found = PdfFileReader(BytesIO(document)).embedded_regular_signatures[0]
    attributes, key = found.signer_info["signed_attrs"], found.signer_cert.public_key.dump()
    digest = next(each["values"][0].native for each in attributes if each["type"].native == "message_digest")
    loaded = serialization.load_der_public_key(key)
    assert isinstance(loaded, rsa.RSAPublicKey)
    _, length, resume, _ = found.byte_range
    return Parts((length, resume), digest, attributes.untag().dump(), found.signer_info["signature"].native, loaded)


def test_limit(benchmark: BenchmarkFixture, corpus: Corpus) -> None:
    """Not a verifier: SHA-256 over the signed bytes and one RSA verification, everything taken apart beforehand."""
    known = [parts_of(document) for document in corpus.documents]

    def judge(document: bytes, parts: Parts) -> bool:
        whole, digest = memoryview(document), hashlib.sha256()
        digest.update(whole[: parts.gap[0]])
        digest.update(whole[parts.gap[1] :])
        try:
            parts.key.verify(parts.signature, parts.attributes, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return False
        return digest.digest() == parts.digest

    def judge_all(documents: list[bytes]) -> list[bool]:
        return [judge(document, parts) for document, parts in zip(documents, known, strict=False)]

    measure(benchmark, judge_all, corpus)
