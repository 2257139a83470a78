"""Making CAdES signatures: a message that envelops its content, signed by whoever holds the key.

Knows CMS by way of pyHanko. The key stays with a function that signs a digest's bytes, as with a signing service.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from cryptography import x509
from pyhanko.sign import signers
from pyhanko.sign.signers.pdf_cms import PdfCMSSignedAttributes
from pyhanko_certvalidator.registry import SimpleCertificateStore

from staging.documents import to_asn1

DIGEST = "sha256"
# The signature of some bytes, RSA with PKCS #1 v1.5 and SHA-256.
Sign = Callable[[bytes], bytes]


class _Holder(signers.Signer):
    """pyHanko's view of somebody else's RSA key."""

    def __init__(self, certificate: x509.Certificate, chain: list[x509.Certificate], sign: Sign) -> None:
        store = SimpleCertificateStore()
        store.register_multiple([to_asn1(each) for each in chain])
        super().__init__(signing_cert=to_asn1(certificate), cert_registry=store)
        self._sign = sign
        self._bytes = certificate.public_key().key_size // 8

    async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:
        return bytes(self._bytes) if dry_run else self._sign(data)


async def envelop(content: bytes, certificate: x509.Certificate, chain: list[x509.Certificate], sign: Sign) -> bytes:
    """A CAdES message (DER) with `content` in it; `chain` goes along."""
    holder = _Holder(certificate, chain, sign)
    claimed = PdfCMSSignedAttributes(signing_time=datetime.now(UTC))
    signed = await holder.async_sign_general_data(
        content, DIGEST, detached=False, use_cades=True, signed_attr_settings=claimed
    )
    return bytes(signed.dump())
