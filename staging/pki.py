"""A certificate hierarchy made at start-up: root, issuing authorities, signers, and the authorities' revocation lists.
Nothing in it outlives the portal.

Knows X.509 and files; knows no PDF and no request. The authorities' keys are never written down, but for that of the
one that certifies remote signers while the portal runs.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from staging import signers

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

RSA_BITS = 2048
SIGNERS = 2
_VALID_FOR = timedelta(days=365)


@dataclass(frozen=True)
class Issued:
    """A certificate and the key it certifies."""

    certificate: x509.Certificate
    key: PrivateKey


@dataclass(frozen=True)
class Window:
    """When a certificate is valid."""

    start: datetime
    end: datetime


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)


def window_from_now() -> Window:
    """From yesterday, so that clocks may differ, for a year."""
    now = datetime.now(UTC)
    return Window(now - timedelta(days=1), now + _VALID_FOR)


def make_authority(name: str, issuer: Issued | None, path_length: int, window: Window | None = None) -> Issued:
    """A certificate authority that allows `path_length` further ones below it; self-signed without an issuer."""
    key = new_key()
    subject = _name(name)
    builder = _builder(subject, issuer.certificate.subject if issuer else subject, key, window or window_from_now())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    builder = builder.add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
    return _sign(builder, key, issuer)


def make_signer(
    name: str,
    issuer: Issued,
    *,
    number: str = "",
    agency: str = "",
    window: Window | None = None,
    key: PrivateKey | None = None,
    may_sign: bool = True,
) -> Issued:
    """A person's signing certificate: with a citizen's number, or with the code of the agency that an officer signs
    for. Without `may_sign` its key usage is for encipherment only.
    """
    key = key or new_key()
    subject = _name(name, number=number, agency=agency)
    builder = _builder(subject, issuer.certificate.subject, key, window or window_from_now())
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    usage = _usage(digital_signature=True, content_commitment=True) if may_sign else _usage(key_encipherment=True)
    return _sign(builder.add_extension(usage, critical=True), key, issuer)


def make_server(address: str, host: str, issuer: Issued) -> Issued:
    """A certificate for TLS, of an IP address and a host's name; its key usage is not for documents."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.IPAddress(ipaddress.ip_address(address)), x509.DNSName(host)]
    builder = _builder(_name(host), issuer.certificate.subject, key, window_from_now())
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(digital_signature=True), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return _sign(builder.add_extension(x509.SubjectAlternativeName(names), critical=False), key, issuer)


def make_crl(
    issuer: Issued, revoked: Sequence[tuple[int, datetime]] = (), window: Window | None = None
) -> x509.CertificateRevocationList:
    """The issuer's list of `revoked` (serial number, when), current during `window` (as long as certificates)."""
    window = window or window_from_now()
    entries = [
        x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(when).build() for serial, when in revoked
    ]
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    builder = x509.CertificateRevocationListBuilder(
        issuer.certificate.subject, window.start, window.end, revoked_certificates=entries
    )
    builder = builder.add_extension(x509.CRLNumber(1), critical=False).add_extension(identifier, critical=False)
    return builder.sign(issuer.key, hashes.SHA256())


def make_hierarchy(folder: Path) -> None:
    """Write to `folder`, unless it is there: root.pem, issuing.pem, the list of each as .crl, the signers' certificates
    and keys, those of one whose certificate is revoked, those of the portal as a TLS server on loopback (with its
    issuer's), and those of the authority that certifies while the portal runs.
    """
    if folder.exists():
        return
    root = make_authority("Caodiem Staging Root", None, path_length=1)
    issuing = make_authority("Caodiem Staging Issuing", root, path_length=0)
    remote = make_authority("Caodiem Staging Remote Signing", root, path_length=0)
    folder.mkdir(mode=0o700)
    _write_certificate(folder / "root.pem", root.certificate)
    _write_certificate(folder / "issuing.pem", issuing.certificate)
    for number in range(SIGNERS):
        signer = make_signer(f"Công dân thử nghiệm {number}", issuing)
        _write_certificate(folder / f"signer-{number}.pem", signer.certificate)
        _write_key(folder / f"signer-{number}.key", signer.key)
    server = make_server("127.0.0.1", "localhost", issuing)
    _write_certificate(folder / "server.pem", server.certificate, issuing.certificate)
    _write_key(folder / "server.key", server.key)
    revoked = make_signer("Công dân có chứng thư số bị thu hồi", issuing)
    _write_certificate(folder / "signer-revoked.pem", revoked.certificate)
    _write_key(folder / "signer-revoked.key", revoked.key)
    _write_certificate(folder / "remote.pem", remote.certificate)
    _write_key(folder / "remote.key", remote.key)
    gone = (revoked.certificate.serial_number, datetime.now(UTC) - timedelta(hours=1))
    (folder / "root.crl").write_bytes(make_crl(root).public_bytes(serialization.Encoding.DER))
    (folder / "remote.crl").write_bytes(make_crl(remote).public_bytes(serialization.Encoding.DER))
    (folder / "issuing.crl").write_bytes(make_crl(issuing, [gone]).public_bytes(serialization.Encoding.DER))


def read_certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def read_crls(folder: Path) -> tuple[bytes, ...]:
    """The revocation lists of the hierarchy in `folder`, in DER."""
    return tuple(path.read_bytes() for path in sorted(folder.glob("*.crl")))


def read_signer(folder: Path, number: int | str) -> Issued:
    """Signer `number` (0 to SIGNERS - 1, or "revoked") of the hierarchy in `folder`."""
    return read_issued(folder, f"signer-{number}")


def read_issued(folder: Path, name: str) -> Issued:
    """The certificate `name` and its key."""
    key = serialization.load_pem_private_key((folder / f"{name}.key").read_bytes(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return Issued(read_certificate(folder / f"{name}.pem"), key)


def _name(common_name: str, *, number: str = "", agency: str = "") -> x509.Name:
    parts = [
        (NameOID.COUNTRY_NAME, "VN"),
        (NameOID.ORGANIZATION_NAME, "Caodiem staging, not a real authority"),
        (signers.AGENCY_OID, agency),
        (NameOID.COMMON_NAME, common_name),
        (signers.NUMBER_OID, f"{signers.NUMBER_PREFIX}{number}" if number else ""),
    ]
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in parts if value])


def _builder(subject: x509.Name, issuer: x509.Name, key: PrivateKey, window: Window) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(window.start)
        .not_valid_after(window.end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _sign(builder: x509.CertificateBuilder, key: PrivateKey, issuer: Issued | None) -> Issued:
    issuer_key = issuer.key if issuer else key
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    return Issued(builder.add_extension(identifier, critical=False).sign(issuer_key, hashes.SHA256()), key)


def _usage(**wanted: bool) -> x509.KeyUsage:
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: wanted.get(name, False) for name in names})


def _write_certificate(path: Path, *certificates: x509.Certificate) -> None:
    path.write_bytes(b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates))


def _write_key(path: Path, key: PrivateKey) -> None:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.touch(mode=0o600)
    path.write_bytes(pem)
