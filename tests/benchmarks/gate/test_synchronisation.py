"""What the gate times of status sync: batches pushed into a PostgreSQL of the process's own, and what they cost it.

Commits do not wait for the disk and autovacuum is off: the gate asks what the code costs, not the disk. So every
benchmark also reports counters of one more round (see docs/gates.md): statements sent, rows read and written, bytes of
write-ahead log, without the images of whole pages that follow a checkpoint. Each round needs rows of its own, which
are made outside the timing.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection, AsyncCursor
from pytest_benchmark.fixture import BenchmarkFixture

from staging import postgres, status_sync
from staging.status_sync import Batch, Event

pytestmark = [pytest.mark.slow, pytest.mark.benchmark(group="gate-sync")]

AGENCIES = ("H01", "H02", "H03", "H04")
WARM_ROUNDS = 3
SMALL, LARGE = 10, 1000
SMALL_BATCHES = 10
USED = """
    SELECT sum(n_tup_ins + n_tup_upd + n_tup_del), sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))
    FROM pg_stat_user_tables
"""


class CountingCursor(AsyncCursor[Any]):
    """A cursor that counts what is sent to the server."""

    sent = 0

    async def execute(self, *args: Any, **options: Any) -> Any:
        CountingCursor.sent += 1
        return await super().execute(*args, **options)

    async def executemany(self, query: Any, params_seq: Any, **options: Any) -> None:
        values = list(params_seq)
        CountingCursor.sent += len(values)
        await super().executemany(query, values, **options)


class Portal:
    """Connections of agencies to one database, and batches made for them."""

    def __init__(self, benchmark: BenchmarkFixture, conninfo: str, rounds: int) -> None:
        self._benchmark, self._conninfo, self._rounds = benchmark, conninfo, rounds
        self._runner = asyncio.Runner()
        self._connections = [self._runner.run(self._connect()) for _ in AGENCIES]
        self._batches = self._dossiers = 0

    async def _connect(self) -> AsyncConnection:
        connection = await AsyncConnection.connect(
            self._conninfo, autocommit=True, cursor_factory=CountingCursor, options="-c synchronous_commit=off"
        )
        await connection.execute("TRUNCATE sync_dossiers, sync_batches")
        return connection

    def close(self) -> None:
        for connection in self._connections:
            self._runner.run(connection.close())
        self._runner.close()

    def batch(self, agency: str, dossiers: list[int], sequence: int) -> Batch:
        """One event of `sequence` for each dossier, under a new key."""
        self._batches += 1
        at = f"202606{10 + sequence % 20}083000"
        events = [Event(f"{agency}-20260609-{number:07d}", sequence % 10 + 1, sequence, at) for number in dossiers]
        return Batch(f"{self._batches}", events)

    def new_dossiers(self, count: int) -> list[int]:
        self._dossiers += count
        return [*range(self._dossiers - count, self._dossiers)]

    async def push(self, agency: int, batch: Batch) -> dict[str, object]:
        name = AGENCIES[agency]
        checked = status_sync.check(name, batch.events)
        answer = await status_sync.apply(self._connections[agency], name, batch.batch, checked)
        assert answer is not None
        return answer

    def push_now(self, batch: Batch) -> None:
        self._runner.run(self.push(0, batch))

    def measure(
        self,
        rows: int,
        prepare: Callable[[], list[list[Batch]]],
        check: Callable[[list[dict[str, object]]], bool],
    ) -> None:
        """Time rounds of `rows` rows: `prepare` gives each agency's batches, `check` looks at the last answers."""
        self._benchmark.extra_info |= {"unit": "rows", "units_per_round": rows}

        async def push_in_turn(agency: int, batches: list[Batch]) -> list[dict[str, object]]:
            return [await self.push(agency, batch) for batch in batches]

        async def push_all(prepared: list[list[Batch]]) -> list[dict[str, object]]:
            answers = await asyncio.gather(*(push_in_turn(n, batches) for n, batches in enumerate(prepared)))
            return [answer for each in answers for answer in each]

        answers = self._benchmark.pedantic(
            lambda prepared: self._run(push_all(prepared)),
            setup=lambda: ((prepare(),), {}),
            rounds=self._rounds,
            warmup_rounds=WARM_ROUNDS,
        )
        assert check(answers)
        self._benchmark.extra_info["counters"] = self._count(lambda: self._run(push_all(prepare())))

    def _run(self, work: Awaitable[list[dict[str, object]]]) -> list[dict[str, object]]:
        return self._runner.run(work)  # type: ignore[arg-type]

    def _count(self, work: Callable[[], object]) -> dict[str, int]:
        """What one round costs the database."""
        with psycopg.connect(self._conninfo, autocommit=True) as watching:
            # Twice, so that nothing of the rounds before comes late.
            for _ in range(2):
                self._settle(watching)
            before, sent = self._used(watching), CountingCursor.sent
            work()
            sent = CountingCursor.sent - sent
            self._settle(watching)
            written, read, log_bytes = (now - then for now, then in zip(self._used(watching), before, strict=True))
        return {"statements": sent, "rows_written": written, "rows_read": read, "wal_bytes": log_bytes}

    def _settle(self, watching: psycopg.Connection[Any]) -> None:
        """Have every connection tell what it did, which PostgreSQL otherwise does once a second."""

        async def tell() -> None:
            for connection in self._connections:
                await connection.execute("SELECT pg_stat_force_next_flush()")

        self._runner.run(tell())
        watching.execute("SELECT pg_stat_clear_snapshot()")

    def _used(self, watching: psycopg.Connection[Any]) -> tuple[int, int, int]:
        written, read = watching.execute(USED).fetchone() or (0, 0)
        place = watching.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()
        assert place is not None
        return int(written), int(read), int(place[0])


@pytest.fixture(scope="module")
def conninfo() -> Iterator[str]:
    """Not in /tmp, which lies in memory on many systems."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder, postgres.database(Path(folder)) as conninfo:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            for setting in ("autovacuum", "full_page_writes"):
                connection.execute(f"ALTER SYSTEM SET {setting} = off")
            connection.execute("SELECT pg_reload_conf()")
        yield conninfo


@pytest.fixture
def portal(benchmark: BenchmarkFixture, conninfo: str, rounds: int) -> Iterator[Portal]:
    made = Portal(benchmark, conninfo, rounds)
    yield made
    made.close()


def accepted(count: int) -> Callable[[list[dict[str, object]]], bool]:
    return lambda answers: sum(int(each["accepted"]) for each in answers) == count  # type: ignore[call-overload]


def stale(count: int) -> Callable[[list[dict[str, object]]], bool]:
    return lambda answers: sum(int(each["stale"]) for each in answers) == count  # type: ignore[call-overload]


def half_new(portal: Portal, agency: int, known: list[int], size: int, sequence: int) -> Batch:
    """Next statuses of known dossiers, and as many new dossiers."""
    return portal.batch(AGENCIES[agency], known[: size // 2] + portal.new_dossiers(size - size // 2), sequence)


def test_small_batches(portal: Portal) -> None:
    known, sequence = portal.new_dossiers(LARGE), iter(range(1, 10_000))

    def prepare() -> list[list[Batch]]:
        return [[half_new(portal, 0, known, SMALL, next(sequence)) for _ in range(SMALL_BATCHES)]]

    portal.push_now(portal.batch(AGENCIES[0], known, 0))
    portal.measure(SMALL * SMALL_BATCHES, prepare, accepted(SMALL * SMALL_BATCHES))


def test_large_batch(portal: Portal) -> None:
    known, sequence = portal.new_dossiers(LARGE), iter(range(1, 10_000))
    portal.push_now(portal.batch(AGENCIES[0], known, 0))
    portal.measure(LARGE, lambda: [[half_new(portal, 0, known, LARGE, next(sequence))]], accepted(LARGE))


def test_replayed_batch(portal: Portal) -> None:
    """The same batch again under the same key: nothing may be written."""
    batch = portal.batch(AGENCIES[0], portal.new_dossiers(LARGE), 0)
    portal.push_now(batch)
    portal.measure(2 * LARGE, lambda: [[batch, batch]], accepted(2 * LARGE))


def test_all_stale(portal: Portal) -> None:
    """Known events under new keys."""
    known = portal.new_dossiers(LARGE)
    portal.push_now(portal.batch(AGENCIES[0], known, 0))
    portal.measure(LARGE, lambda: [[portal.batch(AGENCIES[0], known, 0)]], stale(LARGE))


def test_concurrent(portal: Portal) -> None:
    """Four agencies at once."""
    size = LARGE // 4

    def prepare() -> list[list[Batch]]:
        return [[portal.batch(agency, portal.new_dossiers(size), 0)] for agency in AGENCIES]

    portal.measure(LARGE, prepare, accepted(LARGE))
