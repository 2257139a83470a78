"""Status sync by eight writers at once: however a history is permuted, repeated and cut, it ends in the same rows."""

import asyncio
from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import AsyncConnection, sql
from psycopg.conninfo import make_conninfo

from staging import migrations, status_sync
from staging.status_sync import Event

WRITERS = 8
AT = "20260609083000"
GUARD = "AND substr(d.events, octet_length(d.events) - 15, 8) < substr(g.events, 1, 8)"
Batches = list[list[Event]]
History = list[tuple[str, int, int]]  # code, sequence, status


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Event], list[Batches]]:
    """(truth, for each writer its batches): every event reaches some writer, some reach several."""
    keys = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=8, max_size=24, unique=True))
    truth = [Event(f"H01-20260609-{serial:07d}", sequence % 10 + 1, sequence, AT) for serial, sequence in keys]
    arriving = draw(st.permutations(truth + draw(st.lists(st.sampled_from(truth), max_size=12))))
    writers = draw(st.lists(st.integers(0, WRITERS - 1), min_size=len(arriving), max_size=len(arriving)))
    size = draw(st.integers(1, 5))
    mine = [[each for each, writer in zip(arriving, writers, strict=True) if writer == w] for w in range(WRITERS)]
    return truth, [[events[at : at + size] for at in range(0, len(events), size)] for events in mine]


async def _deliver(conninfo: str, writers: list[Batches]) -> tuple[History, History]:
    """(log, states) after all writers have pushed their batches at once."""
    connections = [await AsyncConnection.connect(conninfo, autocommit=True) for _ in writers]

    async def write(writer: int) -> None:
        for number, events in enumerate(writers[writer]):
            checked = status_sync.check("H01", events)
            told = await status_sync.apply(connections[writer], "H01", f"{writer}-{number}", checked)
            assert told is not None
            assert told["rejected"] == []

    try:
        await connections[0].execute("TRUNCATE sync_dossiers, sync_batches")
        await asyncio.gather(*(write(writer) for writer in range(len(writers))))
        rows = "SELECT code, sequence, status FROM {} ORDER BY code, sequence"
        log = await (await connections[0].execute(rows.format("sync_events"))).fetchall()
        states = await (await connections[0].execute(rows.format("sync_states"))).fetchall()
        await connections[0].execute("TRUNCATE sync_dossiers, sync_batches")
    finally:
        for connection in connections:
            await connection.close()
    return log, states  # type: ignore[return-value]


def _check(conninfo: str, truth: list[Event], writers: list[Batches]) -> None:
    log, states = asyncio.run(_deliver(conninfo, writers))
    expected = sorted((each.code, each.sequence, each.status) for each in truth)
    assert log == expected
    assert states == list({row[0]: row for row in expected}.values())


_QUIET = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


@settings(max_examples=12, deadline=None, suppress_health_check=_QUIET)
@given(deliveries())
def test_eight_writers_end_in_the_same_rows(conninfo: str, delivery: tuple[list[Event], list[Batches]]) -> None:
    _check(conninfo, *delivery)


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=_QUIET)
@given(deliveries())
def test_eight_writers_end_in_the_same_rows_each_time(
    conninfo: str, delivery: tuple[list[Event], list[Batches]]
) -> None:
    _check(conninfo, *delivery)


@pytest.fixture
def unguarded(conninfo: str) -> Iterator[str]:
    """The same tables with a push_sync that appends whatever comes, newer or not."""
    with psycopg.connect(conninfo) as connection:
        connection.execute("CREATE SCHEMA unguarded")
    elsewhere = make_conninfo(conninfo, options="-c search_path=unguarded")
    with psycopg.connect(elsewhere) as connection:
        migrations.migrate(connection)
        row = connection.execute("SELECT pg_get_functiondef('push_sync'::regproc)").fetchone()
        assert row is not None
        assert GUARD in row[0]
        connection.execute(sql.SQL(row[0].replace(GUARD, "")))
    yield elsewhere
    with psycopg.connect(conninfo) as connection:
        connection.execute("DROP SCHEMA unguarded CASCADE")


def test_without_its_guard_the_rows_are_wrong(unguarded: str) -> None:
    """What the property above would find."""
    older, newer = (Event("H01-20260609-0000001", sequence + 1, sequence, AT) for sequence in (1, 2))
    with pytest.raises(AssertionError):
        _check(unguarded, [older, newer], [[[newer], [older]]])
