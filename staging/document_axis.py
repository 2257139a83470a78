"""The document axis: agencies send one another documents and see how far each has come.

Knows the tables `axis_documents` and `deliveries`. A delivery takes the steps that the schema allows and no others:
sent, delivered, then received or refused, in process, done; its sender may recall it until it is received.
"""

from datetime import datetime
from typing import Annotated, Literal, Protocol

import msgspec
from psycopg import AsyncConnection
from psycopg.errors import CheckViolation
from starlette.responses import Response

from staging import procedures
from staging.answers import Problem, Refusal, answer
from staging.routes import Call, Route
from staging.tokens import AGENCY

RECEIVERS_MAX = 100
FETCHED_MAX = 20
# Before the last of those that one answer brings: with it, twice what a body may bring in.
FETCHED_BYTES_MAX = 8 * 1024 * 1024
TITLE_MAX = 500
# The oldest deliveries of a source that one answer has room for; at least one, however large. The length of a document
# is known without reading it.
_ONE_ANSWER = f"""
    SELECT number FROM (
        SELECT number, row_number() OVER older AS place,
            sum(octet_length(content)) OVER older - octet_length(content) AS bytes_before
        FROM {{source}} JOIN axis_documents USING (sender, document) WINDOW older AS (ORDER BY number)
    ) AS sized WHERE place <= {FETCHED_MAX} AND bytes_before < {FETCHED_BYTES_MAX}"""
State = Literal["sent", "delivered", "received", "refused", "in_process", "done", "recalled"]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Title = Annotated[str, msgspec.Meta(min_length=1, max_length=TITLE_MAX)]
Receivers = Annotated[list[str], msgspec.Meta(min_length=1, max_length=RECEIVERS_MAX)]


class Document(msgspec.Struct, forbid_unknown_fields=True):
    """POST /axis/documents. `document` is the sender's own name for it, and makes a repeat harmless."""

    document: Name
    kind: Literal["letter", "decision", "report"]
    title: Title
    to: Receivers
    content: bytes


class Sendable(Protocol):
    """What the axis needs to know of a document, wherever it comes from."""

    document: Name
    title: Title
    to: Receivers
    content: bytes


class Sent(msgspec.Struct):
    """How far a document has come at each receiver."""

    document: str
    receivers: dict[str, State]


class Fetched(msgspec.Struct):
    """A document handed to its receiver."""

    sender: str
    document: str
    kind: str
    title: str
    content: bytes
    sent_at: datetime


class Inbox(msgspec.Struct):
    """What was waiting, oldest first. `more`: there is more waiting."""

    documents: list[Fetched]
    more: bool


class Step(msgspec.Struct, forbid_unknown_fields=True):
    """POST /axis/deliveries/{sender}/{document}: what the receiver did with it."""

    state: Literal["received", "refused", "in_process", "done"]
    note: Annotated[str, msgspec.Meta(max_length=TITLE_MAX)] = ""


async def put(connection: AsyncConnection, sender: str, kind: str, document: Sendable) -> tuple[bool, Sent]:
    """(new, how far it has come) of a document put on the axis; Refusal 409 when its name stands for another one."""
    receivers = sorted(set(document.to))
    unknown = sorted({*await procedures.without(connection, receivers), *({sender} & set(receivers))})
    if unknown:
        raise Refusal(400, f"receivers {', '.join(unknown)}: expected codes of other agencies, like H01 or G09")
    # One statement: a document is on the axis with all of its deliveries or not at all.
    statement = """
        WITH document AS (
            INSERT INTO axis_documents (sender, document, kind, title, content) VALUES (%s, %s, %s, %s, %s)
            ON CONFLICT DO NOTHING RETURNING sender, document
        )
        INSERT INTO deliveries (sender, document, receiver)
        SELECT sender, document, receiver FROM document CROSS JOIN unnest(%s::text[]) AS receiver"""
    values = (sender, document.document, kind, document.title, document.content, receivers)
    cursor = await connection.execute(statement, values)
    if cursor.rowcount:
        return True, Sent(document.document, dict.fromkeys(receivers, "sent"))
    select = """
        SELECT receiver, state, (kind, title, content) = (%s, %s, %s)
        FROM deliveries JOIN axis_documents USING (sender, document) WHERE sender = %s AND document = %s"""
    values = (kind, document.title, document.content, sender, document.document)
    rows = await (await connection.execute(select, values)).fetchall()
    if not all(same for _, _, same in rows) or {receiver for receiver, _, _ in rows} != set(receivers):
        raise Refusal(409, f"document {document.document!r}: the name was used for another; expected a new one")
    return False, Sent(document.document, {receiver: state for receiver, state, _ in sorted(rows)})


async def send(call: Call[Document]) -> Response:
    """Send a document to agencies: 201, or 200 when it was sent before."""
    async with call.parts.database.connection() as connection:
        is_new, sent = await put(connection, call.identity.agency, call.body.kind, call.body)
    return answer(sent, 201 if is_new else 200)


async def follow(call: Call[None]) -> Response:
    """How far one's own document has come at each receiver."""
    sender, document = call.identity.agency, call.path["document"]
    select = "SELECT receiver, state FROM deliveries WHERE sender = %s AND document = %s ORDER BY receiver"
    async with call.parts.database.connection() as connection:
        rows = await (await connection.execute(select, (sender, document))).fetchall()
    if not rows:
        raise Refusal(404, f"document {document!r}: {sender} sent none with this name")
    return answer(Sent(document, dict(rows)))


async def fetch(call: Call[None]) -> Response:
    """Take what is waiting for the agency; from then on it is delivered, and later calls do not tell it again.

    Two calls at once share what is waiting. An answer that is lost on its way is found by GET /axis/inbox.
    """
    statement = f"""
        WITH waiting AS (
            SELECT number, sender, document FROM deliveries WHERE receiver = %s AND state = 'sent' ORDER BY number
            LIMIT {FETCHED_MAX + 1} FOR UPDATE SKIP LOCKED
        ), taken AS (
            UPDATE deliveries SET state = 'delivered', at = now()
            WHERE number IN ({_ONE_ANSWER.format(source="waiting")}) RETURNING number, sender, document
        )
        SELECT sender, document, kind, title, content, sent_at, (SELECT count(*) FROM waiting)
        FROM taken JOIN axis_documents USING (sender, document) ORDER BY number"""
    async with call.parts.database.connection() as connection:
        rows = await (await connection.execute(statement, (call.identity.agency,))).fetchall()
    return answer(Inbox([Fetched(*row[:-1]) for row in rows], bool(rows) and rows[0][-1] > len(rows)))


async def undone(call: Call[None]) -> Response:
    """What was delivered to the agency and neither received nor refused since."""
    select = f"""
        WITH delivered AS (
            SELECT number, sender, document FROM deliveries WHERE receiver = %s AND state = 'delivered'
            ORDER BY number LIMIT {FETCHED_MAX + 1}
        )
        SELECT sender, document, kind, title, content, sent_at, (SELECT count(*) FROM delivered)
        FROM delivered JOIN axis_documents USING (sender, document)
        WHERE number IN ({_ONE_ANSWER.format(source="delivered")}) ORDER BY number"""
    async with call.parts.database.connection() as connection:
        rows = await (await connection.execute(select, (call.identity.agency,))).fetchall()
    return answer(Inbox([Fetched(*row[:-1]) for row in rows], bool(rows) and rows[0][-1] > len(rows)))


async def step(call: Call[Step]) -> Response:
    """Tell the sender what became of a document; a repeat changes nothing."""
    key = (call.path["sender"], call.path["document"], call.identity.agency)
    return await _move(call, key, call.body.state, call.body.note)


async def recall(call: Call[None]) -> Response:
    """Call one's own document back from a receiver that has not received it yet."""
    return await _move(call, (call.identity.agency, call.path["document"], call.path["receiver"]), "recalled", "")


async def _move(call: Call, key: tuple[str, str, str], state: State, note: str) -> Response:
    sender, document, receiver = key
    update = """
        UPDATE deliveries SET state = %s, note = %s, at = now()
        WHERE (sender, document, receiver) = (%s, %s, %s) RETURNING document"""
    async with call.parts.database.connection() as connection:
        try:
            row = await (await connection.execute(update, (state, note, *key))).fetchone()
        except CheckViolation as error:
            raise Refusal(409, f"document {document!r} to {receiver}: {error.diag.message_primary}") from error
    if row is None:
        raise Refusal(404, f"document {document!r} of {sender} to {receiver}: not known here")
    return answer(Sent(document, {receiver: state}))


ROUTES = (
    Route(
        "POST",
        "/axis/documents",
        send,
        {201: Sent, 200: Sent, 400: Problem, 409: Problem},
        system="document_axis",
        who=(AGENCY,),
        body=Document,
    ),
    Route(
        "GET", "/axis/documents/{document}", follow, {200: Sent, 404: Problem}, system="document_axis", who=(AGENCY,)
    ),
    Route("POST", "/axis/inbox", fetch, {200: Inbox}, system="document_axis", who=(AGENCY,)),
    Route("GET", "/axis/inbox", undone, {200: Inbox}, system="document_axis", who=(AGENCY,)),
    Route(
        "POST",
        "/axis/deliveries/{sender}/{document}",
        step,
        {200: Sent, 404: Problem, 409: Problem},
        system="document_axis",
        who=(AGENCY,),
        body=Step,
    ),
    Route(
        "POST",
        "/axis/documents/{document}/{receiver}/recall",
        recall,
        {200: Sent, 404: Problem, 409: Problem},
        system="document_axis",
        who=(AGENCY,),
    ),
)
