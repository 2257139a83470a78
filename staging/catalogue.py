"""Searching the catalogue of procedures, in the database, without regard to diacritics.

Knows the table `procedures`, which procedures.py fills.
"""

from typing import Annotated

import msgspec
from starlette.responses import Response

from staging.answers import answer
from staging.procedures import without_diacritics
from staging.routes import Call, Route

FOUND_MAX = 20
QUERY_MAX = 200  # letters: each word is looked up by itself, and six thousand take a second


class Search(msgspec.Struct, forbid_unknown_fields=True):
    """Words that a procedure's name has, or begins to have; nothing finds everything."""

    q: Annotated[str, msgspec.Meta(max_length=QUERY_MAX)] = ""
    agency: str = ""


class Procedure(msgspec.Struct):
    """One procedure of one agency. `level`: "full", online to the end, "partial", or "counter"."""

    code: str
    name: str
    agency: str
    level: str
    fee_vnd: int


class Found(msgspec.Struct):
    """At most FOUND_MAX procedures in order of code."""

    procedures: list[Procedure]


def _prefixes(query: str) -> str:
    """A query in the words of to_tsquery: every word of it, each as the beginning of a word."""
    words = "".join(letter if letter.isalnum() else " " for letter in without_diacritics(query)).split()
    return " & ".join(f"{word}:*" for word in words)


async def search(call: Call[None]) -> Response:
    """The first procedures that have all the words in their names."""
    prefixes, agency = _prefixes(call.query.q), call.query.agency
    conditions = ["words @@ to_tsquery('simple', %s)"] * bool(prefixes) + ["agency = %s"] * bool(agency)
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    # Built from constant pieces only; what the caller wrote travels as parameters.
    statement = f"SELECT code, name, agency, level, fee_vnd FROM procedures {where} ORDER BY code LIMIT {FOUND_MAX}"
    async with call.parts.database.connection() as connection:
        cursor = await connection.execute(statement, [given for given in (prefixes, agency) if given])
        rows = await cursor.fetchall()
    return answer(Found([Procedure(*row) for row in rows]))


ROUTES = (Route("GET", "/catalogue", search, {200: Found}, system="national_portal", query=Search),)
