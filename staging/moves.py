"""A dossier's step to another status: the statement that makes it, and what a refusal says.

Knows the statuses and which may follow which (caodiem.dossier); the schema refuses any other step once more.
"""

import msgspec
from psycopg import AsyncConnection

from caodiem.dossier import TRANSITIONS, Status
from staging.answers import Refusal

_BEFORE = {target: [int(status) for status, after in TRANSITIONS.items() if target in after] for target in Status}


class Moved(msgspec.Struct):
    """Where a dossier stands now."""

    code: str
    status: int


async def move(connection: AsyncConnection, code: str, target: Status) -> bool:
    """Take a dossier to `target`; False when it is there already. Refusal 404 or 409 when it cannot be taken there."""
    update = "UPDATE dossiers SET status = %s, version = version + 1 WHERE code = %s AND status = ANY(%s)"
    cursor = await connection.execute(update, (int(target), code, _BEFORE[target]))
    if cursor.rowcount:
        return True
    await check_there(connection, code, target)
    return False


async def check_there(connection: AsyncConnection, code: str, target: Status) -> None:
    """Refusal 404 or 409 unless the dossier is at `target`; takes it nowhere."""
    row = await (await connection.execute("SELECT status FROM dossiers WHERE code = %s", (code,))).fetchone()
    if row is None:
        raise Refusal(404, f"dossier {code}: not known here")
    if row[0] != target:
        raise _forbidden(code, Status(row[0]), target)


def _forbidden(code: str, current: Status, target: Status) -> Refusal:
    allowed = ", ".join(f"{int(status)} {status.name}" for status in sorted(TRANSITIONS[current])) or "none"
    return Refusal(
        409,
        f"dossier {code}: from status {int(current)} {current.name} to {int(target)} {target.name} is not allowed; "
        f"expected one of: {allowed}",
    )
