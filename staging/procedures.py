"""The procedures that the catalogue lists: generated for each agency, the same ones at every start.

Knows the tables `procedures` and `agencies` and how to fill them. Names are put together from fields and verbs of real
catalogues; the entries are invented.
"""

import csv
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path

from psycopg import AsyncConnection, Connection

# As in the published scenario: 22 ministries and 63 provinces.
AGENCIES = (*(f"G{number:02d}" for number in range(1, 23)), *(f"H{number:02d}" for number in range(1, 64)))

# What papers belong to: the code of the field of government, and its name.
FIELDS = {
    "LV01": "Hộ tịch",
    "LV02": "Xây dựng",
    "LV03": "Đất đai",
    "LV04": "Giao thông vận tải",
    "LV05": "Đăng ký kinh doanh",
    "LV06": "Vận tải đường bộ",
    "LV07": "Căn cước",
    "LV08": "An toàn thực phẩm",
}
_VERBS = ("Cấp", "Cấp lại", "Đăng ký", "Gia hạn", "Điều chỉnh", "Thu hồi", "Xác nhận", "Công bố")
_PAPERS = (
    "giấy khai sinh",
    "giấy phép xây dựng",
    "giấy chứng nhận quyền sử dụng đất",
    "giấy phép lái xe",
    "hộ kinh doanh",
    "giấy phép kinh doanh vận tải",
    "thẻ căn cước",
    "giấy chứng nhận đủ điều kiện an toàn thực phẩm",
)
# Of eight verbs two are for the counter only, and the rest are half and half online in full or in part (assumed).
_AT_COUNTER = ("Thu hồi", "Công bố")
_DAYS = (1, 3, 5, 7, 10, 15, 20)  # in which a procedure is to be handled (assumed)
_COLUMNS = "code, agency, name, name_plain, level, fee_vnd, field, days"
Procedure = tuple[str, str, str, str, str, int, str, int]
_NAMES = Path(__file__).parents[1] / "scenarios" / "agencies.csv"


def without_diacritics(text: str) -> str:
    """Lower case, base letters only: `Đăng ký` becomes `dang ky`."""
    letters = unicodedata.normalize("NFD", text.lower().replace("đ", "d"))
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def procedures_of(agency: str) -> Iterator[Procedure]:
    """The 64 procedures of an agency, the same ones at every start."""
    papers = list(zip(FIELDS, _PAPERS, strict=True))
    for serial, (verb, (field, paper)) in enumerate(product(_VERBS, papers)):
        code, name = f"1.{serial + 1:06d}.{agency}", f"{verb} {paper}"
        level = "counter" if verb in _AT_COUNTER else "full" if serial % 2 else "partial"
        days = _DAYS[serial % len(_DAYS)]
        yield code, agency, name, without_diacritics(name), level, serial % 8 * 25_000, field, days


def _names() -> dict[str, str]:
    """The agencies' names; none where the portal is installed without the scenarios."""
    if not _NAMES.exists():
        return {}
    with _NAMES.open(encoding="utf-8", newline="") as lines:
        return {row["code"]: row["name_vi"] for row in csv.DictReader(lines)}


def fill(connection: Connection) -> None:
    """Write AGENCIES, and their procedures unless some are there."""
    names = _names()
    insert = "INSERT INTO agencies SELECT * FROM unnest(%s::text[], %s::text[]) ON CONFLICT DO NOTHING"
    connection.execute(insert, (list(AGENCIES), [names.get(agency, agency) for agency in AGENCIES]))
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
            statement = (
                f"INSERT INTO procedures ({_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
            )
            await cursor.executemany(statement, rows)
