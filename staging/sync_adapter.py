"""Status sync as agencies' systems have spoken it since the portal began: one envelope, the operation's name in it.

Knows the wire format and reports.py. Clients differ in how they test for success: some compare `error_code` with "00",
some with "0", some with the number 0, and none says which. Each agency configures the address that it calls, so the
address tells: /adapter/00, /adapter/0 and /adapter/number. What can be read as an envelope is answered with HTTP 200.
"""

import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

import msgspec
from psycopg import AsyncConnection
from starlette.responses import Response

from caodiem.dossier import Status, parse_dossier_code
from staging import reports
from staging.adapters import StatusSync
from staging.answers import Problem, Refusal, answer
from staging.procedures import FIELDS
from staging.reports import Progress, Record, read_time
from staging.routes import Call, Route
from staging.tokens import AGENCY

ITEMS_MAX = 1000
# (success, failure) in the words of each kind of client.
FORMS: dict[str, tuple[str | int, str | int]] = {"00": ("00", "-1"), "0": ("0", "-1"), "number": (0, -1)}
_RECORD_NEEDS = (
    "MaHoSo",
    "MaTTHC",
    "TenTTHC",
    "MaLinhVuc",
    "TenLinhVuc",
    "LoaiDoiTuong",
    "Email",
    "SoDienThoai",
    "TrichYeuHoSo",
    "NgayTiepNhan",
    "NgayHenTra",
    "TrangThaiHoSo",
    "HinhThuc",
    "DonViXuLy",
)
_PROGRESS_NEEDS = ("MaHoSo", "NguoiXuLy", "ThoiDiemXuLy", "NoiDungXuLy", "TrangThai")
_RECORD_TIMES = ("NgayTiepNhan", "NgayHenTra", "NgayTra", "NgayKetThucXuLy")


Item = TypeVar("Item")


class Envelope(msgspec.Struct):
    """What every call sends; which of the later fields count depends on `service`."""

    session: str = ""
    madonvi: str = ""
    service: str = ""
    isUpdating: str = ""
    data: list[dict[str, Any]] = []
    mahoso: str = ""
    maTTHC: str = ""


class Answered(msgspec.Struct):
    """`error_code` in the form that the address stands for; `result` holds what was asked for, or what was rejected."""

    error_code: str | int
    message: str
    result: list[dict[str, Any]]


class Problems(Exception):
    """An answer other than success."""

    def __init__(self, message: str, rejected: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.rejected = rejected or []


class Turn(NamedTuple):
    """One call: the agency that makes it, its envelope, a connection, and the sync that the statuses go to."""

    agency: str
    envelope: Envelope
    connection: AsyncConnection
    sync: StatusSync


async def serve_dossiers(call: Call[Envelope]) -> Response:
    """Dossiers and procedures: TraCuuHoSo, LayThuTuc, DongBoHoSoMC, CapNhatTienDoHoSoMC."""
    return await _serve(call, _DOSSIERS)


async def serve_catalogues(call: Call[Envelope]) -> Response:
    """Catalogues: LayDanhMucCoQuan, LayDanhMucLinhVuc."""
    return await _serve(call, _CATALOGUES)


async def _serve(call: Call[Envelope], services: dict[str, "_Service"]) -> Response:
    form, envelope = FORMS.get(call.path["form"]), call.body
    if form is None:
        raise Refusal(404, f"adapter {call.path['form']!r}: expected one of {', '.join(FORMS)}")
    try:
        agency = _agency_of(call, envelope)
        service = services.get(envelope.service)
        if service is None:
            raise Problems(f"service {envelope.service!r}: expected one of {', '.join(services)}")
        async with call.parts.database.connection() as connection:
            result = await service(Turn(agency, envelope, connection, call.parts.status_sync))
    except Problems as problems:
        return answer(Answered(form[1], str(problems), problems.rejected))
    return answer(Answered(form[0], "", result))


def _agency_of(call: Call[Envelope], envelope: Envelope) -> str:
    """The agency that the session belongs to, if it speaks for itself."""
    identity = call.parts.tokens.read(envelope.session, time.time())
    if identity is None or identity.role != AGENCY:
        raise Problems("session: not valid; expected a token that an agency got by signing in")
    if envelope.madonvi.partition(".")[0] != identity.agency:
        raise Problems(f"madonvi {envelope.madonvi!r}: expected {identity.agency} or a unit of it")
    return identity.agency


async def _look_up(turn: Turn) -> list[dict[str, Any]]:
    code = _own_code(turn.agency, turn.envelope.mahoso)
    found = await reports.known(turn.connection, turn.sync, [code])
    select = "SELECT record ->> 'TrichYeuHoSo' FROM reported_dossiers WHERE code = %s"
    row = await (await turn.connection.execute(select, (code,))).fetchone()
    return [{"MaHoSo": code, "TrangThai": str(found.get(code) or ""), "TrichYeuHoSo": row[0]}] if row else []


async def _procedure(turn: Turn) -> list[dict[str, Any]]:
    select = "SELECT name, field FROM procedures WHERE code = %s"
    row = await (await turn.connection.execute(select, (turn.envelope.maTTHC,))).fetchone()
    if row is None:
        raise Problems(f"maTTHC {turn.envelope.maTTHC!r}: not in the catalogue")
    field = {"MALINHVUC": row[1], "TENLINHVUC": FIELDS.get(row[1], "")}
    return [{"MATTHC": turn.envelope.maTTHC, "TENTTHC": row[0], "LINHVUCTHUCHIEN": [field]}]


async def _sync(turn: Turn) -> list[dict[str, Any]]:
    """Take the records, good ones also when others are bad. Whether one is new, the database knows better than the
    client, whose look-up may have timed out: `isUpdating` is not relied on."""
    good, bad = _sort(turn, _record)
    await reports.keep_records(turn.connection, [record for _, record in good])
    return _told(turn, bad)


async def _progress(turn: Turn) -> list[dict[str, Any]]:
    good, bad = _sort(turn, _step)
    found = await reports.known(turn.connection, turn.sync, [step.code for _, step in good])
    known = [step for _, step in good if step.code in found]
    rejected = await reports.keep_progress(turn.connection, turn.sync, turn.agency, known)
    for index, step in good:
        reason = rejected.get(step) if step.code in found else "not reported yet; expected DongBoHoSoMC first"
        if reason is not None:
            bad.append({"index": index, "MaHoSo": step.code, "reason": reason})
    return _told(turn, bad)


def _sort(
    turn: Turn, read: Callable[[str, dict[str, Any]], Item]
) -> tuple[list[tuple[int, Item]], list[dict[str, Any]]]:
    """(place and content of what could be read, {index, MaHoSo, reason} of the rest)."""
    items = turn.envelope.data
    if not 1 <= len(items) <= ITEMS_MAX:
        raise Problems(f"data: {len(items)} items; expected 1 to {ITEMS_MAX}")
    good: list[tuple[int, Item]] = []
    bad: list[dict[str, Any]] = []
    for index, item in enumerate(items):
        try:
            good.append((index, read(turn.agency, item)))
        except Problems as problems:
            bad.append({"index": index, "MaHoSo": item.get("MaHoSo"), "reason": str(problems)})
    return good, bad


def _told(turn: Turn, bad: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if bad:
        raise Problems(f"{len(bad)} of {len(turn.envelope.data)} items rejected, the others taken", bad)
    return []


def _record(agency: str, item: dict[str, Any]) -> Record:
    _check_there(item, _RECORD_NEEDS)
    code = _own_code(agency, item["MaHoSo"])
    _status(item, "TrangThaiHoSo")
    for name in _RECORD_TIMES:
        if item.get(name):
            _time(item, name)
    return Record(code, item["MaTTHC"], item)


def _step(agency: str, item: dict[str, Any]) -> Progress:
    _check_there(item, _PROGRESS_NEEDS)
    code = _own_code(agency, item["MaHoSo"])
    return Progress(
        code, _time(item, "ThoiDiemXuLy"), _status(item, "TrangThai"), item["NguoiXuLy"], item["NoiDungXuLy"]
    )


def _check_there(item: dict[str, Any], names: tuple[str, ...]) -> None:
    """Problems unless each is a text with something in it, as every scalar of this format is."""
    missing = [name for name in names if not isinstance(item.get(name), str) or not item[name]]
    if missing:
        raise Problems(f"{', '.join(missing)}: expected a text, not empty")


def _own_code(agency: str, code: str) -> str:
    try:
        owner = parse_dossier_code(code)[0]
    except ValueError as error:
        raise Problems(f"MaHoSo: {error}") from error
    if owner != agency:
        raise Problems(f"MaHoSo {code}: expected a dossier of {agency}")
    return code


def _status(item: dict[str, Any], name: str) -> int:
    text = item[name]
    if not (text.isascii() and text.isdigit() and len(text) <= 2 and 1 <= int(text) <= max(Status)):
        raise Problems(f"{name} {text!r}: expected 1 to {int(max(Status))}")
    return int(text)


def _time(item: dict[str, Any], name: str) -> datetime:
    try:
        return read_time(item[name])
    except (TypeError, ValueError) as error:
        raise Problems(f"{name} {error}") from error


async def _agencies(turn: Turn) -> list[dict[str, Any]]:
    select = "SELECT code, name_vi FROM agencies ORDER BY code"
    rows = await (await turn.connection.execute(select)).fetchall()
    return [{"MACOQUAN": code, "TENCOQUAN": name} for code, name in rows]


async def _fields(turn: Turn) -> list[dict[str, Any]]:
    select = "SELECT DISTINCT field FROM procedures WHERE field <> '' ORDER BY field"
    rows = await (await turn.connection.execute(select)).fetchall()
    return [{"MALINHVUC": field, "TENLINHVUC": FIELDS.get(field, "")} for (field,) in rows]


_Service = Callable[[Turn], Awaitable[list[dict[str, Any]]]]
_DOSSIERS: dict[str, _Service] = {
    "TraCuuHoSo": _look_up,
    "LayThuTuc": _procedure,
    "DongBoHoSoMC": _sync,
    "CapNhatTienDoHoSoMC": _progress,
}
_CATALOGUES: dict[str, _Service] = {"LayDanhMucCoQuan": _agencies, "LayDanhMucLinhVuc": _fields}

ROUTES = tuple(
    Route(
        "POST",
        f"/adapter/{{form}}/{name}",
        handler,
        {200: Answered, 404: Problem},
        system="status_sync",
        body=Envelope,
        says_who=True,
    )
    for name, handler in (("dossiers", serve_dossiers), ("catalogues", serve_catalogues))
)
