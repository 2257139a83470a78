"""What a PDF may unpack to before anybody reads it: a small file can hold a table of contents of any size.

Knows streams by the words around them; nothing of signatures. This keeps honest tools and common bombs apart in
microseconds; the full validator, which would take longest, has limits of its own besides (full_validation.py).
"""

import re
import zlib

# Of one cross-reference or object stream. Some 170,000 entries; readers go through them one by one.
UNPACKED_BYTES_MAX = 1_000_000
# A name may have any of its letters written as # and two digits.
_NAME = re.compile(
    rb"/(?:(?:X|#58)(?:R|#52)(?:e|#65)(?:f|#66)|(?:O|#4[Ff])(?:b|#62)(?:j|#6[Aa])(?:S|#53)(?:t|#74)(?:m|#6[Dd]))"
    rb"(?=[\0\t\n\f\r /<>\[\]()%])"
)
_STREAM = re.compile(rb"stream\r?\n")
# No tool packs these streams in any other way than one, or writes their names with escapes.
_ODD = re.compile(rb"/[^\0\t\n\f\r /<>\[\]()]*#|/(?:ASCII|AHx|A85|LZW|RunLength|RL)|Fl(?:ate|\b)(?s:.)*Fl(?:ate|\b)")


def unpacks_too_far(content: bytes) -> bool:
    """Whether a stream that a reader must unpack to find its way goes beyond UNPACKED_BYTES_MAX, or hides how far."""
    return any(_is_too_large(content, match.start()) for match in _NAME.finditer(content))


def _is_too_large(content: bytes, name: int) -> bool:
    stream = _STREAM.search(content, name)
    if stream is None:
        return False
    if _ODD.search(content, max(content.rfind(b"obj", 0, name), 0), stream.start()):
        return True
    try:
        unpacked = zlib.decompressobj().decompress(memoryview(content)[stream.end() :], UNPACKED_BYTES_MAX)
    except zlib.error:  # not packed this way; readers will say so
        return False
    return len(unpacked) >= UNPACKED_BYTES_MAX
