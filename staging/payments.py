"""Paying a dossier's fee: one payment a dossier, whoever asks how often.

Knows the table `payments`, whose key is the dossier. The banks behind it are a later part.
"""

import secrets
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from staging.answers import Refusal, answer, read_body
from staging.dossiers import not_found
from staging.parts import parts_of
from staging.tokens import CITIZEN, identify


class Payment(msgspec.Struct, forbid_unknown_fields=True):
    """POST /dossiers/{code}/payment."""

    amount_vnd: Annotated[int, msgspec.Meta(ge=1, le=10**12)]


async def pay(request: Request) -> Response:
    """201 with a new transaction, or 200 with the one that paid before."""
    parts = parts_of(request)
    citizen = identify(request, parts.tokens, CITIZEN).account
    code = request.path_params["code"]
    payment = await read_body(request, Payment)
    insert = """
        INSERT INTO payments (code, transaction, amount_vnd)
        SELECT code, %s, %s FROM dossiers WHERE code = %s AND citizen = %s ON CONFLICT (code) DO NOTHING"""
    select = "SELECT transaction, amount_vnd FROM payments JOIN dossiers USING (code) WHERE code = %s AND citizen = %s"
    transaction = secrets.token_hex(12)
    async with parts.database.connection() as connection:
        cursor = await connection.execute(insert, (transaction, payment.amount_vnd, code, citizen))
        if cursor.rowcount:
            return answer({"transaction": transaction}, 201)
        row = await (await connection.execute(select, (code, citizen))).fetchone()
    if row is None:
        raise not_found(code, citizen)
    if row[1] != payment.amount_vnd:
        raise Refusal(409, f"dossier {code}: {row[1]} VND were paid before; expected that amount, not another")
    return answer({"transaction": row[0]})
