"""A citizen's dossiers: filed with signed components, looked up, supplemented when an officer asks.

Knows the tables `dossiers`, `components`, `dossier_history`, and the verifier. Their statuses' rules are in the schema.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from starlette.responses import Response

from caodiem.dossier import STATUS_AFTER, STATUS_NAMES_VI, Status, parse_dossier_code
from staging import timing
from staging.answers import Problem, Refusal, answer
from staging.moves import Moved, move
from staging.parts import Parts
from staging.routes import Call, Route
from staging.tokens import CITIZEN, Identity

COMPONENTS_MAX = 3
_FIRST_VERSION = 1
_SUPPLEMENTED = STATUS_AFTER["supplement_dossier"]
_WITHDRAWN = STATUS_AFTER["withdraw_dossier"]


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


class Judged(msgspec.Struct):
    """The verdict on a component whose signature is good."""

    name: str
    verdict: Literal["valid"] = "valid"


class Doubted(msgspec.Struct):
    """The verdict on a component, with what is wrong with it."""

    name: str
    verdict: Literal["valid", "invalid"]
    reasons: list[str]


class Filed(msgspec.Struct):
    """A dossier with what was just filed for it."""

    code: str
    status: int
    components: list[Judged]


class NotFiled(Problem):
    """Why nothing was filed; `components` where a signature is to blame."""

    components: list[Doubted] = msgspec.field(default_factory=list)


class Stage(msgspec.Struct):
    """A status and since when."""

    status: int
    at: datetime


class Dossier(msgspec.Struct):
    """What its citizen sees of a dossier."""

    code: str
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
    check_code(filing.code)
    judged = await judge(call.parts, filing.components)
    digest = _digest(filing)
    # One statement, so the dossier and its components come to be together or not at all.
    statement = """
        WITH filed AS (
            INSERT INTO dossiers (code, procedure, citizen, status, filing_digest)
            SELECT %s, code, %s, %s, %b FROM procedures WHERE code = %s AND level <> 'counter'
            ON CONFLICT DO NOTHING RETURNING code
        )
        INSERT INTO components (code, version, position, name, content)
        SELECT code, %s, position, name, content FROM filed, unnest(%b::text[], %b::bytea[])
            WITH ORDINALITY AS c (name, content, position)"""
    values = (filing.code, citizen, int(Status.REGISTERED), digest, filing.procedure, _FIRST_VERSION)
    async with call.parts.database.connection() as connection:
        cursor = await connection.execute(statement, (*values, *_columns(filing.components)))
        filed = cursor.rowcount > 0
        if not filed:
            cursor = await connection.execute(
                "SELECT citizen, filing_digest FROM dossiers WHERE code = %s", (filing.code,)
            )
            known = await cursor.fetchone()
            if known is None:
                told = "expected one of GET /catalogue that is not for the counter only"
                raise Refusal(422, f"procedure {filing.procedure!r}: {told}")
            if known != (citizen, digest):
                raise Refusal(409, f"dossier {filing.code}: the code belongs to another filing; expected a new one")
    return answer(Filed(filing.code, int(Status.REGISTERED), judged), 201 if filed else 200)


async def look_up(call: Call[None]) -> Response:
    """Status, payment and history of the citizen's own dossier."""
    citizen, code = call.identity.account, call.path["code"]
    # No EXISTS: made into a plan while `payments` is empty, it would read the whole table ever after.
    statement = """
        SELECT d.status, (
                SELECT true FROM payments p
                WHERE p.code = d.code AND (d.status <> 6 OR p.fee = fee_due(d.code, d.status)) LIMIT 1
            ), h.status, h.at
        FROM dossiers d JOIN dossier_history h USING (code) WHERE d.code = %s AND d.citizen = %s ORDER BY h.version"""
    async with call.parts.database.connection() as connection:
        rows = await (await connection.execute(statement, (code, citizen))).fetchall()
    if not rows:
        raise not_found(code, citizen)
    status, paid = rows[0][:2]
    history = [Stage(each, at) for _, _, each, at in rows]
    return answer(Dossier(code, status, STATUS_NAMES_VI[Status(status)], bool(paid), history))


async def supplement(call: Call[Supplement]) -> Response:
    """Add what an officer asked for; the dossier goes back to being handled."""
    citizen, code, given = call.identity.account, call.path["code"], call.body
    judged = await judge(call.parts, given.components)
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


async def judge(parts: Parts, components: Sequence[Component]) -> list[Judged]:
    """The verdict on each component; Refusal 422 with all of them when one is not valid."""
    async with parts.faults.reach(timing.VERIFICATION):
        verdicts = await parts.verifier.verify_all([component.content for component in components])
    if all(verdict.valid for verdict in verdicts):
        return [Judged(component.name) for component in components]
    told = [
        Doubted(component.name, "valid" if verdict.valid else "invalid", list(verdict.reasons))
        for component, verdict in zip(components, verdicts, strict=True)
    ]
    bad = ", ".join(component.name for component in told if component.verdict != "valid")
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


ROUTES = (
    Route(
        "POST",
        "/dossiers",
        file_dossier,
        {201: Filed, 200: Filed, 409: Problem, 422: NotFiled},
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
        {200: Filed, 404: Problem, 409: Problem, 422: NotFiled},
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
