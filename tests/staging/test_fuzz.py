"""Fuzz of what comes from outside into the hot paths: no crash, no hang, no memory without bound.

Whatever is damaged: each document gets a verdict and each batch an answer, within a second of processor time.
"""

import binascii
import time
import zlib
from collections.abc import Callable

import msgspec
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from staging import bounds, pki, reasons, status_sync
from staging.answers import BODY_BYTES_MAX
from staging.documents import make_document
from staging.policy import Policy
from staging.signatures import Verifier
from staging.verdicts import Verdict
from tests.staging import bombs
from tests.staging.calls import Caller

CPU_MAX_S = 1.0
GROWTH_MAX_BYTES = 200e6
EVENT = {"code": "H01-20260609-0000001", "status": 2, "sequence": 1, "at": "20260609083000"}
BATCH = msgspec.json.encode({"batch": "fuzz", "events": [EVENT, {**EVENT, "sequence": 2}]})
_QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
SHORT = settings(max_examples=60, deadline=None, suppress_health_check=_QUIET)
LONG = settings(max_examples=3000, deadline=None, suppress_health_check=_QUIET)

# Where structure is: words that a reader of PDF or CMS looks for.
_WORDS = [
    b"%%EOF",
    b"startxref",
    b"/ByteRange",
    b"/Contents",
    b"/Root",
    b"/Prev",
    b" 0 obj",
    b"endobj",
    b"stream",
    b"\x30\x82",
]


@st.composite
def damage(draw: st.DrawFn) -> list[tuple[str, float, bytes]]:
    """Steps: what is done, where (as a share of the length), with what."""
    kinds = st.sampled_from(["flip", "insert", "remove", "double", "cut", "word"])
    content = st.binary(max_size=40) | st.sampled_from(_WORDS) | st.integers(-9, 2**40).map(lambda n: b"%d" % n)
    return draw(st.lists(st.tuples(kinds, st.floats(0, 1), content), min_size=1, max_size=6))


def damaged(content: bytes, steps: list[tuple[str, float, bytes]]) -> bytes:
    for kind, share, given_ in steps:
        at = int(share * len(content))
        match kind:
            case "flip":
                content = content[:at] + bytes(each ^ 0x41 for each in content[at : at + 3]) + content[at + 3 :]
            case "insert":
                content = content[:at] + given_ + content[at:]
            case "remove":
                content = content[:at] + content[at + 1 + len(given_) * 50 :]
            case "double":
                content = content[:at] + content[at : at + 2000] + content[at:]
            case "cut":
                content = content[: max(at, 20)]
            case "word":
                word = _WORDS[at % len(_WORDS)]
                content = content.replace(word, given_, 1)
    return content


@pytest.fixture(scope="module")
def trusted() -> tuple[Verifier, bytes]:
    """A verifier and a document that it finds valid."""
    root = pki.make_authority("Root", None, path_length=1)
    issuing = pki.make_authority("Issuing", root, path_length=0)
    crls = tuple(pki.make_crl(each).public_bytes(pki.serialization.Encoding.DER) for each in (root, issuing))
    _, document = make_document(1, pki.make_signer("Công dân", issuing), [issuing.certificate])
    verifier = Verifier(root.certificate, (issuing.certificate,), crls)
    assert verifier.verify(document).valid
    assert verifier.verify_in_full(document, Policy().clock()).valid  # loads what it needs
    return verifier, document


def judge(verifier: Verifier, content: bytes) -> Verdict:
    began_s = time.process_time()
    verdict = verifier.verify(content)
    assert time.process_time() - began_s < CPU_MAX_S
    assert verdict.valid or verdict.reasons
    return verdict


def _fuzz_documents(examples: settings) -> Callable[..., None]:
    @examples
    @given(damage())
    def fuzz(trusted: tuple[Verifier, bytes], steps: list[tuple[str, float, bytes]]) -> None:
        verifier, document = trusted
        content = damaged(document, steps)
        assert content == document or not judge(verifier, content).valid

    return fuzz


def _fuzz_anything(examples: settings) -> Callable[..., None]:
    @examples
    @given(
        st.binary(max_size=300),
        st.sampled_from([b"", b"%PDF-1.7\n", b"\x30\x82", b"\x30\x80\x06\x09*\x86H\x86\xf7\r\x01\x07\x02"]),
    )
    def fuzz(trusted: tuple[Verifier, bytes], content: bytes, head: bytes) -> None:
        assert not judge(trusted[0], head + content).valid

    return fuzz


def _fuzz_batches(examples: settings) -> Callable[..., None]:
    @examples
    @given(damage())
    def fuzz(signed_in: Callable[[str], Caller], steps: list[tuple[str, float, bytes]]) -> None:
        reply = signed_in("agency-H01").call("POST", "/sync", raw=damaged(BATCH, steps))
        assert reply.status in (200, 400, 409), reply

    return fuzz


test_damaged_documents = _fuzz_documents(SHORT)
test_anything_as_a_document = _fuzz_anything(SHORT)
test_damaged_batches = _fuzz_batches(SHORT)


@pytest.mark.slow
@pytest.mark.parametrize("fuzz", [_fuzz_documents(LONG), _fuzz_anything(LONG)], ids=["damaged", "anything"])
def test_documents_for_long(trusted: tuple[Verifier, bytes], fuzz: Callable[..., None]) -> None:
    """As above; and memory does not grow with the number of documents."""
    before = psutil.Process().memory_info().rss
    fuzz(trusted)
    assert psutil.Process().memory_info().rss - before < GROWTH_MAX_BYTES


@pytest.mark.slow
def test_batches_for_long(signed_in: Callable[[str], Caller]) -> None:
    _fuzz_batches(LONG)(signed_in)


@pytest.mark.parametrize("make", bombs.ALL, ids=lambda make: make.__name__)
def test_a_bomb_that_the_first_look_does_not_see(trusted: tuple[Verifier, bytes], make: Callable[[int], bytes]) -> None:
    """It goes to the reader that has limits, and is refused there; the same file with little in it is no bomb."""
    content = make(60_000_000)
    assert not bounds.is_bounded(content)
    assert not judge(trusted[0], content).valid
    assert bounds.is_bounded(make(6)) == (make is not bombs.behind_junk)


@pytest.mark.slow
@pytest.mark.parametrize("make", bombs.ALL, ids=lambda make: make.__name__)
def test_a_larger_bomb_is_no_slower(trusted: tuple[Verifier, bytes], make: Callable[[int], bytes]) -> None:
    content = make(500_000_000)
    assert len(content) < BODY_BYTES_MAX
    assert not judge(trusted[0], content).valid


@pytest.mark.parametrize(
    "hostile",
    [
        b"/XRef " * 1_500_000,
        b"/XRef " * 1_500_000 + b"stream\n",
        b"obj/XRef stream\n" * 500_000,
        (b"obj/XRef stream\n" + zlib.compress(bytes(900_000), 9)) * 5_000,
        b"/Fl" * 3_000_000 + b"/XRef stream\n",
        bombs.HEAD + b"xref\n" + b"0 1\n0000000000 65535 f \n" * 300_000,
        bombs.HEAD + b"<<" * 4_000_000,
        bombs.HEAD + b"(" * 9_000_000,
    ],
    ids=["names", "names of one", "streams", "full streams", "filters", "sections", "dictionaries", "strings"],
)
def test_looking_takes_no_longer_than_it_may(hostile: bytes) -> None:
    ended = b"%PDF-1.7\n" + hostile + b"\nstartxref\n44\n%%EOF\n"
    assert len(ended) < BODY_BYTES_MAX
    began_s = time.process_time()
    bounds.unpacks_too_far(ended)
    bounds.is_bounded(ended)
    assert time.process_time() - began_s < CPU_MAX_S


def bomb(bytes_unpacked: int, hidden: str = "") -> bytes:
    """A PDF whose cross-reference stream unpacks to so many bytes; `hidden`: how it is made hard to see."""
    packed, filters, kind = zlib.compress(bytes(bytes_unpacked), 9), b"/FlateDecode", b"/XRef"
    match hidden:
        case "escaped":
            kind = b"/XR#65f"
        case "far":
            kind += b"%" + b"x" * 30_000 + b"\n"
        case "in digits":
            packed, filters = binascii.hexlify(packed) + b">", b"[/ASCIIHexDecode/FlateDecode]"
        case "twice":
            packed, filters = zlib.compress(packed, 9), b"[/FlateDecode/FlateDecode]"
    head = b"%PDF-1.5\n1 0 obj\n<</Type/Catalog>>\nendobj\n"
    sizes = (bytes_unpacked // 6, filters, len(packed))
    keys_ = b"/Type" + kind + b"/W[1 4 1]/Size %d/Root 1 0 R/Filter%s/Length %d" % sizes
    body = b"2 0 obj\n<<" + keys_ + b">>\nstream\n" + packed + b"\nendstream\nendobj\n"
    return head + body + b"startxref\n%d\n%%%%EOF\n" % len(head)


@pytest.mark.parametrize("hidden", ["", "escaped", "far", "in digits", "twice"])
def test_a_bomb_is_refused_in_bounds(trusted: tuple[Verifier, bytes], hidden: str) -> None:
    """Where nobody looked beforehand, the full validator took minutes over its ten million entries."""
    content = bomb(60_000_000, hidden)
    assert len(content) < 150_000
    before = psutil.Process().memory_info().rss
    assert judge(trusted[0], content).reasons == (reasons.TOO_LARGE,)
    assert psutil.Process().memory_info().rss - before < GROWTH_MAX_BYTES


@pytest.mark.parametrize("events", [0, status_sync.EVENTS_MAX])
def test_the_worst_batch_is_checked_in_time(events: int) -> None:
    """Every event bad in the way that costs most to name."""
    batch = [status_sync.Event("H01-20260609-0000001", 2, 1, "20260631000000")] * events
    began_s = time.process_time()
    assert len(status_sync.check("H01", batch).rejected) == events
    assert time.process_time() - began_s < CPU_MAX_S
