"""Who calls: tokens that say account, role and agency, sealed with the portal's key.

Knows HTTP headers and nothing of the database: a token needs no look-up, and every worker reads every other's.
"""

import base64
import binascii
import hashlib
import hmac
import time
from dataclasses import dataclass

from starlette.requests import Request

from staging.answers import Refusal

TOKEN_VALID_S = 8 * 3600
CITIZEN, OFFICER, AGENCY, ADMIN = "citizen", "officer", "agency", "admin"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls. `agency` is empty for citizens."""

    account: str
    role: str
    agency: str


NOBODY = Identity("", "", "")


class Tokens:
    """Tokens that need no look-up: who, what role, until when, and an HMAC-SHA256 over it with the portal's key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def issue(self, identity: Identity, now_s: float) -> str:
        """A token valid for TOKEN_VALID_S from `now_s` (seconds since the epoch)."""
        fields = (identity.account, identity.role, identity.agency, str(int(now_s) + TOKEN_VALID_S))
        content = base64.urlsafe_b64encode("|".join(fields).encode())
        return f"{content.decode()}.{self._seal(content)}"

    def read(self, token: str, now_s: float) -> Identity | None:
        """Whose token it is; None when it is not ours or has expired."""
        content, _, seal = token.partition(".")
        if not hmac.compare_digest(seal.encode(), self._seal(content.encode()).encode()):
            return None
        try:
            account, role, agency, until_s = base64.urlsafe_b64decode(content).decode().split("|")
        except (binascii.Error, ValueError):
            return None
        return Identity(account, role, agency) if now_s < int(until_s) else None

    def _seal(self, content: bytes) -> str:
        return hmac.new(self._key, content, hashlib.sha256).hexdigest()


def bearer(request: Request) -> str:
    """The bearer token of a request, empty without one."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else ""


def identify(request: Request, tokens: Tokens, roles: tuple[str, ...]) -> Identity:
    """Who calls, with one of the roles that may; Refusal 401 or 403."""
    identity = tokens.read(bearer(request), time.time())
    if identity is None:
        raise Refusal(401, "no valid token: expected `Authorization: Bearer TOKEN`, from POST /accounts/sign-in")
    if identity.role not in roles:
        raise Refusal(403, f"{identity.account} has the role {identity.role}: expected the role {' or '.join(roles)}")
    return identity
