"""Documents that others sign: `openssl cms` (CAdES, detached and enveloping) and endesive (PAdES); and forged ones."""

import asyncio
import functools
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from asn1crypto import cms
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding

from staging import cades, pki, plain_signature, reasons
from staging.chains import Issuers
from staging.documents import make_pdf
from staging.pki import Issued
from staging.plain import NotPlain
from tests.staging import forgeries, pyhanko_alone
from tests.staging.forgeries import signed_again
from tests.staging.hierarchy import NOW, certified, der, hierarchy, lists, revoked_serial, verifier
from tests.staging.openssl import openssl, write_pem

CONTENT = "Tờ khai đăng ký khai sinh\n".encode() * 100
AT = NOW + timedelta(minutes=30)
PSS = ("-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:digest")


@functools.cache
def on_curve() -> Issued:
    return pki.make_signer("Trên đường cong", hierarchy().issuing, key=ec.generate_private_key(ec.SECP384R1()))


@functools.cache
def signed(*options: str, signer: Issued | None = None) -> bytes:
    """A CAdES message by `openssl cms` over CONTENT."""
    signer = signer or hierarchy().signer
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "content").write_bytes(CONTENT)
        (folder / "key").write_bytes(
            signer.key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        told = openssl(
            *("cms", "-sign", "-binary", "-outform", "DER", "-in", folder / "content", "-out", folder / "message"),
            *("-signer", write_pem(folder / "signer", signer.certificate), "-inkey", folder / "key"),
            *("-certfile", write_pem(folder / "issuing", hierarchy().issuing.certificate), *options),
        )
        assert told.returncode == 0, told.stderr
        return (folder / "message").read_bytes()


def issuers() -> Issuers:
    return Issuers(hierarchy().root.certificate, (hierarchy().issuing.certificate,), lists())


MESSAGES: dict[str, Callable[[], tuple[bytes, bytes | None]]] = {
    "detached": lambda: (signed("-cades"), CONTENT),
    "enveloping": lambda: (signed("-cades", "-nodetach"), None),
    "SHA-512": lambda: (signed("-cades", "-md", "sha512"), CONTENT),
    "RSA-PSS": lambda: (signed("-cades", *PSS), CONTENT),
    "P-384": lambda: (signed("-cades", "-md", "sha384", signer=on_curve()), CONTENT),
    "without mail capabilities": lambda: (signed("-cades", "-nosmimecap"), CONTENT),
}


def judged(message: bytes, content: bytes | None) -> tuple[str, ...]:
    """The verdict's reasons, after seeing that the full validator is of the same mind."""
    judge = verifier()
    if content is None:
        verdict, full = judge.verify(message, AT), judge.verify_in_full(message, AT)
    else:
        verdict = judge.verify(content, AT, signature=message)
        full = judge.verify_in_full(content, AT, signature=message)
    assert verdict == full or not (verdict.valid or full.valid), full
    return verdict.reasons


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_by_openssl_are_valid(name: str) -> None:
    message, content = MESSAGES[name]()
    assert judged(message, content) == ()
    assert plain_signature.judge_message(message, content, issuers(), AT).reasons == ()
    assert pyhanko_alone.takes_message(message, content, AT)


def changed(change: forgeries.Change) -> Callable[[], tuple[bytes, bytes | None]]:
    return lambda: (signed_again(signed("-cades"), hierarchy().signer, change), CONTENT)


def other_content() -> tuple[bytes, None]:
    info = cms.ContentInfo.load(signed("-cades", "-nodetach"))
    info["content"]["encap_content_info"]["content"] = b"something else"
    return info.dump(force=True), None


def twice() -> tuple[bytes, bytes]:
    info = cms.ContentInfo.load(signed("-cades"))
    info["content"]["signer_infos"] = [info["content"]["signer_infos"][0]] * 2
    return info.dump(force=True), CONTENT


def revoked() -> Issued:
    usages = ("digital_signature", "content_commitment")
    return certified("Thu hồi", hierarchy().issuing, *usages, ca=False, serial=revoked_serial())


def undecodable() -> tuple[bytes, None]:
    """By a signer whose certificate names an issuer in what is no UTF-8."""
    signer = hierarchy().signer
    encoded = der(signer.certificate).replace(b"Issuing", b"\xff" * len("Issuing"))

    def sign(data: bytes) -> bytes:
        return signer.key.sign(data, padding.PKCS1v15(), hashes.SHA256())

    return asyncio.run(cades.envelop(CONTENT, x509.load_der_x509_certificate(encoded), [], sign)), None


EMPTY = bytes.fromhex("301c06092a864886f70d010702a00f300d02010131003000a00031023000")
FORGED: dict[str, tuple[Callable[[], tuple[bytes, bytes | None]], str]] = {
    "other content, detached": (lambda: (signed("-cades"), CONTENT + b"!"), reasons.ALTERED),
    "other content, enveloping": (other_content, reasons.ALTERED),
    "content in both places": (lambda: (signed("-cades", "-nodetach"), CONTENT), ""),
    "content in neither": (lambda: (signed("-cades"), None), ""),
    "no signed attributes": (lambda: (signed("-noattr"), CONTENT), reasons.NO_SIGNED_ATTRIBUTES),
    "no signing certificate": (lambda: (signed(), CONTENT), reasons.BAD_ATTRIBUTES),
    "no message digest": (changed(forgeries.without("message_digest")), reasons.BAD_ATTRIBUTES),
    "wrong message digest": (changed(forgeries.says_digest(b"other")), reasons.ALTERED),
    "no content type": (changed(forgeries.without("content_type")), reasons.BAD_ATTRIBUTES),
    "wrong content type": (changed(forgeries.of_type("signed_data")), reasons.BAD_ATTRIBUTES),
    "attribute with two values": (changed(forgeries.with_two_digests()), reasons.BAD_ATTRIBUTES),
    "another signing certificate": (
        lambda: changed(forgeries.names_certificate(hierarchy().issuing))(),
        reasons.WRONG_CERTIFICATE,
    ),
    "a signing time to come": (changed(forgeries.says_time(NOW + timedelta(days=2))), reasons.WRONG_TIME),
    "a signing time before the certificate": (
        changed(forgeries.says_time(NOW - timedelta(days=9))),
        reasons.WRONG_TIME,
    ),
    "two signer infos": (twice, reasons.NOT_ONE_SIGNER),
    "SHA-1": (lambda: (signed("-cades", "-md", "sha1"), CONTENT), reasons.WEAK_DIGEST),
    "MD5": (lambda: (signed("-cades", "-md", "md5"), CONTENT), reasons.WEAK_DIGEST),
    "revoked": (lambda: (signed("-cades", signer=revoked()), CONTENT), reasons.REVOKED),
    "not signed data": (lambda: (cms.ContentInfo({"content_type": "data", "content": b""}).dump(), CONTENT), ""),
    "cut short": (lambda: (signed("-cades")[:-9], CONTENT), ""),
    "something behind": (lambda: (signed("-cades") + b"\0", CONTENT), ""),
    "empty": (lambda: (b"", CONTENT), ""),
    "empty elements": (lambda: (EMPTY, None), reasons.UNREADABLE),
    "an issuer that cannot be decoded": (undecodable, ""),
}
# What pyHanko alone takes: AdES asks for more.
STRICTER = {"no signed attributes", "no signing certificate", "a signing time to come"} | {
    "a signing time before the certificate"
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_messages_are_refused_with_their_reason(name: str) -> None:
    make, reason = FORGED[name]
    message, content = make()
    found = judged(message, content)
    assert found
    assert reason in " ".join(found)
    assert pyhanko_alone.takes_message(message, content, AT) == (name in STRICTER)


def by_endesive(monkeypatch: pytest.MonkeyPatch, when: str, **more: object) -> bytes:
    # Its verifying half loads oscrypto, which does not know OpenSSL 3.0.10 and later; only its signing is wanted.
    monkeypatch.setitem(sys.modules, "endesive.verifier", MagicMock(SignatureVerifier=object))
    from endesive.pdf import cms as endesive

    about = {"sigflags": 3, "contact": "", "location": "Hà Nội", "signingdate": when, "reason": "", "aligned": 16384}
    page, signer = make_pdf("Đơn", 5), hierarchy().signer
    chain = [hierarchy().issuing.certificate]
    signed: bytes = endesive.sign(page, about | more, signer.key, signer.certificate, chain, "sha256")
    return page + signed


@pytest.mark.parametrize("pss", [False, True])
def test_a_document_by_endesive_is_valid(pss: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    pdf = by_endesive(monkeypatch, datetime.now(UTC).strftime("D:%Y%m%d%H%M%S+00'00'"), pss=pss)
    assert verifier().verify(pdf, AT).reasons == ()
    assert verifier().verify_in_full(pdf, AT) == verifier().verify(pdf, AT)
    assert pyhanko_alone.takes(pdf, AT)
    if pss:  # with the longest salt: nothing for the short way
        with pytest.raises(NotPlain):
            plain_signature.judge(pdf, issuers(), AT)
    else:
        assert plain_signature.judge(pdf, issuers(), AT).valid
    assert verifier().verify(forgeries.flip(pdf, 3000), AT).reasons == (reasons.ALTERED,)


def test_a_date_after_the_last_day_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last second of the year 9999 is the next year in UTC."""
    pdf = by_endesive(monkeypatch, "D:99991231235959-14'00'")
    assert verifier().verify(pdf, AT).reasons == (reasons.WRONG_TIME,)
