"""Status events that agencies push in batches: idempotent by batch, in any order, each event kept once.

Knows the tables `sync_batches` and `sync_dossiers` through the database function push_sync, which does one batch in
one round trip and one transaction. Rows are checked here, a batch at a time in numpy, where a row costs an eighth of
what it costs one by one; a bad one is named and does not sink its batch.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any

import msgspec
import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import AsyncConnection
from psycopg.abc import AdaptContext, PyFormat
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types.json import Jsonb
from starlette.responses import Response

from caodiem.dossier import Status
from staging.answers import Problem, Refusal, answer
from staging.routes import Call, Route
from staging.tokens import AGENCY

EVENTS_MAX = 5000
_CODE = re.compile(r"([GH]\d\d)-\d{8}-\d{7}", re.ASCII)
_CODE_DIGITS = [*range(4, 12), *range(13, 20)]
_DOSSIERS = 10**15  # an agency's dossier numbers have 15 digits
_SERIALS_PER_DAY = 10**7
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)", re.ASCII)
_TIME_WIDTHS = (4, 2, 2, 2, 2, 2)
_CODE_WIDTH, _TIME_WIDTH = 20, sum(_TIME_WIDTHS)
_AHEAD_S = 7 * 3600  # Viet Nam's clocks, since 1975 without summer time
_STATUS_MAX = max(Status)
_SEQUENCE_END = 2**63
_BYTEA_OID, _BYTEAS_OID, _BIGINT_OID, _BIGINTS_OID = 17, 1001, 20, 1016

# Digits times these are numbers; in floating point, which is exact up to 2**53 and has a fast product.
_CODE_POWERS = 10.0 ** np.arange(14, -1, -1)
_TIME_POWERS = np.zeros((_TIME_WIDTH, len(_TIME_WIDTHS)))
for _column, _width in enumerate(_TIME_WIDTHS):
    _first = sum(_TIME_WIDTHS[:_column])
    _TIME_POWERS[_first : _first + _width, _column] = 10.0 ** np.arange(_width - 1, -1, -1)


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


class Rejected(msgspec.Struct):
    """A bad event: its place in the batch, and why it was not taken."""

    index: int
    reason: str


class Taken(msgspec.Struct):
    """What became of a batch's events; the three add up to them.

    accepted: newer than what was known of the dossier. stale: not newer, kept in the log all the same.
    """

    accepted: int
    stale: int
    rejected: list[Rejected]


Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Checked:
    """A batch as the database function takes it. Good events by dossier, sequence, then place in the batch; dossiers
    with a sequence number more than once come last. `digest` stands for the batch as it came, bad events too.
    """

    key: Integers  # of each dossier: agency (G00 to H99 as 0 to 199), then the 15 digits of its code
    start: Integers  # of each dossier: where its first event stands in the next two
    index: Integers  # of each good event: its place in the batch
    words: Integers  # of each good event: (sequence, seconds since 1970 times 16 plus status)
    plain: int  # dossiers with no sequence number twice
    rejected: list[dict[str, object]]  # {index, reason} of bad events
    digest: bytes


async def push(call: Call[Batch]) -> Response:
    """Take a batch of an agency's status events."""
    agency, batch = call.identity.agency, call.body
    sync = call.parts.status_sync
    checked = sync.check(agency, batch.events)
    async with call.parts.database.connection() as connection:
        told = await sync.apply(connection, agency, batch.batch, checked)
    if told is None:
        raise Refusal(409, f"batch {batch.batch!r}: the key was used for other events; expected a new key")
    return answer(told)


async def apply(connection: AsyncConnection, agency: str, batch: str, checked: Checked) -> dict[str, object] | None:
    """Write what `check` made of a batch and return the answer; None when the key `batch` stands for another batch."""
    values = (
        agency,
        batch,
        checked.digest,
        _bigints(checked.key),
        _byte_strings(checked.words, checked.start),
        checked.index.astype(">i4").tobytes(),
        checked.plain,
        Jsonb(checked.rejected),
    )
    statement = "SELECT push_sync(%s, %s, %b, %b, %b, %b, %s, %s)"
    row = await (await connection.execute(statement, values)).fetchone()
    return row[0] if row else None


def check(agency: str, events: list[Event]) -> Checked:
    """What is good in a batch, packed, and what is bad, with reasons."""
    index, columns = _read(agency, events)
    key, sequence, detail = columns
    rejected: list[dict[str, object]] = []
    digest = hashlib.sha256(b"%d:" % len(index) + np.concatenate(columns).tobytes())
    if len(index) < len(events):
        bad = sorted({*range(len(events))} - set(index.tolist()))
        rejected = [{"index": each, "reason": _reason(agency, events[each])} for each in bad]
        digest.update(msgspec.json.encode([(each, events[each]) for each in bad]))
    order = np.lexsort((sequence, key))  # keeps the batch's order among equals
    is_first, is_copy = _compare(key[order], sequence[order])
    plain = int(is_first.sum())
    if is_copy.any():
        dossier = is_first.cumsum() - 1
        has_copies = np.zeros(plain, bool)
        has_copies[dossier[is_copy]] = True
        order = order[np.argsort(has_copies[dossier], kind="stable")]
        plain -= int(has_copies.sum())
        is_first, _ = _compare(key[order], sequence[order])
    start = np.flatnonzero(is_first)
    words = np.stack((sequence, detail), axis=1)[order]
    return Checked(key[order][start], start, index[order], words, plain, rejected, digest.digest())


def key_range(agency: str, first: date, behind: date) -> tuple[int, int]:
    """The keys of an agency's dossiers from the day `first` to that before `behind`, the second one excluded."""
    base = _agency_key(agency)
    return tuple(base + int(f"{day:%Y%m%d}") * _SERIALS_PER_DAY for day in (first, behind))  # type: ignore[return-value]


def _agency_key(agency: str) -> int:
    return (int(agency[1:]) + 100 * (agency[0] == "H")) * _DOSSIERS


def _compare(key: Integers, sequence: Integers) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(is_first, is_copy) of sorted events: the first of its dossier; of the same sequence as the one before."""
    is_first = np.ones(len(key), bool)
    is_first[1:] = key[1:] != key[:-1]
    is_copy = ~is_first
    is_copy[1:] &= sequence[1:] == sequence[:-1]
    return is_first, is_copy


def _read(agency: str, events: list[Event]) -> tuple[Integers, tuple[Integers, Integers, Integers]]:
    """(index, (key, sequence, detail)) of the good events, in the batch's order."""
    index = np.arange(len(events))
    columns = _columns(events)
    if columns is None:
        index = np.array([place for place, event in enumerate(events) if _columns([event])], np.int64)
        columns = _columns([events[place] for place in index])
        assert columns is not None
    codes, times, sequence, status = columns
    is_code, dossier = _read_codes(agency, codes)
    is_time, at_s = _read_times(times)
    key = _agency_key(agency) + dossier
    columns = key, sequence, at_s * 16 + status
    good = is_code & is_time & (sequence >= 0) & (status >= 1) & (status <= _STATUS_MAX)
    if good.all():
        return index, columns
    return index[good], (columns[0][good], columns[1][good], columns[2][good])


def _columns(events: list[Event]) -> tuple[bytes, bytes, Integers, Integers] | None:
    """(codes, times, sequences, statuses), texts one after another; None unless each fits its column."""
    codes, times = [event.code for event in events], [event.at for event in events]
    if not ({*map(len, codes)} <= {_CODE_WIDTH} and {*map(len, times)} <= {_TIME_WIDTH}):
        return None
    try:
        code, time = "".join(codes).encode("ascii"), "".join(times).encode("ascii")
        sequence = np.array([event.sequence for event in events], np.int64)
        status = np.array([event.status for event in events], np.int64)
    except (UnicodeEncodeError, OverflowError):
        return None
    return code, time, sequence, status


def _read_codes(agency: str, codes: bytes) -> tuple[NDArray[np.bool_], Integers]:
    """(is_good, dossier number) of codes one after another."""
    letters = np.frombuffer(codes, np.uint8).reshape(-1, _CODE_WIDTH)
    digits = letters[:, _CODE_DIGITS] - 48  # below 48 they wrap round and are over 9, too
    is_good = (digits <= 9).all(axis=1) & (letters[:, 12] == ord("-"))
    is_good &= (letters[:, :4] == np.frombuffer(f"{agency}-".encode(), np.uint8)).all(axis=1)
    return is_good, (digits @ _CODE_POWERS).astype(np.int64)


def _read_times(times: bytes) -> tuple[NDArray[np.bool_], Integers]:
    """(is_good, seconds since 1970) of local times one after another."""
    digits = np.frombuffer(times, np.uint8).reshape(-1, _TIME_WIDTH) - 48
    year, month, day, hour, minute, second = (digits @ _TIME_POWERS).astype(np.int64).T
    months = (year - 1970) * 12 + month - 1
    first_day, next_month = (_days(each) for each in (months, months + 1))
    is_good = (digits <= 9).all(axis=1) & (year >= 1) & (month >= 1) & (month <= 12)
    is_good &= (day >= 1) & (day <= next_month - first_day) & (hour <= 23) & (minute <= 59) & (second <= 59)
    return is_good, (first_day + day - 1) * 86400 + hour * 3600 + minute * 60 + second - _AHEAD_S


def _days(months: Integers) -> Integers:
    """Days from 1970 to the first of a month, given as months from 1970."""
    return months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)


def _reason(agency: str, event: Event) -> str:
    """What is wrong with a bad event."""
    code = _CODE.fullmatch(event.code)
    if code is None:
        return f"dossier code {event.code!r}: expected a form like H01-20260609-0092637"
    if code[1] != agency:
        return f"code {event.code}: expected a dossier of {agency}"
    if not 1 <= event.status <= _STATUS_MAX:
        return f"status {event.status}: expected 1 to {_STATUS_MAX}"
    if not 0 <= event.sequence < _SEQUENCE_END:
        return f"sequence {event.sequence}: expected 0 to {_SEQUENCE_END - 1}"
    told = f"at {event.at!r}: expected a time as yyyyMMddHHmmss"
    time = _TIME.fullmatch(event.at)
    if time is None:
        return told
    try:
        datetime(*map(int, time.groups()))  # type: ignore[arg-type]
    except ValueError as error:
        return f"at {event.at!r}: {error}; expected a time as yyyyMMddHHmmss"
    raise AssertionError(f"{event} is good")


@dataclass(frozen=True)
class _Array:
    """An array in PostgreSQL's binary format: made from a column at once, where psycopg goes element by element."""

    oid: int
    content: bytes


class _ArrayDumper(Dumper):
    format = Format.BINARY

    def __init__(self, cls: type, context: AdaptContext | None = None, oid: int = 0) -> None:
        super().__init__(cls, context)
        self.oid = oid

    def get_key(self, obj: _Array, format: PyFormat) -> Any:
        return self.cls, obj.oid

    def upgrade(self, obj: _Array, format: PyFormat) -> "_ArrayDumper":
        return _ArrayDumper(self.cls, None, obj.oid)

    def dump(self, obj: _Array) -> bytes:
        return obj.content


psycopg.adapters.register_dumper(_Array, _ArrayDumper)


def _array(element_oid: int, oid: int, length: int, elements: bytes) -> _Array:
    # Dimensions, whether there are nulls, what of; the length and the first subscript; each element after its length.
    head = (1, 0, element_oid, length, 1) if length else (0, 0, element_oid)
    return _Array(oid, np.array(head, ">i4").tobytes() + elements)


def _bigints(column: Integers) -> _Array:
    elements = np.empty(len(column), [("bytes", ">i4"), ("value", ">i8")])
    elements["bytes"], elements["value"] = 8, column
    return _array(_BIGINT_OID, _BIGINTS_OID, len(column), elements.tobytes())


def _byte_strings(words: Integers, start: Integers) -> _Array:
    """bytea[]: the words from each start up to the next, most significant byte first."""
    lengths = np.diff(start, append=len(words)) * 16
    halves = words.astype(">i8").view(">i4").ravel()
    return _array(_BYTEA_OID, _BYTEAS_OID, len(start), np.insert(halves, start * 4, lengths).tobytes())


async def statuses(connection: AsyncConnection, codes: Sequence[str]) -> dict[str, int]:
    """The newest status of each of the dossiers that was reported; codes must have the form of one."""
    select = """
        SELECT code, (e.detail & 15)::smallint
        FROM unnest(%s::text[]) AS code JOIN sync_dossiers d ON d.key = sync_key(code)
            CROSS JOIN LATERAL sync_unpack(substr(d.events, octet_length(d.events) - 15)) e"""
    return dict(await (await connection.execute(select, (list(codes),))).fetchall())


class Writer:
    """This module as an adapter (staging.adapters.StatusSync)."""

    check = staticmethod(check)
    apply = staticmethod(apply)
    statuses = staticmethod(statuses)


ROUTES = (Route("POST", "/sync", push, {200: Taken, 409: Problem}, system="status_sync", who=(AGENCY,), body=Batch),)
