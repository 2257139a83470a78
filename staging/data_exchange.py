"""The data exchange between agencies (NDXP, LGSP): carries a message to the system that answers it, and keeps both.

Knows the table `messages` and the services that can be asked. A message is carried once however often it is sent; one
that failed, because the system asked did not answer, may be sent again.
"""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb
from starlette.responses import Response

from staging import population
from staging.answers import Problem, Refusal, answer
from staging.rate_limits import take
from staging.routes import Call, Route
from staging.tokens import AGENCY

# Assumed, for each agency: the published mean of the whole exchange is 17.7 a second (systems-ndxp-2023-rate).
MESSAGES_PER_S, MESSAGES_BURST = 100.0, 400


class VerifyCitizen(msgspec.Struct, forbid_unknown_fields=True, tag_field="service", tag="population.verify"):
    """Whether number, name and day of birth belong together."""

    number: population.Number
    name: str
    born: date


class ReadCitizen(msgspec.Struct, forbid_unknown_fields=True, tag_field="service", tag="population.read"):
    """Who a number belongs to."""

    number: population.Number


class ReadProcedure(msgspec.Struct, forbid_unknown_fields=True, tag_field="service", tag="catalogue.procedure"):
    """A procedure of the national catalogue."""

    procedure: str


class ReadStatus(msgspec.Struct, forbid_unknown_fields=True, tag_field="service", tag="dossiers.status"):
    """The status that is known of one of the agency's own dossiers."""

    code: str


_AWAY = (502, 503)  # what a system answers that fails or is away

Asked = VerifyCitizen | ReadCitizen | ReadProcedure | ReadStatus


class Message(msgspec.Struct, forbid_unknown_fields=True):
    """POST /exchange/messages. `message` is the sender's own name for it."""

    message: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    asked: Asked


class Carried(msgspec.Struct):
    """What became of a message. `repeated`: it was carried before, and this is the answer of then."""

    message: str
    state: Literal["answered", "failed"]
    answer: dict[str, Any] | None
    repeated: bool


async def send(call: Call[Message]) -> Response:
    """Have a message carried and answered."""
    agency, message = call.identity.agency, call.body
    asked = msgspec.json.encode(message.asked)
    digest = hashlib.sha256(asked).digest()
    service = _SERVICES[type(message.asked)]
    async with call.parts.database.connection() as connection:
        await take(connection, f"exchange {agency}", MESSAGES_PER_S, MESSAGES_BURST)
        select = "SELECT digest, state, answer FROM messages WHERE agency = %s AND message = %s"
        known = await (await connection.execute(select, (agency, message.message))).fetchone()
        if known is not None and known[0] != digest:
            raise Refusal(409, f"message {message.message!r}: the name was used for another; expected a new one")
        if known is not None and known[1] == "answered":
            return answer(Carried(message.message, "answered", known[2], True))
    told = await _carry(call, service)
    state: Literal["answered", "failed"] = "failed" if told is None else "answered"
    insert = """
        INSERT INTO messages (agency, message, service, digest, state, answer) VALUES (%s, %s, %s, %s, %s, %s)
        ON CONFLICT (agency, message) DO UPDATE SET state = excluded.state, answer = excluded.answer, at = now()
        WHERE messages.state = 'failed'"""
    name = msgspec.inspect.type_info(type(message.asked)).tag
    content = None if told is None else Jsonb(told)
    async with call.parts.database.connection() as connection:
        await connection.execute(insert, (agency, message.message, name, digest, state, content))
    return answer(Carried(message.message, state, told, False))


async def _carry(call: Call[Message], service: "_Service") -> dict[str, Any] | None:
    """The answer of the system behind a service; None when it is away or fails."""
    try:
        # Reached before a connection is taken: a slow system must not keep the exchange's connections.
        async with call.parts.faults.reach(service.system), call.parts.database.connection() as connection:
            return await service.ask(connection, call.identity.agency, call.body.asked)
    except Refusal as refusal:
        if refusal.status not in _AWAY:
            raise
        return None


async def _verify(connection: AsyncConnection, agency: str, asked: VerifyCitizen) -> dict[str, Any]:
    person = await population.find(connection, agency, asked.number)
    same = person is not None and person.name.casefold() == asked.name.casefold() and person.born == asked.born
    return {"number": asked.number, "match": same}


async def _read_citizen(connection: AsyncConnection, agency: str, asked: ReadCitizen) -> dict[str, Any]:
    person = await population.find(connection, agency, asked.number)
    return {"found": person is not None, "person": msgspec.to_builtins(person)}


async def _read_procedure(connection: AsyncConnection, agency: str, asked: ReadProcedure) -> dict[str, Any]:
    select = "SELECT code, name, level, fee_vnd FROM procedures WHERE code = %s"
    row = await (await connection.execute(select, (asked.procedure,))).fetchone()
    procedure = row and dict(zip(("code", "name", "level", "fee_vnd"), row, strict=True))
    return {"found": row is not None, "procedure": procedure}


async def _read_status(connection: AsyncConnection, agency: str, asked: ReadStatus) -> dict[str, Any]:
    if not asked.code.startswith(f"{agency}-"):
        raise Refusal(403, f"dossier {asked.code}: expected one of {agency}")
    row = await (await connection.execute("SELECT status FROM dossiers WHERE code = %s", (asked.code,))).fetchone()
    return {"found": row is not None, "status": row and row[0]}


class _Service(NamedTuple):
    """What answers a message, and whose system that is (caodiem.faults.SYSTEMS)."""

    system: str
    ask: Callable[[AsyncConnection, str, Any], Awaitable[dict[str, Any]]]


_SERVICES: dict[type, _Service] = {
    VerifyCitizen: _Service("population_db", _verify),
    ReadCitizen: _Service("population_db", _read_citizen),
    ReadProcedure: _Service("national_portal", _read_procedure),
    ReadStatus: _Service("case_system", _read_status),
}

ROUTES = (
    Route(
        "POST",
        "/exchange/messages",
        send,
        {200: Carried, 409: Problem, 429: Problem},
        system="data_exchange",
        who=(AGENCY,),
        body=Message,
    ),
)
