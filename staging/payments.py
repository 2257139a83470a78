"""Paying a dossier's fee: one payment a dossier, whoever asks how often.

Knows the table `payments`, whose key is the dossier. The banks behind it are a later part.
"""

import secrets
from typing import Annotated

import msgspec
from starlette.responses import Response

from staging.answers import Problem, Refusal, answer
from staging.dossiers import not_found
from staging.routes import Call, Route
from staging.tokens import CITIZEN


class Payment(msgspec.Struct, forbid_unknown_fields=True):
    """POST /dossiers/{code}/payment."""

    amount_vnd: Annotated[int, msgspec.Meta(ge=1, le=10**12)]


class Paid(msgspec.Struct):
    """The one payment of a dossier."""

    transaction: str


async def pay(call: Call[Payment]) -> Response:
    """Pay a dossier's fee: 201 with a new transaction, or 200 with the one that paid before."""
    citizen, code, payment = call.identity.account, call.path["code"], call.body
    insert = """
        INSERT INTO payments (code, transaction, amount_vnd)
        SELECT code, %s, %s FROM dossiers WHERE code = %s AND citizen = %s ON CONFLICT (code) DO NOTHING"""
    select = "SELECT transaction, amount_vnd FROM payments JOIN dossiers USING (code) WHERE code = %s AND citizen = %s"
    transaction = secrets.token_hex(12)
    async with call.parts.database.connection() as connection:
        cursor = await connection.execute(insert, (transaction, payment.amount_vnd, code, citizen))
        if cursor.rowcount:
            return answer(Paid(transaction), 201)
        row = await (await connection.execute(select, (code, citizen))).fetchone()
    if row is None:
        raise not_found(code, citizen)
    if row[1] != payment.amount_vnd:
        raise Refusal(409, f"dossier {code}: {row[1]} VND were paid before; expected that amount, not another")
    return answer(Paid(row[0]))


ROUTES = (
    Route(
        "POST",
        "/dossiers/{code}/payment",
        pay,
        {201: Paid, 200: Paid, 404: Problem, 409: Problem},
        system="payment",
        who=(CITIZEN,),
        body=Payment,
    ),
)
