"""The short way to judge a signed PDF: one PAdES signature over the whole file, and nothing after it.

Knows PDF syntax (pikepdf), CMS (asn1crypto) and chains.py. Because the signature covers every byte except its own hex
digits, no analysis of later changes is needed. Whatever is not of that plain form raises NotPlain, and the full
validator judges it instead; a plain file with a fault gets its verdict here.
"""

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO

import pikepdf
from asn1crypto import cms, parser, tsp
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from staging.chains import Issuers, NotPlain

ALTERED = "document: its content was altered after it was signed (digest differs)"
NOT_WHOLE_FILE = "signature: does not cover the whole file"
BAD_SIGNATURE = "signature: does not match the signer's certificate"
NO_SIGNED_ATTRIBUTES = "signature: no signed attributes, expected content-type, message-digest, signing-certificate"
BAD_ATTRIBUTES = "signature: signed attributes missing, repeated or wrong"
WRONG_CERTIFICATE = "signature: signing-certificate attribute names another certificate"
HIDDEN_BYTES = "signature: bytes other than zeros after its CMS, covered by no signature"
WEAK_DIGEST = "signature: digest algorithm other than SHA-256, SHA-384, SHA-512"

_SUBFILTERS = ("/ETSI.CAdES.detached", "/adbe.pkcs7.detached")
_HASHES: dict[str, type[hashes.SHA256] | type[hashes.SHA384] | type[hashes.SHA512]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
_REQUIRED = frozenset({"content_type", "message_digest", "signing_certificate_v2"})
_PLAIN = _REQUIRED | {"signing_time", "cms_algorithm_protection"}
_SET_OF = b"\x31"


@dataclass(frozen=True, slots=True)
class Signed:
    """What a signature dictionary says: the two signed spans of the file, and the CMS between them."""

    spans: tuple[memoryview, memoryview]
    message: bytes


def faults(pdf: bytes, issuers: Issuers, at: datetime) -> tuple[str, ...]:
    """Why the signature of `pdf` is not valid at `at`; empty when it is. NotPlain when it is not for us to judge."""
    try:
        return _faults(pdf, issuers, at)
    # What the three parsers raise at hostile input, wherever they come upon it: they parse as late as they can.
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise NotPlain(f"{type(error).__name__}: {error}") from error
    except (pikepdf.PdfError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise NotPlain(f"{type(error).__name__}: {error}") from error


def _faults(pdf: bytes, issuers: Issuers, at: datetime) -> tuple[str, ...]:
    signed = _read(pdf)
    hidden = padding_faults(signed.message)
    if hidden:
        return hidden
    data = _signed_data(signed.message)
    signer_info = data["signer_infos"][0]
    # Taken before anything looks inside: afterwards asn1crypto would encode anew, slowly, not what was signed.
    encoded = signer_info["signed_attrs"].dump()
    wrong = attribute_faults(signer_info)
    if wrong:
        return wrong
    attributes = {attribute["type"].native: attribute["values"][0] for attribute in signer_info["signed_attrs"]}
    if not attributes.keys() <= _PLAIN or len(signer_info["unsigned_attrs"] or ()):
        raise NotPlain("attributes that need the full validator")
    algorithm = signer_info["digest_algorithm"]["algorithm"].native
    digest = hashlib.new(algorithm)
    for span in signed.spans:
        digest.update(span)
    if not hmac.compare_digest(digest.digest(), attributes["message_digest"].native):
        return (ALTERED,)
    certificates = [x509.load_der_x509_certificate(choice.chosen.dump()) for choice in data["certificates"]]
    signer = _signer(signer_info, certificates)
    return _signature_faults(signer_info, attributes, encoded, signer) or issuers.faults(
        signer, [certificate for certificate in certificates if certificate != signer], at
    )


def padding_faults(contents: bytes) -> tuple[str, ...]:
    """Whether something hides in the room that the CMS leaves; the full validator asks here too."""
    return (HIDDEN_BYTES,) if contents[parser.peek(contents) :].strip(b"\0") else ()


def attribute_faults(signer_info: cms.SignerInfo) -> tuple[str, ...]:
    """What AdES demands of the signed attributes beyond plain CMS; the full validator asks here too."""
    if signer_info["digest_algorithm"]["algorithm"].native not in _HASHES:
        return (WEAK_DIGEST,)
    if not len(signer_info["signed_attrs"] or ()):
        return (NO_SIGNED_ATTRIBUTES,)
    names = [attribute["type"].native for attribute in signer_info["signed_attrs"]]
    single = all(len(attribute["values"]) == 1 for attribute in signer_info["signed_attrs"])
    if len(names) != len(set(names)) or not single or not set(names) >= _REQUIRED:
        return (BAD_ATTRIBUTES,)
    content_type = signer_info["signed_attrs"][names.index("content_type")]["values"][0]
    return () if content_type.native == "data" else (BAD_ATTRIBUTES,)


def _read(pdf: bytes) -> Signed:
    """The only signature of `pdf`, if it covers all of it."""
    with pikepdf.open(BytesIO(pdf), attempt_recovery=False, suppress_warnings=True) as opened:
        signatures = list(_signatures(opened))
        if len(signatures) != 1:
            raise NotPlain(f"{len(signatures)} signatures")
        return _spans(pdf, signatures[0])


def _signatures(opened: pikepdf.Pdf) -> Iterator[pikepdf.Object]:
    """The signature dictionaries of the form; fields that have children are not plain."""
    if opened.is_encrypted or "/AcroForm" not in opened.Root:
        raise NotPlain("encrypted, or without a form")
    for field in opened.Root.AcroForm.Fields:
        if "/Kids" in field or "/SV" in field or "/Lock" in field:
            raise NotPlain("a form field with children, seed values or a lock")
        if field.get("/FT") == "/Sig" and "/V" in field:
            yield field.V


def _spans(pdf: bytes, signature: pikepdf.Object) -> Signed:
    """Check that the byte range leaves out the signature's hex digits and not a byte more."""
    if str(signature.get("/SubFilter")) not in _SUBFILTERS or signature.get("/Type", "/Sig") != "/Sig":
        raise NotPlain("another kind of signature")
    start, length, resume, rest = (int(number) for number in signature.ByteRange.as_list())
    if start != 0 or not 0 < length < resume or rest < 0 or resume + rest != len(pdf):
        raise NotPlain("a byte range that is not the whole file")
    gap = pdf[length:resume]
    contents = bytes(signature.Contents)
    if gap[:1] != b"<" or gap[-1:] != b">" or bytes.fromhex(gap[1:-1].decode("ascii")) != contents:
        raise NotPlain("a gap that is not the signature")
    whole = memoryview(pdf)
    return Signed((whole[:length], whole[resume:]), contents)


def _signed_data(contents: bytes) -> cms.SignedData:
    """The CMS in the hex digits. NotPlain for anything but one signer over detached data."""
    info = cms.ContentInfo.load(contents[: parser.peek(contents)], strict=True)
    data = info["content"]
    if info["content_type"].native != "signed_data" or len(data["signer_infos"]) != 1:
        raise NotPlain("not one signer's signed data")
    encapsulated = data["encap_content_info"]
    if encapsulated["content_type"].native != "data" or encapsulated["content"].native is not None:
        raise NotPlain("content inside the signature")
    if any(choice.name != "certificate" for choice in data["certificates"]):
        raise NotPlain("other things than certificates")
    return data


def _signer(signer_info: cms.SignerInfo, certificates: list[x509.Certificate]) -> x509.Certificate:
    """The certificate that the signer's identifier names."""
    identifier = signer_info["sid"]
    if identifier.name != "issuer_and_serial_number":
        raise NotPlain("a signer named by key identifier")
    issuer = identifier.chosen["issuer"].dump()
    serial = identifier.chosen["serial_number"].native
    for certificate in certificates:
        if certificate.serial_number == serial and certificate.issuer.public_bytes() == issuer:
            return certificate
    raise NotPlain("a signer whose certificate did not come along")


def _signature_faults(
    signer_info: cms.SignerInfo, attributes: dict[str, object], encoded: bytes, signer: x509.Certificate
) -> tuple[str, ...]:
    """Whether the attributes name the signer's certificate and its key signed them."""
    try:
        if not _names(attributes["signing_certificate_v2"], signer):
            return (WRONG_CERTIFICATE,)
        if not _algorithms_agree(signer_info, attributes.get("cms_algorithm_protection")):
            return (BAD_ATTRIBUTES,)
        # What was signed is the attributes as a SET OF; in the message the tag is an implicit [0].
        _verify(signer_info, signer, _SET_OF + encoded[1:])
    except InvalidSignature:
        return (BAD_SIGNATURE,)
    return ()


def _names(attribute: tsp.SigningCertificateV2, signer: x509.Certificate) -> bool:
    """Whether the first certificate of the attribute is the signer's."""
    first = attribute["certs"][0]
    algorithm = _HASHES.get(first["hash_algorithm"]["algorithm"].native)
    return algorithm is not None and hmac.compare_digest(first["cert_hash"].native, signer.fingerprint(algorithm()))


def _algorithms_agree(signer_info: cms.SignerInfo, protection: cms.CMSAlgorithmProtection | None) -> bool:
    """RFC 6211: the algorithms in the protected copy are those outside."""
    return protection is None or (
        protection["digest_algorithm"].native == signer_info["digest_algorithm"].native
        and protection["signature_algorithm"].native == signer_info["signature_algorithm"].native
    )


def _verify(signer_info: cms.SignerInfo, signer: x509.Certificate, attributes: bytes) -> None:
    """Verify with the signer's key; InvalidSignature, or NotPlain for an algorithm that is not everyday."""
    algorithm = _HASHES[signer_info["digest_algorithm"]["algorithm"].native]()
    declared = signer_info["signature_algorithm"]
    if declared.signature_algo != "rsassa_pkcs1v15" and declared.signature_algo != "ecdsa":
        raise NotPlain(f"signature algorithm {declared.signature_algo}")
    # A bare rsaEncryption names no hash; then the digest algorithm stands for it.
    if "_" in declared["algorithm"].native.removeprefix("rsassa_pkcs1v15") and declared.hash_algo != algorithm.name:
        raise NotPlain("digest and signature algorithms that differ")
    key, signature = signer.public_key(), signer_info["signature"].native
    if declared.signature_algo == "rsassa_pkcs1v15" and isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, attributes, padding.PKCS1v15(), algorithm)
    elif declared.signature_algo == "ecdsa" and isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, attributes, ec.ECDSA(algorithm))
    else:
        raise InvalidSignature
