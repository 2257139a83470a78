"""The portal's tables as numbered steps: `0001_portal.sql`, `0002_….sql`, each applied once and then never edited.

Knows SQL files and a table of those applied; what stands in them is the other modules' affair. A new table or a change
to one is a new file with the next number. Every step runs on PostgreSQL 15 and later, in the schema that the search
path names.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from psycopg import Connection

from caodiem.dossier import TRANSITIONS
from caodiem.errors import UsageError

FOLDER = Path(__file__).parent
_NAME = re.compile(r"(\d{4})_\w+\.sql", re.ASCII)
_APPLIED = """
    CREATE TABLE IF NOT EXISTS migrations (
        number integer PRIMARY KEY,
        name text NOT NULL,
        digest bytea NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
    )"""


@dataclass(frozen=True)
class Step:
    """One file; `digest` is the SHA-256 of its content."""

    number: int
    path: Path

    @cached_property
    def content(self) -> bytes:
        return self.path.read_bytes()

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.content).digest()


def steps(folder: Path = FOLDER) -> list[Step]:
    """The files in order; ValueError when a number is missing or stands twice."""
    found = sorted((int(match[1]), path) for path in folder.glob("*.sql") if (match := _NAME.fullmatch(path.name)))
    numbers = [number for number, _ in found]
    if numbers != [*range(1, len(found) + 1)] or len(found) != len([*folder.glob("*.sql")]):
        raise ValueError(f"{folder}: steps {numbers}; expected files 0001_name.sql, 0002_name.sql and so on, each once")
    return [Step(*each) for each in found]


def migrate(connection: Connection, folder: Path = FOLDER) -> list[int]:
    """Apply what is missing, all of it in one transaction or nothing; the numbers applied.

    Whoever comes second waits and finds nothing to do. UsageError when the database has a step that is not here, or
    another content under a step's number: then it belongs to another version of this portal.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('migrate'), hashtext(current_schema()))")
        connection.execute(_APPLIED)
        known = steps(folder)
        applied = dict(connection.execute("SELECT number, digest FROM migrations").fetchall())
        for number, digest in applied.items():
            if number > len(known) or known[number - 1].digest != bytes(digest):
                raise UsageError(
                    f"the database's migration {number}: not the one of this portal, which has {len(known)}; "
                    "expected a database that this version or an older one made"
                )
        missing = [step for step in known if step.number not in applied]
        for step in missing:
            connection.execute(step.content)
            values = (step.number, step.path.stem, step.digest)
            connection.execute("INSERT INTO migrations (number, name, digest) VALUES (%s, %s, %s)", values)
        _fill_transitions(connection)
    return [step.number for step in missing]


def _fill_transitions(connection: Connection) -> None:
    """The allowed steps from status to status; those of older versions stay, for histories have them."""
    allowed = [(int(before), int(after)) for before, afters in TRANSITIONS.items() for after in afters]
    connection.cursor().executemany("INSERT INTO transitions VALUES (%s, %s) ON CONFLICT DO NOTHING", allowed)
