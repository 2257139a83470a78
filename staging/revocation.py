"""Certificate revocation lists: parsed once into a table of serial numbers, asked ever after. Nothing is fetched.

Knows X.509 lists only. A list that cannot be understood to its end never shows that a certificate is good; what it
does list counts as revoked all the same.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from staging import names

_UNDERSTOOD = frozenset(
    {
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.CRL_NUMBER,
        ExtensionOID.ISSUING_DISTRIBUTION_POINT,
        ExtensionOID.ISSUER_ALTERNATIVE_NAME,
    }
)
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, eq=False)
class RevocationList:
    """One list. `start` and `end`: between which it is current. `scope`: what it says it is about."""

    parsed: x509.CertificateRevocationList = field(repr=False)
    issuer: names.Key
    start: datetime
    end: datetime
    revoked: dict[int, datetime] = field(repr=False)
    is_complete: bool
    scope: x509.IssuingDistributionPoint | None

    def speaks_of(self, certificate: x509.Certificate, is_authority: bool) -> bool:
        """Whether a certificate of the same issuer that it does not list is good."""
        scope = self.scope
        if not self.is_complete or scope is None:
            return self.is_complete
        if scope.only_contains_user_certs if is_authority else scope.only_contains_ca_certs:
            return False
        return not scope.full_name or bool(set(scope.full_name) & _distribution_points(certificate))


def read(der: bytes) -> RevocationList:
    """Parse a list, some 3 µs an entry; ValueError when it is none."""
    parsed = x509.load_der_x509_crl(der)
    critical = {each.oid for each in parsed.extensions if each.critical}
    # A delta list names its base in a critical extension, so it is never complete.
    understood = critical <= _UNDERSTOOD and _entries_are_understood(parsed, der)
    scope = _scope(parsed)
    unsupported = scope is not None and bool(
        scope.indirect_crl or scope.only_some_reasons or scope.only_contains_attribute_certs or scope.relative_name
    )
    return RevocationList(
        parsed,
        names.key(parsed.issuer),
        parsed.last_update_utc,
        # Without a next update nobody can tell whether it is current.
        parsed.next_update_utc or _NEVER,
        {each.serial_number: each.revocation_date_utc for each in parsed},
        understood and not unsupported,
        scope,
    )


def _entries_are_understood(parsed: x509.CertificateRevocationList, der: bytes) -> bool:
    """Whether no entry has a critical extension. Most lists have none: `critical` is then nowhere in their bytes."""
    if _TRUE not in der:
        return True
    return not any(extension.critical for entry in parsed for extension in entry.extensions)


_TRUE = b"\x01\x01\xff"  # DER of the BOOLEAN that marks an extension critical


def _scope(parsed: x509.CertificateRevocationList) -> x509.IssuingDistributionPoint | None:
    try:
        return parsed.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
    except x509.ExtensionNotFound:
        return None


def _distribution_points(certificate: x509.Certificate) -> set[x509.GeneralName]:
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        return set()
    return {name for point in points for name in point.full_name or ()}
