"""A second opinion: pyHanko with its own path building and revocation, none of our code but the policy's numbers."""

import asyncio
from datetime import datetime
from io import BytesIO

from asn1crypto import cms, crl
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko.sign.validation.generic_cms import async_validate_cms_signature, async_validate_detached_cms
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.policy_decl import DisallowWeakAlgorithmsPolicy

from staging.documents import to_asn1
from tests.staging.hierarchy import hierarchy, lists

_USAGE = KeyUsageConstraints(key_usage={"non_repudiation"})


def takes(pdf: bytes, at: datetime) -> bool:
    """Whether pyHanko calls every signature of a PDF valid, and the last one covers the file."""
    try:
        signatures = PdfFileReader(BytesIO(pdf)).embedded_regular_signatures
        good = [
            validate_pdf_signature(each, _context(at), key_usage_settings=_USAGE).bottom_line for each in signatures
        ]
        covered = signatures[-1].evaluate_signature_coverage() == SignatureCoverageLevel.ENTIRE_FILE
    except Exception:  # whatever it raises at hostile input
        return False
    return all(good) and covered


def takes_message(message: bytes, content: bytes | None, at: datetime) -> bool:
    """The same of a CAdES signature."""
    try:
        data = cms.ContentInfo.load(message, strict=True)["content"]
        if content is None:
            judging = async_validate_cms_signature(data, validation_context=_context(at), key_usage_settings=_USAGE)
        else:
            judging = async_validate_detached_cms(content, data, _context(at), key_usage_settings=_USAGE)
        status = asyncio.run(judging)
    except Exception:  # as above
        return False
    return bool(status.intact and status.valid and status.trusted)


def _context(at: datetime) -> ValidationContext:
    return ValidationContext(
        trust_roots=[to_asn1(hierarchy().root.certificate)],
        other_certs=[to_asn1(hierarchy().issuing.certificate)],
        crls=[crl.CertificateList.load(each) for each in lists()],
        allow_fetching=False,
        revocation_mode="require",
        moment=at,
        algorithm_usage_policy=DisallowWeakAlgorithmsPolicy(weak_hash_algos={"md2", "md5", "sha1", "sha224"}),
    )
