"""Status events that agencies push in batches: idempotent by batch, in any order, each event kept once.

Knows the tables `sync_batches`, `sync_events`, `sync_states` through the database function push_sync, which does one
batch in one round trip and one transaction. Rows are checked here; a bad one is named and does not sink its batch.
"""

import hashlib
import re
from datetime import datetime, timedelta, timezone
from typing import Annotated

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb
from starlette.requests import Request
from starlette.responses import Response

from caodiem.dossier import Status, parse_dossier_code
from staging.answers import Refusal, answer, read_body
from staging.parts import parts_of
from staging.tokens import AGENCY, identify

EVENTS_MAX = 5000
_VIETNAM = timezone(timedelta(hours=7))
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)", re.ASCII)
_STATUSES = frozenset(int(status) for status in Status)
_SEQUENCE_END = 2**63


class Event(msgspec.Struct, forbid_unknown_fields=True):
    """One status that a dossier took; `sequence` is the source's own count, `at` local time as yyyyMMddHHmmss."""

    code: str
    status: int
    sequence: int
    at: str


class Batch(msgspec.Struct, forbid_unknown_fields=True):
    """POST /sync. `batch` is the idempotency key, an agency's own choice."""

    batch: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    events: Annotated[list[Event], msgspec.Meta(max_length=EVENTS_MAX)]


Row = tuple[int, str, int, int, datetime]


async def push(request: Request) -> Response:
    """POST /sync: {accepted, stale, rejected}; the three add up to the events of the batch.

    accepted: newer than what was known of the dossier. stale: not newer, kept in the log all the same.
    """
    parts = parts_of(request)
    agency = identify(request, parts.tokens, AGENCY).agency
    batch = await read_body(request, Batch)
    rows, rejected = check(agency, batch.events)
    async with parts.database.connection() as connection:
        told = await apply(connection, agency, batch, rows, rejected)
    if told is None:
        raise Refusal(409, f"batch {batch.batch!r}: the key was used for other events; expected a new key")
    return answer(told)


async def apply(
    connection: AsyncConnection, agency: str, batch: Batch, rows: list[Row], rejected: list[dict[str, object]]
) -> dict[str, object] | None:
    """Write what `check` made of a batch and return the answer; None when the batch's key stands for another batch."""
    columns = [list(column) for column in zip(*rows, strict=True)] or [[]] * 5
    statement = (
        "SELECT push_sync(%s, %s, %b, %b::int[], %b::text[], %b::bigint[], %b::smallint[], %b::timestamptz[], %s)"
    )
    values = (agency, batch.batch, _digest(batch), *columns, Jsonb(rejected))
    row = await (await connection.execute(statement, values)).fetchone()
    return row[0] if row else None


def check(agency: str, events: list[Event]) -> tuple[list[Row], list[dict[str, object]]]:
    """(rows, rejected): (index, code, sequence, status, at) of good events, {index, reason} of bad ones."""
    rows: list[Row] = []
    rejected: list[dict[str, object]] = []
    for index, event in enumerate(events):
        try:
            rows.append((index, *_check_event(agency, event)))
        except ValueError as error:
            rejected.append({"index": index, "reason": str(error)})
    return rows, rejected


def _check_event(agency: str, event: Event) -> tuple[str, int, int, datetime]:
    """The row of a good event; ValueError names what is wrong with a bad one."""
    owner, _ = parse_dossier_code(event.code)
    if owner != agency:
        raise ValueError(f"code {event.code}: expected a dossier of {agency}")
    if event.status not in _STATUSES:
        raise ValueError(f"status {event.status}: expected 1 to {max(_STATUSES)}")
    if not 0 <= event.sequence < _SEQUENCE_END:
        raise ValueError(f"sequence {event.sequence}: expected 0 to {_SEQUENCE_END - 1}")
    match = _TIME.fullmatch(event.at)
    if match is None:
        raise ValueError(f"at {event.at!r}: expected a time as yyyyMMddHHmmss")
    try:
        year, month, day, hour, minute, second = map(int, match.groups())
        at = datetime(year, month, day, hour, minute, second, tzinfo=_VIETNAM)
    except ValueError as error:
        raise ValueError(f"at {event.at!r}: {error}; expected a time as yyyyMMddHHmmss") from error
    return event.code, event.sequence, event.status, at


def _digest(batch: Batch) -> bytes:
    return hashlib.sha256(msgspec.json.encode(batch.events)).digest()
