"""Paying a dossier's fees, each once, whoever asks how often; orders to banks, their call-backs, reconciliation.

Knows the tables `payments`, `payment_orders` and `reconciliations`. A fee is the one for filing or an obligation that
an officer asked for. Call-backs are signed (HMAC-SHA256) and may come again; old ones are refused, so that one that was
overheard cannot be played back later.
"""

import hmac
import secrets
from datetime import date, datetime, timedelta
from typing import Annotated, Literal
from urllib.parse import quote

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb
from starlette.responses import Response

from staging import bank
from staging.answers import Problem, Refusal, answer
from staging.dossiers import check_code, not_found
from staging.reports import VIET_NAM, today
from staging.routes import Call, Route
from staging.tokens import AGENCY, CITIZEN

CALL_BACK_AGE_MAX = timedelta(minutes=15)
DIFFERENCES_MAX = 1000
_YEARS = range(2000, 2101)
ORDERS_MAX = 50  # of a fee: whoever gives up every time cannot fill the tables


class Payment(msgspec.Struct, forbid_unknown_fields=True):
    """POST /dossiers/{code}/payment and /dossiers/{code}/payment-orders."""

    amount_vnd: Annotated[int, msgspec.Meta(ge=1, le=10**12)]


class Paid(msgspec.Struct):
    """The one payment of a fee."""

    transaction: str


class Order(msgspec.Struct):
    """A payment under way. `redirect`: where the payer goes on, at the bank."""

    order: str
    state: Literal["open", "paid", "failed"]
    amount_vnd: int
    redirect: str


class Reconcile(msgspec.Struct, forbid_unknown_fields=True):
    """POST /payments/reconciliations: the day by Viet Nam's clocks, today unless given."""

    day: date | None = None


class Difference(msgspec.Struct):
    """A transaction that portal and bank see differently. An amount is missing where there is no such transaction."""

    transaction: str
    code: str
    portal_vnd: int | None
    bank_vnd: int | None


class Reconciled(msgspec.Struct):
    """How many transactions agree, and those that do not: at most DIFFERENCES_MAX of `different` are listed."""

    day: date
    matched: int
    different: int
    differences: list[Difference]


async def pay(call: Call[Payment]) -> Response:
    """Pay the fee that is due at once: 201 with a new transaction, or 200 with the one that paid this amount before."""
    citizen, code, amount_vnd = call.identity.account, call.path["code"], call.body.amount_vnd
    # One statement: what the bank books, the portal has.
    insert = """
        WITH paid AS (
            INSERT INTO payments (code, transaction, amount_vnd, fee)
            SELECT code, %s, amount_due(code, procedure, status), fee_due(code, status) FROM dossiers
            WHERE code = %s AND citizen = %s AND amount_due(code, procedure, status) = %s
            ON CONFLICT (code, fee) DO NOTHING RETURNING code, transaction, amount_vnd
        )
        INSERT INTO bank_transactions (code, transaction, amount_vnd) SELECT * FROM paid"""
    # A repeat may come when another fee is due than the one that it paid.
    select = """
        SELECT amount_due(code, procedure, status),
            (SELECT transaction FROM payments p WHERE p.code = d.code AND amount_vnd = %s ORDER BY fee DESC LIMIT 1)
        FROM dossiers d WHERE code = %s AND citizen = %s"""
    transaction = secrets.token_hex(12)
    async with call.parts.database.connection() as connection:
        cursor = await connection.execute(insert, (transaction, code, citizen, amount_vnd))
        if cursor.rowcount:
            return answer(Paid(transaction), 201)
        row = await (await connection.execute(select, (amount_vnd, code, citizen))).fetchone()
    if row is None:
        raise not_found(code, citizen)
    due_vnd, transaction = row
    if transaction is None:
        expected = "nothing, since nothing is due" if due_vnd is None else f"{due_vnd}"
        raise Refusal(409, f"dossier {code}: {amount_vnd} VND; expected {expected}")
    return answer(Paid(transaction))


async def order(call: Call[Payment]) -> Response:
    """Have a bank asked for the fee that is due: 201 with an order to redirect the payer to."""
    citizen, code = call.identity.account, call.path["code"]
    check_code(code)
    name = f"{code}-{datetime.now(VIET_NAM):%Y%m%d%H%M%S}"
    insert = """
        INSERT INTO payment_orders (name, code, fee, amount_vnd)
        SELECT %s, d.code, fee_due(d.code, d.status), %s FROM dossiers d
        WHERE d.code = %s AND d.citizen = %s AND amount_due(d.code, d.procedure, d.status) = %s
            AND NOT EXISTS (SELECT FROM payments p WHERE p.code = d.code AND p.fee = fee_due(d.code, d.status))
            AND (SELECT count(*) FROM payment_orders o WHERE o.code = d.code AND o.fee = fee_due(d.code, d.status)) < %s
        ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING state, amount_vnd"""
    select = "SELECT 1 FROM dossiers WHERE code = %s AND citizen = %s"
    async with call.parts.database.connection() as connection:
        values = (name, call.body.amount_vnd, code, citizen, call.body.amount_vnd, ORDERS_MAX)
        row = await (await connection.execute(insert, values)).fetchone()
        if row is None:
            known = await (await connection.execute(select, (code, citizen))).fetchone()
            told = f"dossier {code}: nothing is due, or another amount, or its fee had {ORDERS_MAX} orders already"
            raise Refusal(409, told) if known else not_found(code, citizen)
    return answer(Order(name, *row, redirect=f"/bank/orders/{quote(name)}"), 201)


async def read_order(call: Call[None]) -> Response:
    """How far a payment of one's own has come."""
    name, citizen = call.path["order"], call.identity.account
    select = """
        SELECT o.state, o.amount_vnd FROM payment_orders o JOIN dossiers USING (code)
        WHERE name = %s AND citizen = %s"""
    async with call.parts.database.connection() as connection:
        row = await (await connection.execute(select, (name, citizen))).fetchone()
    if row is None:
        raise Refusal(404, f"order {name!r}: {citizen} has none with this name")
    return answer(Order(name, *row, redirect=f"/bank/orders/{quote(name)}"))


async def call_back(call: Call[bank.Signed]) -> Response:
    """What a bank tells of an order: paid or failed. A repeat gets the same answer."""
    told, signature = call.body.told.encode(), call.body.signature.encode()
    if not hmac.compare_digest(signature, bank.sign(call.parts.keys.bank_key, told).encode()):
        raise Refusal(403, "call-back: not the bank's signature; expected its HMAC-SHA256 over what is told")
    call_back = msgspec.json.decode(told, type=bank.CallBack)
    if abs(datetime.now(VIET_NAM) - call_back.sent_at) > CALL_BACK_AGE_MAX:
        raise Refusal(403, f"call-back of {call_back.sent_at}: expected one sent within {CALL_BACK_AGE_MAX}")
    async with call.parts.database.connection() as connection, connection.transaction():
        return answer(await _settle(connection, call_back))


async def _settle(connection: AsyncConnection, told: bank.CallBack) -> Order:
    select = "SELECT code, fee, amount_vnd, state FROM payment_orders WHERE name = %s FOR UPDATE"
    row = await (await connection.execute(select, (told.order,))).fetchone()
    if row is None:
        raise Refusal(404, f"order {told.order!r}: not known here")
    code, fee, amount_vnd, state = row
    redirect = f"/bank/orders/{quote(told.order)}"
    if state == told.state:
        return Order(told.order, state, amount_vnd, redirect)
    if state != "open":
        raise Refusal(409, f"order {told.order!r} is {state}: expected no other outcome")
    if told.state == "paid":
        if told.amount_vnd != amount_vnd:
            raise Refusal(409, f"order {told.order!r}: {told.amount_vnd} VND; expected {amount_vnd}")
        insert = """
            INSERT INTO payments (code, transaction, amount_vnd, fee) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING"""
        cursor = await connection.execute(insert, (code, told.transaction, amount_vnd, fee))
        if not cursor.rowcount:
            raise Refusal(409, f"dossier {code}: fee {fee} was paid before; expected the bank to pay {told.order} back")
    await connection.execute("UPDATE payment_orders SET state = %s WHERE name = %s", (told.state, told.order))
    return Order(told.order, told.state, amount_vnd, redirect)


async def reconcile(call: Call[Reconcile]) -> Response:
    """Compare a day's payments to the agency with the banks' book, and keep what differs."""
    agency, day = call.identity.agency, call.body.day or today()
    if day.year not in _YEARS:
        raise Refusal(400, f"day {day}: expected one of the years {_YEARS[0]} to {_YEARS[-1]}")
    start = datetime(day.year, day.month, day.day, tzinfo=VIET_NAM)
    values = {
        "first": f"{agency}-00000000",
        "end": f"{agency}-99999999",
        "start": start,
        "stop": start + timedelta(days=1),
        "limit": DIFFERENCES_MAX,
    }
    # A transaction belongs to the day on which either side has it. Codes of an agency are neighbours in both indexes.
    compare = """
        WITH compared AS (
            SELECT code, transaction, p.amount_vnd AS portal_vnd, b.amount_vnd AS bank_vnd
            FROM (SELECT * FROM payments WHERE code >= %(first)s AND code < %(end)s) p
                FULL JOIN (SELECT * FROM bank_transactions WHERE code >= %(first)s AND code < %(end)s) b
                USING (code, transaction)
            WHERE (p.paid_at >= %(start)s AND p.paid_at < %(stop)s) OR (b.at >= %(start)s AND b.at < %(stop)s)
        )
        SELECT NULL, NULL, count(*) FILTER (WHERE portal_vnd = bank_vnd), count(*) FROM compared
        UNION ALL (
            SELECT transaction, code, portal_vnd, bank_vnd FROM compared WHERE portal_vnd IS DISTINCT FROM bank_vnd
            ORDER BY transaction LIMIT %(limit)s
        )"""
    insert = """
        INSERT INTO reconciliations (agency, day, matched, differences) VALUES (%s, %s, %s, %s)
        ON CONFLICT (agency, day) DO UPDATE
        SET matched = excluded.matched, differences = excluded.differences, at = now()"""
    async with call.parts.database.connection() as connection:
        rows = await (await connection.execute(compare, values)).fetchall()
        matched, compared = rows[0][2:]
        differences = [Difference(*row) for row in rows[1:]]
        await connection.execute(insert, (agency, day, matched, Jsonb(msgspec.to_builtins(differences))))
    return answer(Reconciled(day, matched, compared - matched, differences))


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
    Route(
        "POST",
        "/dossiers/{code}/payment-orders",
        order,
        {201: Order, 400: Problem, 404: Problem, 409: Problem},
        system="payment",
        who=(CITIZEN,),
        body=Payment,
    ),
    Route("GET", "/payments/orders/{order}", read_order, {200: Order, 404: Problem}, system="payment", who=(CITIZEN,)),
    Route(
        "POST",
        "/payments/call-back",
        call_back,
        {200: Order, 403: Problem, 404: Problem, 409: Problem},
        system="payment",
        body=bank.Signed,
    ),
    Route(
        "POST",
        "/payments/reconciliations",
        reconcile,
        {200: Reconciled},
        system="payment",
        who=(AGENCY,),
        body=Reconcile,
    ),
)
