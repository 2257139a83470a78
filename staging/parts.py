"""What the request handlers of one worker share: the database, the verifier, tokens, signed documents, faults.

Made once when a worker starts, handed to each handler with its request.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from psycopg import AsyncConnection

from staging import adapters, keys, pki
from staging.corpus import Corpus
from staging.credentials import Credentials
from staging.database import Database
from staging.faults import Faults
from staging.tokens import Tokens


@dataclass(frozen=True)
class Parts:
    """The parts of one worker."""

    database: Database
    tokens: Tokens
    verifier: adapters.Signatures
    status_sync: adapters.StatusSync
    corpus: Corpus
    credentials: Credentials
    keys: keys.Keys
    faults: Faults

    @asynccontextmanager
    async def reach(self, system: str) -> AsyncIterator[AsyncConnection]:
        """A transaction of a system that stands behind the one that was asked, and has faults of its own.

        Reached before a connection is taken: a slow system must not keep those of the others.
        """
        async with self.faults.reach(system), self.database.connection() as connection, connection.transaction():
            yield connection


def make(folder: Path) -> Parts:
    """From the portal's folder, as service.py laid it out."""
    known = keys.read(folder)
    root = pki.read_certificate(folder / keys.PKI_FOLDER / "root.pem")
    known_authorities = tuple(
        pki.read_certificate(folder / keys.PKI_FOLDER / f"{name}.pem") for name in ("issuing", "remote")
    )
    return Parts(
        Database(known.conninfo),
        Tokens(known.token_key),
        adapters.signatures(root, known_authorities, pki.read_crls(folder / keys.PKI_FOLDER)),
        adapters.status_sync(),
        Corpus(folder / keys.PKI_FOLDER),
        Credentials(folder / keys.PKI_FOLDER),
        known,
        Faults(folder),
    )
