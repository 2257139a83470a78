"""What the gate times of signature verification: rounds of milliseconds, one process for all kinds of document.

A verdict is asked of a `Verifier` that is warm, as a portal's is, except for the list, which is about reading it anew.
"""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO

import pikepdf
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pytest_benchmark.fixture import BenchmarkFixture

from staging import pki
from staging.documents import make_document, make_pdf, sign
from staging.signatures import Verifier

pytestmark = [pytest.mark.slow, pytest.mark.benchmark(group="gate-verify")]

DOCUMENTS = 4
LARGE_BYTES = 1_500_000
CHAIN = 2  # authorities between root and signer
LIST_ENTRIES = 2_000


class Hierarchy:
    """A root, authorities below it, a signer, and their lists. Only one: making keys is most of the set-up."""

    def __init__(self) -> None:
        issuers = [pki.make_authority("Root", None, path_length=CHAIN)]
        for number in range(CHAIN):
            issuers.append(pki.make_authority(f"Issuing {number}", issuers[-1], path_length=CHAIN - number - 1))
        self.root, *self.between = (each.certificate for each in issuers)
        self.above = [pki.make_crl(each).public_bytes(Encoding.DER) for each in issuers[:-1]]
        self.issuing = issuers[-1]
        self.signer = pki.make_signer("Công dân", self.issuing)

    @property
    def chain(self) -> list[x509.Certificate]:
        return self.between[::-1]

    def verifier(self, listing: bytes) -> Verifier:
        return Verifier(self.root, tuple(self.between), (*self.above, listing))

    def listing(self, entries: int = 0) -> bytes:
        """The issuing authority's list."""
        when = datetime.now(UTC) - timedelta(days=1)
        return pki.make_crl(self.issuing, [(2**150 + n, when) for n in range(entries)]).public_bytes(Encoding.DER)


@pytest.fixture(scope="module")
def hierarchy() -> Hierarchy:
    return Hierarchy()


@pytest.fixture(scope="module")
def documents(hierarchy: Hierarchy) -> list[bytes]:
    return [make_document(number, hierarchy.signer, hierarchy.chain)[1] for number in range(DOCUMENTS)]


def measure(benchmark: BenchmarkFixture, count: int, judge: Callable[[], list[bool]]) -> None:
    benchmark.extra_info |= {"unit": "documents", "units_per_round": count}
    assert benchmark(judge) == [True] * count


def judging(hierarchy: Hierarchy, documents: list[bytes]) -> Callable[[], list[bool]]:
    """The verdicts on the documents, by a verifier that has seen its authorities and refuses an altered document."""
    verifier = hierarchy.verifier(hierarchy.listing())
    broken = documents[0][:3000] + bytes([documents[0][3000] ^ 1]) + documents[0][3001:]
    assert not verifier.verify(broken).valid
    return lambda: [verifier.verify(document).valid for document in documents]


def test_plain(benchmark: BenchmarkFixture, hierarchy: Hierarchy, documents: list[bytes]) -> None:
    measure(benchmark, DOCUMENTS, judging(hierarchy, documents))


def test_large(benchmark: BenchmarkFixture, hierarchy: Hierarchy) -> None:
    with pikepdf.open(BytesIO(make_pdf("Bản vẽ", 0))) as pdf:
        pdf.pages[0].Resources.XObject.Back = pdf.make_stream(random.Random(0).randbytes(LARGE_BYTES))
        written = BytesIO()
        pdf.save(written)
    signed = sign(written.getvalue(), hierarchy.signer, hierarchy.chain)
    measure(benchmark, 1, judging(hierarchy, [signed]))


def test_later_revision(benchmark: BenchmarkFixture, hierarchy: Hierarchy, documents: list[bytes]) -> None:
    twice = sign(documents[0], hierarchy.signer, hierarchy.chain, "Second")
    measure(benchmark, 1, judging(hierarchy, [twice]))


def test_chain(benchmark: BenchmarkFixture, hierarchy: Hierarchy, documents: list[bytes]) -> None:
    """The path is laid anew in each round: what a verifier does when it first meets an authority."""
    listing = hierarchy.listing()
    measure(benchmark, 1, lambda: [hierarchy.verifier(listing).verify(documents[0]).valid])


def test_crl(benchmark: BenchmarkFixture, hierarchy: Hierarchy, documents: list[bytes]) -> None:
    """A verifier that reads a long list, and a verdict by it."""
    listing = hierarchy.listing(LIST_ENTRIES)
    measure(benchmark, 1, lambda: [hierarchy.verifier(listing).verify(documents[0]).valid])
