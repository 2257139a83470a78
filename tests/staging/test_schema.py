"""What the database itself makes impossible, whatever a handler does."""

import time
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors

from caodiem.dossier import TRANSITIONS, Status
from staging.admin import way_to

CODE = "H01-20260701-0000001"
_DOSSIER = "INSERT INTO dossiers VALUES (%s, '1.000001.H01', 'citizen-000000', %s, 1, '')"

_QUESTION = """
    INSERT INTO questions (citizen, question, agency, kind, text, code)
    VALUES ('{}', 'q', '{}', 'question', '', 'H01-20260701-0000001')"""


@pytest.fixture
def connection(conninfo: str) -> Iterator[psycopg.Connection]:
    """A connection whose work is rolled back, with one dossier just registered."""
    with psycopg.connect(conninfo) as connection:
        connection.execute("INSERT INTO accounts VALUES ('citizen-000000', 'citizen', '', '', '')")
        connection.execute("INSERT INTO procedures VALUES ('1.000001.H01', 'H01', 'Cấp', 'cap', 'full', 0)")
        connection.execute(_DOSSIER, (CODE, 1))
        connection.execute("INSERT INTO accounts VALUES ('officer-H02', 'officer', 'H02', '', '')")
        connection.execute("INSERT INTO procedures VALUES ('1.000001.H02', 'H02', 'Cấp', 'cap', 'full', 0)")
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


def test_other_columns_are_no_affair_of_the_history(connection: psycopg.Connection) -> None:
    connection.execute("UPDATE dossiers SET filing_digest = 'another'")
    assert connection.execute("SELECT version, status FROM dossier_history").fetchall() == [(1, 1)]


def test_what_belongs_to_a_dossier_goes_with_it(connection: psycopg.Connection) -> None:
    connection.execute("INSERT INTO payments VALUES (%s, 'a', 1)", (CODE,))
    connection.execute("DELETE FROM dossiers")
    assert connection.execute("SELECT count(*) FROM dossier_history").fetchone() == (0,)
    assert connection.execute("SELECT count(*) FROM payments").fetchone() == (0,)


@pytest.mark.parametrize("before", list(Status))
def test_only_allowed_steps_are_possible(connection: psycopg.Connection, before: Status) -> None:
    """Every pair of statuses, tried by SQL."""
    for version, status in enumerate(way_to(before)[1:], start=2):
        connection.execute("UPDATE dossiers SET status = %s, version = %s", (int(status), version))
    for after in Status:
        with connection.transaction(force_rollback=True):
            step = "UPDATE dossiers SET status = %s, version = version + 1"
            if after in TRANSITIONS[before]:
                connection.execute(step, (int(after),))
            else:
                with pytest.raises(errors.IntegrityError):
                    connection.execute(step, (int(after),))


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
        "INSERT INTO payments (code, transaction, amount_vnd, fee) VALUES ('H01-20260701-0000001', 'a', 1, 1)",
        "INSERT INTO payment_orders VALUES ('o', 'H01-20260701-0000001', 0, 1, 'paid')",
        "INSERT INTO stored_documents VALUES ('another digest', 'content')",
        "INSERT INTO results VALUES ('H01-20260701-0000001', '', 'citizen-000000')",
        "INSERT INTO reused VALUES ('H01-20260701-0000001', '', 'citizen-000001')",
        "INSERT INTO messages VALUES ('H01', 'm', 's', '', 'answered', NULL)",
        "UPDATE dossiers SET code = 'H01-20260701-0000009'",
        "UPDATE dossiers SET citizen = 'nobody'",
        "UPDATE dossiers SET status = 11, version = 2",
        "UPDATE dossiers SET status = 2, version = 3",
        "UPDATE dossiers SET version = 2",
        "INSERT INTO dossier_history VALUES ('H01-20260701-0000001', 2, 1, 2)",
        "UPDATE dossier_history SET status = 2",
        "UPDATE dossier_history SET at = now()",
        "DELETE FROM dossier_history",
        "TRUNCATE dossier_history",
        "INSERT INTO payments VALUES ('H01-20260701-0000009', 'a', 1)",
        "INSERT INTO components VALUES ('H01-20260701-0000009', 1, 1, '', '')",
        "UPDATE dossiers SET procedure = '1.000001.H02'",
        "UPDATE dossiers SET channel = 'counter'",
        "UPDATE dossiers SET channel = 'counter', filed_by = 'citizen-000000'",
        "UPDATE dossiers SET channel = 'counter', filed_by = 'officer-H02'",
        "UPDATE dossiers SET filed_by = 'officer-H02'",
        _QUESTION.format("citizen-000000", "H02"),
        _QUESTION.format("officer-H02", "H01"),
    ],
)
def test_other_wrong_states(connection: psycopg.Connection, statement: str) -> None:
    with pytest.raises(errors.IntegrityError):
        connection.execute(statement)


def test_who_filed_at_a_counter_stands_with_the_dossier(connection: psycopg.Connection) -> None:
    """What the statements above refuse is refused for what is wrong in it, and not for what they leave out."""
    connection.execute("INSERT INTO accounts VALUES ('officer-H01', 'officer', 'H01', '', '')")
    connection.execute("UPDATE dossiers SET channel = 'counter', filed_by = 'officer-H01'")
    connection.execute(_QUESTION.format("citizen-000000", "H01"))


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
