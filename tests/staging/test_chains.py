"""Paths and revocation lists by themselves: times, names, other keys' lists, big lists, webs of certificates."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from staging import names, pki, reasons, revocation
from staging.chains import Issuers
from staging.pki import Issued, Window
from tests.staging import forgeries
from tests.staging.hierarchy import NOW, certified, common_name, der, good, hierarchy, verifier

SIGNER = ("digital_signature", "content_commitment")


def signer_of(authority: Issued, serial: int | None = None) -> bytes:
    return der(certified("Công dân", authority, *SIGNER, ca=False, serial=serial).certificate)


def issuers(*lists: x509.CertificateRevocationList) -> Issuers:
    one = hierarchy()
    return Issuers(one.root.certificate, [one.issuing.certificate], [der(each) for each in lists])


def test_a_verdict_does_not_outlive_the_lists() -> None:
    """The remembered path ends with the least of the certificates' ends and the lists' next updates."""
    one, signer = hierarchy(), signer_of(hierarchy().issuing)
    day = Window(NOW - timedelta(hours=1), NOW + timedelta(days=1))
    hours = Window(NOW - timedelta(hours=1), NOW + timedelta(hours=2))
    both = issuers(pki.make_crl(one.root, window=hours), pki.make_crl(one.issuing, window=day))
    assert both.faults(signer, (), NOW) == ()
    assert both.faults(signer, (), NOW + timedelta(hours=3)) == (reasons.STALE,)
    assert both.faults(signer, (), NOW - timedelta(hours=2)) == (reasons.STALE,)
    newer = issuers(
        pki.make_crl(one.root, window=day), *(pki.make_crl(one.issuing, window=each) for each in (day, hours))
    )
    assert newer.faults(signer, (), NOW + timedelta(hours=3)) == ()


def test_an_authority_is_revoked_from_a_moment_on() -> None:
    one = hierarchy()
    gone = [(one.issuing.certificate.serial_number, NOW + timedelta(hours=1))]
    judge, signer = issuers(pki.make_crl(one.root, gone), pki.make_crl(one.issuing)), signer_of(one.issuing)
    assert judge.faults(signer, (), NOW) == ()
    assert reasons.REVOKED in judge.faults(signer, (), NOW + timedelta(hours=2))[0]


def test_what_a_stale_list_names_stays_revoked() -> None:
    one, serial = hierarchy(), x509.random_serial_number()
    past = Window(NOW - timedelta(days=9), NOW - timedelta(days=2))
    lists = pki.make_crl(one.root), pki.make_crl(one.issuing, [(serial, NOW - timedelta(days=3))], past)
    assert reasons.REVOKED in issuers(*lists).faults(signer_of(one.issuing, serial), (), NOW)[0]
    assert issuers(*lists).faults(signer_of(one.issuing), (), NOW) == (reasons.STALE,)


def test_a_list_by_a_stranger_of_the_same_name_does_not_count() -> None:
    one = hierarchy()
    stranger = certified(one.issuing.certificate.subject, None)
    lists = pki.make_crl(one.root), pki.make_crl(stranger)
    assert issuers(*lists).faults(signer_of(one.issuing), (), NOW) == (reasons.NO_CRL,)


def test_an_authority_that_came_along_is_not_remembered() -> None:
    one = hierarchy()
    other = certified("Came along", one.root)
    judge = issuers(pki.make_crl(one.root), pki.make_crl(one.issuing), pki.make_crl(other))
    for sent, expected in (((), (reasons.NO_PATH,)), ((der(other.certificate),), ()), ((), (reasons.NO_PATH,))):
        assert judge.faults(signer_of(other), sent, NOW) == expected


def test_unreadable_certificates_that_came_along_do_no_harm() -> None:
    one = hierarchy()
    judge = issuers(pki.make_crl(one.root), pki.make_crl(one.issuing))
    assert judge.faults(signer_of(one.issuing), [b"", b"\x30\x00", b"no certificate"], NOW) == ()
    assert reasons.UNREADABLE_CERTIFICATE in judge.faults(b"\x30\x00", (), NOW)[0]
    stranger = certified("Stranger", None)
    assert judge.faults(signer_of(stranger), [b"", b"\x30\x00"], NOW) == (reasons.NO_PATH,)


def test_a_certificate_of_no_version_does_no_harm() -> None:
    """A byte of damage in 20,000 tries brought it about: what reads certificates has an exception of its own for it."""
    one, version = hierarchy(), bytes.fromhex("a0030201")
    judge = issuers(pki.make_crl(one.root), pki.make_crl(one.issuing))
    signer, authority = signer_of(one.issuing), der(one.issuing.certificate)
    odd = [each.replace(version + b"\2", version + b"A", 1) for each in (signer, authority)]
    assert odd[0] != signer
    assert judge.faults(signer, [odd[1]], NOW) == ()
    assert reasons.UNREADABLE_CERTIFICATE in judge.faults(odd[0], (), NOW)[0]
    message = forgeries.message(good()).replace(version + b"\2", version + b"A")
    assert not verifier().verify(forgeries.with_message(good(), message)).valid


def test_a_web_of_cross_certificates_ends_soon() -> None:
    """Twelve keys of one name that certify each other: nobody lives to try all paths among them."""
    name, keys = common_name("Web"), [pki.new_key() for _ in range(12)]
    own = [Issued(certified(name, None, own=key).certificate, key) for key in keys]
    web = [der(certified(name, issuer, own=key).certificate) for issuer in own for key in keys if key is not issuer.key]
    judge = issuers(pki.make_crl(hierarchy().root))
    assert judge.faults(signer_of(own[0]), web, NOW) == (reasons.NO_PATH,)


def test_a_list_of_100_000() -> None:
    one, serials = hierarchy(), [x509.random_serial_number() for _ in range(100_000)]
    big = der(pki.make_crl(one.issuing, [(serial, NOW - timedelta(days=2)) for serial in serials]))
    assert len(revocation.read(big).revoked) == 100_000
    judge = Issuers(one.root.certificate, [one.issuing.certificate], [big, der(pki.make_crl(one.root))])
    assert reasons.REVOKED in judge.faults(signer_of(one.issuing, serials[77_777]), (), NOW)[0]
    assert judge.faults(signer_of(one.issuing), (), NOW) == ()


@pytest.mark.parametrize(
    ("kind", "subtree", "within", "outside"),
    [
        (x509.DNSName, "gov.vn", ["gov.vn", "a.gov.vn", "A.GOV.VN"], ["egov.vn", "vn", "gov.vn.com"]),
        (x509.RFC822Name, "gov.vn", ["an@gov.vn", "an@GOV.vn"], ["an@a.gov.vn", "an@egov.vn"]),
        (x509.RFC822Name, ".gov.vn", ["an@a.gov.vn"], ["an@gov.vn", "an@gov.vn.com"]),
        (x509.RFC822Name, "an@gov.vn", ["an@gov.vn", "an@GOV.VN"], ["AN@gov.vn", "binh@gov.vn"]),
        (x509.UniformResourceIdentifier, "gov.vn", ["https://gov.vn/a"], ["https://a.gov.vn/", "urn:gov.vn"]),
        (x509.UniformResourceIdentifier, ".gov.vn", ["https://a.gov.vn:8443/"], ["https://gov.vn/"]),
    ],
)
def test_name_constraints(kind: type[x509.GeneralName], subtree: str, within: list[str], outside: list[str]) -> None:
    def certificate(text: str) -> x509.Certificate:
        alternative = [(x509.SubjectAlternativeName([kind(text)]), False)]
        return certified("Tên", hierarchy().issuing, *SIGNER, ca=False, own=key, extensions=alternative).certificate

    key = pki.new_key()
    permitted, excluded = x509.NameConstraints([kind(subtree)], None), x509.NameConstraints(None, [kind(subtree)])
    for text in within:
        assert names.are_allowed(certificate(text), (permitted,))
        assert not names.are_allowed(certificate(text), (excluded,))
    for text in outside:
        assert not names.are_allowed(certificate(text), (permitted,))
        assert names.are_allowed(certificate(text), (excluded,))


@pytest.mark.parametrize(("country", "expected"), [("VN", ()), ("XX", (reasons.NAME_NOT_ALLOWED,))])
def test_an_authority_must_keep_to_the_constraints_above_it_too(country: str, expected: tuple[str, ...]) -> None:
    """The signer's own name is within them either way."""

    def name(of: str, text: str) -> x509.Name:
        parts = (NameOID.COUNTRY_NAME, of), (NameOID.COMMON_NAME, text)
        return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])

    subtree = x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "VN")]))
    root = certified("Top", None)
    upper = certified("Upper", root, extensions=[(x509.NameConstraints([subtree], None), True)])
    lower = certified(name(country, "Lower"), upper)
    signer = certified(name("VN", "Công dân"), lower, *SIGNER, ca=False)
    lists = [der(pki.make_crl(each)) for each in (root, upper, lower)]
    known = Issuers(root.certificate, [upper.certificate, lower.certificate], lists)
    assert known.faults(der(signer.certificate), (), NOW) == expected
    sent = [der(upper.certificate), der(lower.certificate)]
    assert Issuers(root.certificate, (), lists).faults(der(signer.certificate), sent, NOW) == expected


def test_names_are_the_same_whatever_their_case_and_spaces() -> None:
    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    assert names.key(name("Bộ  Công an ")) == names.key(name("bộ công AN"))
    assert names.key(name("Bộ Công an")) != names.key(name("Bộ Côngan"))
