"""The verifier: good documents pass, each kind of forgery is refused with its reason, pyHanko and OpenSSL agree."""

import itertools
import random
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pikepdf
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from staging import bounds, pdf_syntax, pki, plain_pdf, plain_signature, reasons
from staging.chains import Issuers
from staging.documents import make_pdf, sign
from staging.pki import Issued
from staging.plain import NotPlain
from staging.signers import Signer
from tests.staging import forgeries, pyhanko_alone
from tests.staging.hierarchy import (
    FUTURE,
    NOW,
    PAST,
    certified,
    common_name,
    good,
    hierarchy,
    lists,
    revoked_serial,
    signed_by,
    verifier,
    weakly_certified,
    with_list,
)
from tests.staging.openssl import openssl, write_pem

_numbers = itertools.count()
SIGNER = ("digital_signature", "content_commitment")


# Signers and authorities, mostly such that should not be trusted.


def by_other_root() -> bytes:
    """Another hierarchy with the very same names."""
    root = pki.make_authority("Root", None, path_length=1)
    issuing = pki.make_authority("Issuing", root, path_length=0)
    return signed_by(pki.make_signer("Công dân", issuing), [issuing, root])


def by_signer(**options: object) -> bytes:
    issuing = hierarchy().issuing
    return signed_by(pki.make_signer("Công dân", issuing, **options), [issuing])  # type: ignore[arg-type]


def by_certified(**options: object) -> bytes:
    """A signer below the issuing authority with something special in the certificate."""
    issuing = hierarchy().issuing
    usages = options.pop("usages", SIGNER)
    signer = certified("Công dân", issuing, *usages, ca=False, **options)  # type: ignore[misc, arg-type]
    return signed_by(signer, [issuing])


def below(authority: Issued, *more: Issued) -> bytes:
    """By a good signer of an authority that may not be good."""
    return signed_by(pki.make_signer("Công dân", authority), [authority, *more])


def by_authority(**options: object) -> bytes:
    """By a signer of an authority below the root with something special."""
    name = f"Odd {next(_numbers)}"  # pyHanko takes the first list of a name, whoever signed it
    return below(with_list(certified(name, hierarchy().root, **options)))  # type: ignore[arg-type]


def by_citizen_as_authority() -> bytes:
    """A citizen's certificate used to issue another."""
    return below(with_list(hierarchy().signer), hierarchy().issuing)


def by_authority_too_deep() -> bytes:
    """The issuing authority may not have another below it."""
    return below(with_list(pki.make_authority("Deeper", hierarchy().issuing, path_length=0)), hierarchy().issuing)


def by_constrained_names(fits: bool) -> bytes:
    """An authority that may certify names of one country only."""
    subtree = x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "VN" if fits else "XX")])
    return by_authority(extensions=[(x509.NameConstraints([x509.DirectoryName(subtree)], None), True)])


def by_revoked_authority() -> bytes:
    root, serial = hierarchy().root, x509.random_serial_number()
    with_list(root, [(serial, NOW)])
    return by_authority(serial=serial)


def by_revoked_tomorrow() -> bytes:
    """The list says from when on the certificate is revoked."""
    authority, serial = certified("Slow", hierarchy().root), x509.random_serial_number()
    with_list(authority, [(serial, NOW + timedelta(days=1))])
    return signed_by(certified("Công dân", authority, *SIGNER, ca=False, serial=serial), [authority])


def by_authority_with_stale_list() -> bytes:
    return below(with_list(certified("Stale", hierarchy().root), window=PAST))


def purposes(*wanted: x509.ObjectIdentifier) -> list[tuple[x509.ExtensionType, bool]]:
    return [(x509.ExtendedKeyUsage(wanted), False)]


def unknown(critical: bool) -> list[tuple[x509.ExtensionType, bool]]:
    return [(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00"), critical)]


def shadowed() -> bytes:
    """A document prepared for shadow hide and replace, signed by somebody who does not know."""
    prepared = forgeries.with_second_pages(make_pdf("Đơn", 3))
    return sign(prepared, hierarchy().signer, [hierarchy().issuing.certificate])


def ranged(change: Callable[[int, int, int], tuple[int, int, int, int]]) -> bytes:
    """A trusted signer's document with another byte range, given from (gap's start, gap's end, size)."""
    pdf = good()
    return forgeries.with_range(pdf, hierarchy().signer, change(*forgeries.gap(pdf), len(pdf)))


Make = Callable[[], bytes]
VALID: dict[str, Make] = {
    "plain": good,
    "P-256": lambda: by_signer(key=ec.generate_private_key(ec.SECP256R1())),
    "P-384": lambda: by_signer(key=ec.generate_private_key(ec.SECP384R1())),
    "RSA-3072": lambda: by_signer(key=rsa.generate_private_key(65537, 3072)),
    "RSA-PSS": lambda: sign(
        make_pdf("Đơn", 1), hierarchy().signer, [hierarchy().issuing.certificate], prefer_pss=True, digest="sha384"
    ),
    "SHA-512": lambda: sign(make_pdf("Đơn", 1), hierarchy().signer, [hierarchy().issuing.certificate], digest="sha512"),
    "authority like any other": by_authority,
    "authority on a curve": lambda: by_authority(own=ec.generate_private_key(ec.SECP384R1())),
    "name constraints that fit": lambda: by_constrained_names(True),
    "mail certificate": lambda: by_certified(extensions=purposes(ExtendedKeyUsageOID.EMAIL_PROTECTION)),
    "an extension that nobody needs to know": lambda: by_certified(extensions=unknown(False)),
    "revoked tomorrow": by_revoked_tomorrow,
    "two signatures": lambda: sign(good(), hierarchy().signer, [hierarchy().issuing.certificate], "Second"),
    "prepared for a shadow attack, not yet used": shadowed,
}
INVALID: dict[str, tuple[Make, str]] = {
    # The file.
    "flipped byte in the scan": (lambda: forgeries.flip(good(), 3000), reasons.ALTERED),
    "flipped byte after the signature": (lambda: forgeries.flip(good(), len(good()) - 30), ""),
    "incremental saving: appended bytes": (lambda: good() + b"\n% more", reasons.NOT_WHOLE_FILE),
    "incremental saving: later revision": (lambda: forgeries.update(good()), reasons.CHANGED_AFTER),
    "shadow hide": (lambda: forgeries.shadow_hide(good()), reasons.CHANGED_AFTER),
    "shadow replace": (lambda: forgeries.shadow_replace(good()), reasons.CHANGED_AFTER),
    "shadow hide and replace": (lambda: forgeries.shadow_hide_and_replace(shadowed()), reasons.CHANGED_AFTER),
    "wrapping": (lambda: forgeries.wrapped(good()), ""),
    **{
        f"universal forgery: {what}": (lambda what=what: forgeries.universal(good(), what), "")  # type: ignore[misc]
        for what in (
            *("no range", "null range", "zero range", "negative range", "short range"),
            *("no contents", "empty contents", "zero contents", "null contents"),
        )
    },
    "byte range: gap": (lambda: forgeries.widened(good(), hierarchy().signer), ""),
    "byte range: overlap": (lambda: ranged(lambda start, end, size: (0, end + 9, end, size - end)), ""),
    "byte range: tail": (lambda: ranged(lambda start, end, size: (0, start, end, size - end - 9)), ""),
    "byte range: head": (lambda: ranged(lambda start, end, size: (9, start - 9, end, size - end)), ""),
    "unsigned": (lambda: make_pdf("Đơn", 0), reasons.UNSIGNED),
    "empty": (lambda: b"", reasons.UNREADABLE),
    "not a PDF": (lambda: b"PK\x03\x04 not a PDF", reasons.UNREADABLE),
    "cut short": (lambda: good()[:-2000], ""),
    # The message.
    "another document's signature": (
        lambda: forgeries.with_message(good(), forgeries.message(good(1))),
        reasons.ALTERED,
    ),
    "bytes after the CMS": (
        lambda: forgeries.with_message(good(), forgeries.message(good()), b"\x01"),
        reasons.HIDDEN_BYTES,
    ),
    "other bytes than digits between them": (
        lambda: forgeries.flip(good(), forgeries.gap(good())[1] - 40, ord("0") ^ ord("(")),
        reasons.UNREADABLE,
    ),
    "algorithms that differ from the protected ones": (
        lambda: resigned(forgeries.protects_other_algorithms()),
        "",
    ),
    "content inside the message": (lambda: forgeries.carrying_content(good()), ""),
    "flipped bit of the signature": (lambda: forgeries.flip_signature(good()), reasons.BAD_SIGNATURE),
    "two signer infos: the same": (lambda: forgeries.twice(good()), reasons.NOT_ONE_SIGNER),
    "two signer infos: others": (lambda: forgeries.with_other_signer(good(), good(1)), reasons.NOT_ONE_SIGNER),
    "no signed attributes": (
        lambda: forgeries.without_attributes(good(), hierarchy().signer),
        reasons.NO_SIGNED_ATTRIBUTES,
    ),
    "no signing certificate": (
        lambda: resigned(forgeries.without("signing_certificate_v2")),
        reasons.BAD_ATTRIBUTES,
    ),
    "no message digest": (lambda: resigned(forgeries.without("message_digest")), reasons.BAD_ATTRIBUTES),
    "wrong message digest": (lambda: resigned(forgeries.says_digest(b"other")), reasons.ALTERED),
    "no content type": (lambda: resigned(forgeries.without("content_type")), reasons.BAD_ATTRIBUTES),
    "wrong content type": (lambda: resigned(forgeries.of_type("signed_data")), reasons.BAD_ATTRIBUTES),
    "repeated attribute": (
        lambda: resigned(lambda given: [*given, next(a for a in given if a["type"].native == "message_digest")]),
        reasons.BAD_ATTRIBUTES,
    ),
    "attribute with two values": (lambda: resigned(forgeries.with_two_digests()), reasons.BAD_ATTRIBUTES),
    "another signing certificate": (
        lambda: resigned(forgeries.names_certificate(hierarchy().issuing)),
        reasons.WRONG_CERTIFICATE,
    ),
    "SHA-1": (lambda: forgeries.with_digest(good(), hierarchy().signer, hashes.SHA1()), reasons.WEAK_DIGEST),
    "MD5": (lambda: forgeries.with_digest(good(), hierarchy().signer, hashes.MD5()), reasons.WEAK_DIGEST),
    # The certificates.
    "look-alike root": (by_other_root, reasons.NO_PATH),
    "self-signed": (lambda: signed_by(certified("Alone", None, *SIGNER), []), reasons.NO_PATH),
    "expired": (lambda: by_signer(window=PAST), reasons.EXPIRED),
    "not yet valid": (lambda: by_signer(window=FUTURE), reasons.EXPIRED),
    "expired authority": (lambda: by_authority(window=PAST), reasons.EXPIRED),
    "authority not yet valid": (lambda: by_authority(window=FUTURE), reasons.EXPIRED),
    "revoked before signing": (lambda: by_certified(serial=revoked_serial()), reasons.REVOKED),
    "revoked authority": (by_revoked_authority, reasons.REVOKED),
    "stale list": (by_authority_with_stale_list, reasons.STALE),
    "no list": (lambda: below(certified("Without list", hierarchy().root)), reasons.NO_CRL),
    "wrong key usage": (lambda: by_signer(may_sign=False), reasons.WRONG_USAGE),
    "key usage without non-repudiation": (lambda: by_certified(usages=["digital_signature"]), reasons.WRONG_USAGE),
    "for servers only": (
        lambda: by_certified(extensions=purposes(ExtendedKeyUsageOID.SERVER_AUTH)),
        reasons.WRONG_USAGE,
    ),
    "short key": (lambda: by_signer(key=rsa.generate_private_key(65537, 1024)), reasons.WEAK),
    "short curve": (lambda: by_signer(key=ec.generate_private_key(ec.SECP224R1())), reasons.WEAK),
    "authority with a short key": (lambda: by_authority(own=rsa.generate_private_key(65537, 1024)), reasons.WEAK),
    "certificate by SHA-1": (
        lambda: signed_by(weakly_certified(hierarchy().issuing, hashes.SHA1()), [hierarchy().issuing]),
        reasons.WEAK,
    ),
    "certificate by MD5": (
        lambda: signed_by(weakly_certified(hierarchy().issuing, hashes.MD5()), [hierarchy().issuing]),
        reasons.WEAK,
    ),
    "authority by SHA-1": (
        lambda: below(with_list(weakly_certified(hierarchy().root, hashes.SHA1(), ca=True))),
        reasons.WEAK,
    ),
    "citizen as authority": (by_citizen_as_authority, reasons.NOT_AUTHORITY),
    "path length": (by_authority_too_deep, reasons.TOO_DEEP),
    "name constraints": (lambda: by_constrained_names(False), reasons.NAME_NOT_ALLOWED),
    "authority without the right to be one": (lambda: by_authority(ca=False), reasons.NOT_AUTHORITY),
    "authority without basic constraints": (lambda: by_authority(ca=None), reasons.NOT_AUTHORITY),
    "authority without the right to certify": (
        lambda: below(with_list(certified("Odd", hierarchy().root, "crl_sign", "digital_signature"))),
        reasons.NOT_AUTHORITY,
    ),
    "authority with an unknown critical extension": (
        lambda: by_authority(extensions=unknown(True)),
        reasons.NOT_UNDERSTOOD,
    ),
    "unknown critical extension": (lambda: by_certified(extensions=unknown(True)), reasons.NOT_UNDERSTOOD),
}
# What pyHanko alone takes, because AdES or our policy asks for more than it does.
STRICTER = {
    "bytes after the CMS",
    "no signed attributes",
    "no signing certificate",
    "for servers only",
    "short curve",
}


def resigned(change: Callable[[list[object]], list[object]]) -> bytes:
    return forgeries.resigned(good(), hierarchy().signer, change)


@pytest.mark.parametrize("name", VALID)
def test_valid_documents(name: str) -> None:
    pdf = VALID[name]()
    judge, at = verifier(), NOW + timedelta(minutes=30)
    assert judge.verify(pdf, at).reasons == ()
    assert judge.verify_in_full(pdf, at) == judge.verify(pdf, at), "the same certificates, too"
    assert pyhanko_alone.takes(pdf, at)


def test_a_valid_document_names_its_signers() -> None:
    """The last one vouches for all of it: an officer of an agency, with a number or without."""
    issuing = hierarchy().issuing
    officer = pki.make_signer("Trần Thị Bình", issuing, number="099000000001", agency="H01")
    first, second = signed_by(officer, [issuing]), sign(good(), officer, [issuing.certificate], "Second")
    assert verifier().verify(first).signers == (Signer("Trần Thị Bình", "099000000001", "H01"),)
    assert [each.agency for each in verifier().verify(second).signers] == ["", "H01"]
    assert verifier().verify(good()).signers == (Signer("Công dân", "", ""),)


def test_a_certificate_of_two_agencies_is_of_none() -> None:
    agencies = [x509.NameAttribute(NameOID.ORGANIZATION_IDENTIFIER, agency) for agency in ("H01", "H02")]
    name = x509.Name([*agencies, *common_name("Odd")])
    odd = certified(name, hierarchy().issuing, *SIGNER, ca=False)
    assert verifier().verify(signed_by(odd, [hierarchy().issuing])).signers == (Signer("Odd", "", ""),)


@pytest.mark.parametrize("name", INVALID)
def test_invalid_documents_are_refused_with_their_reason_and_pyhanko_agrees(name: str) -> None:
    make, reason = INVALID[name]
    pdf = make()
    judge, at = verifier(), NOW + timedelta(minutes=30)
    verdict = judge.verify(pdf, at)
    assert not verdict.valid
    assert verdict.reasons
    assert reason in " ".join(verdict.reasons)
    assert not judge.verify_in_full(pdf, at).valid
    assert verdict.signers == (), "nobody vouches for it"
    assert pyhanko_alone.takes(pdf, at) == (name in STRICTER)


def issuers() -> Issuers:
    return Issuers(hierarchy().root.certificate, (hierarchy().issuing.certificate,), lists())


def test_the_plain_case_needs_no_full_validator() -> None:
    at = NOW + timedelta(minutes=30)
    assert plain_signature.judge(good(), issuers(), at).valid
    for name in ("incremental saving: appended bytes", "incremental saving: later revision", "wrapping"):
        with pytest.raises(NotPlain):
            plain_signature.judge(INVALID[name][0](), issuers(), at)
    with pytest.raises(NotPlain):
        plain_signature.judge(VALID["two signatures"](), issuers(), at)


@pytest.mark.parametrize("name", [*VALID, *INVALID])
def test_the_short_reading_of_a_file_finds_what_pikepdf_finds(name: str) -> None:
    pdf = VALID[name]() if name in VALID else INVALID[name][0]()
    try:
        signature = plain_pdf.last_revision_signature(pdf)
        short = plain_pdf.signed(pdf, signature)
    except (pdf_syntax.Doubt, NotPlain):
        assert name != "plain"
        return
    assert plain_pdf.read_whole(pdf) == short


@pytest.mark.parametrize("pages", [1, 300])
@pytest.mark.parametrize("streams", ["preserve", "disable", "generate"])
@pytest.mark.parametrize("linear", [False, True])
def test_whatever_way_a_file_is_laid_out_the_short_way_judges_it(pages: int, streams: str, linear: bool) -> None:
    """Tables or streams of references, objects in streams, first page first: bounded for certain, and then valid."""
    written = BytesIO()
    with pikepdf.open(BytesIO(make_pdf("Đơn", 1))) as pdf:
        for _ in range(pages - 1):
            pdf.add_blank_page()
        pdf.save(written, object_stream_mode=pikepdf.ObjectStreamMode[streams], linearize=linear)
    signed = sign(written.getvalue(), hierarchy().signer, [hierarchy().issuing.certificate])
    assert bounds.is_bounded(written.getvalue())
    assert bounds.is_bounded(signed)
    at = NOW + timedelta(minutes=30)
    verdict = plain_signature.judge(signed, issuers(), at)
    assert verdict.valid
    assert verifier().verify_in_full(signed, at) == verdict


@pytest.mark.parametrize("name", VALID)
def test_what_is_valid_is_bounded(name: str) -> None:
    pdf = VALID[name]()
    assert not bounds.unpacks_too_far(pdf)
    assert bounds.is_bounded(pdf)


def test_a_document_expires_while_the_path_is_remembered() -> None:
    once = verifier()
    assert once.verify(good()).valid
    assert reasons.EXPIRED in once.verify(good(), NOW + timedelta(days=366)).reasons
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
    where, once, at = random.Random(seed), verifier(), NOW + timedelta(minutes=30)
    whole, message = good(), forgeries.message(good())
    for _ in range(10):
        position, bit = where.randrange(len(message)), 1 << where.randrange(8)
        damaged = message[:position] + bytes([message[position] ^ bit]) + message[position + 1 :]
        for pdf in (forgeries.with_message(whole, damaged), forgeries.flip(whole, where.randrange(len(whole)))):
            assert once.verify(pdf, at).valid == once.verify_in_full(pdf, at).valid, (seed, position, bit)


def test_openssl_builds_the_same_path(tmp_path: Path) -> None:
    root = write_pem(tmp_path / "root.pem", hierarchy().root.certificate)
    issuing = write_pem(tmp_path / "issuing.pem", hierarchy().issuing.certificate)
    signer = write_pem(tmp_path / "signer.pem", hierarchy().signer.certificate)
    told = openssl("verify", "-x509_strict", "-CAfile", root, "-untrusted", issuing, signer)
    assert told.returncode == 0, told.stderr
    other = write_pem(tmp_path / "other.pem", pki.make_authority("Root", None, 1).certificate)
    assert openssl("verify", "-CAfile", other, "-untrusted", issuing, signer).returncode != 0


@pytest.mark.parametrize(
    ("name", "valid"), [("plain", True), ("flipped byte in the scan", False), ("look-alike root", False)]
)
def test_openssl_agrees_on_the_message(tmp_path: Path, name: str, valid: bool) -> None:
    pdf = VALID[name]() if name in VALID else INVALID[name][0]()
    (tmp_path / "cms.der").write_bytes(forgeries.message(pdf))
    (tmp_path / "content").write_bytes(forgeries.content(pdf))
    root = write_pem(tmp_path / "root.pem", hierarchy().root.certificate)
    told = openssl(
        *("cms", "-verify", "-binary", "-inform", "DER", "-in", tmp_path / "cms.der"),
        *("-content", tmp_path / "content", "-CAfile", root, "-purpose", "any", "-out", tmp_path / "out"),
    )
    assert (told.returncode == 0) == valid, told.stderr
