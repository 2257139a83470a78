"""Names in certificates: when two are the same, and whether name constraints allow one (RFC 5280, 4.2.1.10 and 7).

Knows X.509 names only. Comparing ignores case, runs of spaces and the kind of string, as RFC 5280 7.1 asks.
"""

import ipaddress
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.x509.oid import NameOID

Key = tuple[frozenset[tuple[str, str]], ...]
Constraints = tuple[x509.NameConstraints, ...]


def key(name: x509.Name) -> Key:
    """Equal for names that are the same."""
    return tuple(
        frozenset((part.oid.dotted_string, " ".join(str(part.value).split()).casefold()) for part in rdn)
        for rdn in name.rdns
    )


def are_allowed(certificate: x509.Certificate, constraints: Constraints) -> bool:
    """Whether every name of `certificate` is within what each authority above it permits, and none is excluded."""
    names = list(_names(certificate)) if constraints else []
    return all(_is_allowed(name, each) for each in constraints for name in names)


def _names(certificate: x509.Certificate) -> Iterable[x509.GeneralName]:
    if certificate.subject.rdns:
        yield x509.DirectoryName(certificate.subject)
    for address in certificate.subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS):
        yield x509.RFC822Name(str(address.value))
    try:
        yield from certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return


def _is_allowed(name: x509.GeneralName, constraints: x509.NameConstraints) -> bool:
    permitted = [each for each in constraints.permitted_subtrees or () if type(each) is type(name)]
    excluded = [each for each in constraints.excluded_subtrees or () if type(each) is type(name)]
    is_within = _WITHIN.get(type(name))
    if is_within is None:
        return not permitted and not excluded
    if permitted and not any(is_within(name.value, each.value) for each in permitted):
        return False
    return not any(is_within(name.value, each.value) for each in excluded)


def _directory_within(name: x509.Name, subtree: x509.Name) -> bool:
    top = key(subtree)
    return key(name)[: len(top)] == top


def _host_within(name: str, subtree: str) -> bool:
    """A DNS name: the subtree itself or anything below it."""
    name, subtree = name.casefold().rstrip("."), subtree.casefold().lstrip(".")
    return not subtree or name == subtree or name.endswith("." + subtree)


def _mail_within(name: str, subtree: str) -> bool:
    """A mailbox, a host, or with a leading dot what lies below a domain. The part before @ keeps its case."""
    local, _, host = name.rpartition("@")
    if "@" in subtree:
        wanted, _, at = subtree.rpartition("@")
        return (local, host.casefold()) == (wanted, at.casefold())
    return _machine_within(host, subtree)


def _address_within(name: str, subtree: str) -> bool:
    """A URI, by its host."""
    return _machine_within(urlsplit(name).hostname or "", subtree)


def _machine_within(host: str, subtree: str) -> bool:
    host, subtree = host.casefold(), subtree.casefold()
    return host.endswith(subtree) if subtree.startswith(".") else not subtree or host == subtree


def _network_within(name: object, subtree: object) -> bool:
    assert isinstance(name, ipaddress.IPv4Address | ipaddress.IPv6Address)
    assert isinstance(subtree, ipaddress.IPv4Network | ipaddress.IPv6Network)
    return name.version == subtree.version and name in subtree


_WITHIN: dict[type[x509.GeneralName], Callable[..., bool]] = {
    x509.DirectoryName: _directory_within,
    x509.DNSName: _host_within,
    x509.RFC822Name: _mail_within,
    x509.UniformResourceIdentifier: _address_within,
    x509.IPAddress: _network_within,
}
