"""What a load test needs before and after: accounts and dossiers to work on, signed documents, counts.

Knows the tables whole. Its calls need the token made at start-up, and are no part of what is measured.
"""

import asyncio
import hashlib
import hmac
import re
from collections import deque
from typing import Annotated

import msgspec
from psycopg import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from caodiem.dossier import TRANSITIONS, Status
from staging import procedures
from staging.accounts import hash_secret, new_salt
from staging.answers import Refusal, answer, read_body
from staging.corpus import COUNT_MAX
from staging.dossiers import check_code
from staging.parts import Parts, parts_of
from staging.tokens import AGENCY, CITIZEN, OFFICER, bearer

_AGENCY = re.compile(r"[GH]\d{2}", re.ASCII)
_CITIZEN = re.compile(r"citizen-\d{6,}", re.ASCII)
# Two calls at once would take the same rows in different orders.
_PREPARE_LOCK = 7_001


class WantedDossier(msgspec.Struct, forbid_unknown_fields=True):
    """A dossier to have, in a status, belonging to a citizen."""

    code: str
    status: Annotated[int, msgspec.Meta(ge=1, le=10)]
    citizen: str


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """POST /admin/prepare. `absent` are codes that a load test will file: whatever stands under them goes."""

    agencies: list[str]
    citizens: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
    dossiers: list[WantedDossier] = []
    absent: list[str] = []


def _authorize(request: Request) -> Parts:
    parts = parts_of(request)
    if not hmac.compare_digest(bearer(request).encode(), parts.keys.admin_token.encode()):
        raise Refusal(403, "admin calls: expected `Authorization: Bearer TOKEN` with the token made at start-up")
    return parts


async def prepare(request: Request) -> Response:
    """POST /admin/prepare: the accounts, and each dossier anew in its status, unpaid, with a legal history."""
    parts = _authorize(request)
    wanted = await read_body(request, Wanted)
    agencies = sorted({*_checked(wanted.agencies), *(check_code(dossier.code) for dossier in wanted.dossiers)})
    async with parts.database.connection() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_PREPARE_LOCK,))
        await _make_accounts(connection, wanted, agencies, parts.keys.account_secret)
        await procedures.add_missing(connection, agencies)
        gone = [*wanted.absent, *(dossier.code for dossier in wanted.dossiers)]
        await connection.execute("DELETE FROM dossiers WHERE code = ANY(%s)", (gone,))
        await _make_dossiers(connection, wanted.dossiers)
    return answer({"secret": parts.keys.account_secret})


def _checked(agencies: list[str]) -> list[str]:
    for agency in agencies:
        if not _AGENCY.fullmatch(agency):
            raise Refusal(400, f"agency {agency!r}: expected a code like H01 or G09")
    return agencies


async def _make_accounts(connection: AsyncConnection, wanted: Wanted, agencies: list[str], secret: str) -> None:
    """One salt for all: they share one secret, so salts of their own would hide nothing and cost a hash each."""
    citizens = {f"citizen-{number:06d}" for number in range(wanted.citizens)}
    citizens |= {dossier.citizen for dossier in wanted.dossiers}
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


async def _make_dossiers(connection: AsyncConnection, dossiers: list[WantedDossier]) -> None:
    """All as registered, then on from status to status along the shortest legal way; the history writes itself."""
    codes = [dossier.code for dossier in dossiers]
    statement = """
        INSERT INTO dossiers (code, procedure, citizen, status, filing_digest)
        SELECT code, '1.000001.' || substr(code, 1, 3), citizen, %s, %s
        FROM unnest(%s::text[], %s::text[]) AS d (code, citizen)"""
    prepared = hashlib.sha256(b"prepared").digest()
    citizens = [dossier.citizen for dossier in dossiers]
    await connection.execute(statement, (int(Status.REGISTERED), prepared, codes, citizens))
    ways = {status: way_to(Status(status)) for status in {dossier.status for dossier in dossiers}}
    for step in range(1, max(map(len, ways.values()), default=0)):
        moving = [dossier for dossier in dossiers if step < len(ways[dossier.status])]
        await connection.execute(
            "UPDATE dossiers SET status = w.status, version = version + 1"
            " FROM unnest(%s::text[], %s::smallint[]) AS w (code, status) WHERE dossiers.code = w.code",
            ([dossier.code for dossier in moving], [int(ways[dossier.status][step]) for dossier in moving]),
        )


def way_to(target: Status) -> tuple[Status, ...]:
    """The shortest legal way from REGISTERED to `target`, both included; by way of handling where two are as short."""
    ways: deque[tuple[Status, ...]] = deque([(Status.REGISTERED,)])
    while ways:
        way = ways.popleft()
        if way[-1] == target:
            return way
        ways.extend((*way, after) for after in sorted(TRANSITIONS[way[-1]]) if after not in way)
    raise ValueError(f"status {target}: cannot be reached")


async def documents(request: Request) -> Response:
    """GET /admin/documents?count=24."""
    parts = _authorize(request)
    text = request.query_params.get("count", "24")
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= COUNT_MAX:
        raise Refusal(400, f"count {text!r}: expected 1 to {COUNT_MAX}")
    made = await asyncio.to_thread(parts.corpus.first, int(text))
    return answer({"documents": [{"name": name, "content": content} for name, content in made]})


async def counts(request: Request) -> Response:
    """GET /admin/counts: how many rows there are, to check a run by."""
    parts = _authorize(request)
    names = ("dossiers", "payments", "sync_events", "accounts")
    statement = f"SELECT {', '.join(f'(SELECT count(*) FROM {name})' for name in names)}"
    async with parts.database.connection() as connection:
        row = await (await connection.execute(statement)).fetchone()
    assert row is not None
    return answer(dict(zip(names, row, strict=True)))
