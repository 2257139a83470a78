"""The verifier: good documents pass, each kind of forgery is refused with its reason, pyHanko and OpenSSL agree."""

import functools
import random
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from staging import chains, full_validation, pki, plain_signature
from staging.chains import NotPlain
from staging.documents import make_pdf, sign
from staging.pki import Issued, Window
from staging.signatures import Verifier
from tests.staging import forgeries

NOW = datetime.now(UTC)
PAST = Window(NOW - timedelta(days=30), NOW - timedelta(days=1))
FUTURE = Window(NOW + timedelta(days=1), NOW + timedelta(days=30))


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
    return Hierarchy(root, issuing, pki.make_signer("Công dân", issuing))


@functools.cache
def good(number: int = 0) -> bytes:
    """A valid document."""
    return signed_by(hierarchy().signer, [hierarchy().issuing], number)


@functools.cache
def _other_issuing() -> Issued:
    return pki.make_authority("Other issuing", hierarchy().root, path_length=0)


def signed_by(signer: Issued, chain: list[Issued], number: int = 0) -> bytes:
    return sign(make_pdf(f"Đơn số {number}", number), signer, [each.certificate for each in chain])


def verifier() -> Verifier:
    return Verifier(hierarchy().root.certificate, (hierarchy().issuing.certificate,))


# Signers and authorities that should not be trusted.


def by_other_root() -> bytes:
    """Another hierarchy with the very same names."""
    root = pki.make_authority("Root", None, path_length=1)
    issuing = pki.make_authority("Issuing", root, path_length=0)
    return signed_by(pki.make_signer("Công dân", issuing), [issuing, root])


def by_signer(**options: object) -> bytes:
    issuing = hierarchy().issuing
    return signed_by(pki.make_signer("Công dân", issuing, **options), [issuing])  # type: ignore[arg-type]


def by_expired_authority() -> bytes:
    issuing = pki.make_authority("Expired", hierarchy().root, path_length=0, window=PAST)
    return signed_by(pki.make_signer("Công dân", issuing), [issuing])


def by_citizen_as_authority() -> bytes:
    """A citizen's certificate used to issue another."""
    false = hierarchy().signer
    return signed_by(pki.make_signer("Kẻ giả mạo", false), [false, hierarchy().issuing])


def by_authority_too_deep() -> bytes:
    """The issuing authority may not have another below it."""
    deeper = pki.make_authority("Deeper", hierarchy().issuing, path_length=0)
    return signed_by(pki.make_signer("Công dân", deeper), [deeper, hierarchy().issuing])


def by_self_signed() -> bytes:
    alone = pki.make_authority("Alone", None, path_length=0)
    return signed_by(alone, [])


def by_odd_authority(*, ca: bool = True, may_certify: bool = True, bits: int = 2048, extra: bool = False) -> bytes:
    """An authority below the true root with one thing wrong."""
    key, root = rsa.generate_private_key(65537, bits), hierarchy().root
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Odd")])
    builder = x509.CertificateBuilder(root.certificate.subject, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(NOW - timedelta(days=1)).not_valid_after(NOW + timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(ca, 0 if ca else None), critical=True)
    usage = x509.KeyUsage(True, False, False, False, False, may_certify, True, False, False)
    builder = builder.add_extension(usage, critical=True)
    if extra:
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
        builder = builder.add_extension(unknown, critical=True)
    odd = Issued(builder.sign(root.key, hashes.SHA256()), key)
    return signed_by(pki.make_signer("Công dân", odd), [odd])


def short_key() -> bytes:
    return by_signer(key=rsa.generate_private_key(65537, 1024))


Make = Callable[[], bytes]
VALID: dict[str, Make] = {
    "plain": good,
    "elliptic curve": lambda: by_signer(key=ec.generate_private_key(ec.SECP256R1())),
    "authority like any other": by_odd_authority,
    "authority not known before": lambda: signed_by(pki.make_signer("Công dân", _other_issuing()), [_other_issuing()]),
    "two signatures": lambda: sign(good(), hierarchy().signer, [hierarchy().issuing.certificate], "Second"),
}
INVALID: dict[str, tuple[Make, str]] = {
    "flipped byte in the scan": (lambda: forgeries.flip(good(), 3000), plain_signature.ALTERED),
    "flipped byte after the signature": (lambda: forgeries.flip(good(), len(good()) - 30), ""),
    "appended bytes": (lambda: good() + b"\n% more", plain_signature.NOT_WHOLE_FILE),
    "later revision": (lambda: forgeries.update(good()), plain_signature.NOT_WHOLE_FILE),
    "another document's signature": (
        lambda: forgeries.with_message(good(), forgeries.message(good(1))),
        plain_signature.ALTERED,
    ),
    "bytes after the CMS": (
        lambda: forgeries.with_message(good(), forgeries.message(good()), b"\x01"),
        plain_signature.HIDDEN_BYTES,
    ),
    "a wider gap than the signature": (lambda: forgeries.widened(good(), hierarchy().signer), ""),
    "algorithms that differ from the protected ones": (
        lambda: resigned(forgeries.protects_other_algorithms()),
        plain_signature.BAD_ATTRIBUTES,
    ),
    "content inside the message": (lambda: forgeries.carrying_content(good()), ""),
    "flipped bit of the signature": (lambda: forgeries.flip_signature(good()), plain_signature.BAD_SIGNATURE),
    "no signed attributes": (
        lambda: forgeries.without_attributes(good(), hierarchy().signer),
        plain_signature.NO_SIGNED_ATTRIBUTES,
    ),
    "no signing certificate": (lambda: resigned(forgeries.without("signing_certificate_v2")), "attributes"),
    "no message digest": (lambda: resigned(forgeries.without("message_digest")), "attributes"),
    "wrong message digest": (lambda: resigned(forgeries.says_digest(b"other")), plain_signature.ALTERED),
    "no content type": (lambda: resigned(forgeries.without("content_type")), "attributes"),
    "wrong content type": (
        lambda: resigned(
            lambda given: [
                *forgeries.without("content_type")(given),
                forgeries.attribute("content_type", "signed_data"),
            ]
        ),
        "attributes",
    ),
    "repeated attribute": (
        lambda: resigned(lambda given: [*given, next(a for a in given if a["type"].native == "message_digest")]),
        "attributes",
    ),
    "another signing certificate": (
        lambda: resigned(forgeries.names_certificate(hierarchy().issuing)),
        plain_signature.WRONG_CERTIFICATE,
    ),
    "two signer infos": (lambda: forgeries.twice(good()), ""),
    "another root of the same name": (by_other_root, chains.NO_PATH),
    "self-signed": (by_self_signed, ""),
    "expired": (lambda: by_signer(window=PAST), chains.EXPIRED),
    "not yet valid": (lambda: by_signer(window=FUTURE), chains.EXPIRED),
    "expired authority": (by_expired_authority, chains.EXPIRED),
    "wrong key usage": (lambda: by_signer(may_sign=False), chains.WRONG_USAGE),
    "short key": (short_key, chains.WEAK),
    "citizen as authority": (by_citizen_as_authority, chains.NO_PATH),
    "authority too deep": (by_authority_too_deep, chains.NO_PATH),
    "authority without the right to be one": (lambda: by_odd_authority(ca=False), chains.NO_PATH),
    "authority without the right to certify": (lambda: by_odd_authority(may_certify=False), chains.NO_PATH),
    "authority with a short key": (lambda: by_odd_authority(bits=1024), chains.NO_PATH),
    "authority with an unknown critical extension": (lambda: by_odd_authority(extra=True), ""),
    "unsigned": (lambda: make_pdf("Đơn", 0), full_validation.UNSIGNED),
    "empty": (lambda: b"", full_validation.UNREADABLE),
    "not a PDF": (lambda: b"PK\x03\x04 not a PDF", full_validation.UNREADABLE),
    "cut short": (lambda: good()[:-2000], ""),
}


def resigned(change: Callable[[list[object]], list[object]]) -> bytes:
    return forgeries.resigned(good(), hierarchy().signer, change)


@pytest.mark.parametrize("name", VALID)
def test_valid_documents(name: str) -> None:
    pdf = VALID[name]()
    verdict = verifier().verify(pdf)
    assert (verdict.valid, verdict.reasons) == (True, ())
    assert verifier().faults_in_full(pdf, NOW) == ()


@pytest.mark.parametrize("name", INVALID)
def test_invalid_documents_are_refused_with_their_reason_and_pyhanko_agrees(name: str) -> None:
    make, reason = INVALID[name]
    pdf = make()
    verdict = verifier().verify(pdf)
    assert not verdict.valid
    assert verdict.reasons
    assert reason in " ".join(verdict.reasons)
    assert verifier().faults_in_full(pdf, NOW), "pyHanko takes it"


def test_the_plain_case_needs_no_full_validator() -> None:
    issuers = chains.Issuers(hierarchy().root.certificate, (hierarchy().issuing.certificate,))
    assert plain_signature.faults(good(), issuers, NOW) == ()
    for name in ("appended bytes", "later revision", "two signer infos"):
        with pytest.raises(NotPlain):
            plain_signature.faults(INVALID[name][0](), issuers, NOW)
    with pytest.raises(NotPlain):
        plain_signature.faults(VALID["two signatures"](), issuers, NOW)


def test_a_document_expires_while_the_path_is_remembered() -> None:
    once = verifier()
    assert once.verify(good()).valid
    assert once.verify(good(), NOW + timedelta(days=366)).reasons == (chains.EXPIRED,)
    assert once.verify(good()).valid


@pytest.mark.parametrize("position", range(0, 100, 7))
def test_no_byte_of_the_signed_range_may_change(position: int) -> None:
    content = forgeries.content(good())
    place = len(content) * position // 100
    start, end = forgeries.gap(good())
    assert not verifier().verify(forgeries.flip(good(), place if place < start else place + end - start)).valid


@pytest.mark.parametrize("seed", range(4))
def test_random_damage_is_judged_alike_by_both_ways(seed: int) -> None:
    """A bit in the message, a byte anywhere: no exception, and the same verdict. (Not all damage matters: the copy of
    the authority's certificate that comes along may be broken.)"""
    where, once = random.Random(seed), verifier()
    whole, message = good(), forgeries.message(good())
    for _ in range(10):
        position, bit = where.randrange(len(message)), 1 << where.randrange(8)
        damaged = message[:position] + bytes([message[position] ^ bit]) + message[position + 1 :]
        for pdf in (forgeries.with_message(whole, damaged), forgeries.flip(whole, where.randrange(len(whole)))):
            assert once.verify(pdf).valid == (not once.faults_in_full(pdf, NOW)), (seed, position, bit)


def _openssl(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, timeout=20)


def _write_pem(path: Path, certificate: x509.Certificate) -> Path:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return path


def test_openssl_builds_the_same_path(tmp_path: Path) -> None:
    root = _write_pem(tmp_path / "root.pem", hierarchy().root.certificate)
    issuing = _write_pem(tmp_path / "issuing.pem", hierarchy().issuing.certificate)
    signer = _write_pem(tmp_path / "signer.pem", hierarchy().signer.certificate)
    told = _openssl("verify", "-x509_strict", "-CAfile", root, "-untrusted", issuing, signer)
    assert told.returncode == 0, told.stderr
    other = _write_pem(tmp_path / "other.pem", pki.make_authority("Root", None, 1).certificate)
    assert _openssl("verify", "-CAfile", other, "-untrusted", issuing, signer).returncode != 0


@pytest.mark.parametrize(
    ("name", "valid"), [("plain", True), ("flipped byte in the scan", False), ("another root of the same name", False)]
)
def test_openssl_agrees_on_the_message(tmp_path: Path, name: str, valid: bool) -> None:
    pdf = VALID[name]() if name in VALID else INVALID[name][0]()
    (tmp_path / "cms.der").write_bytes(forgeries.message(pdf))
    (tmp_path / "content").write_bytes(forgeries.content(pdf))
    root = _write_pem(tmp_path / "root.pem", hierarchy().root.certificate)
    told = _openssl(
        *("cms", "-verify", "-binary", "-inform", "DER", "-in", tmp_path / "cms.der"),
        *("-content", tmp_path / "content", "-CAfile", root, "-purpose", "any", "-out", tmp_path / "out"),
    )
    assert (told.returncode == 0) == valid, told.stderr
