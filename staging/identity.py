"""Sign-in by OpenID Connect: the authorization code flow with a proof key (PKCE), in the place of VNeID.

Knows the table `identity_codes`, accounts, and the key that signs ID tokens (ES256). There is one registered client,
public, which is sent back to loopback only (RFC 8252, 7.3). The access token is the portal's own, so that it opens the
API. Errors are those of RFC 6749, 4.1.2.1 and 5.2.
"""

import base64
import hashlib
import hmac
import html
import re
import secrets
import time
from typing import Any
from urllib.parse import urlencode, urlsplit

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.responses import Response

from staging import accounts
from staging.answers import Problem, Refusal, answer
from staging.keys import Keys
from staging.routes import Call, Route
from staging.tokens import CITIZEN, OFFICER, TOKEN_VALID_S, Identity

CLIENT = "caodiem"
PATH = "/identity"
CODE_VALID_S = 60
SCOPES = ("openid", "profile")
_ALGORITHM = "ES256"
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)  # a SHA-256 in base64url, without padding
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}


class Wish(msgspec.Struct):
    """What a client asks of the authorization endpoint."""

    response_type: str = ""
    client_id: str = ""
    redirect_uri: str = ""
    scope: str = ""
    state: str = ""
    nonce: str = ""
    code_challenge: str = ""
    code_challenge_method: str = ""


class SignIn(Wish):
    """The same with what its user wrote into the form."""

    account: str = ""
    secret: str = ""


class Exchange(msgspec.Struct):
    """What a client asks of the token endpoint."""

    grant_type: str = ""
    code: str = ""
    redirect_uri: str = ""
    client_id: str = ""
    code_verifier: str = ""


class Tokens(msgspec.Struct):
    """RFC 6749, 5.1, with the ID token of OpenID Connect."""

    access_token: str
    token_type: str
    expires_in: int
    scope: str
    id_token: str


class TokenProblem(msgspec.Struct):
    """RFC 6749, 5.2."""

    error: str
    error_description: str = ""


class UserInfo(msgspec.Struct, omit_defaults=True):
    """Claims about who signed in."""

    sub: str
    name: str | None = None
    birthdate: str | None = None


async def discover(call: Call[None]) -> Response:
    """Where everything is (OpenID Connect Discovery 1.0)."""
    issuer = _issuer(call.parts.keys)
    return answer(
        {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "userinfo_endpoint": f"{issuer}/userinfo",
            "jwks_uri": f"{issuer}/keys",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [_ALGORITHM],
            "token_endpoint_auth_methods_supported": ["none"],
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": list(SCOPES),
            "claims_supported": ["sub", "name", "birthdate", "auth_time", "nonce"],
        }
    )


async def list_keys(call: Call[None]) -> Response:
    """The key that ID tokens verify with (RFC 7517)."""
    public = _key(call.parts.keys).public_key()
    told = jwt.algorithms.ECAlgorithm.to_jwk(public, as_dict=True)
    return answer({"keys": [told | {"kid": _key_id(public), "use": "sig", "alg": _ALGORITHM}]})


async def show_form(call: Call[None]) -> Response:
    """The form to sign in with, or back to the client with what was wrong with its wish."""
    wish = call.query
    _check_client(wish)
    problem = _problem(wish)
    return _back(wish, error=problem) if problem else _form(wish)


async def authorize(call: Call[SignIn]) -> Response:
    """Sign in and go back to the client with a code."""
    wish = call.body
    _check_client(wish)
    problem = _problem(wish)
    if problem:
        return _back(wish, error=problem)
    try:
        identity = await accounts.check(call.parts, wish.account, wish.secret)
    except Refusal as refusal:
        if refusal.status != 401:
            raise
        return _form(wish, 401)
    code = secrets.token_urlsafe(32)
    insert = """
        INSERT INTO identity_codes (digest, account, client, redirect_uri, challenge, scope, nonce, expires_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, now() + make_interval(secs => %s))"""
    asked = (wish.client_id, wish.redirect_uri, wish.code_challenge, wish.scope, wish.nonce)
    async with call.parts.database.connection() as connection:
        await connection.execute(insert, (_digest(code), identity.account, *asked, CODE_VALID_S))
    return _back(wish, code=code)


async def exchange(call: Call[Exchange]) -> Response:
    """Tokens for a code and its proof key, once."""
    asked, parts = call.body, call.parts
    if asked.grant_type != "authorization_code":
        return _token_problem("unsupported_grant_type", "expected authorization_code")
    if asked.client_id != CLIENT:
        return _token_problem("invalid_client", f"client_id: expected {CLIENT}", 401)
    # A code is used up by whoever brings it first, right or wrong: no second guess at the proof key.
    update = """
        UPDATE identity_codes c SET used_at = now() FROM accounts a
        WHERE digest = %s AND used_at IS NULL AND expires_at >= now() AND a.account = c.account
        RETURNING c.account, a.role, a.agency, redirect_uri, challenge, scope, nonce,
            extract(epoch FROM signed_in_at)::bigint"""
    async with parts.database.connection() as connection:
        row = await (await connection.execute(update, (_digest(asked.code),))).fetchone()
    if row is None:
        return _token_problem("invalid_grant", "code: unknown, used or expired")
    account, role, agency, redirect_uri, challenge, scope, nonce, signed_in_s = row
    if redirect_uri != asked.redirect_uri:
        return _token_problem("invalid_grant", "redirect_uri: not the one that the code was for")
    if not hmac.compare_digest(_base64url(_digest(asked.code_verifier)), challenge):
        return _token_problem("invalid_grant", "code_verifier: not the one of the challenge")
    now_s = int(time.time())
    access = parts.tokens.issue(Identity(account, role, agency), now_s)
    claims = {
        "iss": _issuer(parts.keys),
        "sub": account,
        "aud": CLIENT,
        "iat": now_s,
        "exp": now_s + TOKEN_VALID_S,
        "auth_time": signed_in_s,
        "at_hash": _base64url(_digest(access)[:16]),
        **({"nonce": nonce} if nonce else {}),
    }
    key = _key(parts.keys)
    signed = jwt.encode(claims, key, _ALGORITHM, {"kid": _key_id(key.public_key())})
    response = answer(Tokens(access, "Bearer", TOKEN_VALID_S, scope, signed))
    response.headers.update(_NO_STORE)
    return response


async def tell_user(call: Call[None]) -> Response:
    """Who the access token belongs to."""
    select = "SELECT name, born FROM population WHERE account = %s"
    async with call.parts.database.connection() as connection:
        row = await (await connection.execute(select, (call.identity.account,))).fetchone()
    return answer(UserInfo(call.identity.account, *((row[0], row[1].isoformat()) if row else ())))


def _check_client(wish: Wish) -> None:
    """Refusal unless the client is known and its address is its own: nobody is sent anywhere else with an error."""
    if wish.client_id != CLIENT:
        raise Refusal(400, f"client_id {wish.client_id!r}: expected {CLIENT}")
    try:
        address = urlsplit(wish.redirect_uri)
        is_own = address.scheme == "http" and address.hostname in _LOOPBACK and not address.fragment
        is_own = is_own and address.username is None and wish.redirect_uri.isprintable() and wish.redirect_uri.isascii()
    except ValueError:
        is_own = False
    if not is_own:
        raise Refusal(400, f"redirect_uri {wish.redirect_uri!r}: expected http://127.0.0.1, any port and path")


def _problem(wish: Wish) -> str:
    """The error of RFC 6749, 4.1.2.1 that a wish deserves; empty when it is in order."""
    if wish.response_type != "code":
        return "unsupported_response_type"
    if "openid" not in wish.scope.split() or not set(wish.scope.split()) <= set(SCOPES):
        return "invalid_scope"
    if wish.code_challenge_method != "S256" or not _CHALLENGE.fullmatch(wish.code_challenge):
        return "invalid_request"
    return ""


def _back(wish: Wish, **told: str) -> Response:
    """To the client, with `told` and its own state."""
    query = urlencode({**told, **({"state": wish.state} if wish.state else {})})
    separator = "&" if urlsplit(wish.redirect_uri).query else "?"
    return Response(status_code=303, headers={"location": f"{wish.redirect_uri}{separator}{query}", **_NO_STORE})


def _form(wish: Wish, status: int = 200) -> Response:
    """The page with the form; after a wrong secret it says so."""
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{html.escape(getattr(wish, name))}">'
        for name in Wish.__struct_fields__
    )
    told = "<p>Tài khoản hoặc mật khẩu không đúng.</p>" if status == 401 else ""
    page = (
        '<!doctype html><html lang="vi"><meta charset="utf-8"><title>Đăng nhập</title><h1>Đăng nhập</h1>'
        f'{told}<form method="post" action="{PATH}/authorize">{hidden}'
        '<label>Tài khoản <input name="account" autocomplete="username" required></label> '
        '<label>Mật khẩu <input name="secret" type="password" autocomplete="current-password" required></label> '
        "<button>Đăng nhập</button></form></html>"
    )
    guards = {"content-security-policy": "default-src 'none'; frame-ancestors 'none'", **_NO_STORE}
    return Response(page, status, media_type="text/html", headers=guards)


def _token_problem(error: str, description: str, status: int = 400) -> Response:
    response = answer(TokenProblem(error, description), status)
    response.headers.update(_NO_STORE)
    if status == 401:
        response.headers["www-authenticate"] = "Basic"
    return response


def _issuer(keys: Keys) -> str:
    return keys.url + PATH


def _key(keys: Keys) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(keys.identity_key), ec.SECP256R1())


def _key_id(public: ec.EllipticCurvePublicKey) -> str:
    return f"{public.public_numbers().x:064x}"[:16]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


_PAGE = "text/html"
ROUTES = (
    Route("GET", f"{PATH}/.well-known/openid-configuration", discover, {200: dict[str, Any]}, system="identity"),
    Route("GET", f"{PATH}/keys", list_keys, {200: dict[str, Any]}, system="identity"),
    Route("GET", f"{PATH}/authorize", show_form, {200: _PAGE, 303: None, 400: Problem}, system="identity", query=Wish),
    Route(
        "POST",
        f"{PATH}/authorize",
        authorize,
        {303: None, 400: Problem, 401: _PAGE},
        system="identity",
        body=SignIn,
        form=True,
    ),
    Route(
        "POST",
        f"{PATH}/token",
        exchange,
        {200: Tokens, 400: TokenProblem, 401: TokenProblem},
        system="identity",
        body=Exchange,
        form=True,
    ),
    Route("GET", f"{PATH}/userinfo", tell_user, {200: UserInfo}, system="identity", who=(CITIZEN, OFFICER)),
)
