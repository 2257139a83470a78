"""Signing in: accounts with a secret, checked against the salted hash in the database.

Knows the table `accounts` and the tokens that say afterwards who somebody is.
"""

import asyncio
import hashlib
import hmac
import secrets
import time

import msgspec
from starlette.responses import Response

from staging.answers import Problem, Refusal, answer
from staging.parts import Parts
from staging.routes import Call, Route
from staging.tokens import Identity

# About 2 ms of one core. A store of real passwords wants fifty times that; here sign-in is a station under load whose
# cost should be visible but not the whole of it. The production sign-in (VNeID) does not check secrets in the portal.
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 2**10, 8, 1
_SALT_BYTES = 16


class SignIn(msgspec.Struct, forbid_unknown_fields=True):
    """POST /accounts/sign-in."""

    account: str
    secret: str


class SignedIn(msgspec.Struct):
    """A token to send as `Authorization: Bearer TOKEN`, and what it lets its holder be."""

    token: str
    role: str


def hash_secret(secret: str, salt: bytes) -> bytes:
    """The salted hash that the database keeps (scrypt, 64 bytes)."""
    return hashlib.scrypt(secret.encode(), salt=salt, n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P)


def new_salt() -> bytes:
    return secrets.token_bytes(_SALT_BYTES)


async def check(parts: Parts, account: str, secret: str) -> Identity:
    """Who has an account and its secret; Refusal 401."""
    async with parts.database.connection() as connection:
        cursor = await connection.execute(
            "SELECT role, agency, salt, secret_hash FROM accounts WHERE account = %b", (account,), binary=True
        )
        row = await cursor.fetchone()
    # An unknown account costs as much as a wrong secret, so that time does not tell which accounts exist.
    role, agency, salt, known = row or ("", "", b"\0" * _SALT_BYTES, b"")
    found = await asyncio.to_thread(hash_secret, secret, salt)
    if not hmac.compare_digest(found, known):
        raise Refusal(401, f"account {account!r}: unknown, or another secret")
    return Identity(account, role, agency)


async def sign_in(call: Call[SignIn]) -> Response:
    """A token for an account and its secret."""
    identity = await check(call.parts, call.body.account, call.body.secret)
    return answer(SignedIn(call.parts.tokens.issue(identity, time.time()), identity.role))


ROUTES = (Route("POST", "/accounts/sign-in", sign_in, {200: SignedIn, 401: Problem}, system="identity", body=SignIn),)
