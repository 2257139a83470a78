"""The long way to judge a signed document: pyHanko's validator, for whatever plain_signature.py leaves to it.

Knows pyHanko. Several signatures, timestamps, encrypted files, later revisions: all signatures must be valid, and the
newest must cover the whole file. pyHanko judges contents, changes and the path to the root; chains.py judges each
signer's path as well, because it knows the policy and finds a serial number among 100,000 revoked ones at once.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime
from io import BytesIO

from asn1crypto import cms, parser
from cryptography import x509
from pyhanko.pdf_utils.decode_limits import DEFAULT_PURPOSE_LIMITS, DecodeLimits, DecodePurpose, StreamDecodeLimits
from pyhanko.pdf_utils.misc import PdfDecodeLimitError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.general import CMSExtractionError, SignedDataCerts
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko.sign.validation.generic_cms import (
    async_validate_cms_signature,
    async_validate_detached_cms,
    extract_certs_for_validation,
)
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko.sign.validation.status import SignatureCoverageLevel, SignatureStatus
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.policy_decl import DisallowWeakAlgorithmsPolicy

from staging import reasons, verdicts
from staging.bounds import UNPACKED_BYTES_MAX
from staging.chains import Issuers
from staging.documents import to_asn1
from staging.plain_message import time_faults
from staging.policy import Policy
from staging.verdicts import Verdict

WEAK_HASHES = frozenset({"md2", "md5", "sha1", "sha224"})
_REQUIRED = frozenset({"content_type", "message_digest", "signing_certificate_v2"})

# Whatever bounds.py could not see: it knows streams by the words around them, pyHanko by what it reads.
_LEAST = StreamDecodeLimits(max_ratio=None, max_output_size=UNPACKED_BYTES_MAX)
_TABLES = dict.fromkeys((DecodePurpose.XREF_STREAM, DecodePurpose.OBJECT_STREAM), _LEAST)
_LIMITS = DecodeLimits(per_purpose={**DEFAULT_PURPOSE_LIMITS, **_TABLES})

# pyHanko logs a traceback for each bad document; the verdict says it already.
logging.getLogger("pyhanko").setLevel(logging.CRITICAL)
logging.getLogger("pyhanko_certvalidator").setLevel(logging.CRITICAL)


def judge(pdf: bytes, issuers: Issuers, at: datetime) -> Verdict:
    """The verdict on `pdf` at `at`: valid when all its signatures are."""
    try:
        signatures = PdfFileReader(BytesIO(pdf), decode_limits=_LIMITS).embedded_regular_signatures
        if not signatures:
            return Verdict(False, (reasons.UNSIGNED,))
        found = [fault for signature in signatures for fault in _signature_faults(signature, issuers, at)]
        if signatures[-1].evaluate_signature_coverage() != SignatureCoverageLevel.ENTIRE_FILE:
            found.append(reasons.NOT_WHOLE_FILE)
        certificates = [each.signer_cert.dump() for each in signatures]
    except PdfDecodeLimitError:
        return Verdict(False, (reasons.TOO_LARGE,))
    # pyHanko meets hostile input with whatever its parsers raise; none of that makes a document valid.
    except Exception as error:
        return _unreadable(error)
    return verdicts.of(tuple(dict.fromkeys(found)), *certificates)


def judge_message(message: bytes, content: bytes | None, issuers: Issuers, at: datetime) -> Verdict:
    """The verdict on a CAdES signature; `content`: what it is about, None when it stands in the message."""
    try:
        info = cms.ContentInfo.load(message, strict=True)
        if info["content_type"].native != "signed_data":
            found = f"{reasons.UNREADABLE} (CMS of type {info['content_type'].native}, expected signed data)"
            return Verdict(False, (found,))
        data = info["content"]
        enveloped = data["encap_content_info"]["content"].native
        if (enveloped is None) == (content is None):
            return Verdict(False, (f"{reasons.UNREADABLE} (content in both places, or in neither)",))
        return _judge_message(data, content, issuers, at)
    except Exception as error:  # as above
        return _unreadable(error)


def _unreadable(error: Exception) -> Verdict:
    if isinstance(error, CMSExtractionError) and "signer_infos" in str(error):
        return Verdict(False, (reasons.NOT_ONE_SIGNER,))
    return Verdict(False, (f"{reasons.UNREADABLE} ({type(error).__name__}: {error})",))


def _judge_message(data: cms.SignedData, content: bytes | None, issuers: Issuers, at: datetime) -> Verdict:
    if len(data["signer_infos"]) != 1:
        return Verdict(False, (reasons.NOT_ONE_SIGNER,))
    signer_info = data["signer_infos"][0]
    wrong = attribute_faults(signer_info, issuers.policy)
    if wrong:
        return Verdict(False, wrong)
    settings = context(issuers, at)
    if content is None:
        # pyHanko reads timestamps of detached signatures only; one in here would not be looked at, nor believed.
        judging = async_validate_cms_signature(data, validation_context=settings, key_usage_settings=usage())
    else:
        judging = async_validate_detached_cms(content, data, settings, key_usage_settings=usage())
    status = asyncio.run(judging)
    certificates = extract_certs_for_validation(data)
    found = _reasons(status) or _more(status, certificates, [_signing_time(signer_info)], issuers, at)
    return verdicts.of(found, certificates.signer_cert.dump())


def padding_faults(contents: bytes) -> tuple[str, ...]:
    """Whether something hides in the room that the CMS leaves."""
    return (reasons.HIDDEN_BYTES,) if contents[parser.peek(contents) :].strip(b"\0") else ()


def attribute_faults(signer_info: cms.SignerInfo, policy: Policy) -> tuple[str, ...]:
    """What AdES demands of the signed attributes beyond plain CMS."""
    if signer_info["digest_algorithm"]["algorithm"].native not in policy.digests:
        return (reasons.WEAK_DIGEST,)
    if not len(signer_info["signed_attrs"] or ()):
        return (reasons.NO_SIGNED_ATTRIBUTES,)
    names = [attribute["type"].native for attribute in signer_info["signed_attrs"]]
    single = all(len(attribute["values"]) == 1 for attribute in signer_info["signed_attrs"])
    if len(names) != len(set(names)) or not single or not set(names) >= _REQUIRED:
        return (reasons.BAD_ATTRIBUTES,)
    content_type = signer_info["signed_attrs"][names.index("content_type")]["values"][0]
    return () if content_type.native == "data" else (reasons.BAD_ATTRIBUTES,)


def context(issuers: Issuers, at: datetime, **more: object) -> ValidationContext:
    """pyHanko's idea of our policy, but for revocation."""
    settings = {"allow_fetching": False, "revocation_mode": "soft-fail", "moment": at} | more
    return ValidationContext(
        trust_roots=[to_asn1(issuers.root)],
        other_certs=[to_asn1(certificate) for certificate in issuers.known],
        algorithm_usage_policy=DisallowWeakAlgorithmsPolicy(
            weak_hash_algos=WEAK_HASHES, rsa_key_size_threshold=issuers.policy.rsa_bits_min
        ),
        **settings,
    )


def usage() -> KeyUsageConstraints:
    """What a signer's key must be for; chains.py asks the extended usage."""
    return KeyUsageConstraints(key_usage={"non_repudiation"})


def _signature_faults(signature: EmbeddedPdfSignature, issuers: Issuers, at: datetime) -> tuple[str, ...]:
    wrong = padding_faults(signature.pkcs7_content) or attribute_faults(signature.signer_info, issuers.policy)
    if wrong:
        return wrong
    status = validate_pdf_signature(signature, context(issuers, at), key_usage_settings=usage())
    claimed = [signature.self_reported_timestamp, _signing_time(signature.signer_info)]
    return _reasons(status) or _more(status, extract_certs_for_validation(signature.signed_data), claimed, issuers, at)


def _reasons(status: SignatureStatus) -> tuple[str, ...]:
    """What pyHanko found, in the words of the other way; what it says of the path comes after what we say."""
    if not status.intact:
        return (reasons.ALTERED,)
    if not status.valid:
        return (reasons.BAD_SIGNATURE,)
    return () if getattr(status, "docmdp_ok", True) else (reasons.CHANGED_AFTER,)


def _more(
    status: SignatureStatus,
    certificates: SignedDataCerts,
    claimed: Sequence[datetime | None],
    issuers: Issuers,
    at: datetime,
) -> tuple[str, ...]:
    """The paths of the signer and of who stamped the time, and the time that the signer names."""
    signer = certificates.signer_cert.dump()
    sent = [each.dump() for each in certificates.other_certs]
    times = [each for each in claimed if each is not None]
    parsed = x509.load_der_x509_certificate(signer)
    found = [*issuers.faults(signer, sent, at), *time_faults(times, parsed, at, issuers.policy.skew)]
    stamp = getattr(status, "timestamp_validity", None)
    if stamp is not None:
        stamped = issuers.faults(stamp.signing_cert.dump(), sent, at, stamps=True)
        found += [f"{reasons.BAD_TIMESTAMP} ({fault})" for fault in stamped]
    if not found and not _is_good(status):
        found.append(reasons.BAD_TIMESTAMP if status.trusted else f"{reasons.NO_PATH} ({status.trust_problem_indic})")
    return tuple(found)


def _is_good(status: SignatureStatus) -> bool:
    """pyHanko's own last word; of an enveloping message it has none but these three."""
    return bool(getattr(status, "bottom_line", status.intact and status.valid and status.trusted))


def _signing_time(signer_info: cms.SignerInfo) -> datetime | None:
    for attribute in signer_info["signed_attrs"]:
        if attribute["type"].native == "signing_time":
            return attribute["values"][0].native
    return None
