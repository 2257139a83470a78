"""A citizen's dossiers: filed with signed components, looked up, supplemented when an officer asks.

Knows the tables `dossiers`, `components`, `dossier_history`, and the verifier. Their statuses' rules are in the schema.
"""

import hashlib
from collections.abc import Sequence
from typing import Annotated

import msgspec
from psycopg.errors import ForeignKeyViolation
from starlette.requests import Request
from starlette.responses import Response

from caodiem.dossier import STATUS_AFTER, STATUS_NAMES_VI, Status, parse_dossier_code
from staging.answers import Refusal, answer, read_body
from staging.parts import Parts, parts_of
from staging.tokens import CITIZEN, identify

COMPONENTS_MAX = 3
_FIRST_VERSION = 1
_SUPPLEMENTED = STATUS_AFTER["supplement_dossier"]


class Component(msgspec.Struct, forbid_unknown_fields=True):
    """A signed PDF, or a CAdES message that envelops its content; `content` travels as base64."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    content: bytes


Components = Annotated[list[Component], msgspec.Meta(min_length=1, max_length=COMPONENTS_MAX)]


class Filing(msgspec.Struct, forbid_unknown_fields=True):
    """POST /dossiers."""

    code: str
    procedure: str
    components: Components


class Supplement(msgspec.Struct, forbid_unknown_fields=True):
    """POST /dossiers/{code}/components."""

    components: Components


def check_code(code: str) -> str:
    """The agency of a dossier code; Refusal 400 when it has not that form."""
    try:
        return parse_dossier_code(code)[0]
    except ValueError as error:
        raise Refusal(400, str(error)) from error


async def file_dossier(request: Request) -> Response:
    """POST /dossiers."""
    parts = parts_of(request)
    citizen = identify(request, parts.tokens, CITIZEN).account
    filing = await read_body(request, Filing)
    check_code(filing.code)
    judged = await _judge(parts, filing.components)
    digest = _digest(filing)
    # One statement, so the dossier and its components come to be together or not at all.
    statement = """
        WITH filed AS (
            INSERT INTO dossiers (code, procedure, citizen, status, filing_digest)
            VALUES (%s, %s, %s, %s, %b) ON CONFLICT DO NOTHING RETURNING code
        )
        INSERT INTO components (code, version, position, name, content)
        SELECT code, %s, position, name, content FROM filed, unnest(%b::text[], %b::bytea[])
            WITH ORDINALITY AS c (name, content, position)"""
    values = (filing.code, filing.procedure, citizen, int(Status.REGISTERED), digest, _FIRST_VERSION)
    async with parts.database.connection() as connection:
        try:
            cursor = await connection.execute(statement, (*values, *_columns(filing.components)))
        except ForeignKeyViolation as error:
            raise Refusal(422, f"procedure {filing.procedure!r}: expected one of GET /catalogue") from error
        filed = cursor.rowcount > 0
        if not filed:
            cursor = await connection.execute(
                "SELECT citizen, filing_digest FROM dossiers WHERE code = %s", (filing.code,)
            )
            if await cursor.fetchone() != (citizen, digest):
                raise Refusal(409, f"dossier {filing.code}: the code belongs to another filing; expected a new one")
    content = {"code": filing.code, "status": int(Status.REGISTERED), "components": judged}
    return answer(content, 201 if filed else 200)


async def look_up(request: Request) -> Response:
    """GET /dossiers/{code}: status, payment and history of the citizen's own dossier."""
    parts = parts_of(request)
    citizen = identify(request, parts.tokens, CITIZEN).account
    code = request.path_params["code"]
    # No EXISTS: made into a plan while `payments` is empty, it would read the whole table ever after.
    statement = """
        SELECT d.status, (SELECT true FROM payments WHERE payments.code = d.code), h.status, h.at
        FROM dossiers d JOIN dossier_history h USING (code) WHERE d.code = %s AND d.citizen = %s ORDER BY h.version"""
    async with parts.database.connection() as connection:
        rows = await (await connection.execute(statement, (code, citizen))).fetchall()
    if not rows:
        raise not_found(code, citizen)
    status, paid = rows[0][:2]
    history = [{"status": each, "at": at} for _, _, each, at in rows]
    name = STATUS_NAMES_VI[Status(status)]
    return answer({"code": code, "status": status, "status_name": name, "paid": bool(paid), "history": history})


async def supplement(request: Request) -> Response:
    """POST /dossiers/{code}/components: what an officer asked for; the dossier goes back to being handled."""
    parts = parts_of(request)
    citizen = identify(request, parts.tokens, CITIZEN).account
    code = request.path_params["code"]
    given = await read_body(request, Supplement)
    judged = await _judge(parts, given.components)
    statement = """
        WITH moved AS (
            UPDATE dossiers SET status = %s, version = version + 1
            WHERE code = %s AND citizen = %s AND status = %s RETURNING code, version
        )
        INSERT INTO components (code, version, position, name, content)
        SELECT code, version, position, name, content FROM moved, unnest(%b::text[], %b::bytea[])
            WITH ORDINALITY AS c (name, content, position)"""
    values = (int(_SUPPLEMENTED), code, citizen, int(Status.SUPPLEMENT_ASKED))
    async with parts.database.connection() as connection:
        cursor = await connection.execute(statement, (*values, *_columns(given.components)))
        if cursor.rowcount == 0:
            cursor = await connection.execute(
                "SELECT status FROM dossiers WHERE code = %s AND citizen = %s", (code, citizen)
            )
            row = await cursor.fetchone()
            if row is None:
                raise not_found(code, citizen)
            raise Refusal(409, f"dossier {code} has status {row[0]}: expected {int(Status.SUPPLEMENT_ASKED)}")
    return answer({"code": code, "status": int(_SUPPLEMENTED), "components": judged})


def not_found(code: str, citizen: str) -> Refusal:
    """Says the same of a dossier that is somebody else's as of one that does not exist."""
    return Refusal(404, f"dossier {code}: {citizen} has none with this code")


async def _judge(parts: Parts, components: Sequence[Component]) -> list[dict[str, object]]:
    """The verdict on each component; Refusal 422 with all of them when one is not valid."""
    verdicts = await parts.verifier.verify_all([component.content for component in components])
    if all(verdict.valid for verdict in verdicts):
        return [{"name": component.name, "verdict": "valid"} for component in components]
    told = [
        {"name": component.name, "verdict": "valid" if verdict.valid else "invalid", "reasons": verdict.reasons}
        for component, verdict in zip(components, verdicts, strict=True)
    ]
    bad = ", ".join(str(component["name"]) for component in told if component["verdict"] != "valid")
    raise Refusal(
        422, f"signature not valid: {bad}; expected a PAdES or CAdES signature by a trusted signer", components=told
    )


def _columns(components: Sequence[Component]) -> tuple[list[str], list[bytes]]:
    return [component.name for component in components], [component.content for component in components]


def _digest(filing: Filing) -> bytes:
    """SHA-256 over what was filed; each part by its own digest, so that parts cannot run into one another."""
    whole = hashlib.sha256(hashlib.sha256(filing.procedure.encode()).digest())
    for component in filing.components:
        whole.update(hashlib.sha256(component.name.encode()).digest())
        whole.update(hashlib.sha256(component.content).digest())
    return whole.digest()
