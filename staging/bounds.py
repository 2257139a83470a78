"""What a PDF may unpack to before anybody reads it: a small file can hold a table of contents of any size.

Knows streams by the words around them; nothing of signatures.
"""

import re
import zlib

# Of one cross-reference or object stream. Some 170,000 entries; readers go through them one by one.
UNPACKED_BYTES_MAX = 1_000_000
_STREAM = re.compile(rb"/(?:XRef|ObjStm)(?s:.){0,2000}?stream\r?\n")


def unpacks_too_far(content: bytes) -> bool:
    """Whether a stream that a reader must unpack to find its way goes beyond UNPACKED_BYTES_MAX."""
    if b"/XRef" not in content and b"/ObjStm" not in content:
        return False
    return any(_is_too_large(content, match.end()) for match in _STREAM.finditer(content))


def _is_too_large(content: bytes, start: int) -> bool:
    try:
        return len(zlib.decompressobj().decompress(content[start:], UNPACKED_BYTES_MAX)) >= UNPACKED_BYTES_MAX
    except zlib.error:  # not packed this way; readers will say so
        return False
