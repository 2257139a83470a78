"""Documents with a timestamp: only the full validator judges them, and who stamped must be trusted too."""

from datetime import timedelta
from io import BytesIO

import pytest
from asn1crypto import keys as asn1_keys
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import fields, signers
from pyhanko.sign.timestamps import DummyTimeStamper
from pyhanko_certvalidator.registry import SimpleCertificateStore

from staging import reasons
from staging.documents import make_pdf, to_asn1
from staging.pki import Issued
from tests.staging.hierarchy import NOW, certified, hierarchy, revoked_serial, verifier

STAMPING = [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True)]


def stamper(**options: object) -> Issued:
    return certified("Dấu thời gian", hierarchy().issuing, "digital_signature", ca=False, **options)  # type: ignore[arg-type]


def private(key: Issued) -> asn1_keys.PrivateKeyInfo:
    encoded = key.key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return asn1_keys.PrivateKeyInfo.load(encoded)


def stamped_by(authority: Issued) -> bytes:
    """A document of a good signer, stamped by `authority`."""
    chain = SimpleCertificateStore()
    chain.register(to_asn1(hierarchy().issuing.certificate))
    signer = signers.SimpleSigner(
        signing_cert=to_asn1(hierarchy().signer.certificate),
        signing_key=private(hierarchy().signer),
        cert_registry=chain,
    )
    metadata = signers.PdfSignatureMetadata(
        field_name="ChuKy", md_algorithm="sha256", subfilter=fields.SigSeedSubFilter.PADES
    )
    clock = DummyTimeStamper(to_asn1(authority.certificate), private(authority), certs_to_embed=chain)
    page = IncrementalPdfFileWriter(BytesIO(make_pdf("Đơn", 7)))
    return bytes(signers.sign_pdf(page, metadata, signer=signer, timestamper=clock).getvalue())


def test_a_trusted_timestamp_is_taken() -> None:
    assert verifier().verify(stamped_by(stamper(extensions=STAMPING)), NOW + timedelta(minutes=30)).reasons == ()


@pytest.mark.parametrize("name", ["revoked", "not for stamping", "self-signed"])
def test_a_timestamp_by_others_is_refused(name: str) -> None:
    make = {
        "revoked": lambda: stamper(extensions=STAMPING, serial=revoked_serial()),
        "not for stamping": stamper,
        "self-signed": lambda: certified("Alone", None, "digital_signature", ca=False, extensions=STAMPING),
    }[name]
    found = " ".join(verifier().verify(stamped_by(make()), NOW + timedelta(minutes=30)).reasons)
    assert reasons.BAD_TIMESTAMP in found
    if name == "revoked":
        assert reasons.REVOKED in found
