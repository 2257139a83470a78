"""Digitisation: papers handed in at a counter, scanned and signed by the agency, kept in the store for reuse.

Knows the table `digitised`, the verifier and the document store. What nobody of the officer's agency has validly signed
is not kept.
"""

import hashlib
from collections.abc import Sequence

import msgspec
from psycopg import AsyncConnection
from starlette.responses import Response

from caodiem.dossier import TRANSITIONS
from staging import document_store
from staging.answers import Problem, Refusal, answer
from staging.components import Component, NotTaken, judge
from staging.dossiers import check_own
from staging.routes import Call, Route
from staging.signatories import Officers
from staging.tokens import OFFICER, Identity

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
    await judge(call.parts, [call.body], Officers(officer.agency))
    async with call.parts.reach("document_store") as connection:
        citizen = await _citizen_of(connection, code)
        added = await keep(connection, code, citizen, [call.body], officer)
    return answer(Digitised(code, hashlib.sha256(call.body.content).hexdigest()), 201 if added else 200)


async def keep(
    connection: AsyncConnection, code: str, citizen: str, scans: Sequence[Component], officer: Identity
) -> int:
    """Put scans into the citizen's store and the dossier; how many of them it did not have."""
    insert = "INSERT INTO digitised (code, digest, name, officer) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING"
    added = 0
    for digest, scan in document_store.in_order(scans, lambda scan: scan.content):
        await document_store.keep(connection, citizen, scan.name, scan.content)
        cursor = await connection.execute(insert, (code, digest, scan.name, officer.account))
        added += cursor.rowcount
    return added


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
        {201: Digitised, 200: Digitised, 400: Problem, 404: Problem, 409: Problem, 422: NotTaken},
        system="digitisation",
        who=(OFFICER,),
        body=Component,
    ),
)
