"""From a signer's certificate up to the trusted root: signatures, validity, constraints, key usage, revocation.

Knows X.509, policy.py and revocation.py. Paths above the signer are remembered with the times between which they hold
(the certificates' and the revocation lists'), because all citizens of one authority share them; the signer's own
certificate is checked every time. Nothing is fetched. Policies of certificates (RFC 5280's policy tree) are not
processed: a path that demands one is refused.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from staging import names, reasons, revocation
from staging.policy import Policy
from staging.revocation import RevocationList

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

_DEPTH_MAX = 10
_TRIED_MAX = 200  # signatures for one document: a web of cross-certificates that came along ends here
_REMEMBERED_MAX = 1000
_UNDERSTOOD = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.NAME_CONSTRAINTS,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.CRL_DISTRIBUTION_POINTS,
        # Every policy will do, as long as nobody in the path constrains them.
        ExtensionOID.CERTIFICATE_POLICIES,
    }
)
# These must be processed even where their issuer forgot to mark them critical.
_BINDING = frozenset({ExtensionOID.POLICY_CONSTRAINTS, ExtensionOID.INHIBIT_ANY_POLICY, ExtensionOID.POLICY_MAPPINGS})
# RFC 9336's document signing, Adobe's, and what citizens' certificates carry: mail.
_SIGNING_PURPOSES = frozenset(
    {
        x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36"),
        x509.ObjectIdentifier("1.2.840.113583.1.1.5"),
        ExtendedKeyUsageOID.EMAIL_PROTECTION,
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    }
)
_STAMPING_PURPOSES = frozenset({ExtendedKeyUsageOID.TIME_STAMPING})
# What `cryptography` raises beside ValueError.
_UNREADABLE = (x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, UnsupportedAlgorithm)
_EARLIEST, _LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class Certificate:
    """A certificate, read once: what the path checks ask of it. ValueError when it cannot be read."""

    def __init__(self, der: bytes, policy: Policy) -> None:
        try:
            self.parsed = x509.load_der_x509_certificate(der)
            self._extensions = {each.oid: each for each in self.parsed.extensions}
            self.key = self.parsed.public_key()
        except _UNREADABLE as error:
            raise ValueError(str(error)) from error
        self.der = der
        self.start, self.end = self.parsed.not_valid_before_utc, self.parsed.not_valid_after_utc
        self.serial = self.parsed.serial_number
        self.is_strong_key = _is_strong_key(self.key, policy)
        self.is_strong = self.is_strong_key and _has_strong_digest(self.parsed, policy)

    def value(self, oid: x509.ObjectIdentifier) -> x509.ExtensionType | None:
        found = self._extensions.get(oid)
        return found.value if found else None

    @property
    def is_certified_authority(self) -> bool:
        basic = self.value(ExtensionOID.BASIC_CONSTRAINTS)
        return basic is not None and basic.ca

    @property
    def is_understood(self) -> bool:
        return not any(
            oid in _BINDING or (each.critical and oid not in _UNDERSTOOD) for oid, each in self._extensions.items()
        )

    def may(self, usage: str) -> bool:
        """Whether the key usage allows `usage`; a certificate without that extension allows all."""
        found = self.value(ExtensionOID.KEY_USAGE)
        return found is None or bool(getattr(found, usage))

    def signed(self, other: "Certificate") -> bool:
        return _verifies(self.key, other.parsed)


class Authority(Certificate):
    """A certificate that may stand above others: with its names in comparable form."""

    def __init__(self, der: bytes, policy: Policy) -> None:
        super().__init__(der, policy)
        self.subject, self.issuer = names.key(self.parsed.subject), names.key(self.parsed.issuer)
        self.is_self_issued = self.subject == self.issuer
        self.is_authority = self.is_certified_authority and self.may("key_cert_sign")
        basic = self.value(ExtensionOID.BASIC_CONSTRAINTS)
        self.path_length = basic.path_length if basic is not None else None
        constraints = self.value(ExtensionOID.NAME_CONSTRAINTS)
        self.constraints: names.Constraints = (constraints,) if constraints is not None else ()


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A revocation list that an authority signed, or another certificate of its name: then `signer` is that one."""

    told: RevocationList
    signer: "Link | None" = None


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """A certificate of a path, and the lists of its issuer."""

    certificate: Certificate
    sources: tuple[Source, ...]
    need_crl: bool

    def faults_at(self, at: datetime) -> tuple[str, ...]:
        """Whether it is out of its time or revoked at `at`."""
        certificate = self.certificate
        if not certificate.start <= at <= certificate.end:
            return (reasons.EXPIRED,)
        is_good = is_told = False
        for source in self.sources:
            if source.signer is not None and source.signer.faults_at(at):
                continue
            told = source.told
            revoked_at = told.revoked.get(certificate.serial)
            if revoked_at is not None and revoked_at <= at:
                return (f"{reasons.REVOKED} (on {revoked_at:%Y-%m-%d %H:%M} UTC)",)
            if told.speaks_of(certificate.parsed, certificate.is_certified_authority):
                is_told = True
                is_good = is_good or told.start <= at <= told.end
        if is_told:
            return () if is_good else (reasons.STALE,)
        return (reasons.NO_CRL,) if self.need_crl else ()

    def window(self) -> tuple[datetime, datetime]:
        """Times between which `faults_at` finds nothing; empty when its lists need a closer look each time."""
        certificate, lists = self.certificate, [source.told for source in self.sources]
        if any(source.signer for source in self.sources) or any(certificate.serial in told.revoked for told in lists):
            return _LATEST, _EARLIEST
        speaking = [told for told in lists if told.speaks_of(certificate.parsed, certificate.is_certified_authority)]
        if not speaking:
            return (_LATEST, _EARLIEST) if self.need_crl else (certificate.start, certificate.end)
        freshest = max(speaking, key=lambda told: told.end)
        return max(certificate.start, freshest.start), min(certificate.end, freshest.end)


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """An authority, and how it hangs from the root.

    `length`: how many authorities may stand below. `faults` hold at all times. Between `start` and `end` no certificate
    of the path is expired, revoked or without a current list. `sources`: the lists of what the authority issued.
    """

    authority: Authority
    links: tuple[Link, ...]
    length: float
    constraints: names.Constraints
    faults: tuple[str, ...]
    start: datetime
    end: datetime
    sources: tuple[Source, ...]

    def faults_at(self, at: datetime) -> tuple[str, ...]:
        if self.faults or self.start <= at <= self.end:
            return self.faults
        return tuple(dict.fromkeys(fault for link in self.links for fault in link.faults_at(at)))


class Issuers:
    """Builds paths to one root, through the `known` authorities and those that came along with a signature."""

    def __init__(
        self,
        root: x509.Certificate,
        known: Iterable[x509.Certificate] = (),
        crls: Iterable[bytes] = (),
        policy: Policy | None = None,
    ) -> None:
        """`crls` in DER; ValueError when one, or a certificate, cannot be read."""
        self.policy = policy or Policy()
        self.root, self.known = root, tuple(known)
        given = (Authority(each.public_bytes(Encoding.DER), self.policy) for each in (root, *self.known))
        self._authorities = {each.der: each for each in given}
        self._by_name = _by_subject(self._authorities.values())
        self._lists: dict[names.Key, list[RevocationList]] = {}
        for der in crls:
            told = revocation.read(der)
            self._lists.setdefault(told.issuer, []).append(told)
        self._signed_lists: dict[tuple[int, bytes], bool] = {}
        self._paths: dict[bytes, list[Path]] = {der: [] for der in self._authorities}
        self._lay_paths()
        # By the bytes of the name too: comparing those spares taking the name apart.
        self._issuing: dict[bytes, list[Path]] = {}
        for authority in self._authorities.values():
            self._issuing.setdefault(authority.parsed.subject.public_bytes(), []).extend(self._paths[authority.der])

    def knows(self, der: bytes) -> bool:
        """Whether a certificate is the root or one of the known authorities."""
        return der in self._authorities

    def faults(self, der: bytes, sent: Iterable[bytes], at: datetime, *, stamps: bool = False) -> tuple[str, ...]:
        """Why the signer with certificate `der` is not to be trusted at `at`; empty when he is.

        `sent`: the certificates that came along. `stamps`: he is a timestamp authority, not a citizen.
        """
        try:
            signer = Certificate(der, self.policy)
            return self.faults_of(signer, sent, at, stamps=stamps)
        except ValueError as error:
            return (f"{reasons.UNREADABLE_CERTIFICATE} ({error})",)

    def faults_of(
        self, signer: Certificate, sent: Iterable[bytes], at: datetime, *, stamps: bool = False
    ) -> tuple[str, ...]:
        """As `faults`, of a certificate that is read already."""
        own = _own_faults(signer, stamps)
        first: tuple[str, ...] | None = None
        for path in self._above(signer, sent):
            found = path.faults_at(at) or self._link_faults(signer, path, at)
            if not found:
                return own
            first = first or found
        return (*own, *(first or (reasons.NO_PATH,)))

    def _link_faults(self, signer: Certificate, path: Path, at: datetime) -> tuple[str, ...]:
        if path.constraints and not names.are_allowed(signer.parsed, path.constraints):
            return (reasons.NAME_NOT_ALLOWED,)
        return Link(signer, path.sources, self.policy.need_crl).faults_at(at)

    def _above(self, signer: Certificate, sent: Iterable[bytes]) -> Iterator[Path]:
        """The paths of every authority that issued the signer's certificate: remembered ones first."""
        encoded = signer.parsed.issuer.public_bytes()
        for path in self._issuing.get(encoded, ()):
            if path.authority.signed(signer):
                yield path
        issuer = names.key(signer.parsed.issuer)
        for authority in self._by_name.get(issuer, ()):
            if authority.parsed.subject.public_bytes() != encoded and authority.signed(signer):
                yield from self._paths[authority.der]
        search = _Search(self, _by_subject(self._unknown(sent)))
        for authority in search.unknown(issuer):
            if search.signed(authority, signer):
                yield from search.paths(authority, ())

    def _unknown(self, sent: Iterable[bytes]) -> Iterator[Authority]:
        """The authorities that came along and are not known; what cannot be read cannot certify anybody."""
        for encoded in dict.fromkeys(sent):
            if encoded not in self._authorities:
                with suppress(ValueError):
                    yield Authority(encoded, self.policy)

    def _lay_paths(self) -> None:
        """Every way from the root down through the known authorities."""
        root = self._authorities[self.root.public_bytes(Encoding.DER)]
        laid = [self._anchor(root)]
        for path in laid:
            self._paths[path.authority.der].append(path)
            passed = {link.certificate.der for link in path.links} | {root.der}
            for authority in self._authorities.values():
                fits = authority.issuer == path.authority.subject and authority.der not in passed
                if fits and len(path.links) < _DEPTH_MAX and path.authority.signed(authority):
                    laid.append(self.extended(path, authority))
            if len(laid) > _REMEMBERED_MAX:
                raise ValueError(f"more than {_REMEMBERED_MAX} paths through the known authorities")

    def _anchor(self, root: Authority) -> Path:
        """A trust anchor is trusted as configured: its validity is not asked; what it demands of others is."""
        length = float("inf") if root.path_length is None else root.path_length
        faults = () if root.is_strong_key else (reasons.WEAK,)
        return Path(root, (), length, root.constraints, faults, _EARLIEST, _LATEST, self._sources(root, None))

    def extended(self, path: Path, authority: Authority) -> Path:
        """`path` with `authority` below it (RFC 5280, 6.1.3 and 6.1.4)."""
        link = Link(authority, path.sources, self.policy.need_crl)
        start, end = link.window()
        length = path.length if authority.is_self_issued else path.length - 1
        if authority.path_length is not None:
            length = min(length, authority.path_length) if length >= 0 else length
        return Path(
            authority,
            (*path.links, link),
            length,
            path.constraints + authority.constraints,
            tuple(dict.fromkeys((*path.faults, *_authority_faults(authority, path, length)))),
            max(path.start, start),
            min(path.end, end),
            self._sources(authority, path),
        )

    def _sources(self, authority: Authority, above: Path | None) -> tuple[Source, ...]:
        """The lists of an authority: those that it signed, and those of other keys of its name, which it or its own
        issuer certified for signing lists."""
        lists = self._lists.get(authority.subject, ())
        own = tuple(Source(each) for each in lists if self._has_signed(authority, each))
        others = (
            self._source_by(each, other, authority, above, own)
            for each in lists
            for other in self._by_name.get(authority.subject, ())
            if other is not authority and self._has_signed(other, each)
        )
        return (*own, *(source for source in others if source is not None))

    def _source_by(
        self, told: RevocationList, other: Authority, authority: Authority, above: Path | None, own: tuple[Source, ...]
    ) -> Source | None:
        """A list that `other`, a certificate of the same name as `authority`, signed; None when it may not."""
        if above is not None and other in (above.authority, *(link.certificate for link in above.links)):
            return Source(told)  # whether that one is good is asked along the path anyway
        if not (other.is_strong and other.is_understood):
            return None
        if above is not None and above.authority.signed(other):
            return Source(told, Link(other, above.sources, self.policy.need_crl))
        return Source(told, Link(other, own, self.policy.need_crl)) if authority.signed(other) else None

    def _has_signed(self, authority: Authority, told: RevocationList) -> bool:
        """Whether a list is signed by an authority that may; remembered, because the list may have megabytes."""
        if not authority.may("crl_sign"):
            return False
        question = (id(told), authority.der)
        found = self._signed_lists.get(question)
        if found is None:
            found = _verifies(authority.key, told.parsed) and _has_strong_digest(told.parsed, self.policy)
            if len(self._signed_lists) < _REMEMBERED_MAX:
                self._signed_lists[question] = found
        return found


class _Search:
    """The search through the authorities that came with one signature; bounds how much work it can ask for."""

    def __init__(self, issuers: Issuers, sent: dict[names.Key, list[Authority]]) -> None:
        self._issuers = issuers
        self._sent = sent
        self._tried = 0

    def unknown(self, name: names.Key) -> list[Authority]:
        return self._sent.get(name, [])

    def signed(self, authority: Authority, other: Certificate) -> bool:
        self._tried += 1
        return self._tried <= _TRIED_MAX and authority.signed(other)

    def paths(self, authority: Authority, below: tuple[Authority, ...]) -> Iterator[Path]:
        """The paths from an authority that came along to the root, that do not lead through `below`."""
        if len(below) >= _DEPTH_MAX:
            return
        for issuer in self._issuers._by_name.get(authority.issuer, ()):
            if self.signed(issuer, authority):
                for path in self._issuers._paths[issuer.der]:
                    yield self._issuers.extended(path, authority)
        for issuer in self.unknown(authority.issuer):
            if issuer is not authority and issuer not in below and self.signed(issuer, authority):
                for path in self.paths(issuer, (*below, authority)):
                    yield self._issuers.extended(path, authority)


def _by_subject(authorities: Iterable[Authority]) -> dict[names.Key, list[Authority]]:
    found: dict[names.Key, list[Authority]] = {}
    for authority in authorities:
        found.setdefault(authority.subject, []).append(authority)
    return found


def _own_faults(signer: Certificate, stamps: bool) -> tuple[str, ...]:
    """What is wrong with a signer's certificate, whoever issued it and whenever it is asked."""
    purposes = signer.value(ExtensionOID.EXTENDED_KEY_USAGE)
    wanted = _STAMPING_PURPOSES if stamps else _SIGNING_PURPOSES
    fits = not stamps if purposes is None else not wanted.isdisjoint(purposes)
    # A citizen's certificate must say that its signatures bind him; silence is not enough.
    says = signer.value(ExtensionOID.KEY_USAGE)
    may_sign = signer.may("digital_signature") if stamps else says is not None and says.content_commitment
    found = []
    if not (fits and may_sign):
        found.append(reasons.WRONG_USAGE)
    if not signer.is_strong:
        found.append(reasons.WEAK)
    if not signer.is_understood:
        found.append(reasons.NOT_UNDERSTOOD)
    return tuple(found)


def _authority_faults(authority: Authority, above: Path, length: float) -> Iterator[str]:
    if not authority.is_authority:
        yield reasons.NOT_AUTHORITY
    if not authority.is_strong:
        yield reasons.WEAK
    if not authority.is_understood:
        yield reasons.NOT_UNDERSTOOD
    if length < 0:
        yield reasons.TOO_DEEP
    if not authority.is_self_issued and not names.are_allowed(authority.parsed, above.constraints):
        yield reasons.NAME_NOT_ALLOWED


def _is_strong_key(key: object, policy: Policy) -> bool:
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size >= policy.rsa_bits_min
    return isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in policy.curves


def _has_strong_digest(signed: x509.Certificate | x509.CertificateRevocationList, policy: Policy) -> bool:
    try:
        digest = signed.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return False
    return digest is not None and digest.name in policy.digests


def _verifies(key: object, signed: x509.Certificate | x509.CertificateRevocationList) -> bool:
    """Whether `key` made the signature of a certificate or list."""
    try:
        if isinstance(signed, x509.CertificateRevocationList):
            return signed.is_signature_valid(key)
        digest, how = signed.signature_hash_algorithm, signed.signature_algorithm_parameters
        if isinstance(key, rsa.RSAPublicKey) and isinstance(how, padding.PKCS1v15 | padding.PSS) and digest:
            key.verify(signed.signature, signed.tbs_certificate_bytes, how, digest)
        elif isinstance(key, ec.EllipticCurvePublicKey) and isinstance(how, ec.ECDSA):
            key.verify(signed.signature, signed.tbs_certificate_bytes, how)
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True
