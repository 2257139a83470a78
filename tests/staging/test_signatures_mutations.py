"""Random damage to valid documents: none that changes signed bytes passes, nothing crashes, nothing takes long, and
the full validator calls valid what the short way calls valid.

Some damage does not matter: a bit in the copy of an authority's certificate, which is at hand anyway. It never
touches what the signature covers. (With its own revocation checking pyHanko refuses some of that, because it looks for
the damaged copy's issuer; so here it is asked for its opinion as the full validator.)
"""

import copy
import functools
import random
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from staging import der
from staging.signatures import Verifier
from tests.staging import forgeries
from tests.staging.hierarchy import NOW, good, hierarchy, signed_by, verifier
from tests.staging.test_signatures_others import CONTENT, signed

AT = NOW + timedelta(minutes=30)
LONGEST_S = 1.0
PDF_BYTES = b"<>[]()/% \n0123456789nfRobjendxreftrailerByteRangeContents"


def flip_bit(data: bytes, where: random.Random) -> bytes:
    place = where.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << where.randrange(8)]) + data[place + 1 :]


def cut_out(data: bytes, where: random.Random) -> bytes:
    place = where.randrange(len(data))
    return data[:place] + data[place + where.choice((1, 2, 20, 5000)) :]


def insert(data: bytes, where: random.Random) -> bytes:
    place = where.randrange(len(data) + 1)
    return data[:place] + bytes(where.choice(PDF_BYTES) for _ in range(where.choice((1, 2, 40)))) + data[place:]


def repeat(data: bytes, where: random.Random) -> bytes:
    """A piece of it a second time, somewhere else."""
    source, target = where.randrange(len(data)), where.randrange(len(data))
    return data[:target] + data[source : source + where.choice((4, 40, 4000))] + data[target:]


def swap_digit(data: bytes, where: random.Random) -> bytes:
    """Another digit in the file's last part, where offsets and byte ranges are."""
    places = [place for place in range(max(0, len(data) - 1200), len(data)) if data[place : place + 1].isdigit()]
    if not places:
        return flip_bit(data, where)
    place = where.choice(places)
    return data[:place] + str(where.randrange(10)).encode() + data[place + 1 :]


CHANGES: list[Callable[[bytes, random.Random], bytes]] = [flip_bit, cut_out, insert, repeat, swap_digit]

# A tag, and what it holds: bytes, or elements where it is a constructed one.
Node = tuple[int, "bytes | list[Node]"]


def rearrange(message: bytes, where: random.Random) -> bytes:
    """DER again, with right lengths throughout, but with elements emptied, lost, repeated, or under another tag."""
    nodes = read_der(message)
    for _ in range(where.choice((1, 1, 2, 5))):
        lists = [each for each in lists_in(nodes) if each]
        if not lists:
            break
        found, others = where.choice(lists), copy.deepcopy(where.choice(lists)[:3])
        place = where.randrange(len(found))
        tag, held = found[place]
        found[place : place + 1] = where.choice(
            [[], [(tag, b"")], [(tag, held)] * 2, [(where.choice(TAGS), held)], [(tag, random_der(where))], others]
        )
    return written(nodes)


TAGS = (0x02, 0x04, 0x05, 0x06, 0x0C, 0x17, 0x18, 0x30, 0x31, 0xA0, 0xA1)


def random_der(where: random.Random) -> list[Node]:
    return [(where.choice(TAGS), where.randbytes(where.choice((0, 1, 9)))) for _ in range(where.randrange(4))]


def read_der(data: bytes) -> list[Node]:
    return [
        (tag, read_der(data[inner:end]) if tag & 0x20 else data[inner:end])
        for tag, _, inner, end in der.elements(data, 0, len(data))
    ]


def lists_in(nodes: list[Node]) -> Iterator[list[Node]]:
    yield nodes
    for _, held in nodes:
        if isinstance(held, list):
            yield from lists_in(held)


def written(nodes: list[Node]) -> bytes:
    encoded = b""
    for tag, held in nodes:
        content = written(held) if isinstance(held, list) else held
        size = len(content).to_bytes(4, "big").lstrip(b"\0")
        length = bytes([len(content)]) if len(content) < 0x80 else bytes([0x80 | len(size)]) + size
        encoded += bytes([tag]) + length + content
    return encoded


def check_pdf(pdf: bytes, changed: bytes) -> None:
    started_s = time.perf_counter()
    valid = verifier_once().verify(changed, AT).valid
    assert time.perf_counter() - started_s < LONGEST_S
    if valid:
        assert forgeries.content(changed) == forgeries.content(pdf)
        assert verifier_once().verify_in_full(changed, AT).valid


@functools.cache
def verifier_once() -> Verifier:
    return verifier()


def mutate(seed: int, count: int) -> None:
    """`count` mutations: of the file, of the message in it, of a detached message, of its structure."""
    where, pdf, detached = random.Random(seed), good(), signed("-cades")
    message = forgeries.message(pdf)
    for number in range(count):
        change = where.choice(CHANGES)
        if number % 4 == 0:
            check_pdf(pdf, change(pdf, where))
        elif number % 4 == 1:
            check_pdf(pdf, forgeries.with_message(pdf, change(message, where)))
        elif number % 4 == 2:
            check_message(detached, change(detached, where))
        else:
            check_message(detached, rearrange(detached, where))


def check_message(message: bytes, changed: bytes) -> None:
    started_s = time.perf_counter()
    judge = verifier_once()
    assert not judge.verify(CONTENT + b"!", AT, signature=changed).valid
    valid = judge.verify(CONTENT, AT, signature=changed).valid
    assert time.perf_counter() - started_s < 2 * LONGEST_S
    if valid:
        assert judge.verify_in_full(CONTENT, AT, signature=changed).valid


@pytest.mark.parametrize("seed", range(3))
def test_no_damage_to_signed_bytes_passes(seed: int) -> None:
    mutate(seed, 120)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 120))
def test_no_damage_to_signed_bytes_passes_in_10_000_tries(seed: int) -> None:
    mutate(seed, 500)


def test_damage_that_does_not_matter_is_there() -> None:
    """Otherwise the tests above would show little: an authority's copy of its certificate may be missing."""
    alone = signed_by(hierarchy().signer, [])
    assert verifier_once().verify(alone, AT).valid
