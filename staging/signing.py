"""Remote signing by the Cloud Signature Consortium's API, version 1.0: a kept key that its owner releases.

Knows the tables `signing_requests` and `signing_approvals`. Authorising takes a person: the answer is "pending" until
they approve in their app, after a lognormal time drawn when they are asked, or by POST /csc/v1/approvals. Names of
fields and calls are the standard's; hashes and signatures travel as base64.
"""

import asyncio
import base64
import binascii
import random
import secrets
import time
from typing import Annotated, Any, Literal

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding
from psycopg import AsyncConnection
from starlette.responses import Response

from staging import accounts, timing
from staging.answers import Refusal, answer
from staging.credentials import SIGNATURES_AT_ONCE_MAX, Credential
from staging.parts import Parts
from staging.routes import Call, Route
from staging.tokens import ADMIN, CITIZEN, OFFICER, TOKEN_VALID_S

RSA = "1.2.840.113549.1.1.1"
RSA_SHA256 = "1.2.840.113549.1.1.11"
PENDING = 202
RETRY_AFTER_S = 5  # as often as a published client asks (systems-smartca-poll-a)
_DIGEST_BYTES = 32

Hashes = Annotated[list[str], msgspec.Meta(min_length=1, max_length=SIGNATURES_AT_ONCE_MAX)]
Told = Annotated[str, msgspec.Meta(max_length=500)]


class CscProblem(msgspec.Struct):
    """An error as the standard has it; without a description where the portal answers before the service does."""

    error: str
    error_description: str = ""


class CscRefusal(Refusal):
    """An answer other than success, in the standard's form."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(status, error, error_description=description)


class Info(msgspec.Struct):
    """What the service offers."""

    specs: str
    name: str
    logo: str
    region: str
    lang: str
    description: str
    authType: list[str]
    methods: list[str]


class LogIn(msgspec.Struct):
    """auth/login."""

    refresh_token: str | None = None
    rememberMe: bool = False
    clientData: str | None = None


class LoggedIn(msgspec.Struct):
    """A service token and the seconds that it holds."""

    access_token: str
    expires_in: int


class ListCredentials(msgspec.Struct):
    """credentials/list."""

    userID: str | None = None
    maxResults: int | None = None
    pageToken: str | None = None
    clientData: str | None = None


class CredentialIds(msgspec.Struct):
    """The names of the caller's credentials."""

    credentialIDs: list[str]


class AskCredential(msgspec.Struct):
    """credentials/info."""

    credentialID: str
    certificates: Literal["none", "single", "chain"] = "single"
    certInfo: bool = False
    authInfo: bool = False
    lang: str | None = None
    clientData: str | None = None


class Authorize(msgspec.Struct):
    """credentials/authorize. `hash`: of what is to be signed; `description`: what the signer reads."""

    credentialID: str
    numSignatures: Annotated[int, msgspec.Meta(ge=1, le=SIGNATURES_AT_ONCE_MAX)]
    hash: Hashes
    PIN: str | None = None
    OTP: str | None = None
    description: Told = ""
    clientData: str | None = None


class Authorized(msgspec.Struct):
    """The signature activation data, and for how long it holds."""

    SAD: str
    expiresIn: int


class Pending(msgspec.Struct):
    """Nobody has approved yet: ask again, with the same hashes."""

    error: str
    error_description: str
    transaction: str


class SignHash(msgspec.Struct):
    """signatures/signHash."""

    credentialID: str
    SAD: str
    hash: Hashes
    signAlgo: Literal["1.2.840.113549.1.1.1", "1.2.840.113549.1.1.11"]
    hashAlgo: Literal["2.16.840.1.101.3.4.2.1"] | None = None
    signAlgoParams: str | None = None
    clientData: str | None = None


class Signatures(msgspec.Struct):
    """One signature for each hash, in their order."""

    signatures: list[str]


class Approve(msgspec.Struct, forbid_unknown_fields=True):
    """POST /csc/v1/approvals: the signer's answer in the app."""

    transaction: str
    approve: bool


class ApprovalTimes(msgspec.Struct, forbid_unknown_fields=True):
    """PUT /admin/approvals: how long people take to approve (lognormal), and when they are given up on."""

    median_s: Annotated[float, msgspec.Meta(ge=0, le=3600)]
    sigma: Annotated[float, msgspec.Meta(ge=0, le=3)]
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=3600)]


async def info(_: Call[None]) -> Response:
    """What the signing service offers."""
    methods = ["auth/login", "credentials/list", "credentials/info", "credentials/authorize", "signatures/signHash"]
    name, description = "Caodiem staging", "Remote signing with invented credentials"
    return answer(Info("1.0.3.0", name, "", "VN", "vi-VN", description, ["basic"], methods))


async def read_info(call: Call[None]) -> Response:
    """What the signing service offers, as older clients ask for it."""
    return await info(call)


async def list_credentials(call: Call[ListCredentials]) -> Response:
    """The caller's credentials."""
    asked = call.body.userID
    if asked is not None and asked != call.identity.account:
        raise CscRefusal("invalid_request", "userID is another's; expected none with a user's token")
    async with call.parts.database.connection() as connection:
        credential = await call.parts.credentials.of(connection, call.identity.account)
    return answer(CredentialIds([credential.name]))


async def describe_credential(call: Call[AskCredential]) -> Response:
    """A credential's certificate, key and way of authorising."""
    asked = call.body
    async with call.parts.database.connection() as connection:
        credential = await own(call.parts, connection, call.identity.account, asked.credentialID)
    told: dict[str, Any] = {
        "key": {"status": "enabled", "algo": [RSA, RSA_SHA256], "len": credential.certificate.public_key().key_size},
        "cert": _certificate(credential, asked, call.parts),
        "authMode": "explicit",
        "SCAL": "2",
        "multisign": SIGNATURES_AT_ONCE_MAX,
        "lang": "vi-VN",
    }
    if asked.authInfo:
        told |= {"PIN": {"presence": "false"}, "OTP": {"presence": "false"}}
    return answer(told)


def _certificate(credential: Credential, asked: AskCredential, parts: Parts) -> dict[str, Any]:
    certificate = credential.certificate
    wanted = {"none": [], "single": [certificate], "chain": [certificate, *parts.credentials.chain]}
    told: dict[str, Any] = {"status": "valid"}
    if asked.certificates != "none":
        told["certificates"] = [text_of(each.public_bytes(Encoding.DER)) for each in wanted[asked.certificates]]
    if asked.certInfo:
        told |= {
            "issuerDN": certificate.issuer.rfc4514_string(),
            "serialNumber": f"{certificate.serial_number:x}",
            "subjectDN": certificate.subject.rfc4514_string(),
            "validFrom": f"{certificate.not_valid_before_utc:%Y%m%d%H%M%SZ}",
            "validTo": f"{certificate.not_valid_after_utc:%Y%m%d%H%M%SZ}",
        }
    return told


async def authorize(call: Call[Authorize]) -> Response:
    """Release a key for hashes: 202 until its owner has approved, then the activation data."""
    asked, hashes = call.body, read_hashes(call.body.hash)
    if asked.numSignatures != len(hashes):
        raise CscRefusal("invalid_request", f"numSignatures {asked.numSignatures}: expected {len(hashes)}, one a hash")
    async with call.parts.database.connection() as connection:
        credential = await own(call.parts, connection, call.identity.account, asked.credentialID)
        transaction, sad, left_s = await ask(connection, credential, hashes, asked.description)
    return answer(Authorized(sad, left_s)) if sad else pending(transaction)


async def sign_hash(call: Call[SignHash]) -> Response:
    """Sign hashes with a released key; a release serves once."""
    asked, hashes = call.body, read_hashes(call.body.hash)
    async with call.parts.database.connection() as connection:
        credential = await own(call.parts, connection, call.identity.account, asked.credentialID)
        await use(connection, credential, asked.SAD, hashes)
    return answer(Signatures(await signatures(call.parts, credential, hashes)))


async def approve(call: Call[Approve]) -> Response:
    """Approve or refuse a request to sign with one's own key."""
    update = """
        UPDATE signing_requests r SET approved_at = CASE WHEN %s THEN least(r.approved_at, now()) END
        FROM signing_credentials c
        WHERE c.credential = r.credential AND c.account = %s AND r.transaction = %s
            AND r.used_at IS NULL AND NOT r.is_over AND r.approved_at IS NOT NULL AND now() < r.expires_at"""
    given = call.body
    async with call.parts.database.connection() as connection:
        cursor = await connection.execute(update, (given.approve, call.identity.account, given.transaction))
    if cursor.rowcount == 0:
        raise CscRefusal("invalid_request", "transaction: expected one of the caller's that is open", 404)
    return answer(given)


async def set_approval_times(call: Call[ApprovalTimes]) -> Response:
    """Set how long people take to approve."""
    update = "UPDATE signing_approvals SET median_s = %s, sigma = %s, timeout_s = %s"
    async with call.parts.database.connection() as connection:
        await connection.execute(update, (call.body.median_s, call.body.sigma, call.body.timeout_s))
    return answer(call.body)


async def log_in(call: Call[LogIn]) -> Response:
    """A service token for an account and its secret, in HTTP's basic scheme."""
    scheme, _, given = call.request.headers.get("authorization", "").partition(" ")
    try:
        account, _, secret = base64.b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        account, secret = "", ""
    if scheme.lower() != "basic" or not account:
        raise CscRefusal("invalid_request", "expected `Authorization: Basic`, account and secret in it", 401)
    try:
        identity = await accounts.check(call.parts, account, secret)
    except Refusal as refusal:
        if refusal.status != 401:
            raise
        raise CscRefusal("authentication_error", "an unknown account, or another secret", 401) from refusal
    return answer(LoggedIn(call.parts.tokens.issue(identity, time.time()), TOKEN_VALID_S))


async def ask(
    connection: AsyncConnection, credential: Credential, hashes: list[bytes], told: str
) -> tuple[str, str, int]:
    """(transaction, activation data, seconds it holds) when the signer has approved; the data are "" until then.

    CscRefusal, once, when they refused or let the time pass; the next call asks them anew.
    """
    select = """
        SELECT transaction, sad, extract(epoch FROM expires_at - now())::integer,
            approved_at IS NULL, expires_at < now(), approved_at <= now()
        FROM signing_requests WHERE credential = %s AND hashes = %s AND used_at IS NULL AND NOT is_over
        ORDER BY asked_at DESC LIMIT 1"""
    row = await (await connection.execute(select, (credential.name, hashes))).fetchone()
    if row is None:
        return await _ask_anew(connection, credential, hashes, told), "", 0
    transaction, sad, left_s, is_refused, is_late, is_approved = row
    if is_refused or is_late:
        await connection.execute("UPDATE signing_requests SET is_over = true WHERE transaction = %s", (transaction,))
        raise CscRefusal("access_denied", "the signer refused" if is_refused else "the signer did not approve in time")
    return transaction, sad if is_approved else "", left_s


async def _ask_anew(connection: AsyncConnection, credential: Credential, hashes: list[bytes], told: str) -> str:
    # Drawn from what is signed: a replay that is repeated finds the same signers as quick as before.
    drawn = random.Random(b"".join([credential.name.encode(), *hashes])).gauss(0, 1)
    insert = """
        INSERT INTO signing_requests (transaction, sad, credential, hashes, told, approved_at, expires_at)
        SELECT %s, %s, %s, %s, %s, now() + make_interval(secs => median_s * exp(sigma * %s)),
            now() + make_interval(secs => timeout_s)
        FROM signing_approvals"""
    transaction = secrets.token_hex(12)
    values = (transaction, secrets.token_urlsafe(24), credential.name, hashes, told, drawn)
    await connection.execute(insert, values)
    return transaction


async def use(connection: AsyncConnection, credential: Credential, sad: str, hashes: list[bytes]) -> None:
    """Use up activation data; CscRefusal unless they were approved for these hashes and are still good."""
    update = """
        UPDATE signing_requests SET used_at = now() WHERE sad = %s AND credential = %s AND hashes = %s
            AND used_at IS NULL AND NOT is_over AND now() BETWEEN approved_at AND expires_at"""
    cursor = await connection.execute(update, (sad, credential.name, hashes))
    if cursor.rowcount == 0:
        raise CscRefusal("invalid_request", "invalid SAD: expected one that was approved for these hashes, once")


async def signatures(parts: Parts, credential: Credential, hashes: list[bytes]) -> list[str]:
    """RSA signatures in base64; in a thread, because RSA lets go of the interpreter's lock."""
    started_s = time.perf_counter()
    signed = await asyncio.to_thread(lambda: [parts.credentials.sign_digest(credential, each) for each in hashes])
    timing.add(timing.SIGNING, 0.0, time.perf_counter() - started_s)
    return [text_of(each) for each in signed]


async def own(parts: Parts, connection: AsyncConnection, account: str, name: str) -> Credential:
    credential = await parts.credentials.of(connection, account)
    if credential.name != name:
        raise CscRefusal("invalid_request", "credentialID: expected one of credentials/list")
    return credential


def read_hashes(given: list[str]) -> list[bytes]:
    """SHA-256 digests from base64; CscRefusal for anything else."""
    try:
        hashes = [base64.b64decode(each, validate=True) for each in given]
    except (binascii.Error, ValueError) as error:
        raise CscRefusal("invalid_request", f"hash: {error}; expected base64") from error
    if any(len(each) != _DIGEST_BYTES for each in hashes):
        raise CscRefusal("invalid_request", f"hash: expected {_DIGEST_BYTES} bytes each, a SHA-256")
    return hashes


def pending(transaction: str) -> Response:
    """The answer while nobody has approved."""
    description = "waiting for the signer's approval; ask again with the same hashes"
    response = answer(Pending("authorization_pending", description, transaction), PENDING)
    response.headers["retry-after"] = str(RETRY_AFTER_S)
    return response


def text_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


_SIGNERS = (CITIZEN, OFFICER)
ROUTES = (
    Route("POST", "/csc/v1/info", info, {200: Info}, system="signing"),
    Route("GET", "/csc/v1/info", read_info, {200: Info}, system="signing"),
    Route("POST", "/csc/v1/auth/login", log_in, {200: LoggedIn, 401: CscProblem}, system="signing", body=LogIn),
    Route(
        "POST",
        "/csc/v1/credentials/list",
        list_credentials,
        {200: CredentialIds, 400: CscProblem},
        system="signing",
        who=_SIGNERS,
        body=ListCredentials,
    ),
    Route(
        "POST",
        "/csc/v1/credentials/info",
        describe_credential,
        {200: dict[str, Any], 400: CscProblem},
        system="signing",
        who=_SIGNERS,
        body=AskCredential,
    ),
    Route(
        "POST",
        "/csc/v1/credentials/authorize",
        authorize,
        {200: Authorized, PENDING: Pending, 400: CscProblem},
        system="signing",
        who=_SIGNERS,
        body=Authorize,
    ),
    Route(
        "POST",
        "/csc/v1/signatures/signHash",
        sign_hash,
        {200: Signatures, 400: CscProblem},
        system="signing",
        who=_SIGNERS,
        body=SignHash,
    ),
    Route(
        "POST",
        "/csc/v1/approvals",
        approve,
        {200: Approve, 404: CscProblem},
        system="signing",
        who=_SIGNERS,
        body=Approve,
    ),
    Route("PUT", "/admin/approvals", set_approval_times, {200: ApprovalTimes}, who=(ADMIN,), body=ApprovalTimes),
)
