"""What agencies report of their own dossiers, whichever wire format it came in: records, progress, statuses.

Knows the tables `reported_dossiers`, `reported_records`, `reported_progress`, and the status sync, to which each status
goes as an event. The formats have no key that makes a repeat harmless, so it is made of what is said: an event's
sequence is its time and status, a record is known by its digest.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from staging import status_sync
from staging.status_sync import Event

VIET_NAM = timezone(timedelta(hours=7))  # since 1975 without summer time
_COMPACT = "%Y%m%d%H%M%S"
_YEARS = range(1971, 9999)  # whose times have a place in a sequence number, in any zone
_STATUSES = 16  # as many as have room beside a time in a sequence number


@dataclass(frozen=True)
class Record:
    """A dossier as its agency has it. `content` is what was sent, whole."""

    code: str
    procedure: str
    content: dict[str, Any]


@dataclass(frozen=True)
class Progress:
    """A step of handling: who did what, when, and the status that the dossier took."""

    code: str
    at: datetime
    status: int
    officer: str
    done: str


def read_time(text: str) -> datetime:
    """A time as yyyyMMddHHmmss by Viet Nam's clocks; ValueError when it is none."""
    if len(text) != 14 or not text.isascii() or not text.isdigit():
        raise ValueError(f"{text!r}: expected a time as yyyyMMddHHmmss")
    try:
        return in_range(datetime.strptime(text, _COMPACT).replace(tzinfo=VIET_NAM))
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}; expected a time as yyyyMMddHHmmss") from error


def in_range(at: datetime) -> datetime:
    """`at`, if an event can be made of it; ValueError otherwise."""
    if at.year not in _YEARS:
        raise ValueError(f"year {at.year}: expected {_YEARS[0]} to {_YEARS[-1]}")
    return at


async def known(connection: AsyncConnection, codes: Sequence[str]) -> dict[str, int | None]:
    """The status of each dossier that was reported before; None where no status was."""
    select = """
        SELECT r.code, s.status FROM reported_dossiers r LEFT JOIN LATERAL (
            SELECT (e.detail & 15)::smallint AS status
            FROM sync_dossiers d CROSS JOIN LATERAL sync_unpack(substr(d.events, octet_length(d.events) - 15)) e
            WHERE d.key = sync_key(r.code)
        ) s ON true WHERE r.code = ANY (%s)"""
    return dict(await (await connection.execute(select, (list(codes),))).fetchall())


async def keep_records(connection: AsyncConnection, records: Sequence[Record]) -> None:
    """Keep the newest record of each dossier; one that was seen before changes nothing."""
    statement = """
        WITH dossier AS (
            INSERT INTO reported_dossiers (code, procedure, record) VALUES (%(code)s, %(procedure)s, %(record)s)
            ON CONFLICT (code) DO UPDATE SET
                procedure = excluded.procedure, record = excluded.record, reported_at = now()
            WHERE NOT EXISTS (
                SELECT FROM reported_records s WHERE s.code = reported_dossiers.code AND s.digest = %(digest)s)
        )
        INSERT INTO reported_records (code, digest) VALUES (%(code)s, %(digest)s) ON CONFLICT DO NOTHING"""
    values = [
        {
            "code": record.code,
            "procedure": record.procedure,
            "record": Jsonb(record.content),
            "digest": hashlib.sha256(msgspec.json.encode(record.content, order="sorted")).digest(),
        }
        for record in sorted(records, key=lambda record: record.code)  # two batches lock in one order
    ]
    async with connection.transaction(), connection.cursor() as cursor:
        await cursor.executemany(statement, values)


async def keep_progress(connection: AsyncConnection, agency: str, steps: Sequence[Progress]) -> None:
    """Keep steps of dossiers that were reported, and give their statuses to the sync."""
    if not steps:
        return
    steps = sorted(set(steps), key=lambda step: (step.code, step.at, step.status, step.officer, step.done))
    insert = """
        INSERT INTO reported_progress (code, at, status, officer, done)
        SELECT * FROM unnest(%s::text[], %s::timestamptz[], %s::smallint[], %s::text[], %s::text[])
        ON CONFLICT DO NOTHING"""
    columns = [
        [step.code for step in steps],
        [step.at for step in steps],
        [step.status for step in steps],
        [step.officer for step in steps],
        [step.done for step in steps],
    ]
    checked = status_sync.check(agency, [event_of(step) for step in steps])
    assert not checked.rejected, checked.rejected
    async with connection.transaction():
        # The batch's name is its content: the same steps again are the same batch.
        told = await status_sync.apply(connection, agency, f"report {checked.digest.hex()}", checked)
        assert told is not None
        await connection.execute(insert, columns)


def event_of(step: Progress) -> Event:
    """The sync's event of a step: told twice it is the same event, and later times have higher numbers."""
    at = step.at.astimezone(VIET_NAM)
    return Event(step.code, step.status, int(at.timestamp()) * _STATUSES + step.status, f"{at:{_COMPACT}}")
