"""The long way to judge a signed PDF: pyHanko's validator, for whatever plain_signature.py leaves to it.

Knows pyHanko. Several signatures, timestamps, encrypted files, later revisions: all of them must be valid, and the
newest signature must cover the whole file.
"""

import logging
from datetime import datetime
from io import BytesIO

from cryptography import x509
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko.sign.validation.status import PdfSignatureStatus, SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext

from staging.chains import EXPIRED, NO_PATH
from staging.documents import to_asn1
from staging.plain_signature import ALTERED, BAD_SIGNATURE, NOT_WHOLE_FILE, attribute_faults, padding_faults

UNSIGNED = "document: no signature, expected at least one PAdES signature"
CHANGED_AFTER = "document: changed in a forbidden way after a signature"
UNREADABLE = "document: cannot be read as a signed PDF"
BAD_TIMESTAMP = "signature: its timestamp is not valid"

# pyHanko logs a traceback for each bad document; the verdict says it already.
logging.getLogger("pyhanko").setLevel(logging.CRITICAL)
logging.getLogger("pyhanko_certvalidator").setLevel(logging.CRITICAL)


def faults(pdf: bytes, root: x509.Certificate, known: tuple[x509.Certificate, ...], at: datetime) -> tuple[str, ...]:
    """Why a signature of `pdf` is not valid at `at`; empty when all are."""
    try:
        signatures = PdfFileReader(BytesIO(pdf)).embedded_regular_signatures
        if not signatures:
            return (UNSIGNED,)
        found = [fault for signature in signatures for fault in _faults(signature, root, known, at)]
        if signatures[-1].evaluate_signature_coverage() != SignatureCoverageLevel.ENTIRE_FILE:
            found.append(NOT_WHOLE_FILE)
    # pyHanko meets hostile input with whatever its parsers raise; none of that makes a document valid.
    except Exception as error:
        return (f"{UNREADABLE} ({type(error).__name__}: {error})",)
    return tuple(dict.fromkeys(found))


def _faults(
    signature: EmbeddedPdfSignature, root: x509.Certificate, known: tuple[x509.Certificate, ...], at: datetime
) -> tuple[str, ...]:
    wrong = padding_faults(signature.pkcs7_content) or attribute_faults(signature.signer_info)
    if wrong:
        return wrong
    context = ValidationContext(
        trust_roots=[to_asn1(root)],
        other_certs=[to_asn1(certificate) for certificate in known],
        allow_fetching=False,
        revocation_mode="soft-fail",
        moment=at,
    )
    usage = KeyUsageConstraints(key_usage={"non_repudiation"})
    return _reasons(validate_pdf_signature(signature, context, key_usage_settings=usage))


def _reasons(status: PdfSignatureStatus) -> tuple[str, ...]:
    """A status in the words of the other way."""
    if status.bottom_line:
        return ()
    if not status.intact:
        return (ALTERED,)
    if not status.valid:
        return (BAD_SIGNATURE,)
    if not status.trusted:
        indication = str(status.trust_problem_indic)
        return (EXPIRED,) if "OUT_OF_BOUNDS" in indication else (f"{NO_PATH} ({indication})",)
    return (BAD_TIMESTAMP,) if status.docmdp_ok else (CHANGED_AFTER,)
