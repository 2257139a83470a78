"""A citizen's dossiers: filed with signed components, looked up, supplemented when an officer asks.

Knows the tables `dossiers`, `components`, `dossier_history`, and the verifier. Their statuses' rules are in the schema.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec
from psycopg import AsyncConnection
from starlette.responses import Response

from caodiem.dossier import STATUS_AFTER, STATUS_NAMES_VI, Status, parse_dossier_code
from staging import components, population
from staging.answers import Problem, Refusal, answer
from staging.components import Component, Components, Judged, NotTaken, judge
from staging.moves import Moved, move
from staging.routes import Call, Route
from staging.signatories import Applicant
from staging.tokens import CITIZEN, Identity

_FIRST_VERSION = 1
_SUPPLEMENTED = STATUS_AFTER["supplement_dossier"]
_WITHDRAWN = STATUS_AFTER["withdraw_dossier"]


class Filing(msgspec.Struct, forbid_unknown_fields=True):
    """POST /dossiers."""

    code: str
    procedure: str
    components: Components


class Supplement(msgspec.Struct, forbid_unknown_fields=True):
    """POST /dossiers/{code}/components."""

    components: Components


class Filed(msgspec.Struct):
    """A dossier with what was just filed for it."""

    code: str
    status: int
    components: list[Judged]


class Stage(msgspec.Struct):
    """A status and since when."""

    status: int
    at: datetime


class Dossier(msgspec.Struct):
    """What its citizen sees of a dossier. `channel`: filed online, or by an officer at a counter."""

    code: str
    channel: Literal["online", "counter"]
    status: int
    status_name: str
    paid: bool
    history: list[Stage]


def check_code(code: str) -> str:
    """The agency of a dossier code; Refusal 400 when it has not that form."""
    try:
        return parse_dossier_code(code)[0]
    except ValueError as error:
        raise Refusal(400, str(error)) from error


def check_own(code: str, officer: Identity) -> None:
    """Refusal 403 when a dossier is not of the officer's agency, 400 when the code has not the form of one."""
    agency = check_code(code)
    if agency != officer.agency:
        raise Refusal(403, f"dossier {code}: {officer.account} works for {officer.agency}, expected {agency}")


async def file_dossier(call: Call[Filing]) -> Response:
    """File a dossier with its signed components; 200 where the same was filed before."""
    citizen, filing = call.identity.account, call.body
    agency = check_code(filing.code)
    applicant = Applicant(population.number_of(citizen), must_sign=True)
    judged = await judge(call.parts, filing.components, applicant)
    digest = components.digest(filing.procedure, filing.components)
    # One statement, so the dossier and its components come to be together or not at all.
    statement = """
        WITH filed AS (
            INSERT INTO dossiers (code, procedure, citizen, status, filing_digest)
            SELECT %s, code, %s, %s, %b FROM procedures WHERE code = %s AND level <> 'counter' AND agency = %s
            ON CONFLICT DO NOTHING RETURNING code
        )
        INSERT INTO components (code, version, position, name, content)
        SELECT code, %s, position, name, content FROM filed, unnest(%b::text[], %b::bytea[])
            WITH ORDINALITY AS c (name, content, position)"""
    values = (filing.code, citizen, int(Status.REGISTERED), digest, filing.procedure, agency, _FIRST_VERSION)
    async with call.parts.database.connection() as connection:
        cursor = await connection.execute(statement, (*values, *_columns(filing.components)))
        filed = cursor.rowcount > 0
        if not filed:
            expected = f"one of GET /catalogue?agency={agency} that is not for the counter only"
            await check_repeat(connection, filing.code, filing.procedure, (citizen, digest, "online"), expected)
    return answer(Filed(filing.code, int(Status.REGISTERED), judged), 201 if filed else 200)


async def check_repeat(
    connection: AsyncConnection, code: str, procedure: str, filed: tuple[str, bytes, str], expected: str
) -> None:
    """Refusal unless the dossier that is there is the one filed: (citizen, digest, channel). When there is none, its
    procedure was to blame.
    """
    select = "SELECT citizen, filing_digest, channel FROM dossiers WHERE code = %s"
    known = await (await connection.execute(select, (code,))).fetchone()
    if known is None:
        raise Refusal(422, f"procedure {procedure!r}: expected {expected}")
    if known != filed:
        raise Refusal(409, f"dossier {code}: the code belongs to another filing; expected a new one")


async def look_up(call: Call[None]) -> Response:
    """Status, payment and history of the citizen's own dossier."""
    citizen, code = call.identity.account, call.path["code"]
    # No EXISTS: made into a plan while `payments` is empty, it would read the whole table ever after.
    statement = """
        SELECT d.channel, d.status, (
                SELECT true FROM payments p
                WHERE p.code = d.code AND (d.status <> 6 OR p.fee = fee_due(d.code, d.status)) LIMIT 1
            ), h.status, h.at
        FROM dossiers d JOIN dossier_history h USING (code) WHERE d.code = %s AND d.citizen = %s ORDER BY h.version"""
    async with call.parts.database.connection() as connection:
        rows = await (await connection.execute(statement, (code, citizen))).fetchall()
    if not rows:
        raise not_found(code, citizen)
    channel, status, paid = rows[0][:3]
    history = [Stage(each, at) for *_, each, at in rows]
    return answer(Dossier(code, channel, status, STATUS_NAMES_VI[Status(status)], bool(paid), history))


async def supplement(call: Call[Supplement]) -> Response:
    """Add what an officer asked for; the dossier goes back to being handled."""
    citizen, code, given = call.identity.account, call.path["code"], call.body
    judged = await judge(call.parts, given.components, Applicant(population.number_of(citizen)))
    statement = """
        WITH moved AS (
            UPDATE dossiers SET status = %s, version = version + 1
            WHERE code = %s AND citizen = %s AND status = %s RETURNING code, version
        )
        INSERT INTO components (code, version, position, name, content)
        SELECT code, version, position, name, content FROM moved, unnest(%b::text[], %b::bytea[])
            WITH ORDINALITY AS c (name, content, position)"""
    values = (int(_SUPPLEMENTED), code, citizen, int(Status.SUPPLEMENT_ASKED))
    async with call.parts.database.connection() as connection:
        cursor = await connection.execute(statement, (*values, *_columns(given.components)))
        if cursor.rowcount == 0:
            cursor = await connection.execute(
                "SELECT status FROM dossiers WHERE code = %s AND citizen = %s", (code, citizen)
            )
            row = await cursor.fetchone()
            if row is None:
                raise not_found(code, citizen)
            raise Refusal(409, f"dossier {code} has status {row[0]}: expected {int(Status.SUPPLEMENT_ASKED)}")
    return answer(Filed(code, int(_SUPPLEMENTED), judged))


async def withdraw(call: Call[None]) -> Response:
    """Withdraw one's own dossier; a repeat changes nothing."""
    citizen, code = call.identity.account, call.path["code"]
    select = "SELECT 1 FROM dossiers WHERE code = %s AND citizen = %s"
    async with call.parts.database.connection() as connection:
        if await (await connection.execute(select, (code, citizen))).fetchone() is None:
            raise not_found(code, citizen)
        await move(connection, code, _WITHDRAWN)
    return answer(Moved(code, int(_WITHDRAWN)))


def not_found(code: str, citizen: str) -> Refusal:
    """Says the same of a dossier that is somebody else's as of one that does not exist."""
    return Refusal(404, f"dossier {code}: {citizen} has none with this code")


def _columns(components: Sequence[Component]) -> tuple[list[str], list[bytes]]:
    return [component.name for component in components], [component.content for component in components]


ROUTES = (
    Route(
        "POST",
        "/dossiers",
        file_dossier,
        {201: Filed, 200: Filed, 409: Problem, 422: NotTaken},
        system="national_portal",
        who=(CITIZEN,),
        body=Filing,
    ),
    Route(
        "GET",
        "/dossiers/{code}",
        look_up,
        {200: Dossier, 400: Problem, 404: Problem},
        system="national_portal",
        who=(CITIZEN,),
    ),
    Route(
        "POST",
        "/dossiers/{code}/components",
        supplement,
        {200: Filed, 404: Problem, 409: Problem, 422: NotTaken},
        system="national_portal",
        who=(CITIZEN,),
        body=Supplement,
    ),
    Route(
        "POST",
        "/dossiers/{code}/withdrawal",
        withdraw,
        {200: Moved, 400: Problem, 404: Problem, 409: Problem},
        system="national_portal",
        who=(CITIZEN,),
    ),
)
