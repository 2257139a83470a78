"""The national population database, as far as a portal sees it: who a citizen number belongs to.

Knows the table `population`. All of it is invented: the numbers begin with 099, which is no province's code, and names
are put together by serial number. Agencies may ask only so often.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Annotated

import msgspec
from psycopg import AsyncConnection
from starlette.responses import Response

from staging.answers import Problem, Refusal, answer
from staging.rate_limits import take
from staging.routes import Call, Route
from staging.tokens import OFFICER

# Assumed: the published mean over all agencies is 9.5 look-ups a second (systems-popdb-rate-2025).
LOOK_UPS_PER_S, LOOK_UPS_BURST = 50.0, 200
_SURNAMES = ("Nguyễn", "Trần", "Lê", "Phạm", "Hoàng", "Huỳnh", "Vũ", "Đặng", "Bùi", "Đỗ")
_MIDDLE_NAMES = ("Văn", "Thị", "Minh", "Thu", "Đức", "Ngọc", "Quang")
_GIVEN_NAMES = ("An", "Bình", "Chi", "Dũng", "Giang", "Hà", "Khánh", "Linh", "Nam", "Oanh", "Phúc", "Sơn", "Yến")
_FIRST_BORN = date(1950, 1, 1)
_DAYS_BORN = 20_000

Number = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{12}$")]


class LookUp(msgspec.Struct, forbid_unknown_fields=True):
    """POST /population/look-ups."""

    number: Number


class Person(msgspec.Struct):
    """What the database says of a citizen."""

    number: str
    name: str
    born: date


def number_of(account: str) -> str:
    """The citizen number of an account like citizen-000012."""
    return f"099{int(account.removeprefix('citizen-')) % 10**9:09d}"


def _name_of(serial: int) -> str:
    surname, serial = _SURNAMES[serial % len(_SURNAMES)], serial // len(_SURNAMES)
    middle, serial = _MIDDLE_NAMES[serial % len(_MIDDLE_NAMES)], serial // len(_MIDDLE_NAMES)
    return f"{surname} {middle} {_GIVEN_NAMES[serial % len(_GIVEN_NAMES)]}"


async def add(connection: AsyncConnection, accounts: Iterable[str]) -> None:
    """Invent the citizens behind `accounts`, the same ones each time."""
    rows = []
    for account in accounts:
        serial = int(account.removeprefix("citizen-"))
        born = _FIRST_BORN + timedelta(days=serial * 7919 % _DAYS_BORN)
        rows.append((number_of(account), account, _name_of(serial), born))
    if not rows:
        return
    statement = """
        INSERT INTO population (number, account, name, born)
        SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::date[]) ON CONFLICT DO NOTHING"""
    await connection.execute(statement, [*map(list, zip(*rows, strict=True))])


async def find(connection: AsyncConnection, agency: str, number: str) -> Person | None:
    """Who has a number; Refusal 429 when `agency` asks too often."""
    await take(connection, f"population {agency}", LOOK_UPS_PER_S, LOOK_UPS_BURST)
    cursor = await connection.execute("SELECT number, name, born FROM population WHERE number = %s", (number,))
    row = await cursor.fetchone()
    return Person(*row) if row else None


async def account_of(connection: AsyncConnection, agency: str, number: str) -> str | None:
    """The account of who has a number; Refusal 429 when `agency` asks too often."""
    await take(connection, f"population {agency}", LOOK_UPS_PER_S, LOOK_UPS_BURST)
    cursor = await connection.execute("SELECT account FROM population WHERE number = %s", (number,))
    row = await cursor.fetchone()
    return row[0] if row else None


def unknown(number: str) -> Refusal:
    """Nobody has this number."""
    return Refusal(404, f"citizen {number}: not in the population database")


async def look_up(call: Call[LookUp]) -> Response:
    """Who a citizen number belongs to."""
    async with call.parts.database.connection() as connection:
        person = await find(connection, call.identity.agency, call.body.number)
    if person is None:
        raise unknown(call.body.number)
    return answer(person)


ROUTES = (
    Route(
        "POST",
        "/population/look-ups",
        look_up,
        {200: Person, 404: Problem, 429: Problem},
        system="population_db",
        who=(OFFICER,),
        body=LookUp,
    ),
)
