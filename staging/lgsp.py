"""The newer flow of status sync, through a ministry's LGSP: token, dossier code, upload, create, progress, status.

Knows the wire format, the tables `code_serials` and `uploaded_files`, and reports.py. Answers by HTTP status: 400 for
missing data, 401 without a valid token, 403 for another agency's dossier, 502 or 503 when the status sync behind the
LGSP fails or is away.
One wrong entry has the whole call refused, with nothing taken, so the same call can be sent again once it is right.
"""

import hashlib
import time
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from psycopg import AsyncConnection
from starlette.responses import Response

from staging import accounts, document_store, reports
from staging.answers import Problem, Refusal, answer
from staging.dossiers import check_code
from staging.reports import VIET_NAM, Progress, Record
from staging.routes import Call, Route
from staging.tokens import AGENCY, TOKEN_VALID_S

ITEMS_MAX = 1000
FILES_MAX = 20
# Codes given out here begin where nobody else counts to in a day.
_FIRST_SERIAL = 9_000_000
_LOCAL = "%Y-%m-%d %H:%M:%S"
_A_SECOND = timedelta(seconds=1)

Status = Annotated[int, msgspec.Meta(ge=1, le=10)]
Text = Annotated[str, msgspec.Meta(min_length=1)]


class Client(msgspec.Struct):
    """Step 1. `client_id`: an agency's account, like agency-H01."""

    client_id: str
    client_secret: str


class Token(msgspec.Struct):
    """To send as `Authorization: Bearer`."""

    access_token: str
    token_type: str
    expires_in: int


class Unit(msgspec.Struct):
    """Step 2. `code`: the agency's, or that of a unit of it."""

    code: Text


class Code(msgspec.Struct):
    """The next dossier code."""

    value: str


class File(msgspec.Struct):
    """A file to upload; its content in base64."""

    TenTepTin: Text
    NoiDung: bytes


class Upload(msgspec.Struct):
    """Step 3."""

    files: Annotated[list[File], msgspec.Meta(min_length=1, max_length=FILES_MAX)]


class Uploaded(msgspec.Struct):
    """Where an uploaded file is found: its name here and its SHA-256."""

    IdTepTin: str
    HashTepTin: str


class Created(msgspec.Struct):
    """The portal's own name for a dossier, and its code."""

    idHoSo: str
    maHoSo: str


class Create(msgspec.Struct):
    """Step 4, as far as the portal looks at it; other fields are taken and not kept."""

    MaHoSo: Text
    MaTTHC: Text
    ChuHoSo: Text
    MaDonViTiepNhan: Text
    NgayNop: Text
    ThanhPhanHoSo: list[dict[str, Any]]


class ProgressEntry(msgspec.Struct):
    """Step 5: times by ISO 8601. Note the spelling of IDHoSo."""

    IDHoSo: Text
    MaHoSo: Text
    NguoiXuLy: Text
    ThoiDiemXuLy: datetime
    NoiDungXuLy: Text
    TrangThai: Status


class StatusEntry(msgspec.Struct):
    """Step 6: a status without a time. Note the spelling of IdHoSo."""

    IdHoSo: Text
    MaHoSo: Text
    TrangThai: Status


Entries = Annotated[list[ProgressEntry], msgspec.Meta(min_length=1, max_length=ITEMS_MAX)]
Statuses = Annotated[list[StatusEntry], msgspec.Meta(min_length=1, max_length=ITEMS_MAX)]


class Taken(msgspec.Struct):
    """How many entries were taken."""

    taken: int


async def give_token(call: Call[Client]) -> Response:
    """A token for an agency's system."""
    identity = await accounts.check(call.parts, call.body.client_id, call.body.client_secret)
    if identity.role != AGENCY:
        raise Refusal(401, f"client {call.body.client_id!r}: expected an agency's account")
    return answer(Token(call.parts.tokens.issue(identity, time.time()), "Bearer", TOKEN_VALID_S))


async def give_code(call: Call[Unit]) -> Response:
    """The next dossier code of the agency, each given once."""
    agency, day = call.identity.agency, reports.today()
    if call.body.code.partition(".")[0] != agency:
        raise Refusal(403, f"code {call.body.code!r}: expected {agency} or a unit of it")
    upsert = """
        INSERT INTO code_serials AS c (agency, day, last) VALUES (%s, %s, %s)
        ON CONFLICT (agency, day) DO UPDATE SET last = c.last + 1 RETURNING last"""
    async with call.parts.database.connection() as connection:
        row = await (await connection.execute(upsert, (agency, day, _FIRST_SERIAL))).fetchone()
    assert row is not None
    return answer(Code(f"{agency}-{day:%Y%m%d}-{row[0]:07d}"))


async def upload(call: Call[Upload]) -> Response:
    """Keep files for dossiers to come; the same file again is the same."""
    agency, told = call.identity.agency, []
    statement = """
        WITH stored AS (
            INSERT INTO stored_documents (digest, content) VALUES (%(digest)s, %(content)s) ON CONFLICT DO NOTHING
        )
        INSERT INTO uploaded_files (agency, file, digest) VALUES (%(agency)s, %(file)s, %(digest)s)
        ON CONFLICT DO NOTHING"""
    async with call.parts.reach("document_store") as connection:
        for digest, file in document_store.in_order(call.body.files, lambda file: file.NoiDung):
            name = hashlib.sha256(f"{file.TenTepTin} {digest.hex()}".encode()).hexdigest()[:32]
            values = {"digest": digest, "content": file.NoiDung, "agency": agency, "file": name}
            await connection.execute(statement, values)
            told.append(Uploaded(name, digest.hex()))
    return answer(told)


async def create(call: Call[Create]) -> Response:
    """Report a dossier; its first status is that of having been registered."""
    given, agency = call.body, call.identity.agency
    _check_owner(given.MaHoSo, agency)
    filed_at = _read_local(given.NgayNop)
    files = [paper for part in given.ThanhPhanHoSo for paper in _papers(part)]
    select = "SELECT encode(digest, 'hex') FROM uploaded_files WHERE agency = %s AND encode(digest, 'hex') = ANY (%s)"
    record = Record(given.MaHoSo, given.MaTTHC, msgspec.to_builtins(given))
    async with call.parts.reach("status_sync") as connection:
        there = {row[0] for row in await (await connection.execute(select, (agency, files))).fetchall()}
        if set(files) - there:
            raise Refusal(400, f"HashTepTin {min(set(files) - there)!r}: expected that of an uploaded file")
        await reports.keep_records(connection, [record])
        registered = Progress(given.MaHoSo, filed_at, 1, given.ChuHoSo, "Nộp hồ sơ")
        await _keep(call, connection, [registered])
    return answer(Created(_id_of(given.MaHoSo), given.MaHoSo))


async def report_progress(call: Call[Entries]) -> Response:
    """Report steps of handling; a repeat changes nothing."""
    entries = call.body
    steps = [
        Progress(each.MaHoSo, _aware(each.ThoiDiemXuLy), each.TrangThai, each.NguoiXuLy, each.NoiDungXuLy)
        for each in entries
    ]
    async with call.parts.reach("status_sync") as connection:
        await _known(call, connection, [(each.IDHoSo, each.MaHoSo) for each in entries])
        await _keep(call, connection, steps)
    return answer(Taken(len(steps)))


async def report_status(call: Call[Statuses]) -> Response:
    """Report the status that dossiers have now; one that a dossier has already is no news.

    It comes without a time, so it is of now, but a second after the dossier's last step: events are told apart by it.
    """
    agency, entries, now = call.identity.agency, call.body, datetime.now(VIET_NAM)
    steps = []
    async with call.parts.reach("status_sync") as connection:
        known = await _known(call, connection, [(each.IdHoSo, each.MaHoSo) for each in entries])
        latest = await reports.latest(connection, [*known])
        for each in entries:
            code, status = each.MaHoSo, each.TrangThai
            if known[code] != status:
                at = max(now, latest[code] + _A_SECOND) if code in latest else now
                steps.append(Progress(code, at, status, agency, "CapNhatTrangThai"))
                known[code], latest[code] = status, at
        await _keep(call, connection, steps)
    return answer(Taken(len(entries)))


async def _keep(call: Call[Any], connection: AsyncConnection, steps: list[Progress]) -> None:
    """Refusal, which gives up the transaction, when the status sync rejects one of the steps."""
    rejected = await reports.keep_progress(connection, call.parts.status_sync, call.identity.agency, steps)
    for step, reason in rejected.items():
        raise Refusal(400, f"MaHoSo {step.code}: {reason}")


async def _known(call: Call[Any], connection: AsyncConnection, named: list[tuple[str, str]]) -> dict[str, int | None]:
    """The statuses of dossiers; Refusal unless each is the agency's own, was created, and has this name here."""
    for name, code in named:
        _check_owner(code, call.identity.agency)
        if name != _id_of(code):
            raise Refusal(400, f"IdHoSo {name!r}: expected {_id_of(code)}, as {code} was given when it was created")
    known = await reports.known(connection, call.parts.status_sync, [code for _, code in named])
    unknown = next((code for _, code in named if code not in known), None)
    if unknown is not None:
        raise Refusal(400, f"MaHoSo {unknown}: not created yet")
    return known


def _check_owner(code: str, agency: str) -> None:
    if check_code(code) != agency:
        raise Refusal(403, f"MaHoSo {code}: expected a dossier of {agency}")


def _id_of(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()[:24]


def _papers(part: dict[str, Any]) -> list[str]:
    """The digests of the files of one component."""
    papers = part.get("GiayToDinhKem") or []
    if not isinstance(papers, list) or not all(isinstance(each, dict) for each in papers):
        raise Refusal(400, "GiayToDinhKem: expected an array of objects")
    return [str(each.get("HashTepTin", "")).lower() for each in papers]


def _read_local(text: str) -> datetime:
    try:
        return reports.in_range(datetime.strptime(text, _LOCAL).replace(tzinfo=VIET_NAM))
    except ValueError as error:
        raise Refusal(400, f"NgayNop {text!r}: expected a time as yyyy-MM-dd HH:mm:ss") from error


def _aware(at: datetime) -> datetime:
    """Times without a zone are by Viet Nam's clocks; Refusal for one that no event can be made of."""
    try:
        return reports.in_range(at if at.tzinfo else at.replace(tzinfo=VIET_NAM))
    except ValueError as error:
        raise Refusal(400, f"ThoiDiemXuLy {at}: {error}") from error


_OWN = {400: Problem, 403: Problem}
ROUTES = (
    Route("POST", "/lgsp/token", give_token, {200: Token, 401: Problem}, system="data_exchange", body=Client),
    Route("POST", "/lgsp/MaHoSo", give_code, {200: Code}, system="data_exchange", who=(AGENCY,), body=Unit),
    Route("POST", "/lgsp/TepTin", upload, {200: list[Uploaded]}, system="data_exchange", who=(AGENCY,), body=Upload),
    Route("POST", "/lgsp/NoiHoSo", create, {200: Created, **_OWN}, system="data_exchange", who=(AGENCY,), body=Create),
    Route(
        "POST",
        "/lgsp/CapNhatTienTrinh",
        report_progress,
        {200: Taken, **_OWN},
        system="data_exchange",
        who=(AGENCY,),
        body=Entries,
    ),
    Route(
        "POST",
        "/lgsp/CapNhatTrangThai",
        report_status,
        {200: Taken, **_OWN},
        system="data_exchange",
        who=(AGENCY,),
        body=Statuses,
    ),
)
