"""A bank behind the portal: shows a payer the order, books it, and makes the call-back that tells the portal.

Knows the table `bank_transactions`, its own book, the orders, of which it remembers that they were given up, and the
key that it shares with the portal. The call-back is handed to the caller, who brings it to POST /payments/call-back as
the bank's server would: late, twice, or not at all.
"""

import hashlib
import hmac
from datetime import UTC, datetime
from typing import Literal

import msgspec
from psycopg import AsyncConnection
from starlette.responses import Response

from staging.answers import Problem, Refusal, answer
from staging.routes import Call, Route
from staging.tokens import CITIZEN


class Decision(msgspec.Struct, forbid_unknown_fields=True):
    """POST /bank/orders/{order}: what the payer does at the bank."""

    pay: bool


class CallBack(msgspec.Struct, forbid_unknown_fields=True):
    """What the bank tells the portal. `transaction` is empty when nothing was booked."""

    order: str
    state: Literal["paid", "failed"]
    transaction: str
    amount_vnd: int
    sent_at: datetime


class Signed(msgspec.Struct, forbid_unknown_fields=True):
    """A call-back as it is to be sent: a `CallBack` as JSON, and the HMAC of that text."""

    told: str
    signature: str


def sign(key: bytes, body: bytes) -> str:
    """HMAC-SHA256 in hexadecimal digits."""
    return hmac.new(key, body, hashlib.sha256).hexdigest()


async def decide(call: Call[Decision]) -> Response:
    """Pay an order at the bank, or give it up, whichever comes first; a repeat gets a call-back for the same again."""
    name, citizen = call.path["order"], call.identity.account
    # Locked: of two who decide at once, the second finds what the first one did.
    select = """
        SELECT o.code, o.amount_vnd FROM payment_orders o JOIN dossiers USING (code)
        WHERE name = %s AND citizen = %s AND NOT (o.given_up AND %s) FOR UPDATE OF o"""
    # The transaction's name comes from the order's: the book cannot have the same order twice.
    transaction = hashlib.sha256(call.parts.keys.bank_key + name.encode()).hexdigest()[:24]
    async with call.parts.database.connection() as connection, connection.transaction():
        row = await (await connection.execute(select, (name, citizen, call.body.pay))).fetchone()
        if row is None:
            raise Refusal(404, f"order {name!r}: {citizen} has none with this name that can be paid")
        code, amount_vnd = row
        is_paid = await _settle(connection, name, (code, transaction, amount_vnd), pay=call.body.pay)
    state: Literal["paid", "failed"] = "paid" if is_paid else "failed"
    told = CallBack(name, state, transaction if is_paid else "", amount_vnd, datetime.now(UTC))
    body = msgspec.json.encode(told)
    return answer(Signed(body.decode(), sign(call.parts.keys.bank_key, body)))


async def _settle(connection: AsyncConnection, name: str, booking: tuple[str, str, int], *, pay: bool) -> bool:
    """Whether the book has the order, after booking it if it is to be paid. The bank signs one outcome of an order and
    never another: who gives up after paying has paid, and what was given up is not booked later.
    """
    insert = "INSERT INTO bank_transactions (code, transaction, amount_vnd) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
    booked = "SELECT 1 FROM bank_transactions WHERE code = %s AND transaction = %s"
    if pay:
        await connection.execute(insert, booking)
        return True
    if await (await connection.execute(booked, booking[:2])).fetchone() is not None:
        return True
    await connection.execute("UPDATE payment_orders SET given_up = true WHERE name = %s", (name,))
    return False


ROUTES = (
    Route(
        "POST",
        "/bank/orders/{order}",
        decide,
        {200: Signed, 404: Problem},
        system="payment",
        who=(CITIZEN,),
        body=Decision,
    ),
)
