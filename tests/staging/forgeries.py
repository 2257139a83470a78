"""Ways to make a signed PDF wrong, for the tests of the verifier: each takes good documents and spoils one thing."""

import hashlib
import re
from collections.abc import Callable
from datetime import datetime
from io import BytesIO

from asn1crypto import cms
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from staging.pki import Issued

_BYTE_RANGE = re.compile(rb"/ByteRange\s*\[\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s*\]")


def gap(pdf: bytes) -> tuple[int, int]:
    """Where the hex digits of the last signature stand, brackets included."""
    _, length, resume, _ = (int(number) for number in list(_BYTE_RANGE.finditer(pdf))[-1].groups())
    return length, resume


def message(pdf: bytes) -> bytes:
    """The CMS of the last signature."""
    start, end = gap(pdf)
    padded = bytes.fromhex(pdf[start + 1 : end - 1].decode())
    return cms.ContentInfo.load(padded).dump()  # type: ignore[no-any-return]


def content(pdf: bytes) -> bytes:
    """The signed bytes of the last signature."""
    start, end = gap(pdf)
    return pdf[:start] + pdf[end:]


def with_message(pdf: bytes, signed: bytes, padding_byte: bytes = b"\0") -> bytes:
    """The file with another CMS in the same room."""
    start, end = gap(pdf)
    digits = signed.hex().encode()
    return (
        pdf[: start + 1]
        + digits
        + padding_byte.hex().encode() * ((end - start - 2 - len(digits)) // 2)
        + pdf[end - 1 :]
    )


def flip(pdf: bytes, position: int, bits: int = 1) -> bytes:
    return pdf[:position] + bytes([pdf[position] ^ bits]) + pdf[position + 1 :]


def flip_signature(pdf: bytes) -> bytes:
    """One bit of the signature value itself."""
    info = cms.ContentInfo.load(message(pdf))
    value = info["content"]["signer_infos"][0]["signature"].native
    info["content"]["signer_infos"][0]["signature"] = flip(value, len(value) - 1)
    return with_message(pdf, info.dump(force=True))


def update(pdf: bytes) -> bytes:
    """Incremental saving: a later revision that changes what the page shows."""

    def change(writer: IncrementalPdfFileWriter) -> None:
        page = writer.root["/Pages"]["/Kids"][0]
        page["/Contents"] = writer.add_object(
            generic.StreamObject(stream_data=b"BT /F1 14 Tf 60 780 Td (Forged) Tj ET")
        )
        writer.update_container(page)

    return _later(pdf, change)


def shadow_hide(pdf: bytes) -> bytes:
    """What covered the real content of the page, for the signer's eyes, is taken away afterwards."""

    def change(writer: IncrementalPdfFileWriter) -> None:
        resources = writer.root["/Pages"]["/Kids"][0]["/Resources"]
        resources["/XObject"] = generic.DictionaryObject({})
        writer.update_container(resources)

    return _later(pdf, change)


def shadow_replace(pdf: bytes) -> bytes:
    """The font is replaced by one that draws other letters."""

    def change(writer: IncrementalPdfFileWriter) -> None:
        fonts = writer.root["/Pages"]["/Kids"][0]["/Resources"]["/Font"]
        other = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/ZapfDingbats"}
        names = {generic.NameObject(name): generic.NameObject(value) for name, value in other.items()}
        fonts["/F1"] = writer.add_object(generic.DictionaryObject(names))
        writer.update_container(fonts)

    return _later(pdf, change)


def with_second_pages(pdf: bytes) -> bytes:
    """Before signing: a second, unused tree of pages, ready to be shown (shadow hide and replace)."""

    def change(writer: IncrementalPdfFileWriter) -> None:
        drawing = writer.add_object(generic.StreamObject(stream_data=b"BT /F1 14 Tf 60 780 Td (Other) Tj ET"))
        first = writer.root["/Pages"]["/Kids"][0]
        page = generic.DictionaryObject({**first, generic.NameObject("/Contents"): drawing})
        kids = generic.ArrayObject([writer.add_object(page)])
        tree = {"/Type": generic.NameObject("/Pages"), "/Kids": kids, "/Count": generic.NumberObject(1)}
        named = {generic.NameObject(name): value for name, value in tree.items()}
        writer.root["/Shadow"] = writer.add_object(generic.DictionaryObject(named))
        writer.update_root()

    return _later(pdf, change)


def shadow_hide_and_replace(pdf: bytes) -> bytes:
    """After signing: the second tree of pages takes the first one's place."""

    def change(writer: IncrementalPdfFileWriter) -> None:
        writer.root["/Pages"] = writer.root.raw_get("/Shadow")
        writer.update_root()

    return _later(pdf, change)


def _later(pdf: bytes, change: Callable[[IncrementalPdfFileWriter], None]) -> bytes:
    writer = IncrementalPdfFileWriter(BytesIO(pdf))
    change(writer)
    written = BytesIO()
    writer.write(written)
    return written.getvalue()


def universal(pdf: bytes, what: str) -> bytes:
    """Universal forgery: the signature's own dictionary made so that a careless reader finds nothing to check."""
    start, end = gap(pdf)
    old = list(_BYTE_RANGE.finditer(pdf))[-1].group()
    ranges = {"zero range": b"0 0 0 0", "negative range": b"0 -1 -1 0", "short range": b"0 9", "null range": b""}
    if what == "no range":
        return pdf.replace(old, old.replace(b"/ByteRange", b"/ByteRang_"))
    if what == "null range":
        return pdf.replace(old, b"/ByteRange null".ljust(len(old)))
    if what in ranges:
        return pdf.replace(old, (b"/ByteRange [" + ranges[what]).ljust(len(old) - 1) + b"]")
    if what == "no contents":
        name = pdf.rindex(b"/Contents", 0, start)
        return pdf[:name] + b"/Content_" + pdf[name + 9 :]
    filling = {"empty contents": b"<>", "zero contents": b"<00>", "null contents": b"null"}[what]
    return pdf[:start] + filling.ljust(end - start) + pdf[end:]


def wrapped(pdf: bytes) -> bytes:
    """Wrapping: the signed second part moves to the end, a changed copy of it takes its place, and the byte range
    leaves the copy out. What is digested stays the same."""
    start, end = gap(pdf)
    tail = pdf[end:]
    old = list(_BYTE_RANGE.finditer(pdf))[-1].group()
    new = b"/ByteRange [0 %d %d %d" % (start, end + len(tail), len(tail))
    copy = tail.replace(old, new.ljust(len(old) - 1) + b"]").replace(b"/M (D:", b"/m (D:")
    return pdf[:end] + copy + tail


def with_range(pdf: bytes, signer: Issued, spans: tuple[int, int, int, int]) -> bytes:
    """Another byte range, and the trusted signer's signature over just that."""
    old = list(_BYTE_RANGE.finditer(pdf))[-1].group()
    changed = pdf.replace(old, (b"/ByteRange [%d %d %d %d" % spans).ljust(len(old) - 1) + b"]")
    first, length, second, rest = spans
    digested = changed[first : first + length] + changed[second : second + rest]
    return with_message(changed, signed_again(message(pdf), signer, says_digest(digested)))


def without_attributes(pdf: bytes, signer: Issued) -> bytes:
    """A signature over the content itself: correct CMS, but not AdES."""
    assert isinstance(signer.key, rsa.RSAPrivateKey)
    info = cms.ContentInfo.load(message(pdf))
    old = info["content"]["signer_infos"][0]
    info["content"]["signer_infos"] = [
        {
            "version": "v1",
            "sid": old["sid"],
            "digest_algorithm": old["digest_algorithm"],
            "signature_algorithm": old["signature_algorithm"],
            "signature": signer.key.sign(content(pdf), padding.PKCS1v15(), hashes.SHA256()),
        }
    ]
    return with_message(pdf, info.dump(force=True))


Change = Callable[[list[cms.CMSAttribute]], list[cms.CMSAttribute]]


def resigned(pdf: bytes, signer: Issued, change: Change) -> bytes:
    """The same document signed again by the same key, with the signed attributes changed."""
    return with_message(pdf, signed_again(message(pdf), signer, change))


def widened(pdf: bytes, signer: Issued) -> bytes:
    """A signature that leaves out more than its own digits, up to the next `>`; made by a trusted signer."""
    start, end = gap(pdf)
    wide = pdf.index(b">", end) + 1
    old = list(_BYTE_RANGE.finditer(pdf))[-1].group()
    new = b"/ByteRange [0 %d %d %d" % (start, wide, len(pdf) - wide)
    changed = pdf.replace(old, new.ljust(len(old) - 1) + b"]")
    signed = signed_again(message(pdf), signer, says_digest(changed[:start] + changed[wide:]))
    return changed[: start + 1] + signed.hex().encode().ljust(end - start - 2, b"0") + changed[end - 1 :]


def signed_again(signed: bytes, signer: Issued, change: Change) -> bytes:
    """The CMS with other signed attributes and a signature that fits them."""
    assert isinstance(signer.key, rsa.RSAPrivateKey)
    info = cms.ContentInfo.load(signed)
    signer_info = info["content"]["signer_infos"][0]
    attributes = cms.CMSAttributes(change(list(signer_info["signed_attrs"])))
    signer_info["signed_attrs"] = attributes
    signer_info["signature"] = signer.key.sign(attributes.dump(), padding.PKCS1v15(), hashes.SHA256())
    return bytes(info.dump(force=True))


def with_digest(pdf: bytes, signer: Issued, digest: hashes.HashAlgorithm) -> bytes:
    """The same document signed again with another digest."""
    assert isinstance(signer.key, rsa.RSAPrivateKey)
    info = cms.ContentInfo.load(message(pdf))
    signer_info = info["content"]["signer_infos"][0]
    kept = without("message_digest")(without("cms_algorithm_protection")(list(signer_info["signed_attrs"])))
    value = hashlib.new(digest.name, content(pdf)).digest()
    attributes = cms.CMSAttributes([*kept, attribute("message_digest", value)])
    signer_info["signed_attrs"] = attributes
    signer_info["digest_algorithm"] = {"algorithm": digest.name}
    signer_info["signature_algorithm"] = {"algorithm": f"{digest.name}_rsa"}
    signer_info["signature"] = signer.key.sign(attributes.dump(), padding.PKCS1v15(), digest)
    return with_message(pdf, info.dump(force=True))


def attribute(name: str, *values: object) -> cms.CMSAttribute:
    return cms.CMSAttribute({"type": name, "values": values})


def without(name: str) -> Change:
    return lambda attributes: [each for each in attributes if each["type"].native != name]


def names_certificate(other: Issued) -> Change:
    """The signing-certificate attribute of another certificate."""
    digest = other.certificate.fingerprint(hashes.SHA256())
    wrong = attribute("signing_certificate_v2", {"certs": [{"cert_hash": digest}]})
    return lambda attributes: [*without("signing_certificate_v2")(attributes), wrong]


def says_digest(text: bytes) -> Change:
    """The digest of other content."""
    wrong = attribute("message_digest", hashlib.sha256(text).digest())
    return lambda attributes: [*without("message_digest")(attributes), wrong]


def of_type(name: str) -> Change:
    """Another content type."""
    return lambda attributes: [*without("content_type")(attributes), attribute("content_type", name)]


def says_time(when: datetime) -> Change:
    """A signing time of the signer's choice."""
    claimed = attribute("signing_time", cms.Time({"utc_time": when}))
    return lambda attributes: [*without("signing_time")(attributes), claimed]


def with_two_digests() -> Change:
    """A message digest of two values, the right one first."""

    def change(attributes: list[cms.CMSAttribute]) -> list[cms.CMSAttribute]:
        right = next(each["values"][0].native for each in attributes if each["type"].native == "message_digest")
        two = attribute("message_digest", right, hashlib.sha256(b"other").digest())
        return [*without("message_digest")(attributes), two]

    return change


def protects_other_algorithms() -> Change:
    """RFC 6211's protected copy names SHA-512, while the signature uses SHA-256."""
    algorithms = {"digest_algorithm": {"algorithm": "sha512"}, "signature_algorithm": {"algorithm": "sha512_rsa"}}
    wrong = attribute("cms_algorithm_protection", algorithms)
    return lambda attributes: [*without("cms_algorithm_protection")(attributes), wrong]


def twice(pdf: bytes) -> bytes:
    """The same signer's information two times in one message."""
    info = cms.ContentInfo.load(message(pdf))
    only = info["content"]["signer_infos"][0]
    info["content"]["signer_infos"] = [only, only]
    return with_message(pdf, info.dump(force=True))


def with_other_signer(pdf: bytes, other: bytes) -> bytes:
    """A second SignerInfo, of another document."""
    info = cms.ContentInfo.load(message(pdf))
    second = cms.ContentInfo.load(message(other))["content"]["signer_infos"][0]
    info["content"]["signer_infos"] = [info["content"]["signer_infos"][0], second]
    return with_message(pdf, info.dump(force=True))


def carrying_content(pdf: bytes) -> bytes:
    """A message that carries content of its own beside the signature over the document."""
    info = cms.ContentInfo.load(message(pdf))
    info["content"]["encap_content_info"]["content"] = b"something else"
    return with_message(pdf, info.dump(force=True))
