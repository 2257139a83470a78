"""Signature verification: 50 kB PAdES documents, RSA-2048, three certificates and their authorities' revocation lists;
one core, in process, all checks on.

pytest-benchmark runs one benchmark's rounds after another's and has no simple way to interleave them, so on a noisy
machine compare several runs. No verdict is remembered: a round judges each of its documents anew.
"""

import asyncio
import hashlib
import os
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
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

from staging import adapters, pki, revocation
from staging.documents import make_pdf, sign, to_asn1
from staging.signatures import Document, Verifier
from staging.verdicts import Verdict

pytestmark = [pytest.mark.slow, pytest.mark.benchmark(group="verify")]

DOCUMENTS, SIGNERS = 20, 4
SIGNED_BYTES = 50_000
_SIGNATURE_BYTES = 8_700  # what signing adds, about


@dataclass(frozen=True)
class Corpus:
    """Valid documents, the two authorities that a verifier knows, and their revocation lists."""

    root: x509.Certificate
    issuing: x509.Certificate
    signed_by: pki.Issued
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
    return Corpus(root.certificate, issuing.certificate, issuing, (listing(root), listing(issuing, 100)), documents)


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


@pytest.mark.skipif(not os.environ.get(adapters.SIGNATURES), reason=f"{adapters.SIGNATURES} names no implementation")
def test_yours(benchmark: BenchmarkFixture, corpus: Corpus) -> None:
    """The implementation that the environment names, as docs/staging.md says."""
    yours = adapters.signatures(corpus.root, (corpus.issuing,), corpus.crls)

    def judge_all(documents: list[bytes]) -> list[bool]:
        return [yours.verify(document).valid for document in documents]

    measure(benchmark, judge_all, corpus)
    yours.close()


def test_pyhanko(benchmark: BenchmarkFixture, corpus: Corpus) -> None:
    measure(benchmark, by_pyhanko(corpus), corpus)


def by_pyhanko(corpus: Corpus) -> Callable[[list[bytes]], list[bool]]:
    """pyHanko as its manual shows it, in its faster, asynchronous form; lists are parsed once."""
    roots, known = [to_asn1(corpus.root)], [to_asn1(corpus.issuing)]
    lists = [crl.CertificateList.load(each) for each in corpus.crls]
    usage = KeyUsageConstraints(key_usage={"non_repudiation"})

    async def judge(document: bytes) -> bool:
        signatures = PdfFileReader(BytesIO(document)).embedded_regular_signatures
        context = ValidationContext(
            trust_roots=roots, other_certs=known, crls=lists, allow_fetching=False, revocation_mode="require"
        )
        states = [await async_validate_pdf_signature(each, context, key_usage_settings=usage) for each in signatures]
        return all(each.bottom_line for each in states) and states[-1].coverage == SignatureCoverageLevel.ENTIRE_FILE

    async def judge_each(documents: list[bytes]) -> list[bool]:
        return [await judge(document) for document in documents]

    return lambda documents: asyncio.run(judge_each(documents))


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


# Off the plain path.

FEW = 4
ENTRIES = 100_000


@pytest.fixture(scope="module")
def revised(corpus: Corpus) -> Corpus:
    """Documents with a later revision: a second signature. Only the full validator can judge them."""
    signer = pki.make_signer("Người thứ hai", corpus.signed_by)
    chain = [corpus.issuing]
    return replace(corpus, documents=[sign(each, signer, chain, "Second") for each in corpus.documents[:FEW]])


@pytest.fixture(scope="module")
def listed(corpus: Corpus) -> Corpus:
    """The issuing authority's list has 100,000 entries."""
    return replace(corpus, crls=(corpus.crls[0], listing(corpus.signed_by, ENTRIES)), documents=corpus.documents[:FEW])


def measure_few(benchmark: BenchmarkFixture, judge_all: Callable[[list[bytes]], list[bool]], corpus: Corpus) -> None:
    benchmark.extra_info |= {"unit": "documents", "units_per_round": FEW}
    assert judge_all([altered(corpus.documents[0])]) == [False]
    assert benchmark(judge_all, corpus.documents) == [True] * FEW


def by_us(corpus: Corpus) -> Callable[[list[bytes]], list[bool]]:
    verifier = Verifier(corpus.root, (corpus.issuing,), corpus.crls)
    return lambda documents: [verifier.verify(document).valid for document in documents]


@pytest.mark.benchmark(group="verify_more")
def test_later_revision_ours(benchmark: BenchmarkFixture, revised: Corpus) -> None:
    measure_few(benchmark, by_us(revised), revised)


@pytest.mark.benchmark(group="verify_more")
def test_later_revision_pyhanko(benchmark: BenchmarkFixture, revised: Corpus) -> None:
    measure_few(benchmark, by_pyhanko(revised), revised)


@pytest.mark.benchmark(group="verify_more")
def test_big_list_ours(benchmark: BenchmarkFixture, listed: Corpus) -> None:
    measure_few(benchmark, by_us(listed), listed)


@pytest.mark.benchmark(group="verify_more")
def test_big_list_pyhanko(benchmark: BenchmarkFixture, listed: Corpus) -> None:
    measure_few(benchmark, by_pyhanko(listed), listed)


@pytest.mark.benchmark(group="verify_list")
def test_reading_ours(benchmark: BenchmarkFixture, listed: Corpus) -> None:
    benchmark.extra_info |= {"unit": "entries", "units_per_round": ENTRIES}
    assert len(benchmark(revocation.read, listed.crls[1]).revoked) == ENTRIES


@pytest.mark.benchmark(group="verify_list")
def test_reading_asn1crypto(benchmark: BenchmarkFixture, listed: Corpus) -> None:
    """What pyHanko reads lists with."""
    benchmark.extra_info |= {"unit": "entries", "units_per_round": ENTRIES}

    def read() -> set[int]:
        entries = crl.CertificateList.load(listed.crls[1])["tbs_cert_list"]["revoked_certificates"]
        return {entry["user_certificate"].native for entry in entries}

    assert len(benchmark.pedantic(read, rounds=3)) == ENTRIES


MANY = 2_000


def measure_many(benchmark: BenchmarkFixture, corpus: Corpus, judge: Callable[[list[Document]], list[Verdict]]) -> None:
    """Batches of MANY documents; a first one starts the processes and is not timed."""
    benchmark.extra_info |= {"unit": "documents", "units_per_round": MANY}
    batch = [Document(each) for each in corpus.documents] * (MANY // DOCUMENTS)
    assert all(verdict.valid for verdict in benchmark.pedantic(judge, (batch,), rounds=5, warmup_rounds=1))


@pytest.mark.benchmark(group="verify_many")
@pytest.mark.parametrize("processes", [1, 2])
def test_processes(benchmark: BenchmarkFixture, corpus: Corpus, processes: int) -> None:
    verifier = Verifier(corpus.root, (corpus.issuing,), corpus.crls)
    measure_many(benchmark, corpus, lambda batch: list(verifier.verify_many(batch, processes)))
    verifier.close()


@pytest.mark.benchmark(group="verify_many")
def test_two_threads(benchmark: BenchmarkFixture, corpus: Corpus) -> None:
    verifier = Verifier(corpus.root, (corpus.issuing,), corpus.crls)

    def judge(batch: list[Document]) -> list[Verdict]:
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda each: verifier.verify(each.content), batch))

    measure_many(benchmark, corpus, judge)
