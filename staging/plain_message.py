"""A plain CMS signature (RFC 5652) with the attributes of AdES: one signer, RSA or ECDSA, strict DER.

Knows CMS and chains.py; knows no PDF. Anything out of the ordinary, right or wrong, raises NotPlain, and the full
validator finds the reason. What is refused here are altered contents, false signatures, and certificates.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from staging import der, reasons
from staging.chains import Certificate, Issuers
from staging.der import Element, content, elements, only, whole
from staging.plain import NotPlain

_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
_DATA = bytes.fromhex("06092a864886f70d010701")
_CONTENT_TYPE = bytes.fromhex("06092a864886f70d010903")
_MESSAGE_DIGEST = bytes.fromhex("06092a864886f70d010904")
_SIGNING_TIME = bytes.fromhex("06092a864886f70d010905")
_MAIL_CAPABILITIES = bytes.fromhex("06092a864886f70d01090f")
_ALGORITHM_PROTECTION = bytes.fromhex("06092a864886f70d010934")
_SIGNING_CERTIFICATE = bytes.fromhex("060b2a864886f70d010910022f")
_REQUIRED = frozenset({_CONTENT_TYPE, _MESSAGE_DIGEST, _SIGNING_CERTIFICATE})
_PLAIN = _REQUIRED | {_SIGNING_TIME, _MAIL_CAPABILITIES, _ALGORITHM_PROTECTION}

_NULL = b"\x05\x00"
_SHA2 = {
    bytes.fromhex(f"060960864801650304020{number}"): f"sha{bits}" for number, bits in ((1, 256), (2, 384), (3, 512))
}
_RSA = bytes.fromhex("06092a864886f70d010101")
_MGF1 = bytes.fromhex("06092a864886f70d010108")
_PSS = bytes.fromhex("06092a864886f70d01010a")
_RSA_WITH = {
    bytes.fromhex(f"06092a864886f70d01010{digit}"): name for digit, name in zip("bcd", _SHA2.values(), strict=True)
}
_ECDSA_WITH = {
    bytes.fromhex(f"06082a8648ce3d04030{digit}"): name for digit, name in zip("234", _SHA2.values(), strict=True)
}
_HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
_PKCS1, _PSS_PADDED, _ECDSA = "pkcs1", "pss", "ecdsa"
_SET_TAG = b"\x31"


@dataclass(frozen=True, slots=True)
class Message:
    """What a plain signature says. `attributes`: as they were signed. `names`: the certificate that they name, as
    (digest, its value). `content`: what the message envelops, None for a detached signature."""

    content: bytes | None
    certificate: bytes
    others: tuple[bytes, ...]
    digest: str
    scheme: str
    attributes: bytes
    message_digest: bytes
    names: tuple[str, bytes]
    signing_time: datetime | None
    signature: bytes


def read(data: bytes) -> Message:
    """Take a message apart; NotPlain when it is not of the plain kind."""
    (info,) = only(data, 0, len(data), der.SEQUENCE)
    kind, wrapped = only(data, info.inner, info.end, der.OID, der.context(0))
    (signed,) = only(data, wrapped.inner, wrapped.end, der.SEQUENCE)
    if whole(data, kind) != _SIGNED_DATA:
        raise NotPlain("CMS: not signed data")
    _, _digests, about, certificates, signers = only(
        data, signed.inner, signed.end, der.INTEGER, der.SET, der.SEQUENCE, der.context(0), der.SET
    )
    (signer,) = only(data, signers.inner, signers.end, der.SEQUENCE)
    sent = tuple(whole(data, each) for each in elements(data, certificates.inner, certificates.end))
    return _message(data, signer, _enveloped(data, about), sent)


def _enveloped(data: bytes, about: Element) -> bytes | None:
    kind, *wrapped = elements(data, about.inner, about.end)
    if whole(data, kind) != _DATA or len(wrapped) > 1:
        raise NotPlain("CMS: content other than plain data")
    if not wrapped:
        return None
    if wrapped[0].tag != der.context(0):
        raise NotPlain("CMS: content out of place")
    (octets,) = only(data, wrapped[0].inner, wrapped[0].end, der.OCTET_STRING)
    return content(data, octets)


def _message(data: bytes, signer: Element, enveloped: bytes | None, sent: tuple[bytes, ...]) -> Message:
    # Unsigned attributes (timestamps, for one) would stand behind the signature; then there are more than six.
    _, identifier, digesting, attributes, signing, signature = only(
        *(data, signer.inner, signer.end, der.INTEGER, der.SEQUENCE, der.SEQUENCE),
        *(der.context(0), der.SEQUENCE, der.OCTET_STRING),
    )
    digest = _digest(whole(data, digesting))
    found = _attributes(data, attributes)
    if content(data, found[_CONTENT_TYPE]) != _DATA[2:] or found[_CONTENT_TYPE].tag != der.OID:
        raise NotPlain("CMS: a content type other than data")
    if found[_MESSAGE_DIGEST].tag != der.OCTET_STRING:
        raise NotPlain("CMS: a message digest that is none")
    if _ALGORITHM_PROTECTION in found:
        _check_protection(data, found[_ALGORITHM_PROTECTION], digesting, signing)
    issuer, serial = only(data, identifier.inner, identifier.end, der.SEQUENCE, der.INTEGER)
    named = whole(data, issuer), whole(data, serial)
    certificate = _certificate(sent, named)
    return Message(
        content=enveloped,
        certificate=certificate,
        others=tuple(each for each in sent if each != certificate),
        digest=digest,
        scheme=_scheme(data, signing, digest),
        # What was signed is the attributes as a SET OF; in the message the tag is an implicit [0].
        attributes=_SET_TAG + data[attributes.start + 1 : attributes.end],
        message_digest=content(data, found[_MESSAGE_DIGEST]),
        names=_named_certificate(data, found[_SIGNING_CERTIFICATE], named),
        signing_time=_time(data, found[_SIGNING_TIME]) if _SIGNING_TIME in found else None,
        signature=content(data, signature),
    )


def _attributes(data: bytes, attributes: Element) -> dict[bytes, Element]:
    """The only value of each attribute, by its type."""
    found: dict[bytes, Element] = {}
    for attribute in elements(data, attributes.inner, attributes.end):
        if attribute.tag != der.SEQUENCE:
            raise NotPlain("CMS: an attribute that is none")
        kind, values = only(data, attribute.inner, attribute.end, der.OID, der.SET)
        within = elements(data, values.inner, values.end)
        name = whole(data, kind)
        if len(within) != 1 or name in found or name not in _PLAIN:
            raise NotPlain("CMS: an attribute that is repeated, has not one value, or needs the full validator")
        found[name] = within[0]
    if not found.keys() >= _REQUIRED:
        raise NotPlain("CMS: an attribute is missing")
    return found


def _digest(algorithm: bytes) -> str:
    """The name of a digest algorithm. Its parameters are absent or NULL."""
    name = _SHA2.get(algorithm[2:].removesuffix(_NULL))
    if name is None or len(algorithm) not in (13, 15):
        raise NotPlain("CMS: a digest other than SHA-2's")
    return name


def _scheme(data: bytes, algorithm: Element, digest: str) -> str:
    """How the signature is made. NotPlain when its digest is another than the message's."""
    kind, *parameters = elements(data, algorithm.inner, algorithm.end)
    name, after = whole(data, kind), data[kind.end : algorithm.end]
    if name == _PSS and len(parameters) == 1:
        _check_pss(data, parameters[0], digest)
        return _PSS_PADDED
    if name in _ECDSA_WITH and not after and _ECDSA_WITH[name] == digest:
        return _ECDSA
    # A bare rsaEncryption names no digest; then the digest algorithm stands for it.
    if after in (b"", _NULL) and (name == _RSA or _RSA_WITH.get(name) == digest):
        return _PKCS1
    raise NotPlain("CMS: a signature algorithm that is not everyday")


def _check_pss(data: bytes, parameters: Element, digest: str) -> None:
    """One digest throughout, a salt of its length (RFC 4055)."""
    if parameters.tag != der.SEQUENCE:
        raise NotPlain("CMS: PSS without parameters")
    digesting, masking, salt = only(
        data, parameters.inner, parameters.end, der.context(0), der.context(1), der.context(2)
    )
    (mask,) = only(data, masking.inner, masking.end, der.SEQUENCE)
    generator, inner = only(data, mask.inner, mask.end, der.OID, der.SEQUENCE)
    (size,) = only(data, salt.inner, salt.end, der.INTEGER)
    same = _digest(content(data, digesting)) == _digest(whole(data, inner)) == digest
    if not same or whole(data, generator) != _MGF1 or content(data, size) != bytes([hashlib.new(digest).digest_size]):
        raise NotPlain("CMS: unusual PSS parameters")


def _check_protection(data: bytes, protection: Element, digesting: Element, signing: Element) -> None:
    """RFC 6211: the algorithms in the protected copy are those outside."""
    digest, signature = only(data, protection.inner, protection.end, der.SEQUENCE, der.context(1))
    if whole(data, digest) != whole(data, digesting) or content(data, signature) != content(data, signing):
        raise NotPlain("CMS: algorithms that differ from the protected ones")


def _named_certificate(data: bytes, attribute: Element, named: tuple[bytes, bytes]) -> tuple[str, bytes]:
    """Digest and value of the first certificate in a signing-certificate attribute (RFC 5035)."""
    listed, *_policies = elements(data, attribute.inner, attribute.end)
    first, *_others = elements(data, listed.inner, listed.end)
    parts = elements(data, first.inner, first.end)
    digest = "sha256"
    if parts[0].tag == der.SEQUENCE:
        digest = _digest(whole(data, parts.pop(0)))
    value, *rest = parts
    if value.tag != der.OCTET_STRING or len(rest) > 1:
        raise NotPlain("CMS: a signing-certificate attribute of another form")
    if rest:
        issuers, serial = only(data, rest[0].inner, rest[0].end, der.SEQUENCE, der.INTEGER)
        (directory,) = only(data, issuers.inner, issuers.end, der.context(4))
        if (content(data, directory), whole(data, serial)) != named:
            raise NotPlain("CMS: a signing-certificate attribute that names another issuer or serial number")
    return digest, content(data, value)


def _certificate(sent: Iterable[bytes], named: tuple[bytes, bytes]) -> bytes:
    """The certificate with this (issuer, serial number), as they are encoded."""
    for each in sent:
        (outer,) = only(each, 0, len(each), der.SEQUENCE)
        body = elements(each, outer.inner, outer.end)[0]
        parts = elements(each, body.inner, body.end)
        if parts[0].tag == der.context(0) and (whole(each, parts[3]), whole(each, parts[1])) == named:
            return each
    raise NotPlain("CMS: a signer whose certificate did not come along")


def _time(data: bytes, element: Element) -> datetime:
    """A signing-time attribute, in the two forms that DER allows."""
    text = content(data, element).decode("ascii", "replace")
    if element.tag == der.UTC_TIME and len(text) == 13:
        # Two digits of the year: 50 to 99 are the last century's (RFC 5652, 11.3).
        text = ("19" if text[:2] >= "50" else "20") + text
    elif element.tag != der.GENERALIZED_TIME or len(text) != 15:
        raise NotPlain("CMS: a signing time of another form")
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise NotPlain(f"CMS: signing time {text!r}") from error


def faults(
    message: Message, spans: Iterable[bytes | memoryview], claimed: datetime | None, issuers: Issuers, at: datetime
) -> tuple[str, ...]:
    """Why a message over `spans`, one after the other, is not valid at `at`; empty when it is.

    `claimed`: the signing time that the document names beside the message's.
    """
    policy = issuers.policy
    if message.digest not in policy.digests:
        raise NotPlain(f"CMS: digest {message.digest} is not in the policy")
    digest = hashlib.new(message.digest)
    for span in spans:
        digest.update(span)
    if not hmac.compare_digest(digest.digest(), message.message_digest):
        return (reasons.ALTERED,)
    algorithm, named = message.names
    if not hmac.compare_digest(hashlib.new(algorithm, message.certificate).digest(), named):
        return (reasons.WRONG_CERTIFICATE,)
    signer = _load(message, issuers)
    if not _is_signed_by(signer, message):
        return (reasons.BAD_SIGNATURE,)
    times = [each for each in (message.signing_time, claimed) if each is not None]
    impossible = time_faults(times, signer.parsed, at, policy.skew)
    return (*issuers.faults_of(signer, message.others, at), *impossible)


def time_faults(
    claimed: Iterable[datetime], signer: x509.Certificate, at: datetime, skew: timedelta
) -> tuple[str, ...]:
    """What a signer says of his time proves nothing, but it must be possible; the full validator asks here too."""
    start, end = signer.not_valid_before_utc - skew, min(signer.not_valid_after_utc, at) + skew
    return () if all(start <= each <= end for each in claimed) else (reasons.WRONG_TIME,)


def _load(message: Message, issuers: Issuers) -> Certificate:
    """The signer's certificate. NotPlain when one that came along cannot be read: the full validator knows more."""
    try:
        for other in message.others:
            if not issuers.knows(other):
                Certificate(other, issuers.policy)
        return Certificate(message.certificate, issuers.policy)
    except ValueError as error:
        raise NotPlain(f"certificate: {error}") from error


def _is_signed_by(signer: Certificate, message: Message) -> bool:
    key, algorithm = signer.key, _HASHES[message.digest]()
    try:
        if message.scheme == _ECDSA and isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(message.signature, message.attributes, ec.ECDSA(algorithm))
        elif message.scheme == _PKCS1 and isinstance(key, rsa.RSAPublicKey):
            key.verify(message.signature, message.attributes, padding.PKCS1v15(), algorithm)
        elif message.scheme == _PSS_PADDED and isinstance(key, rsa.RSAPublicKey):
            salted = padding.PSS(padding.MGF1(algorithm), algorithm.digest_size)
            key.verify(message.signature, message.attributes, salted, algorithm)
        else:
            return False
    except InvalidSignature:
        return False
    return True
