"""Searching the catalogue of procedures, in the database, without regard to diacritics.

Knows the table `procedures`, which procedures.py fills.
"""

from starlette.requests import Request
from starlette.responses import Response

from staging.answers import answer
from staging.parts import parts_of
from staging.procedures import without_diacritics

FOUND_MAX = 20


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
