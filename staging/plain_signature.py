"""The short way to judge a signed document: a PDF with one PAdES signature over the whole file and nothing after it,
or a CAdES signature of one signer.

Because a PDF's signature covers every byte except its own hex digits, no analysis of later changes is needed. Whatever
is not of that plain form raises NotPlain, and the full validator judges it; a plain one with a fault is refused here.
"""

from datetime import datetime

from staging import plain_message, plain_pdf, reasons, verdicts
from staging.chains import Issuers
from staging.plain import NotPlain
from staging.verdicts import Verdict


def judge(pdf: bytes, issuers: Issuers, at: datetime) -> Verdict:
    """The verdict on `pdf` at `at`. NotPlain when it is not for us to judge."""
    signed = plain_pdf.read(pdf)
    contents = signed.message
    end = _end(contents)
    if contents.count(0, end) != len(contents) - end:
        return Verdict(False, (reasons.HIDDEN_BYTES,))
    message = plain_message.read(contents[:end])
    if message.content is not None:
        raise NotPlain("CMS: content inside the signature")
    faults = plain_message.faults(message, signed.spans, signed.claimed, issuers, at)
    return verdicts.of(faults, message.certificate)


def judge_message(message: bytes, content: bytes | None, issuers: Issuers, at: datetime) -> Verdict:
    """The verdict on a CAdES signature; `content`: what it is about, None when it stands in the message."""
    read = plain_message.read(message)
    if (read.content is None) == (content is None):
        raise NotPlain("CMS: content in both places, or in neither")
    about = content if content is not None else read.content
    return verdicts.of(plain_message.faults(read, (about or b"",), None, issuers, at), read.certificate)


def _end(contents: bytes) -> int:
    """Where the first element ends."""
    if contents[:2] != b"\x30\x82":
        raise NotPlain("DER: a message of less than 256 or more than 65535 bytes")
    return 4 + int.from_bytes(contents[2:4], "big")
