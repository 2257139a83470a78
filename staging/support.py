"""Support: a citizen's questions, complaints and feedback to an agency, and the answers.

Knows the table `questions`. A question may be about a dossier: the asker's own, of the agency that is asked. It is open
until an officer of the agency answers or refuses it; then the citizen says whether the answer satisfies, which closes
it, or asks again, which opens it anew.
"""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from psycopg import AsyncConnection
from psycopg.errors import CheckViolation
from starlette.responses import Response

from staging import procedures
from staging.answers import Problem, Refusal, answer
from staging.dossiers import check_code, not_found
from staging.routes import Call, Route
from staging.tokens import CITIZEN, OFFICER

OPEN_MAX = 50
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]
State = Literal["open", "answered", "refused", "closed"]


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """POST /support/questions. `question`: the asker's own name for it, which makes a repeat harmless. `code`: the
    dossier that it is about, if it is about one.
    """

    question: Name
    agency: str
    kind: Literal["question", "complaint", "feedback"]
    text: Text
    code: str | None = None


class Asked(msgspec.Struct):
    """Where a question stands."""

    question: str
    state: State
    answer: str | None = None
    answered_at: datetime | None = None


class Waiting(msgspec.Struct):
    """A question as the agency sees it."""

    citizen: str
    question: str
    kind: str
    text: str
    code: str | None
    asked_at: datetime


class Inbox(msgspec.Struct):
    """The agency's open questions, oldest first."""

    questions: list[Waiting]


class Reply(msgspec.Struct, forbid_unknown_fields=True):
    """POST /support/questions/{citizen}/{question}/answer."""

    state: Literal["answered", "refused"]
    answer: Text


class Judgement(msgspec.Struct, forbid_unknown_fields=True):
    """POST /support/questions/{question}/close."""

    satisfied: bool


async def ask(call: Call[Question]) -> Response:
    """Ask an agency: 201, or 200 with the state of a question that was asked before."""
    given, citizen = call.body, call.identity.account
    insert = """
        INSERT INTO questions (citizen, question, agency, kind, text, code) VALUES (%s, %s, %s, %s, %s, %s)
        ON CONFLICT DO NOTHING"""
    select = """
        SELECT state, answer, answered_at, (agency, kind, text, code) IS NOT DISTINCT FROM (%s, %s, %s, %s)
        FROM questions WHERE citizen = %s AND question = %s"""
    words = (given.agency, given.kind, given.text, given.code)
    async with call.parts.database.connection() as connection:
        if await procedures.without(connection, [given.agency]):
            raise Refusal(400, f"agency {given.agency!r}: not in the catalogue; expected one like H01 or G09")
        if given.code is not None:
            await _check_dossier(connection, given.code, citizen, given.agency)
        cursor = await connection.execute(insert, (citizen, given.question, *words))
        if cursor.rowcount:
            return answer(Asked(given.question, "open"), 201)
        row = await (await connection.execute(select, (*words, citizen, given.question))).fetchone()
    assert row is not None
    if not row[3]:
        raise Refusal(409, f"question {given.question!r}: the name was used for another; expected a new one")
    return answer(Asked(given.question, *row[:3]))


async def _check_dossier(connection: AsyncConnection, code: str, citizen: str, agency: str) -> None:
    """Refusal unless the dossier is the citizen's own, and of the agency that is to read of it."""
    if check_code(code) != agency:
        raise Refusal(400, f"dossier {code}: expected one of {agency}, which is asked")
    select = "SELECT 1 FROM dossiers WHERE code = %s AND citizen = %s"
    if await (await connection.execute(select, (code, citizen))).fetchone() is None:
        raise not_found(code, citizen)


async def read(call: Call[None]) -> Response:
    """One's own question and its answer."""
    select = "SELECT state, answer, answered_at FROM questions WHERE citizen = %s AND question = %s"
    values = (call.identity.account, call.path["question"])
    async with call.parts.database.connection() as connection:
        row = await (await connection.execute(select, values)).fetchone()
    if row is None:
        raise _unknown(call.path["question"])
    return answer(Asked(call.path["question"], *row))


async def close(call: Call[Judgement]) -> Response:
    """Say whether the answer satisfies, which closes the question."""
    update = """
        UPDATE questions SET state = 'closed', satisfied = %s WHERE citizen = %s AND question = %s
        RETURNING state, answer, answered_at"""
    values = (call.body.satisfied, call.identity.account, call.path["question"])
    return await _change(call, call.path["question"], update, values)


async def ask_again(call: Call[None]) -> Response:
    """Open an answered question anew."""
    update = """
        UPDATE questions SET state = 'open' WHERE citizen = %s AND question = %s
        RETURNING state, answer, answered_at"""
    return await _change(call, call.path["question"], update, (call.identity.account, call.path["question"]))


async def list_open(call: Call[None]) -> Response:
    """The agency's open questions."""
    select = f"""
        SELECT citizen, question, kind, text, code, asked_at FROM questions
        WHERE agency = %s AND state = 'open' ORDER BY asked_at LIMIT {OPEN_MAX}"""
    async with call.parts.database.connection() as connection:
        rows = await (await connection.execute(select, (call.identity.agency,))).fetchall()
    return answer(Inbox([Waiting(*row) for row in rows]))


async def reply(call: Call[Reply]) -> Response:
    """Answer or refuse an open question to the agency."""
    update = """
        UPDATE questions SET state = %s, answer = %s, officer = %s, answered_at = now()
        WHERE agency = %s AND citizen = %s AND question = %s RETURNING state, answer, answered_at"""
    officer, question = call.identity, call.path["question"]
    words = (call.body.state, call.body.answer, officer.account)
    return await _change(call, question, update, (*words, officer.agency, call.path["citizen"], question))


async def _change(call: Call, question: str, update: str, values: tuple[object, ...]) -> Response:
    async with call.parts.database.connection() as connection:
        try:
            row = await (await connection.execute(update, values)).fetchone()
        except CheckViolation as error:
            raise Refusal(409, f"question {question!r}: {error.diag.message_primary}") from error
    if row is None:
        raise _unknown(question)
    return answer(Asked(question, *row))


def _unknown(question: str) -> Refusal:
    return Refusal(404, f"question {question!r}: not known here")


_CHANGES = {200: Asked, 404: Problem, 409: Problem}
ROUTES = (
    Route(
        "POST",
        "/support/questions",
        ask,
        {201: Asked, 200: Asked, 400: Problem, 404: Problem, 409: Problem},
        system="support",
        who=(CITIZEN,),
        body=Question,
    ),
    Route("GET", "/support/questions/{question}", read, {200: Asked, 404: Problem}, system="support", who=(CITIZEN,)),
    Route(
        "POST", "/support/questions/{question}/close", close, _CHANGES, system="support", who=(CITIZEN,), body=Judgement
    ),
    Route("POST", "/support/questions/{question}/again", ask_again, _CHANGES, system="support", who=(CITIZEN,)),
    Route("GET", "/support/open", list_open, {200: Inbox}, system="support", who=(OFFICER,)),
    Route(
        "POST",
        "/support/questions/{citizen}/{question}/answer",
        reply,
        _CHANGES,
        system="support",
        who=(OFFICER,),
        body=Reply,
    ),
)
