"""The store of electronic documents: each kept once by its content, so that a citizen provides a paper once.

Knows the tables `stored_documents`, `stored_for` and `reused`. A document's name is the SHA-256 of its content, in
hexadecimal digits; the schema holds that it is.
"""

import hashlib
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Annotated, TypeVar

import msgspec
from psycopg import AsyncConnection
from starlette.responses import Response

from caodiem.dossier import Status
from staging import population
from staging.answers import Problem, Refusal, answer
from staging.components import Component, NotTaken, judge
from staging.dossiers import check_code, not_found
from staging.routes import Call, Route
from staging.signatories import Applicant
from staging.tokens import CITIZEN

LISTED_MAX = 100
# A dossier takes documents while its citizen may still change it.
_OPEN = [int(Status.REGISTERED), int(Status.SUPPLEMENT_ASKED)]

Paper = TypeVar("Paper")
Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]


class Stored(msgspec.Struct):
    """A document in the store. `at`: since when it is this citizen's."""

    digest: str
    name: str
    at: datetime


class Listed(msgspec.Struct):
    """A citizen's documents, newest first."""

    documents: list[Stored]


class Kept(msgspec.Struct):
    """Where a document can be found from now on."""

    digest: str


class Reuse(msgspec.Struct, forbid_unknown_fields=True):
    """POST /dossiers/{code}/reused."""

    digest: Digest


class Reused(msgspec.Struct):
    """A document of the store that a dossier has."""

    code: str
    digest: str


async def keep(connection: AsyncConnection, citizen: str, name: str, content: bytes) -> bytes:
    """Put a document into the store for a citizen; returns its SHA-256."""
    digest = hashlib.sha256(content).digest()
    statement = """
        WITH stored AS (
            INSERT INTO stored_documents (digest, content) VALUES (%(digest)s, %(content)b) ON CONFLICT DO NOTHING
        )
        INSERT INTO stored_for (citizen, digest, name) VALUES (%(citizen)s, %(digest)s, %(name)s)
        ON CONFLICT DO NOTHING"""
    values = {"digest": digest, "content": content, "citizen": citizen, "name": name}
    await connection.execute(statement, values)
    return digest


def in_order(given: Iterable[Paper], content: Callable[[Paper], bytes]) -> list[tuple[bytes, Paper]]:
    """(SHA-256 of its content, paper), in the order in which papers are put into the store: two transactions with the
    same ones then wait for each other instead of locking each other out.
    """
    return sorted(((hashlib.sha256(content(each)).digest(), each) for each in given), key=lambda pair: pair[0])


async def store(call: Call[Component]) -> Response:
    """Put a document that oneself or an agency signed into the store: 201; it may be reused from then on."""
    await judge(call.parts, [call.body], Applicant(population.number_of(call.identity.account)))
    async with call.parts.database.connection() as connection:
        digest = await keep(connection, call.identity.account, call.body.name, call.body.content)
    return answer(Kept(digest.hex()), 201)


async def list_own(call: Call[None]) -> Response:
    """One's own documents in the store."""
    select = f"SELECT digest, name, at FROM stored_for WHERE citizen = %s ORDER BY at DESC, digest LIMIT {LISTED_MAX}"
    async with call.parts.database.connection() as connection:
        rows = await (await connection.execute(select, (call.identity.account,))).fetchall()
    return answer(Listed([Stored(digest.hex(), name, at) for digest, name, at in rows]))


async def read(call: Call[None]) -> Response:
    """The content of one's own document."""
    select = "SELECT content FROM stored_documents JOIN stored_for USING (digest) WHERE citizen = %s AND digest = %s"
    values = (call.identity.account, read_digest(call.path["digest"]))
    async with call.parts.database.connection() as connection:
        row = await (await connection.execute(select, values)).fetchone()
    if row is None:
        raise _no_document(call.path["digest"], call.identity.account)
    return Response(row[0], media_type="application/octet-stream")


async def reuse(call: Call[Reuse]) -> Response:
    """Put a document of one's own from the store into a dossier: 201, or 200 when it is there already."""
    citizen, code, digest = call.identity.account, call.path["code"], read_digest(call.body.digest)
    check_code(code)
    statement = """
        INSERT INTO reused (code, digest, citizen)
        SELECT d.code, s.digest, s.citizen FROM dossiers d JOIN stored_for s USING (citizen)
        WHERE d.code = %s AND d.citizen = %s AND d.status = ANY (%s) AND s.digest = %s ON CONFLICT DO NOTHING"""
    select = """
        SELECT d.status, EXISTS (SELECT FROM stored_for WHERE citizen = %(citizen)s AND digest = %(digest)s),
            EXISTS (SELECT FROM reused r WHERE r.code = d.code AND r.digest = %(digest)s)
        FROM dossiers d WHERE d.code = %(code)s AND d.citizen = %(citizen)s"""
    async with call.parts.database.connection() as connection:
        cursor = await connection.execute(statement, (code, citizen, _OPEN, digest))
        if cursor.rowcount:
            return answer(Reused(code, digest.hex()), 201)
        values = {"citizen": citizen, "digest": digest, "code": code}
        row = await (await connection.execute(select, values)).fetchone()
    if row is None:
        raise not_found(code, citizen)
    status, owned, there = row
    if there:
        return answer(Reused(code, digest.hex()))
    if not owned:
        raise _no_document(call.body.digest, citizen)
    raise Refusal(409, f"dossier {code} has status {status}: expected {' or '.join(map(str, _OPEN))}")


def read_digest(text: str) -> bytes:
    """The digest that hexadecimal digits stand for; Refusal 400 when they are none."""
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) != hashlib.sha256().digest_size:
        raise Refusal(400, f"digest {text!r}: expected the 64 hexadecimal digits of a SHA-256")
    return digest


def _no_document(digest: str, citizen: str) -> Refusal:
    return Refusal(404, f"document {digest}: {citizen} has none with this digest in the store")


ROUTES = (
    Route(
        "POST",
        "/store/documents",
        store,
        {201: Kept, 422: NotTaken},
        system="document_store",
        who=(CITIZEN,),
        body=Component,
    ),
    Route("GET", "/store/documents", list_own, {200: Listed}, system="document_store", who=(CITIZEN,)),
    Route(
        "GET",
        "/store/documents/{digest}",
        read,
        {200: "application/octet-stream", 400: Problem, 404: Problem},
        system="document_store",
        who=(CITIZEN,),
    ),
    Route(
        "POST",
        "/dossiers/{code}/reused",
        reuse,
        {201: Reused, 200: Reused, 400: Problem, 404: Problem, 409: Problem},
        system="document_store",
        who=(CITIZEN,),
        body=Reuse,
    ),
)
