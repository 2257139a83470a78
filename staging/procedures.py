"""The procedures that the catalogue lists: generated for each agency, the same ones at every start.

Knows the table `procedures` and how to fill it. Names are put together from fields and verbs of real catalogues; the
entries are invented.
"""

import unicodedata
from collections.abc import Iterable, Iterator

from psycopg import AsyncConnection, Connection

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
    """Write the procedures of AGENCIES, unless some are there."""
    if connection.execute("SELECT FROM procedures LIMIT 1").fetchone() is not None:
        return
    with connection.cursor() as cursor, cursor.copy(f"COPY procedures ({_COLUMNS}) FROM STDIN") as copy:
        for agency in AGENCIES:
            for procedure in procedures_of(agency):
                copy.write_row(procedure)


async def without(connection: AsyncConnection, agencies: Iterable[str]) -> list[str]:
    """Those of `agencies` that have no procedure, and so are no agencies."""
    select = """
        SELECT agency FROM unnest(%s::text[]) AS agency
        WHERE NOT EXISTS (SELECT FROM procedures p WHERE p.agency = agency.agency)"""
    return [agency for (agency,) in await (await connection.execute(select, (list(agencies),))).fetchall()]


async def add_missing(connection: AsyncConnection, agencies: Iterable[str]) -> None:
    """Write the procedures of agencies that are not among AGENCIES, unless they are there."""
    rows = [procedure for agency in agencies if agency not in AGENCIES for procedure in procedures_of(agency)]
    if rows:
        async with connection.cursor() as cursor:
            statement = f"INSERT INTO procedures ({_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
            await cursor.executemany(statement, rows)
