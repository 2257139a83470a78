"""A reader of DER that takes nothing but DER: definite, minimal lengths, one-byte tags, nothing left over.

Knows the encoding, not what it means. What it does not take raises NotPlain, and is for the full validator.
"""

from collections.abc import Callable
from typing import NamedTuple

from staging.plain import NotPlain

INTEGER, OCTET_STRING, OID, SEQUENCE, SET = 0x02, 0x04, 0x06, 0x30, 0x31
UTC_TIME, GENERALIZED_TIME = 0x17, 0x18


def context(number: int) -> int:
    """The tag of a constructed, context-specific element."""
    return 0xA0 | number


class Element(NamedTuple):
    """Where an element stands: `start` with its tag, its content from `inner` to `end`."""

    tag: int
    start: int
    inner: int
    end: int


_new: Callable[[type[Element], tuple[int, int, int, int]], Element] = tuple.__new__


def elements(data: bytes, start: int, end: int) -> list[Element]:
    """The elements that fill `data[start:end]`; `data` must reach that far."""
    found = []
    while start < end:
        if start + 2 > end:
            raise NotPlain("DER: an element without length")
        tag, length, inner = data[start], data[start + 1], start + 2
        if tag & 0x1F == 0x1F:
            raise NotPlain("DER: a tag of several bytes")
        if length > 0x7F:
            size = length & 0x7F
            length = int.from_bytes(data[inner : inner + size], "big")
            inner += size
            if not 1 <= size <= 4 or length < 0x80 or length >> 8 * (size - 1) == 0:
                raise NotPlain("DER: an indefinite, overlong or huge length")
        stop = inner + length
        if stop > end:
            raise NotPlain("DER: an element that runs over its container")
        found.append(_new(Element, (tag, start, inner, stop)))  # half the time of calling Element
        start = stop
    return found


def only(data: bytes, start: int, end: int, *tags: int) -> list[Element]:
    """The elements of `data[start:end]`, if they have exactly these tags."""
    found = elements(data, start, end)
    if [element[0] for element in found] != list(tags):
        raise NotPlain(f"DER: tags {[hex(element.tag) for element in found]}, expected {[hex(tag) for tag in tags]}")
    return found


def whole(data: bytes, element: Element) -> bytes:
    return data[element.start : element.end]


def content(data: bytes, element: Element) -> bytes:
    return data[element.inner : element.end]
