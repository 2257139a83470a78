"""The result of a dossier: a document that the officer signs and the citizen fetches, and can verify without us.

Knows the table `results`, CAdES and the document store, where the citizen finds the result for reuse. It is kept in
the transaction that returns the dossier: an officer returns none without its result, and no result is there before.
What the portal's own check does not find validly signed for the officer's agency is not returned.
"""

import asyncio
import time
from datetime import UTC, datetime

import msgspec
from starlette.responses import Response

from caodiem.dossier import STATUS_AFTER, STATUS_BEFORE
from staging import document_store, timing
from staging.answers import Problem, Refusal, answer
from staging.components import Component, NotTaken, judge
from staging.dossiers import check_own, not_found
from staging.moves import Moved, check_there, move
from staging.parts import Parts
from staging.routes import Call, Route
from staging.signatories import Officers
from staging.tokens import CITIZEN, OFFICER

_RETURNED, _BEFORE = int(STATUS_AFTER["return_result"]), int(STATUS_BEFORE["return_result"])
NAME = "result.json"
MEDIA_TYPE = "application/pkcs7-mime"


class Result(msgspec.Struct):
    """What a result says."""

    code: str
    procedure: str
    agency: str
    officer: str
    returned_at: datetime


async def return_result(call: Call[None]) -> Response:
    """Sign the result of a finished dossier and return it. A repeat changes nothing."""
    parts, officer, code = call.parts, call.identity, call.path["code"]
    check_own(code, officer)
    select = "SELECT procedure, citizen, status FROM dossiers WHERE code = %s"
    insert = "INSERT INTO results (code, digest, officer) VALUES (%s, %s, %s)"
    async with parts.database.connection() as connection:
        row = await (await connection.execute(select, (code,))).fetchone()
        if row is None or row[2] != _BEFORE:
            # A repeat, or too early. Not moved: should it be finished meanwhile, it would be returned without a result.
            await check_there(connection, code, STATUS_AFTER["return_result"])
            return answer(Moved(code, _RETURNED))
    procedure, citizen, _ = row
    result = Result(code, procedure, officer.agency, officer.account, datetime.now(UTC))
    async with parts.faults.reach("signing"):
        message = await _sign(parts, officer.account, msgspec.json.encode(result))
    await judge(parts, [Component(NAME, message)], Officers(officer.agency))
    async with parts.reach("document_store") as connection:
        if await move(connection, code, STATUS_AFTER["return_result"]):
            digest = await document_store.keep(connection, citizen, f"{code} {NAME}", message)
            await connection.execute(insert, (code, digest, officer.account))
    return answer(Moved(code, _RETURNED))


async def _sign(parts: Parts, account: str, content: bytes) -> bytes:
    """The message signed with an account's key; in a thread, because half of the work lets go of the interpreter's
    lock.
    """
    async with parts.database.connection() as connection:
        credential = await parts.credentials.of(connection, account)

    def work() -> tuple[float, bytes]:
        from staging import cades  # with all of pyHanko, once, and not on the signing's account

        started_s = time.perf_counter()
        sign = cades.envelop(
            content,
            credential.certificate,
            parts.credentials.chain,
            lambda attributes: parts.credentials.sign(credential, attributes),
        )
        message = asyncio.run(sign)
        return time.perf_counter() - started_s, message

    signing_s, message = await asyncio.to_thread(work)
    timing.add(timing.SIGNING, 0.0, signing_s)
    return message


async def fetch(call: Call[None]) -> Response:
    """The signed result of one's own dossier: a CAdES message with the result, as JSON, in it."""
    code, citizen = call.path["code"], call.identity.account
    select = """
        SELECT d.status, s.content FROM dossiers d
            LEFT JOIN results r USING (code) LEFT JOIN stored_documents s ON s.digest = r.digest
        WHERE d.code = %s AND d.citizen = %s"""
    async with call.parts.reach("document_store") as connection:
        row = await (await connection.execute(select, (code, citizen))).fetchone()
    if row is None:
        raise not_found(code, citizen)
    if row[1] is None:
        raise Refusal(409, f"dossier {code} has status {row[0]} and no result: expected {_RETURNED}")
    return Response(row[1], media_type=MEDIA_TYPE)


ROUTES = (
    Route(
        "POST",
        "/cases/{code}/return",
        return_result,
        {200: Moved, 400: Problem, 404: Problem, 409: Problem, 422: NotTaken},
        system="case_system",
        who=(OFFICER,),
    ),
    Route(
        "GET",
        "/dossiers/{code}/result",
        fetch,
        {200: MEDIA_TYPE, 404: Problem, 409: Problem},
        system="case_system",
        who=(CITIZEN,),
    ),
)
