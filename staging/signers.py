"""Who signed: what a signer's certificate says of the person and of the agency that the person signs for.

Knows the subject's names that pki.py writes (assumed: which attributes carry them is each authority's own practice).
What a certificate says counts for nothing before its path has been checked.
"""

from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

# A citizen's number as a user identifier, an agency's code as an organization identifier.
NUMBER_PREFIX = "CCCD:"
NUMBER_OID, AGENCY_OID = NameOID.USER_ID, NameOID.ORGANIZATION_IDENTIFIER


@dataclass(frozen=True, slots=True)
class Signer:
    """Each is empty where the certificate does not say it, or says it more than once."""

    name: str
    number: str
    agency: str

    def __str__(self) -> str:
        return f"{self.name or 'somebody without a name'} of {self.agency or 'no agency'}"


def read(certificate: bytes) -> Signer:
    """The signer of a certificate in DER; ValueError when it cannot be read."""
    subject = x509.load_der_x509_certificate(certificate).subject
    number = _only(subject, NUMBER_OID)
    return Signer(
        _only(subject, NameOID.COMMON_NAME),
        number.removeprefix(NUMBER_PREFIX) if number.startswith(NUMBER_PREFIX) else "",
        _only(subject, AGENCY_OID),
    )


def _only(subject: x509.Name, kind: x509.ObjectIdentifier) -> str:
    values = [attribute.value for attribute in subject.get_attributes_for_oid(kind)]
    return values[0] if len(values) == 1 and isinstance(values[0], str) else ""
