"""What a PDF may unpack to before anybody reads it: a small file can hold a table of contents of any size.

Two looks. `unpacks_too_far` knows streams by the words around them, which keeps what tools make and common bombs apart
in microseconds. `is_bounded` walks the cross-reference sections as a reader does, and is sure of what it says: nothing
else may go to a reader without limits of its own, as pikepdf is. The full validator has limits (full_validation.py).
"""

import re
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from staging.pdf_syntax import Doubt, indirect, last_section, table

# Of one cross-reference or object stream, and of all.
UNPACKED_BYTES_MAX, ALL_BYTES_MAX = 1_000_000, 30_000_000
_ENTRIES_MAX = 170_000  # readers go through them one by one
_SECTIONS_MAX, _HOLDERS_MAX, _STREAMS_MAX, _ROW_BYTES_MAX = 200, 2_000, 20_000, 10_000
_PART_BYTES = 16_384
# A name may have any of its letters written as # and two digits.
_NAME = re.compile(
    rb"/(?:(?:X|#58)(?:R|#52)(?:e|#65)(?:f|#66)|(?:O|#4[Ff])(?:b|#62)(?:j|#6[Aa])(?:S|#53)(?:t|#74)(?:m|#6[Dd]))"
    rb"(?=[\0\t\n\f\r /<>\[\]()%])"
)
_STREAM = re.compile(rb"stream\r?\n")
_STREAM_BEHIND = re.compile(rb"[\0\t\n\f\r ]*stream\r?\n")
# No tool packs these streams in any other way than one, or writes their names with escapes.
_ODD = re.compile(rb"/[^\0\t\n\f\r /<>\[\]()]*#|/(?:ASCII|AHx|A85|LZW|RunLength|RL)|Fl(?:ate|\b)(?s:.)*Fl(?:ate|\b)")
_NONE, _UP = 0, 2  # of PNG's filters

Integers = NDArray[np.int64]


def unpacks_too_far(content: bytes) -> bool:
    """Whether a stream that a reader must unpack to find its way goes beyond UNPACKED_BYTES_MAX, or hides how far; or
    all of them beyond ALL_BYTES_MAX. Looks at each byte a few times at most, however the words lie.
    """
    looked_at, left, streams = 0, ALL_BYTES_MAX, 0
    for name in _NAME.finditer(content):
        if name.start() < looked_at:
            continue
        stream = _STREAM.search(content, name.end())
        if stream is None:
            return False
        if _ODD.search(content, max(content.rfind(b"obj", looked_at, name.start()), looked_at), stream.start()):
            return True
        looked_at, streams = stream.end(), streams + 1
        try:
            unpacked = len(_inflated(content, stream.end()))
        except zlib.error:  # not packed this way; readers will say so
            unpacked = 0
        left -= unpacked
        if unpacked >= UNPACKED_BYTES_MAX or left < 0 or streams > _STREAMS_MAX:
            return True
    return False


def _inflated(content: bytes, start: int) -> bytes:
    """What unpacks from `start` on, up to UNPACKED_BYTES_MAX. It ends by itself, whatever length the file names."""
    unpacker, parts, left = zlib.decompressobj(), [], UNPACKED_BYTES_MAX
    while left and not unpacker.eof and start < len(content):
        # By parts, because zlib copies what it was given and did not need.
        parts.append(unpacker.decompress(content[start : start + _PART_BYTES], left))
        start, left = start + _PART_BYTES, left - len(parts[-1])
    return b"".join(parts)


def is_bounded(pdf: bytes) -> bool:
    """Whether, for certain, all that must be unpacked to find any object stays in bounds: the cross-reference streams
    of all revisions, and the streams that they name as holding objects. False also when in doubt.
    """
    try:
        _Walk(pdf).go()
    except Doubt:
        return False
    return True


class _Walk:
    """The way from the end of a file over its cross-reference sections to its object streams. Doubt leaves it."""

    def __init__(self, pdf: bytes) -> None:
        self._pdf = pdf
        self._bytes = self._entries = 0
        self._seen: set[int] = set()
        self._offsets: list[tuple[Integers, Integers]] = []  # (numbers, offsets) of each section's objects
        self._holders: set[int] = set()  # the streams that hold objects

    def go(self) -> None:
        at, _ = last_section(self._pdf)
        waiting = [at]
        while waiting:
            at = waiting.pop()
            if at in self._seen or len(self._seen) == _SECTIONS_MAX:
                raise Doubt
            self._seen.add(at)
            trailer = self._read_table(at) if self._pdf.startswith(b"xref", at) else self._read_stream(at)
            waiting += [_integer(trailer[name]) for name in (b"/Prev", b"/XRefStm") if name in trailer]
        self._unpack_holders()

    def _read_table(self, at: int) -> dict[bytes, Any]:
        offsets, trailer = table(self._pdf, at)
        known = np.array([(name.number, offset) for name, offset in offsets.items()], np.int64).reshape(-1, 2)
        self._offsets.append((known[:, 0], known[:, 1]))
        return trailer

    def _read_stream(self, at: int) -> dict[bytes, Any]:
        _, about, start = self._stream(at)
        if about.get(b"/Type") != b"/XRef":
            raise Doubt
        widths = [_integer(each) for each in _array(about.get(b"/W"))]
        if len(widths) != 3 or not sum(widths) > 0 or not all(0 <= each <= 8 for each in widths):
            raise Doubt
        rows = _rows(self._unpacked(about, start), about, sum(widths))
        kind, first, _ = _columns(rows, widths)
        numbers = _numbers(about, len(rows))
        self._offsets.append((numbers[kind == 1], first[kind == 1]))
        self._holders.update(first[kind == 2].tolist())
        self._entries += len(rows)
        if self._entries > _ENTRIES_MAX:
            raise Doubt
        return about

    def _unpack_holders(self) -> None:
        """Every stream that any revision has under the number of one: which of them counts is for readers to say."""
        numbers, offsets = (np.concatenate(columns) for columns in zip(*self._offsets, strict=True))
        is_holder = np.isin(numbers, list(self._holders))
        places = set(zip(numbers[is_holder].tolist(), offsets[is_holder].tolist(), strict=True))
        if {number for number, _ in places} != self._holders or len(places) > _HOLDERS_MAX:
            raise Doubt
        for holder, place in places:
            number, about, start = self._stream(place)
            if number != holder:
                raise Doubt
            self._unpacked(about, start)

    def _stream(self, at: int) -> tuple[int, dict[bytes, Any], int]:
        """(number, dictionary, where its bytes begin) of the stream at `at`."""
        name, about, end = indirect(self._pdf, at)
        found = _STREAM_BEHIND.match(self._pdf, end)
        if not isinstance(about, dict) or found is None or not about.keys().isdisjoint((b"/F", b"/Encrypt")):
            raise Doubt
        return name.number, about, found.end()

    def _unpacked(self, about: dict[bytes, Any], start: int) -> bytes:
        filters = about.get(b"/Filter")
        if isinstance(filters, list) and len(filters) == 1:
            filters = filters[0]
        _, row_bytes = _predictor(about)
        if filters is None:
            content = self._pdf[start : start + _integer(about.get(b"/Length"))]
        elif filters == b"/FlateDecode":
            try:
                content = _inflated(self._pdf, start)
            except zlib.error as error:
                raise Doubt from error
        else:
            raise Doubt
        self._bytes += len(content)
        if len(content) >= UNPACKED_BYTES_MAX or self._bytes > ALL_BYTES_MAX or row_bytes > _ROW_BYTES_MAX:
            raise Doubt
        return content


def _predictor(about: dict[bytes, Any]) -> tuple[int, int]:
    """(predictor, bytes of a row) that a stream was packed with; (1, 0) for none."""
    parameters = about.get(b"/DecodeParms", {})
    if isinstance(parameters, list) and len(parameters) == 1:
        parameters = parameters[0]
    if not isinstance(parameters, dict) or not parameters.keys() <= {b"/Predictor", b"/Columns"}:
        raise Doubt
    predictor, columns = _integer(parameters.get(b"/Predictor", 1)), _integer(parameters.get(b"/Columns", 1))
    if predictor != 1 and not 10 <= predictor <= 15:
        raise Doubt
    return predictor, columns if predictor > 1 else 0


def _rows(content: bytes, about: dict[bytes, Any], width: int) -> NDArray[np.uint8]:
    """The entries, `width` bytes each, after undoing PNG's filter Up, which is the only one that tools use here."""
    predictor, row_bytes = _predictor(about)
    whole = width + (predictor > 1)
    if len(content) % whole or row_bytes not in (0, width):
        raise Doubt
    rows = np.frombuffer(content, np.uint8).reshape(-1, whole)
    if predictor == 1:
        return rows
    kinds, rows = rows[:, 0], rows[:, 1:]
    if not np.isin(kinds, (_NONE, _UP)).all():
        raise Doubt
    starts = [0, *np.flatnonzero(kinds[1:] == _NONE) + 1]  # a row that stands for itself begins anew
    parts = np.split(rows, starts[1:])
    return np.concatenate([np.cumsum(part, axis=0, dtype=np.uint8) for part in parts])


def _columns(rows: NDArray[np.uint8], widths: list[int]) -> list[Integers]:
    """The three numbers of each entry, most significant byte first. A kind without a place is 1."""
    columns = []
    ends = np.cumsum(widths).tolist()
    for width, end in zip(widths, ends, strict=True):
        column = np.zeros(len(rows), np.uint64)
        for place in range(end - width, end):
            column = column << np.uint64(8) | rows[:, place]
        if (column > np.iinfo(np.int64).max).any():
            raise Doubt
        columns.append(column.astype(np.int64))
    if not widths[0]:
        columns[0][:] = 1
    return columns


def _numbers(about: dict[bytes, Any], count: int) -> Integers:
    """The objects' numbers, in the order of the entries."""
    pairs = [_integer(each) for each in _array(about.get(b"/Index", [0, about.get(b"/Size")]))]
    if len(pairs) % 2 or sum(pairs[1::2]) != count:
        raise Doubt
    ranges = [np.arange(first, first + length) for first, length in zip(pairs[::2], pairs[1::2], strict=True)]
    return np.concatenate([np.zeros(0, np.int64), *ranges])


def _integer(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise Doubt
    return value


def _array(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Doubt
    return value
