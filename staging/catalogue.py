"""The catalogue of procedures: generated for each agency, searched in the database without regard to diacritics.

Knows the table `procedures`. Names are put together from fields and verbs of real catalogues; the entries are invented.
"""

import unicodedata
from collections.abc import Iterable, Iterator

from psycopg import AsyncConnection, Connection
from starlette.requests import Request
from starlette.responses import Response

from staging.answers import answer
from staging.parts import parts_of

FOUND_MAX = 20
# As in the published scenario: 22 ministries and 63 provinces.
AGENCIES = (*(f"G{number:02d}" for number in range(1, 23)), *(f"H{number:02d}" for number in range(1, 64)))

_VERBS = ("Cấp", "Cấp lại", "Đăng ký", "Gia hạn", "Điều chỉnh", "Thu hồi", "Xác nhận", "Công bố")
_FIELDS = (
    "giấy khai sinh",
    "giấy phép xây dựng",
    "giấy chứng nhận quyền sử dụng đất",
    "giấy phép lái xe",
    "hộ kinh doanh",
    "giấy phép kinh doanh vận tải",
    "thẻ căn cước",
    "giấy chứng nhận đủ điều kiện an toàn thực phẩm",
)
_COLUMNS = "code, agency, name, name_plain, level, fee_vnd"
Procedure = tuple[str, str, str, str, str, int]


def without_diacritics(text: str) -> str:
    """Lower case, base letters only: `Đăng ký` becomes `dang ky`."""
    letters = unicodedata.normalize("NFD", text.lower().replace("đ", "d"))
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def procedures_of(agency: str) -> Iterator[Procedure]:
    """The 64 procedures of an agency, the same ones at every start."""
    for serial, (verb, field) in enumerate((verb, field) for verb in _VERBS for field in _FIELDS):
        name = f"{verb} {field}"
        level = "full" if serial % 2 else "partial"
        yield f"1.{serial + 1:06d}.{agency}", agency, name, without_diacritics(name), level, serial % 8 * 25_000


def fill(connection: Connection) -> None:
    """Write the procedures of AGENCIES into an empty table."""
    with connection.cursor() as cursor, cursor.copy(f"COPY procedures ({_COLUMNS}) FROM STDIN") as copy:
        for agency in AGENCIES:
            for procedure in procedures_of(agency):
                copy.write_row(procedure)


async def add_missing(connection: AsyncConnection, agencies: Iterable[str]) -> None:
    """Write the procedures of agencies that are not among AGENCIES, unless they are there."""
    rows = [procedure for agency in agencies if agency not in AGENCIES for procedure in procedures_of(agency)]
    if rows:
        async with connection.cursor() as cursor:
            statement = f"INSERT INTO procedures ({_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
            await cursor.executemany(statement, rows)


def _prefixes(query: str) -> str:
    """A query in the words of to_tsquery: every word of it, each as the beginning of a word."""
    words = "".join(letter if letter.isalnum() else " " for letter in without_diacritics(query)).split()
    return " & ".join(f"{word}:*" for word in words)


async def search(request: Request) -> Response:
    """GET /catalogue?q=…&agency=…: at most FOUND_MAX procedures that have all the words, in order of code."""
    prefixes = _prefixes(request.query_params.get("q", ""))
    agency = request.query_params.get("agency", "")
    conditions = ["words @@ to_tsquery('simple', %s)"] * bool(prefixes) + ["agency = %s"] * bool(agency)
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    # Built from constant pieces only; what the caller wrote travels as parameters.
    statement = f"SELECT code, name, agency, level, fee_vnd FROM procedures {where} ORDER BY code LIMIT {FOUND_MAX}"
    async with parts_of(request).database.connection() as connection:
        cursor = await connection.execute(statement, [given for given in (prefixes, agency) if given])
        rows = await cursor.fetchall()
    names = ("code", "name", "agency", "level", "fee_vnd")
    return answer({"procedures": [dict(zip(names, row, strict=True)) for row in rows]})
