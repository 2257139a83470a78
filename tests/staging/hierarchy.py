"""A root, authorities, signers and revocation lists for the tests of signatures, right ones and wrong ones."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from asn1crypto import core
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from staging import pki
from staging.documents import make_pdf, sign
from staging.pki import Issued, PrivateKey, Window
from staging.policy import Policy
from staging.signatures import Verifier

NOW = datetime.now(UTC)
PAST = Window(NOW - timedelta(days=30), NOW - timedelta(days=1))
FUTURE = Window(NOW + timedelta(days=1), NOW + timedelta(days=30))
PRESENT = Window(NOW - timedelta(days=1), NOW + timedelta(days=30))
USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)
_lists: list[bytes] = []


@dataclass(frozen=True)
class Hierarchy:
    """A root, an issuing authority, and a signer, as the portal makes them."""

    root: Issued
    issuing: Issued
    signer: Issued


@functools.cache
def hierarchy() -> Hierarchy:
    root = pki.make_authority("Root", None, path_length=1)
    issuing = pki.make_authority("Issuing", root, path_length=0)
    _lists.extend((der(pki.make_crl(root)), der(pki.make_crl(issuing, [(revoked_serial(), NOW - timedelta(hours=1))]))))
    return Hierarchy(root, issuing, pki.make_signer("Công dân", issuing))


@functools.cache
def revoked_serial() -> int:
    return x509.random_serial_number()


def with_list(authority: Issued, revoked: Sequence[tuple[int, datetime]] = (), window: Window | None = None) -> Issued:
    """The authority, after adding a list of its own to what `verifier` is given."""
    _lists.append(der(pki.make_crl(authority, revoked, window)))
    return authority


def certified(
    name: str | x509.Name,
    issuer: Issued | None,
    *usages: str,
    ca: bool | None = True,
    path_length: int | None = None,
    window: Window = PRESENT,
    own: PrivateKey | None = None,
    digest: hashes.HashAlgorithm | None = None,
    serial: int | None = None,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> Issued:
    """A certificate with whatever is asked for; an authority's key usage unless `usages` are given. `ca` None leaves
    the basic constraints out."""
    own = own or pki.new_key()
    subject = name if isinstance(name, x509.Name) else common_name(name)
    builder = x509.CertificateBuilder(issuer.certificate.subject if issuer else subject, subject, own.public_key())
    builder = builder.serial_number(serial or x509.random_serial_number())
    builder = builder.not_valid_before(window.start).not_valid_after(window.end)
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca, path_length), critical=True)
    wanted = usages or ("key_cert_sign", "crl_sign")
    builder = builder.add_extension(x509.KeyUsage(**{each: each in wanted for each in USAGES}), critical=True)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return Issued(builder.sign(issuer.key if issuer else own, digest or hashes.SHA256()), own)


def common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@functools.cache
def good(number: int = 0) -> bytes:
    """A valid document."""
    return signed_by(hierarchy().signer, [hierarchy().issuing], number)


def signed_by(signer: Issued, chain: list[Issued], number: int = 0) -> bytes:
    return sign(make_pdf(f"Đơn số {number}", number), signer, [each.certificate for each in chain])


def lists() -> tuple[bytes, ...]:
    hierarchy()
    return tuple(_lists)


def verifier(policy: Policy | None = None) -> Verifier:
    """Knows the root, the issuing authority, and every list made so far."""
    return Verifier(hierarchy().root.certificate, (hierarchy().issuing.certificate,), lists(), policy)


def der(signed: x509.Certificate | x509.CertificateRevocationList) -> bytes:
    return signed.public_bytes(Encoding.DER)


def weakly_certified(issuer: Issued, digest: hashes.HashAlgorithm, *, ca: bool = False) -> Issued:
    """A certificate signed with a digest that `cryptography` refuses to use: SHA-1, MD5."""
    usages = ("key_cert_sign", "crl_sign") if ca else ("digital_signature", "content_commitment")
    made = certified(f"By {digest.name}", issuer, *usages, ca=ca)
    parsed = asn1_x509.Certificate.load(der(made.certificate))
    algorithm = {"algorithm": f"{digest.name}_rsa", "parameters": core.Null()}
    parsed["tbs_certificate"]["signature"] = parsed["signature_algorithm"] = algorithm
    body = parsed["tbs_certificate"].dump(force=True)
    parsed["signature_value"] = issuer.key.sign(body, padding.PKCS1v15(), digest)
    return Issued(x509.load_der_x509_certificate(parsed.dump(force=True)), made.key)
