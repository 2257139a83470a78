"""Where the only signature of a plain PDF stands: read from the file's last revision alone, or else with pikepdf.

Knows PDF by pdf_syntax.py; knows nothing of signatures' contents. The short reading follows the last cross-reference
table from the catalogue over the form to the signature's dictionary, and takes only what it can read without doubt:
every object on the way in that table, no encryption. In doubt pikepdf reads the file, if that unpacks within bounds.
"""

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import pikepdf

from staging.bounds import is_bounded
from staging.pdf_syntax import Digits, Doubt, Reference, Text, indirect, last_section, table
from staging.plain import NotPlain

_SUBFILTERS = ("/ETSI.CAdES.detached", "/adbe.pkcs7.detached")
_TABLE_BYTES_MAX = 20_000
_FIELDS_MAX = 50
_ENDOBJ = re.compile(rb"[\0\t\n\f\r ]*endobj\b")
_WHEN = re.compile(r"D:(\d{14})(?:Z|([+-])(\d\d)'(\d\d)'?)?(?:00'00'?)?\Z")
_ESCAPED = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Signed:
    """The two signed spans of the file, what stands between them, and the signing time that the dictionary names."""

    spans: tuple[memoryview, memoryview]
    message: bytes
    claimed: datetime | None


def read(pdf: bytes) -> Signed:
    """The only signature of `pdf`, if it covers all of it but its own digits; NotPlain otherwise."""
    try:
        signature = last_revision_signature(pdf)
    except Doubt:
        return read_whole(pdf)
    return signed(pdf, signature)


def signed(pdf: bytes, signature: dict[bytes, Any]) -> Signed:
    """Check that the byte range leaves out the signature's hex digits and not a byte more."""
    digits, covered = signature.get(b"/Contents"), signature.get(b"/ByteRange")
    if (
        not isinstance(digits, Digits)
        or not 0 < digits.start < digits.end <= len(pdf)
        or covered != [0, digits.start, digits.end, len(pdf) - digits.end]
    ):
        raise NotPlain("PDF: a byte range that is not the whole file but the signature's digits")
    whole = memoryview(pdf)
    try:
        message = binascii.unhexlify(whole[digits.start + 1 : digits.end - 1])
    except binascii.Error as error:
        raise NotPlain(f"PDF: {error}") from error
    claimed = _time(signature[b"/M"]) if b"/M" in signature else None
    return Signed((whole[: digits.start], whole[digits.end :]), message, claimed)


def _time(value: Any) -> datetime:
    """A PDF date; NotPlain for one of another form."""
    raw = value.raw if isinstance(value, Text) else b""
    text = _ESCAPED.sub(lambda found: bytes([int(found[1], 8) & 0xFF]), raw).decode("latin-1")
    found = _WHEN.match(text)
    if found is None:
        raise NotPlain(f"PDF: date {text!r}")
    try:
        # Some ten times as fast as strptime, which would read the same.
        digits = found[1]
        parts = [int(digits[:4]), *(int(digits[place : place + 2]) for place in range(4, 14, 2))]
        local = datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type]
    except ValueError as error:
        raise NotPlain(f"PDF: date {text!r}") from error
    ahead = timedelta(hours=int(found[3] or 0), minutes=int(found[4] or 0))
    return local + ahead if found[2] == "-" else local - ahead


class _Reader:
    """Objects of the last revision, by its cross-reference table."""

    def __init__(self, pdf: bytes) -> None:
        self._pdf = pdf
        at, ending = last_section(pdf)
        if ending - at > _TABLE_BYTES_MAX:
            raise Doubt
        self._offsets, self.trailer = table(pdf, at)
        if b"/Encrypt" in self.trailer or b"/XRefStm" in self.trailer:
            raise Doubt
        before = self.trailer.get(b"/Prev", at)
        if not isinstance(before, int) or not 0 <= before <= at or not pdf.startswith(b"xref", before):
            raise Doubt

    def resolved(self, value: Any) -> Any:
        """The object itself where `value` refers to one."""
        if not isinstance(value, Reference):
            return value
        name, inner, end = indirect(self._pdf, self._offsets.get(value, len(self._pdf)))
        if name != value or not _ENDOBJ.match(self._pdf, end):
            raise Doubt
        return inner

    def dictionary(self, value: Any) -> dict[bytes, Any]:
        found = self.resolved(value)
        if not isinstance(found, dict):
            raise Doubt
        return found


def last_revision_signature(pdf: bytes) -> dict[bytes, Any]:
    """The dictionary of the only signature of the form."""
    reader = _Reader(pdf)
    catalogue = reader.dictionary(reader.trailer.get(b"/Root"))
    form = reader.dictionary(catalogue.get(b"/AcroForm"))
    fields = reader.resolved(form.get(b"/Fields"))
    if not isinstance(fields, list) or len(fields) > _FIELDS_MAX or b"/Perms" in catalogue:
        raise Doubt
    found = []
    for field in (reader.dictionary(each) for each in fields):
        if not field.keys().isdisjoint((b"/Kids", b"/Parent", b"/SV", b"/Lock")):
            raise Doubt
        if field.get(b"/FT") == b"/Sig" and b"/V" in field:
            found.append(reader.dictionary(field[b"/V"]))
    if len(found) != 1:
        raise NotPlain(f"PDF: {len(found)} signatures")
    signature = found[0]
    if signature.get(b"/SubFilter") not in [each.encode() for each in _SUBFILTERS] or (
        signature.get(b"/Type", b"/Sig") != b"/Sig"
    ):
        raise NotPlain("PDF: another kind of signature")
    return signature


def read_whole(pdf: bytes) -> Signed:
    """As `read`, with pikepdf, which unpacks whatever it needs to the end."""
    if not is_bounded(pdf):
        raise NotPlain("PDF: streams that may unpack to more than the portal reads")
    try:
        with pikepdf.open(BytesIO(pdf), attempt_recovery=False, suppress_warnings=True) as opened:
            signatures = list(_signatures(opened))
            if len(signatures) != 1:
                raise NotPlain(f"PDF: {len(signatures)} signatures")
            return signed(pdf, _as_read(pdf, signatures[0]))
    # What the parser raises at hostile input, wherever it comes upon it: it parses as late as it can.
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise NotPlain(f"{type(error).__name__}: {error}") from error
    except pikepdf.PdfError as error:
        raise NotPlain(f"{type(error).__name__}: {error}") from error


def _signatures(opened: pikepdf.Pdf) -> Iterator[pikepdf.Object]:
    """The signature dictionaries of the form; fields that have children are not plain."""
    if opened.is_encrypted or "/AcroForm" not in opened.Root or "/Perms" in opened.Root:
        raise NotPlain("PDF: encrypted, without a form, or certified")
    for field in opened.Root.AcroForm.Fields:
        if "/Kids" in field or "/Parent" in field or "/SV" in field or "/Lock" in field:
            raise NotPlain("PDF: a form field with relatives, seed values or a lock")
        if field.get("/FT") == "/Sig" and "/V" in field:
            yield field.V


def _as_read(pdf: bytes, signature: pikepdf.Object) -> dict[bytes, Any]:
    """What `signed` asks of a dictionary; its digits are found where the byte range says."""
    if str(signature.get("/SubFilter")) not in _SUBFILTERS or signature.get("/Type", "/Sig") != "/Sig":
        raise NotPlain("PDF: another kind of signature")
    covered = [int(number) for number in signature.ByteRange.as_list()]
    digits = Digits(*covered[1:3])
    gap = pdf[digits.start : digits.end]
    if gap[:1] != b"<" or gap[-1:] != b">" or binascii.unhexlify(gap[1:-1]) != bytes(signature.Contents):
        raise NotPlain("PDF: a gap that is not the signature")
    read: dict[bytes, Any] = {b"/ByteRange": covered, b"/Contents": digits}
    return read | ({b"/M": Text(bytes(signature.M))} if "/M" in signature else {})
