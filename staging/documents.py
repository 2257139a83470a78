"""Signed documents to file: PDFs of the size of a scanned page, signed with PAdES by pyHanko.

Knows PDF and the hierarchy in pki.py. They are made up: invented forms, noise where a scan would be.
"""

import random
from io import BytesIO

import pikepdf
from asn1crypto import keys as asn1_keys
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import fields, signers
from pyhanko_certvalidator.registry import SimpleCertificateStore

from staging.pki import Issued

SIGNATURE_FIELD = "ChuKy"
_SCAN_BYTES = (12_000, 36_000)  # with the room that the signature takes: files of about 20 to 60 kB
_FORMS = (
    "Tờ khai đăng ký khai sinh",
    "Đơn đề nghị cấp giấy phép xây dựng",
    "Tờ khai lệ phí trước bạ",
    "Đơn đăng ký biến động đất đai",
    "Giấy đề nghị đăng ký hộ kinh doanh",
    "Tờ khai đăng ký cư trú",
)


def make_document(number: int, signer: Issued, chain: list[x509.Certificate]) -> tuple[str, bytes]:
    """(name, signed PDF) of document `number`; the same number gives the same form, signed anew."""
    title = f"{_FORMS[number % len(_FORMS)]} số {number:04d}"
    return f"{title}.pdf", sign(make_pdf(title, number), signer, chain)


def make_pdf(title: str, number: int) -> bytes:
    """An unsigned page with a scan. The title stands in the document's metadata in Vietnamese; the page itself
    numbers the form, because the standard fonts lack Vietnamese letters."""
    noise = random.Random(number)
    side = int(noise.randint(*_SCAN_BYTES) ** 0.5)
    pdf = pikepdf.new()
    scan = pdf.make_stream(noise.randbytes(side * side))
    scan.update(pikepdf.Dictionary(Type=pikepdf.Name.XObject, Subtype=pikepdf.Name.Image, Width=side, Height=side))
    scan.update(pikepdf.Dictionary(ColorSpace=pikepdf.Name.DeviceGray, BitsPerComponent=8))
    font = pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica)
    drawing = f"BT /F1 14 Tf 60 780 Td (Form {number:04d}) Tj ET q 480 0 0 640 60 100 cm /Scan Do Q"
    page = pikepdf.Dictionary(
        Type=pikepdf.Name.Page,
        MediaBox=[0, 0, 595, 842],
        Resources=pikepdf.Dictionary(Font=pikepdf.Dictionary(F1=font), XObject=pikepdf.Dictionary(Scan=scan)),
        Contents=pdf.make_stream(drawing.encode()),
    )
    pdf.pages.append(pikepdf.Page(pdf.make_indirect(page)))
    pdf.docinfo["/Title"] = title
    written = BytesIO()
    pdf.save(written)
    return written.getvalue()


def sign(
    pdf: bytes,
    signer: Issued,
    chain: list[x509.Certificate],
    field: str = SIGNATURE_FIELD,
    *,
    digest: str = "sha256",
    prefer_pss: bool = False,
) -> bytes:
    """The PDF with a PAdES signature over all of it; `chain` goes along. `prefer_pss`: with an RSA key."""
    store = SimpleCertificateStore()
    store.register_multiple([to_asn1(certificate) for certificate in chain])
    simple = signers.SimpleSigner(
        signing_cert=to_asn1(signer.certificate),
        signing_key=asn1_keys.PrivateKeyInfo.load(
            signer.key.private_bytes(
                serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        ),
        cert_registry=store,
        prefer_pss=prefer_pss,
    )
    metadata = signers.PdfSignatureMetadata(
        field_name=field, md_algorithm=digest, subfilter=fields.SigSeedSubFilter.PADES
    )
    return bytes(signers.sign_pdf(IncrementalPdfFileWriter(BytesIO(pdf)), metadata, signer=simple).getvalue())


def to_asn1(certificate: x509.Certificate) -> asn1_x509.Certificate:
    """The same certificate for the libraries that speak asn1crypto."""
    return asn1_x509.Certificate.load(certificate.public_bytes(serialization.Encoding.DER))
