"""What a load test needs before, meanwhile and after: accounts, dossiers, signed documents, faults, counts.

Knows the tables whole. Its calls need the token made at start-up, and are no part of what is measured.
"""

import asyncio
import hashlib
import re
from collections import deque
from typing import Annotated

import msgspec
from psycopg import AsyncConnection
from psycopg.errors import ForeignKeyViolation
from starlette.responses import Response

from caodiem.dossier import TRANSITIONS, Status
from caodiem.faults import Faults, check
from staging import population, procedures
from staging.accounts import hash_secret, new_salt
from staging.answers import Refusal, answer
from staging.corpus import COUNT_MAX
from staging.credentials import Credential
from staging.dossiers import check_code
from staging.parts import Parts
from staging.routes import Call, Route
from staging.tokens import ADMIN, AGENCY, CITIZEN, OFFICER

# What a dossier owes that is prepared as waiting for a payment.
OBLIGATION_VND = 50_000
_WITH_FEE = "1.000002."  # and the agency
_AGENCY = re.compile(r"[GH]\d{2}", re.ASCII)
_CITIZEN = re.compile(r"citizen-\d{6,}", re.ASCII)
# Two calls at once would take the same rows in different orders.
_PREPARE_LOCK = 7_001


class WantedDossier(msgspec.Struct, forbid_unknown_fields=True):
    """A dossier to have, in a status, belonging to a citizen. `procedure`: of its agency; one with a fee if none."""

    code: str
    status: Annotated[int, msgspec.Meta(ge=1, le=10)]
    citizen: str
    procedure: str = ""


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """POST /admin/prepare. `absent` are codes that a load test will file: whatever stands under them goes. `stored`:
    how many documents of GET /admin/documents each citizen has in the store. `anew`: what these agencies reported,
    exchanged, sent and were asked before goes, and what these citizens had to sign, whoever it came from, so that a
    load test that names such things finds none of its own from an earlier time.
    """

    agencies: list[str]
    citizens: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
    dossiers: list[WantedDossier] = []
    absent: list[str] = []
    stored: Annotated[int, msgspec.Meta(ge=0, le=COUNT_MAX)] = 0
    anew: bool = False


class Prepared(msgspec.Struct):
    """The secret that all accounts share."""

    secret: str


class WantedDocuments(msgspec.Struct, forbid_unknown_fields=True):
    """GET /admin/documents. `signer`: the account that is to sign them, a citizen's or an officer's; without one they
    are papers that an agency issued. `first`: the number of the signer's first; each number has a form of its own.
    """

    count: Annotated[int, msgspec.Meta(ge=1, le=COUNT_MAX)] = 24
    signer: str = ""
    first: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0


class Document(msgspec.Struct):
    """A signed PDF to file; `content` travels as base64."""

    name: str
    content: bytes


class Documents(msgspec.Struct):
    """As many as were wanted."""

    documents: list[Document]


class Counts(msgspec.Struct):
    """Rows in the tables."""

    dossiers: int
    payments: int
    sync_events: int
    accounts: int


async def prepare(call: Call[Wanted]) -> Response:
    """Make the accounts, and each dossier anew in its status, unpaid, with a legal history."""
    parts, wanted = call.parts, call.body
    agencies = sorted({*_checked(wanted.agencies), *(check_code(dossier.code) for dossier in wanted.dossiers)})
    stored = await asyncio.to_thread(parts.corpus.first, wanted.stored)
    async with parts.database.connection() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_PREPARE_LOCK,))
        await _make_accounts(connection, wanted, agencies, parts.keys.account_secret)
        await procedures.add_missing(connection, agencies)
        if wanted.anew:
            await _forget(connection, agencies, _citizens(wanted))
        gone = [*wanted.absent, *(dossier.code for dossier in wanted.dossiers)]
        await connection.execute("DELETE FROM dossiers WHERE code = ANY(%s)", (gone,))
        await connection.execute("DELETE FROM bank_transactions WHERE code = ANY(%s)", (gone,))
        await _make_dossiers(connection, wanted.dossiers)
        await _store(connection, stored)
    return answer(Prepared(parts.keys.account_secret))


def _checked(agencies: list[str]) -> list[str]:
    for agency in agencies:
        if not _AGENCY.fullmatch(agency):
            raise Refusal(400, f"agency {agency!r}: expected a code like H01 or G09")
    return agencies


async def _make_accounts(connection: AsyncConnection, wanted: Wanted, agencies: list[str], secret: str) -> None:
    """One salt for all: they share one secret, so salts of their own would hide nothing and cost a hash each."""
    citizens = _citizens(wanted)
    odd = next((citizen for citizen in citizens if not _CITIZEN.fullmatch(citizen)), None)
    if odd is not None:
        raise Refusal(400, f"citizen {odd!r}: expected a name like citizen-000012")
    accounts = [(citizen, CITIZEN, "") for citizen in sorted(citizens)]
    accounts += [(f"{role}-{agency}", role, agency) for role in (AGENCY, OFFICER) for agency in agencies]
    if not accounts:
        return
    salt = new_salt()
    known = await asyncio.to_thread(hash_secret, secret, salt)
    statement = """
        INSERT INTO accounts (account, role, agency, salt, secret_hash)
        SELECT account, role, agency, %s, %s
        FROM unnest(%s::text[], %s::text[], %s::text[]) AS a (account, role, agency)
        ON CONFLICT DO NOTHING"""
    await connection.execute(statement, (salt, known, *map(list, zip(*accounts, strict=True))))
    await population.add(connection, sorted(citizens))


def _citizens(wanted: Wanted) -> set[str]:
    """The citizens that are wanted by number, or by a dossier."""
    return {f"citizen-{number:06d}" for number in range(wanted.citizens)} | {each.citizen for each in wanted.dossiers}


async def _forget(connection: AsyncConnection, agencies: list[str], citizens: set[str]) -> None:
    """Delete what stands under names that callers give, and all that came of it."""
    for made in ("sync_batches", "messages", "questions"):
        await connection.execute(f"DELETE FROM {made} WHERE agency = ANY (%s)", (agencies,))
    await connection.execute("DELETE FROM axis_documents WHERE sender = ANY (%s)", (agencies,))
    statement = """
        DELETE FROM sync_dossiers d USING unnest(%s::text[]) AS agency
        WHERE d.key BETWEEN sync_key(agency || '-00000000-0000000') AND sync_key(agency || '-99999999-9999999')"""
    await connection.execute(statement, (agencies,))
    statement = """
        DELETE FROM reported_dossiers d USING unnest(%s::text[]) AS agency
        WHERE d.code BETWEEN agency || '-00000000-0000000' AND agency || '-99999999-9999999'"""
    await connection.execute(statement, (agencies,))
    statement = """
        DELETE FROM signing_requests r USING signing_credentials c
        WHERE r.credential = c.credential AND c.account = ANY (%s)"""
    await connection.execute(statement, (sorted(citizens),))


async def _store(connection: AsyncConnection, documents: list[tuple[str, bytes]]) -> None:
    """Put documents into the store, and let each citizen have them."""
    statement = """
        WITH given AS (
            SELECT sha256(content) AS digest, name, content FROM unnest(%s::text[], %s::bytea[]) AS g (name, content)
        ), stored AS (
            INSERT INTO stored_documents (digest, content) SELECT digest, content FROM given ON CONFLICT DO NOTHING
        )
        INSERT INTO stored_for (citizen, digest, name)
        SELECT account, digest, name FROM given CROSS JOIN accounts WHERE role = 'citizen' ON CONFLICT DO NOTHING"""
    await connection.execute(statement, ([name for name, _ in documents], [content for _, content in documents]))


async def _make_dossiers(connection: AsyncConnection, dossiers: list[WantedDossier]) -> None:
    """All as registered, then on from status to status along the shortest legal way; the history writes itself."""
    codes = [dossier.code for dossier in dossiers]
    statement = """
        INSERT INTO dossiers (code, procedure, citizen, status, filing_digest)
        SELECT code, coalesce(nullif(procedure, ''), %s || left(code, 3)), citizen, %s, %s
        FROM unnest(%s::text[], %s::text[], %s::text[]) AS d (code, citizen, procedure)"""
    prepared = hashlib.sha256(b"prepared").digest()
    columns = [codes, [each.citizen for each in dossiers], [each.procedure for each in dossiers]]
    try:
        await connection.execute(statement, (_WITH_FEE, int(Status.REGISTERED), prepared, *columns))
    except ForeignKeyViolation as error:
        told = error.diag.message_detail
        raise Refusal(400, f"procedure: {told}; expected one of the dossier's agency in the catalogue") from error
    ways = {status: way_to(Status(status)) for status in {dossier.status for dossier in dossiers}}
    for step in range(1, max(map(len, ways.values()), default=0)):
        moving = [dossier for dossier in dossiers if step < len(ways[dossier.status])]
        await connection.execute(
            "UPDATE dossiers SET status = w.status, version = version + 1"
            " FROM unnest(%s::text[], %s::smallint[]) AS w (code, status) WHERE dossiers.code = w.code",
            ([dossier.code for dossier in moving], [int(ways[dossier.status][step]) for dossier in moving]),
        )
    owing = [dossier.code for dossier in dossiers if dossier.status == Status.PAYMENT_DUE]
    insert = "INSERT INTO obligations (code, fee, amount_vnd) SELECT unnest(%s::text[]), 1, %s"
    await connection.execute(insert, (owing, OBLIGATION_VND))


def way_to(target: Status) -> tuple[Status, ...]:
    """The shortest legal way from REGISTERED to `target`, both included; by way of handling where two are as short."""
    ways: deque[tuple[Status, ...]] = deque([(Status.REGISTERED,)])
    while ways:
        way = ways.popleft()
        if way[-1] == target:
            return way
        ways.extend((*way, after) for after in sorted(TRANSITIONS[way[-1]]) if after not in way)
    raise ValueError(f"status {target}: cannot be reached")


async def documents(call: Call[None]) -> Response:
    """Signed documents to hand in: a citizen's applications, an officer's scans, or papers that an agency issued."""
    parts, wanted = call.parts, call.query
    if not wanted.signer:
        return _told(await asyncio.to_thread(parts.corpus.first, wanted.count))
    credential = await _credential(parts, wanted.signer)
    numbers = range(wanted.first, wanted.first + wanted.count)
    return _told(await asyncio.to_thread(parts.corpus.signed, numbers, parts.credentials.issued(credential)))


def _told(made: list[tuple[str, bytes]]) -> Response:
    return answer(Documents([Document(*each) for each in made]))


async def _credential(parts: Parts, account: str) -> Credential:
    """What an account signs with; Refusal 400 when it is nobody's who signs."""
    async with parts.database.connection() as connection:
        select = "SELECT 1 FROM accounts WHERE account = %s AND role = ANY (%s)"
        if await (await connection.execute(select, (account, [CITIZEN, OFFICER]))).fetchone() is None:
            raise Refusal(400, f"signer {account!r}: expected a citizen or an officer of POST /admin/prepare")
        return await parts.credentials.of(connection, account)


async def counts(call: Call[None]) -> Response:
    """How many rows there are, to check a run by."""
    counted = ", ".join(f"(SELECT count(*) FROM {name})" for name in Counts.__struct_fields__)
    statement = f"SELECT {counted}"
    async with call.parts.database.connection() as connection:
        row = await (await connection.execute(statement)).fetchone()
    assert row is not None
    return answer(Counts(*row))


class Wrongs(msgspec.Struct, forbid_unknown_fields=True):
    """What goes wrong, by system; systems that are left out work as they should."""

    faults: Faults


async def set_faults(call: Call[Wrongs]) -> Response:
    """Let these systems misbehave from now on, and no others; {} ends all faults."""
    try:
        check(call.body.faults)
    except ValueError as error:
        raise Refusal(400, str(error)) from error
    call.parts.faults.set(call.body.faults)
    return answer(call.body)


async def get_faults(call: Call[None]) -> Response:
    """What goes wrong at this moment."""
    return answer(Wrongs(call.parts.faults.all()))


ROUTES = (
    Route("PUT", "/admin/faults", set_faults, {200: Wrongs}, who=(ADMIN,), body=Wrongs),
    Route("GET", "/admin/faults", get_faults, {200: Wrongs}, who=(ADMIN,)),
    Route("POST", "/admin/prepare", prepare, {200: Prepared}, who=(ADMIN,), body=Wanted),
    Route("GET", "/admin/documents", documents, {200: Documents}, who=(ADMIN,), query=WantedDocuments),
    Route("GET", "/admin/counts", counts, {200: Counts}, who=(ADMIN,)),
)
