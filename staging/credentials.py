"""Signing credentials kept for their owners: a certificate each, made when it is first asked for, and the key.

Knows the table `signing_credentials` and the part of the hierarchy that certifies while the portal runs. Officers' ones
name the agency, citizens' the number in the population database. Keys come from a small pool: making an RSA key costs
a hundred times what a signature does, and would be load that no portal sees.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding
from psycopg import AsyncConnection

from staging import pki

SIGNATURES_AT_ONCE_MAX = 10


@dataclass(frozen=True)
class Credential:
    """Somebody's certificate, and which key of the pool it certifies."""

    name: str
    account: str
    certificate: x509.Certificate
    key: int


class Credentials:
    """The credentials of all accounts of a portal, each worker reading the same ones."""

    def __init__(self, pki_folder: Path) -> None:
        self._authority = pki.read_issued(pki_folder, "remote")
        self._keys = [pki.read_signer(pki_folder, number).key for number in range(pki.SIGNERS)]

    @property
    def chain(self) -> list[x509.Certificate]:
        return [self._authority.certificate]

    async def of(self, connection: AsyncConnection, account: str) -> Credential:
        """The credential of an account, made now if there is none."""
        select = "SELECT credential, account, certificate, key FROM signing_credentials WHERE account = %s"
        row = await (await connection.execute(select, (account,))).fetchone()
        if row is None:
            insert = """
                INSERT INTO signing_credentials (credential, account, key, certificate) VALUES (%s, %s, %s, %s)
                ON CONFLICT DO NOTHING"""
            await connection.execute(insert, self._make(account, *await _owner(connection, account)))
            row = await (await connection.execute(select, (account,))).fetchone()
        assert row is not None
        return _read(row)

    async def named(self, connection: AsyncConnection, name: str) -> Credential | None:
        """A credential by its name."""
        select = "SELECT credential, account, certificate, key FROM signing_credentials WHERE credential = %s"
        row = await (await connection.execute(select, (name,))).fetchone()
        return _read(row) if row else None

    def sign_digest(self, credential: Credential, digest: bytes) -> bytes:
        """RSA with PKCS #1 v1.5 over a SHA-256."""
        return self._keys[credential.key].sign(digest, padding.PKCS1v15(), Prehashed(hashes.SHA256()))

    def sign(self, credential: Credential, content: bytes) -> bytes:
        """RSA with PKCS #1 v1.5 and SHA-256 over `content`."""
        return self.sign_digest(credential, hashlib.sha256(content).digest())

    def issued(self, credential: Credential) -> pki.Issued:
        """Certificate and key together, for signing without asking the owner: the documents that load tests file."""
        return pki.Issued(credential.certificate, self._keys[credential.key])

    def _make(self, account: str, agency: str, number: str) -> tuple[str, str, int, bytes]:
        name = hashlib.sha256(f"credential of {account}".encode()).hexdigest()[:32]
        key = int(name, 16) % len(self._keys)
        issued = pki.make_signer(account, self._authority, number=number, agency=agency, key=self._keys[key])
        return name, account, key, issued.certificate.public_bytes(Encoding.DER)


async def _owner(connection: AsyncConnection, account: str) -> tuple[str, str]:
    """(agency, citizen's number) of an account, either of them empty."""
    select = """
        SELECT a.agency, coalesce(p.number, '') FROM accounts a LEFT JOIN population p USING (account)
        WHERE a.account = %s"""
    row = await (await connection.execute(select, (account,))).fetchone()
    assert row is not None
    return row[0], row[1]


def _read(row: tuple[str, str, bytes, int]) -> Credential:
    name, account, certificate, key = row
    return Credential(name, account, x509.load_der_x509_certificate(certificate), key)
