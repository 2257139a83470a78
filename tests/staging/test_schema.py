"""What the database itself makes impossible, whatever a handler does."""

import time
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors

CODE = "H01-20260701-0000001"
_DOSSIER = "INSERT INTO dossiers VALUES (%s, '1.000001.H01', 'citizen-000000', %s, 1, '')"


@pytest.fixture
def connection(conninfo: str) -> Iterator[psycopg.Connection]:
    """A connection whose work is rolled back, with one dossier just registered."""
    with psycopg.connect(conninfo) as connection:
        connection.execute("INSERT INTO accounts VALUES ('citizen-000000', 'citizen', '', '', '')")
        connection.execute("INSERT INTO procedures VALUES ('1.000001.H01', 'H01', 'Cấp', 'cap', 'full', 0)")
        connection.execute(_DOSSIER, (CODE, 1))
        yield connection
        connection.rollback()


def test_a_status_that_may_not_follow_is_refused(connection: psycopg.Connection) -> None:
    with pytest.raises(errors.ForeignKeyViolation):
        connection.execute("UPDATE dossiers SET status = 10, version = version + 1 WHERE code = %s", (CODE,))


def test_the_history_writes_itself(connection: psycopg.Connection) -> None:
    connection.execute("UPDATE dossiers SET status = 2, version = version + 1")
    rows = connection.execute("SELECT version, previous, status FROM dossier_history ORDER BY version").fetchall()
    assert rows == [(1, None, 1), (2, 1, 2)]


def test_a_status_cannot_change_without_a_version(connection: psycopg.Connection) -> None:
    with pytest.raises(errors.IntegrityError):
        connection.execute("UPDATE dossiers SET status = 2")


def test_a_dossier_begins_as_registered(connection: psycopg.Connection) -> None:
    with pytest.raises(errors.CheckViolation):
        connection.execute(_DOSSIER, ("H01-20260701-0000002", 4))


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO payments VALUES ('H01-20260701-0000001', 'a', 1), ('H01-20260701-0000001', 'b', 1)",
        "INSERT INTO payments VALUES ('H01-20260701-0000001', 'a', 0)",
        "INSERT INTO accounts VALUES ('officer', 'officer', '', '', '')",
        "INSERT INTO sync_dossiers VALUES (100202607010000001, 'not sixteen')",
        "UPDATE dossiers SET code = 'H1-1-1'",
    ],
)
def test_other_wrong_states(connection: psycopg.Connection, statement: str) -> None:
    with pytest.raises(errors.IntegrityError):
        connection.execute(statement)


def test_many_at_once_after_many_one_by_one(connection: psycopg.Connection) -> None:
    """The history's plan is made for one dossier and must serve for thousands; a nested loop took 20 s for 20,000."""
    for _ in range(10):
        connection.execute("UPDATE dossiers SET status = 2, version = version + 1")
        connection.execute("UPDATE dossiers SET status = 5, version = version + 1")
    codes = [f"H01-20260702-{serial:07d}" for serial in range(6_000)]
    connection.cursor().executemany(_DOSSIER, [(code, 1) for code in codes])
    started_s = time.monotonic()
    connection.execute("UPDATE dossiers SET status = 2, version = version + 1")
    assert time.monotonic() - started_s < 1.0
