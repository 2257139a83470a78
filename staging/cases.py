"""An officer's work on the dossiers of an agency: receive, refuse, handle, ask for a supplement, finish, return.

Knows the statuses and which may follow which (caodiem.dossier); the schema refuses any other step once more.
"""

import msgspec
from starlette.responses import Response

from caodiem.dossier import STATUS_AFTER, TRANSITIONS, Status
from staging.answers import Problem, Refusal, answer
from staging.dossiers import check_code
from staging.routes import Call, Route
from staging.tokens import OFFICER

ACTIONS: dict[str, Status] = {
    "receive": STATUS_AFTER["receive_dossier"],
    "refuse": STATUS_AFTER["refuse_dossier"],
    "handle": STATUS_AFTER["start_handling"],
    "ask-supplement": STATUS_AFTER["ask_supplement"],
    "finish": STATUS_AFTER["finish_dossier"],
    "return": STATUS_AFTER["return_result"],
}
_BEFORE: dict[Status, list[int]] = {
    target: [int(status) for status, after in TRANSITIONS.items() if target in after] for target in ACTIONS.values()
}


class Moved(msgspec.Struct):
    """Where a dossier stands now."""

    code: str
    status: int


async def act(call: Call[None]) -> Response:
    """An officer's step with a dossier of the agency.

    A repeat finds the dossier where it should go, and changes nothing.
    """
    officer, code, action = call.identity, call.path["code"], call.path["action"]
    agency = check_code(code)
    if agency != officer.agency:
        raise Refusal(403, f"dossier {code}: {officer.account} works for {officer.agency}, expected {agency}")
    target = ACTIONS.get(action)
    if target is None:
        raise Refusal(404, f"action {action!r}: expected one of {', '.join(ACTIONS)}")
    update = "UPDATE dossiers SET status = %s, version = version + 1 WHERE code = %s AND status = ANY(%s)"
    async with call.parts.database.connection() as connection:
        cursor = await connection.execute(update, (int(target), code, _BEFORE[target]))
        if cursor.rowcount == 0:
            row = await (await connection.execute("SELECT status FROM dossiers WHERE code = %s", (code,))).fetchone()
            _check_repeat(code, row, target)
    return answer(Moved(code, int(target)))


def _check_repeat(code: str, row: tuple[int] | None, target: Status) -> None:
    """Refusal unless the dossier has the target's status already."""
    if row is None:
        raise Refusal(404, f"dossier {code}: not known here")
    if row[0] != target:
        current = Status(row[0])
        allowed = ", ".join(f"{int(status)} {status.name}" for status in sorted(TRANSITIONS[current])) or "none"
        raise Refusal(
            409,
            f"dossier {code}: from status {row[0]} {current.name} to {int(target)} {target.name} is not allowed; "
            f"expected one of: {allowed}",
        )


ROUTES = (
    Route(
        "POST",
        "/cases/{code}/{action}",
        act,
        {200: Moved, 400: Problem, 404: Problem, 409: Problem},
        system="case_system",
        who=(OFFICER,),
    ),
)
