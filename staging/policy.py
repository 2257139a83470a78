"""What a signature must satisfy beyond being correct: key sizes, digests, revocation lists, the clock.

Knows nothing of documents. The defaults are those of the portal.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Policy:
    """Digests and curves by the names that `cryptography` gives them.

    `need_crl`: refuse a certificate whose issuer has no revocation list; without it only lists that are there count.
    `skew`: how far a signer's clock may be ahead of ours, or behind.
    """

    rsa_bits_min: int = 2048
    curves: frozenset[str] = frozenset({"secp256r1", "secp384r1"})
    digests: frozenset[str] = frozenset({"sha256", "sha384", "sha512"})
    need_crl: bool = True
    skew: timedelta = timedelta(minutes=5)
    clock: Callable[[], datetime] = now
