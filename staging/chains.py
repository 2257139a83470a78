"""From a signer's certificate up to the trusted root: signatures, validity, constraints, key usage.

Knows X.509 only. Paths above the signer are remembered, because all citizens of one authority share them; the signer's
own certificate is checked every time. Revocation is not checked yet.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtensionOID

E = TypeVar("E", bound=x509.ExtensionType)

_RSA_BITS_MIN = 2048
_CURVE_BITS_MIN = 256
_AUTHORITIES_MAX = 5
_STRONG_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_UNDERSTOOD = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    }
)

NO_PATH = "certificate: no path to the portal's trusted root"
EXPIRED = "certificate: expired or not yet valid, in the path from the signer to the root"
WRONG_USAGE = "certificate: its key usage does not include non-repudiation"
WEAK = "certificate: a weak key or hash in the path from the signer to the root"


class NotPlain(Exception):
    """Something that the short way does not judge; the full validator has to."""


@dataclass(frozen=True, slots=True)
class Path:
    """When every authority between a signer and the root is valid."""

    start: datetime
    end: datetime


# A trust anchor is trusted as configured: RFC 5280, 6.1.1 d, judges only what stands below it.
_ALWAYS = Path(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


class Issuers:
    """Builds paths to one root, through the `known` authorities and those that came along with a signature."""

    def __init__(self, root: x509.Certificate, known: tuple[x509.Certificate, ...] = ()) -> None:
        self.root = root
        self.known = known
        self._paths = {authority: self._build(authority, list(known), 0) for authority in (root, *known)}

    def faults(self, signer: x509.Certificate, sent: list[x509.Certificate], at: datetime) -> tuple[str, ...]:
        """Why `signer` is not to be trusted at `at`; empty when it is. NotPlain when that cannot be told here."""
        _check_extensions(signer)
        usage = _extension(signer, x509.KeyUsage)
        faults = () if usage is None or usage.content_commitment else (WRONG_USAGE,)
        if not _is_strong(signer):
            return (*faults, WEAK)
        path = self._path_above(signer, sent)
        if path is None:
            return (*faults, NO_PATH)
        start, end = max(path.start, signer.not_valid_before_utc), min(path.end, signer.not_valid_after_utc)
        return faults if start <= at <= end else (*faults, EXPIRED)

    def _path_above(self, signer: x509.Certificate, sent: list[x509.Certificate]) -> Path | None:
        """The remembered path of a known issuer, or one through `sent`.

        What came with a document is not remembered: what one document lacks may come with the next.
        """
        for authority, path in self._paths.items():
            if path is not None and _issued(authority, signer):
                return path
        for authority in sent:
            if authority not in self._paths and _issued(authority, signer):
                path = self._build(authority, [*self.known, *sent], 0)
                if path is not None:
                    return path
        return None

    def _build(self, authority: x509.Certificate, others: list[x509.Certificate], below: int) -> Path | None:
        """The path from `authority` to the root, where `below` authorities stand between it and the signer."""
        if authority == self.root:
            return _ALWAYS if _may_certify(authority, below) else None
        if below >= _AUTHORITIES_MAX or not _may_certify(authority, below):
            return None
        for issuer in (self.root, *others):
            if issuer != authority and _issued(issuer, authority):
                above = self._build(issuer, others, below + 1)
                if above is not None:
                    start = max(above.start, authority.not_valid_before_utc)
                    return Path(start, min(above.end, authority.not_valid_after_utc))
        return None


def _may_certify(authority: x509.Certificate, below: int) -> bool:
    """Whether it is a certificate authority, strong enough, that allows `below` others between it and a signer."""
    _check_extensions(authority)
    basic = _extension(authority, x509.BasicConstraints)
    usage = _extension(authority, x509.KeyUsage)
    if basic is None or not basic.ca or (usage is not None and not usage.key_cert_sign):
        return False
    return (basic.path_length is None or below <= basic.path_length) and _is_strong(authority)


def _issued(issuer: x509.Certificate, subject: x509.Certificate) -> bool:
    if issuer.subject != subject.issuer:
        return False
    try:
        subject.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _is_strong(certificate: x509.Certificate) -> bool:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        strong = key.key_size >= _RSA_BITS_MIN
    else:
        strong = isinstance(key, ec.EllipticCurvePublicKey) and key.key_size >= _CURVE_BITS_MIN
    return strong and isinstance(certificate.signature_hash_algorithm, _STRONG_HASHES)


def _check_extensions(certificate: x509.Certificate) -> None:
    """NotPlain when a certificate carries what `_UNDERSTOOD` does not name, or cannot be read."""
    try:
        unknown = {extension.oid for extension in certificate.extensions} - _UNDERSTOOD
    except (ValueError, x509.DuplicateExtension) as error:
        raise NotPlain(f"certificate extensions: {error}") from error
    if unknown:
        raise NotPlain(f"certificate extensions {sorted(oid.dotted_string for oid in unknown)}")


def _extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
