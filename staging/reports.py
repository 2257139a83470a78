"""What agencies report of their own dossiers, whichever wire format it came in: records, progress, statuses.

Knows the tables `reported_dossiers`, `reported_records`, `reported_progress`, and the status sync, ours or another
(adapters.py), to which each status goes as an event. The formats have no key that makes a repeat harmless, so it is
made of what is said: an event's sequence is its time and status, a record is known by its digest.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Any

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from staging.adapters import StatusSync
from staging.status_sync import Event, Taken

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


def today() -> date:
    """The day by Viet Nam's clocks."""
    return datetime.now(VIET_NAM).date()


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


async def known(connection: AsyncConnection, sync: StatusSync, codes: Sequence[str]) -> dict[str, int | None]:
    """The status of each dossier that was reported before; None where no status was."""
    select = "SELECT code FROM reported_dossiers WHERE code = ANY (%s)"
    reported = [code for (code,) in await (await connection.execute(select, (list(codes),))).fetchall()]
    statuses = await sync.statuses(connection, reported)
    return {code: statuses.get(code) for code in reported}


async def latest(connection: AsyncConnection, codes: Sequence[str]) -> dict[str, datetime]:
    """When the last step of each dossier was, of those that have one."""
    select = "SELECT code, max(at) FROM reported_progress WHERE code = ANY (%s) GROUP BY code"
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


async def keep_progress(
    connection: AsyncConnection, sync: StatusSync, agency: str, steps: Sequence[Progress]
) -> dict[Progress, str]:
    """Give the statuses of dossiers that were reported to the sync, and keep the steps; those that the sync rejects,
    and why, are not kept.
    """
    if not steps:
        return {}
    steps = sorted(set(steps), key=lambda step: (step.code, step.at, step.status, step.officer, step.done))
    insert = """
        INSERT INTO reported_progress (code, at, status, officer, done)
        SELECT * FROM unnest(%s::text[], %s::timestamptz[], %s::smallint[], %s::text[], %s::text[])
        ON CONFLICT DO NOTHING"""
    events = [event_of(step) for step in steps]
    # The batch's name is its content: the same steps again are the same batch. It is longer than any that an agency may
    # give to a batch of its own (status_sync.Batch), so that none is taken.
    batch = f"report {hashlib.sha512(msgspec.json.encode(events)).hexdigest()}"
    async with connection.transaction():
        told = await sync.apply(connection, agency, batch, sync.check(agency, events))
        assert told is not None
        taken = msgspec.convert(told, Taken)
        rejected = {steps[each.index]: each.reason for each in taken.rejected}
        kept = [step for step in steps if step not in rejected]
        columns = [[getattr(step, name) for step in kept] for name in ("code", "at", "status", "officer", "done")]
        await connection.execute(insert, columns)
    return rejected


def event_of(step: Progress) -> Event:
    """The sync's event of a step: told twice it is the same event, and later times have higher numbers."""
    at = step.at.astimezone(VIET_NAM)
    return Event(step.code, step.status, int(at.timestamp()) * _STATUSES + step.status, f"{at:{_COMPACT}}")
