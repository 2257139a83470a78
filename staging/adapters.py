"""The two hot paths as seams: what an implementation of one's own must have, and finding the one that is configured.

A name like `package.module:factory` in CAODIEM_SIGNATURES or CAODIEM_STATUS_SYNC takes the place of ours, in the portal
and in the benchmarks. Knows no implementation but by its name.
"""

import importlib
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from cryptography import x509
from psycopg import AsyncConnection

from caodiem.errors import UsageError

if TYPE_CHECKING:
    from staging.status_sync import Event
    from staging.verdicts import Verdict

SIGNATURES, STATUS_SYNC = "CAODIEM_SIGNATURES", "CAODIEM_STATUS_SYNC"
_OURS = {SIGNATURES: "staging.signatures:Verifier", STATUS_SYNC: "staging.status_sync:Writer"}


@runtime_checkable
class Signatures(Protocol):
    """Judges documents. The factory gets the root, the known authorities, and their revocation lists in DER."""

    def verify(self, content: bytes) -> "Verdict":
        """The verdict on a PDF or an enveloping CAdES message, at this moment. A valid one names the certificates that
        it was signed with: they say whose it is, and without them it is nobody's.
        """
        ...

    async def verify_all(self, documents: Sequence[bytes]) -> "list[Verdict]":
        """The verdicts on one request's documents; must not hold up the event loop."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class StatusSync(Protocol):
    """Takes batches of status events, whatever way they came, and tells the statuses. The factory gets nothing."""

    def check(self, agency: str, events: "list[Event]") -> Any:
        """Whatever `apply` wants, made without a connection."""
        ...

    async def apply(
        self, connection: AsyncConnection, agency: str, batch: str, checked: Any
    ) -> dict[str, object] | None:
        """{accepted, stale, rejected} as staging.status_sync.Taken; None when the key `batch` was used for another
        batch. The tables are those of the migrations, or one's own; the connection commits each statement, or belongs
        to a transaction that may yet be given up.
        """
        ...

    async def statuses(self, connection: AsyncConnection, codes: Sequence[str]) -> dict[str, int]:
        """The newest status of each of the dossiers that has one."""
        ...


def signatures(
    root: x509.Certificate, known: tuple[x509.Certificate, ...], crls: tuple[bytes, ...], name: str | None = None
) -> Signatures:
    """What judges documents: the implementation configured, or `name`d."""
    return _checked(SIGNATURES, Signatures, find(SIGNATURES, name)(root, known, crls))


def status_sync(name: str | None = None) -> StatusSync:
    """What takes batches: the implementation configured, or `name`d."""
    return _checked(STATUS_SYNC, StatusSync, find(STATUS_SYNC, name)())


def find(variable: str, name: str | None = None) -> Callable[..., Any]:
    """The factory that `variable` names; UsageError when there is none of that name."""
    name = name or os.environ.get(variable) or _OURS[variable]
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"{variable} = {name!r}: {error}; expected a name like {_OURS[variable]}") from error
    if not callable(found):
        raise UsageError(f"{variable} = {name!r}: not callable; expected a factory like {_OURS[variable]}")
    return found  # type: ignore[no-any-return]


def _checked(variable: str, protocol: type, made: Any) -> Any:
    if not isinstance(made, protocol):
        wanted = ", ".join(name for name in vars(protocol) if not name.startswith("_"))
        raise UsageError(f"{variable}: made a {type(made).__name__}; expected something with {wanted}")
    return made
