"""NIST PKITS (2011), certificates and lists as `cryptography-vectors` carries them, through our path checks.

Every end-entity certificate of the suite is judged with all its authorities and all its revocation lists at hand, so
that paths must be found too. Its name says what NIST expects. NOT_TAKEN lists whole sections that the portal does not
claim, where the only demand is that nothing invalid passes; EXPECTED_FAILURES single tests, with the reason.
"""

import functools
import warnings
from datetime import UTC, datetime
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography import x509

from staging import reasons
from staging.chains import Issuers

DATA = Path(cryptography_vectors.__file__).parent / "x509" / "PKITS_data"
AT = datetime(2026, 1, 1, tzinfo=UTC)  # the suite's certificates are valid from 2010 to 2030

# PKITS's sections, by what the names of their certificates contain.
SECTIONS: dict[str, tuple[str, ...]] = {
    "4.1 signature verification": ("CertificatePathTest1", "CASignature", "EESignature", "DSA"),
    "4.2 validity periods": ("notBeforeDate", "notAfterDate"),
    "4.3 name chaining": (*("NameChaining", "NameUIDs", "RFC3280", "RolloverfromPrintableString", "UTF8String"),),
    "4.4 basic revocation": (
        *("MissingCRL", "RevokedCA", "RevokedEE", "BadCRL", "WrongCRL", "TwoCRLs", "UnknownCRL", "CRLnextUpdate"),
        *("NegativeSerialNumber", "LongSerialNumber", "SeparateCertificateandCRLKeys"),
    ),
    "4.5 self-issued certificates": ("BasicSelfIssued",),
    "4.6 basic constraints": ("basicConstraints", "cAFalse", "pathLenConstraint"),
    "4.7 key usage": ("keyUsage",),
    "4.13 name constraints": ("nameConstraints",),
    "4.16 certificate extensions": ("CriticalCertificateExtension",),
    # Not taken.
    "4.8 policies": (
        *("AllCertificates", "AnyPolicyTest14", "DifferentPolicies", "OverlappingPolicies", "UserNotice", "CPSPointer"),
    ),
    "4.9 require explicit policy": ("requireExplicitPolicy",),
    "4.11 inhibit policy mapping": ("inhibitPolicyMapping",),
    "4.10 policy mappings": ("PolicyMappingTest", "MappingFromanyPolicy", "MappingToanyPolicy"),
    "4.12 inhibit any policy": ("inhibitAnyPolicy",),
    "4.14 distribution points": (
        *("distributionPoint", "DistributionPoint", "onlyContains", "onlySomeReasons", "indirectCRL", "cRLIssuer"),
    ),
    "4.15 delta lists": ("deltaCRL",),
}
_TREE = "no policy tree is built; a path in which somebody constrains or maps policies is refused"
NOT_TAKEN = {
    "4.8 policies": _TREE,
    "4.9 require explicit policy": _TREE,
    "4.10 policy mappings": _TREE,
    "4.11 inhibit policy mapping": _TREE,
    "4.12 inhibit any policy": _TREE,
    "4.14 distribution points": "lists by others, for some reasons or with relative names are not used; so they refuse",
    "4.15 delta lists": "delta lists are not used; a certificate that only a delta list frees stays revoked",
}
EXPECTED_FAILURES = {
    "ValidDSASignaturesTest4": "DSA is not among the portal's algorithms",
    "ValidDSAParameterInheritanceTest5": "DSA again; cryptography does not read keys with inherited parameters",
}


def section_of(name: str) -> str:
    found = [section for section, marks in SECTIONS.items() if any(mark in name for mark in marks)]
    # PKITS puts self-issued tests with what they are about; only 4.5's are called basic.
    return next((each for each in found if each not in NOT_TAKEN), found[0]) if found else "none"


END_ENTITIES = sorted(path.name.removesuffix("EE.crt") for path in (DATA / "certs").glob("*EE.crt"))
TAKEN = [name for name in END_ENTITIES if section_of(name) not in NOT_TAKEN]
LEFT = [name for name in END_ENTITIES if section_of(name) in NOT_TAKEN]


@functools.cache
def issuers() -> Issuers:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some serial numbers are negative: that is what is tested
        authorities = [path for path in sorted((DATA / "certs").glob("*.crt")) if not path.name.endswith("EE.crt")]
        # cryptography does not read a key with inherited parameters, so nobody can stand below that authority.
        readable = [path for path in authorities if path.name != "DSAParametersInheritedCACert.crt"]
        known = {path.name: x509.load_der_x509_certificate(path.read_bytes()) for path in readable}
        root = known.pop("TrustAnchorRootCertificate.crt")
        lists = [path.read_bytes() for path in sorted((DATA / "crls").glob("*.crl"))]
        return Issuers(root, known.values(), lists)


@functools.cache
def faults(name: str) -> tuple[str, ...]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = issuers().faults((DATA / "certs" / f"{name}EE.crt").read_bytes(), (), AT)
    # Many of the suite's certificates are for anything but signing documents; that is no part of path validation.
    return tuple(fault for fault in found if fault != reasons.WRONG_USAGE)


@pytest.mark.parametrize("name", TAKEN)
def test_paths_are_judged_as_nist_says(name: str) -> None:
    assert section_of(name) != "none"
    assert name.startswith(("Valid", "Invalid"))
    if name in EXPECTED_FAILURES:
        assert faults(name), f"{name} passes now: take it off the list"
    else:
        assert (not faults(name)) == name.startswith("Valid"), faults(name)


@pytest.mark.parametrize("name", [each for each in LEFT if each.startswith("Invalid")])
def test_nothing_invalid_passes_in_the_sections_not_taken(name: str) -> None:
    assert faults(name)


def test_the_counts_in_the_documentation(pytestconfig: pytest.Config) -> None:
    text = (pytestconfig.rootpath / "docs" / "signatures.md").read_text(encoding="utf-8")
    passed = len(TAKEN) - len(EXPECTED_FAILURES)
    assert f"{passed} pass, {len(EXPECTED_FAILURES)} fail, {len(LEFT)} are not taken" in " ".join(text.split())
