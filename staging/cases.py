"""An officer's work on the dossiers of an agency: receive, refuse, handle, ask for papers or money, stop, finish.

Returning a dossier takes a signed result: see results.py. Which step may follow which stands in moves.py.
"""

from typing import Annotated

import msgspec
from starlette.responses import Response

from caodiem.dossier import STATUS_AFTER, Status
from staging.answers import Problem, Refusal, answer
from staging.dossiers import check_own
from staging.moves import Moved, move
from staging.routes import Call, Route
from staging.tokens import OFFICER

ACTIONS: dict[str, Status] = {
    "receive": STATUS_AFTER["receive_dossier"],
    "refuse": STATUS_AFTER["refuse_dossier"],
    "handle": STATUS_AFTER["start_handling"],
    "ask-supplement": STATUS_AFTER["ask_supplement"],
    "stop": STATUS_AFTER["stop_dossier"],
    "finish": STATUS_AFTER["finish_dossier"],
}


class Obligation(msgspec.Struct, forbid_unknown_fields=True):
    """POST /cases/{code}/ask-payment."""

    amount_vnd: Annotated[int, msgspec.Meta(ge=1, le=10**12)]


async def act(call: Call[None]) -> Response:
    """An officer's step with a dossier of the agency.

    A repeat finds the dossier where it should go, and changes nothing.
    """
    code, action = call.path["code"], call.path["action"]
    check_own(code, call.identity)
    target = ACTIONS.get(action)
    if target is None:
        raise Refusal(404, f"action {action!r}: expected one of {', '.join(ACTIONS)}, ask-payment, return")
    async with call.parts.database.connection() as connection:
        await move(connection, code, target)
    return answer(Moved(code, int(target)))


async def ask_payment(call: Call[Obligation]) -> Response:
    """Ask the citizen for a tax or fee that is due; handling goes on when it is paid. A repeat changes nothing."""
    code, target = call.path["code"], STATUS_AFTER["ask_payment"]
    check_own(code, call.identity)
    insert = """
        INSERT INTO obligations (code, fee, amount_vnd)
        SELECT %s, 1 + count(*), %s FROM obligations WHERE code = %s"""
    select = "SELECT amount_vnd FROM obligations WHERE code = %s ORDER BY fee DESC LIMIT 1"
    async with call.parts.database.connection() as connection, connection.transaction():
        if await move(connection, code, target):
            await connection.execute(insert, (code, call.body.amount_vnd, code))
        else:
            row = await (await connection.execute(select, (code,))).fetchone()
            if row is not None and row[0] != call.body.amount_vnd:
                raise Refusal(409, f"dossier {code}: {row[0]} VND are asked for already; expected that amount")
    return answer(Moved(code, int(target)))


_ANSWERS = {200: Moved, 400: Problem, 404: Problem, 409: Problem}
ROUTES = (
    Route(
        "POST",
        "/cases/{code}/ask-payment",
        ask_payment,
        _ANSWERS,
        system="case_system",
        who=(OFFICER,),
        body=Obligation,
    ),
    Route("POST", "/cases/{code}/{action}", act, _ANSWERS, system="case_system", who=(OFFICER,)),
)
