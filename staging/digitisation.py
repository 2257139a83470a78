"""Digitisation: papers handed in at a counter, scanned and signed by the officer, kept in the store for reuse.

Knows the table `digitised`, the verifier and the document store. What is not validly signed is not kept.
"""

import msgspec
from psycopg import AsyncConnection
from starlette.responses import Response

from caodiem.dossier import TRANSITIONS
from staging import document_store
from staging.answers import Problem, Refusal, answer
from staging.dossiers import Component, check_own, judge
from staging.routes import Call, Route
from staging.tokens import OFFICER

# A dossier that no step can follow is closed.
_OPEN = [int(status) for status, after in TRANSITIONS.items() if after]


class Digitised(msgspec.Struct):
    """A scan that belongs to a dossier, and where the store keeps it."""

    code: str
    digest: str


async def digitise(call: Call[Component]) -> Response:
    """Add a signed scan to a dossier of the agency: 201, or 200 when it is there already."""
    code, officer = call.path["code"], call.identity
    check_own(code, officer)
    await judge(call.parts, [call.body])
    async with call.parts.database.connection() as connection, connection.transaction():
        citizen = await _citizen_of(connection, code)
        digest = await document_store.keep(connection, citizen, call.body.name, call.body.content)
        insert = "INSERT INTO digitised (code, digest, name, officer) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING"
        cursor = await connection.execute(insert, (code, digest, call.body.name, officer.account))
    return answer(Digitised(code, digest.hex()), 201 if cursor.rowcount else 200)


async def _citizen_of(connection: AsyncConnection, code: str) -> str:
    """Whose dossier it is, kept from being closed until the transaction ends; Refusal when it takes no more papers."""
    select = "SELECT citizen, status FROM dossiers WHERE code = %s FOR SHARE"
    row = await (await connection.execute(select, (code,))).fetchone()
    if row is None:
        raise Refusal(404, f"dossier {code}: not known here")
    if row[1] not in _OPEN:
        raise Refusal(409, f"dossier {code} has status {row[1]}: expected one of {', '.join(map(str, _OPEN))}")
    return str(row[0])


ROUTES = (
    Route(
        "POST",
        "/cases/{code}/papers",
        digitise,
        {201: Digitised, 200: Digitised, 400: Problem, 404: Problem, 409: Problem, 422: Problem},
        system="digitisation",
        who=(OFFICER,),
        body=Component,
    ),
)
