"""Status sync into PostgreSQL on disk with its default durability: batches of 1,000 rows, each its own transaction.

All three get the same rows from the same seed over one asynchronous connection; in the groups sync_2 and sync_4 over as
many at once, an agency each. A quarter of a batch opens new
dossiers, the rest are next statuses of dossiers from before, and 2% repeat an event that was there already. Tables
grow from round to round, as they do in a portal; the first rounds only fill them. The number of rounds is that of
--benchmark-min-rounds, because each needs rows of its own, which are made outside the timing.
"""

import asyncio
import os
import random
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import pytest
from psycopg import AsyncConnection
from pytest_benchmark.fixture import BenchmarkFixture

from caodiem.dossier import Status
from staging import adapters, postgres, status_sync
from staging.status_sync import Batch, Event

pytestmark = pytest.mark.slow

BATCHES, BATCH_ROWS = 10, 1000
FILLING_ROUNDS = 5
NEW, REPEATED = 0.25, 0.02
RECENT = 20_000  # dossiers that may still get a status
DURABILITY = ("fsync", "synchronous_commit", "full_page_writes")

PEER_TABLES = """
    CREATE TABLE peer_history (
        code text, sequence bigint, status smallint NOT NULL, at timestamptz NOT NULL, PRIMARY KEY (code, sequence)
    );
    CREATE TABLE peer_states (
        code text PRIMARY KEY, sequence bigint NOT NULL, status smallint NOT NULL, at timestamptz NOT NULL
    );
    CREATE TABLE bare (code text, sequence bigint, status smallint, at timestamptz);
"""
UPSERT = """
    WITH given AS (
        SELECT * FROM unnest(%b::text[], %b::bigint[], %b::smallint[], %b::timestamptz[])
            AS e (code, sequence, status, at)
    ), history AS (
        INSERT INTO peer_history SELECT * FROM given ON CONFLICT DO NOTHING
    )
    INSERT INTO peer_states AS s SELECT DISTINCT ON (code) * FROM given ORDER BY code, sequence DESC
        ON CONFLICT (code) DO UPDATE SET sequence = excluded.sequence, status = excluded.status, at = excluded.at
        WHERE s.sequence < excluded.sequence
"""

Prepared = TypeVar("Prepared")
Row = tuple[str, int, int, datetime]
Link = tuple[AsyncConnection, str]  # and the agency that pushes over it


class Source:
    """An agency that reports: endless batches, and what a portal must know after those handed out."""

    def __init__(self, agency: str = "H01") -> None:
        self.agency = agency
        self.newest: dict[str, int] = {}  # code -> highest sequence reported; none below it is left out
        self.repeated = 0
        self._codes: list[str] = []
        self._draws = random.Random(1)
        self._numbers = count()

    def batches(self) -> list[Batch]:
        """What one round pushes."""
        return [Batch(f"{next(self._numbers)}", [self._event() for _ in range(BATCH_ROWS)]) for _ in range(BATCHES)]

    @property
    def events(self) -> int:
        """How many different events there were."""
        return sum(self.newest.values()) + len(self.newest)

    def _event(self) -> Event:
        draw = self._draws.random()
        if draw < NEW or not self._codes:
            code, sequence = f"{self.agency}-20260609-{len(self._codes):07d}", 0
            self._codes.append(code)
        else:
            code = self._codes[-self._draws.randint(1, min(RECENT, len(self._codes)))]
            is_repeat = draw >= 1 - REPEATED
            self.repeated += is_repeat
            sequence = self.newest[code] + (not is_repeat)
        self.newest[code] = sequence
        return Event(code, sequence % len(Status) + 1, sequence, f"202606{10 + sequence % 20}083000")


@pytest.fixture(scope="module")
def conninfo() -> Iterator[str]:
    """Not in /tmp, which lies in memory on many systems."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder, postgres.database(Path(folder)) as conninfo:
        yield conninfo


def _group(connections: int, name: str) -> Any:
    return pytest.param(connections, marks=pytest.mark.benchmark(group=name), id=name)


@pytest.fixture(params=[_group(1, "sync"), _group(2, "sync_2"), _group(4, "sync_4")])
def agencies(
    request: pytest.FixtureRequest, benchmark: BenchmarkFixture, conninfo: str, rounds: int
) -> "Iterator[Agencies]":
    benchmark.name = request.function.__name__
    with asyncio.Runner() as runner:
        connections = [runner.run(connect(conninfo)) for _ in range(request.param)]
        runner.run(empty(connections[0]))
        yield Agencies(benchmark, runner, connections, rounds)
        for connection in connections:
            runner.run(connection.close())


async def connect(conninfo: str) -> AsyncConnection:
    """In autocommit, as the portal's connections."""
    return await AsyncConnection.connect(conninfo, autocommit=True)


async def empty(connection: AsyncConnection) -> None:
    """The tables are empty, and as durable as PostgreSQL makes them."""
    for name in DURABILITY:
        assert await (await connection.execute(f"SHOW {name}")).fetchone() == ("on",), name
    await connection.execute("DROP TABLE IF EXISTS peer_history, peer_states, bare")
    await connection.execute(PEER_TABLES)
    await connection.execute("TRUNCATE sync_dossiers, sync_batches")


class Agencies:
    """Push their sources' batches, round by round, each one after another over a connection of its own."""

    def __init__(
        self, benchmark: BenchmarkFixture, runner: asyncio.Runner, connections: list[AsyncConnection], rounds: int
    ) -> None:
        self.connections = connections
        self.sources = [Source(f"H{number:02d}") for number in range(1, len(connections) + 1)]
        self._benchmark, self._runner, self._rounds = benchmark, runner, rounds

    def push(self, prepare: Callable[[Batch], Prepared], push: Callable[[Link, Prepared], Awaitable[None]]) -> None:
        """Time `push` on each batch; what `prepare` makes of it is not timed."""
        units = len(self.sources) * BATCHES * BATCH_ROWS
        self._benchmark.extra_info |= {"unit": "rows", "units_per_round": units}
        links = [(each, source.agency) for each, source in zip(self.connections, self.sources, strict=True)]

        async def push_each(link: Link, batches: list[Prepared]) -> None:
            for batch in batches:
                await push(link, batch)

        async def push_all(given: list[list[Prepared]]) -> None:
            await asyncio.gather(*(push_each(*each) for each in zip(links, given, strict=True)))

        self._benchmark.pedantic(
            lambda given: self._runner.run(push_all(given)),
            setup=lambda: (([[prepare(batch) for batch in source.batches()] for source in self.sources],), {}),
            rounds=self._rounds,
            warmup_rounds=FILLING_ROUNDS,
        )

    @property
    def events(self) -> int:
        return sum(source.events for source in self.sources)

    @property
    def repeated(self) -> int:
        return sum(source.repeated for source in self.sources)

    def select(self, query: str) -> list[tuple[Any, ...]]:
        async def fetch() -> list[tuple[Any, ...]]:
            return await (await self.connections[0].execute(query)).fetchall()

        return self._runner.run(fetch())

    def check(self, history: str, states: str) -> None:
        """Whether each event stands in the history once, and the newest of each dossier is its state."""
        assert self.select(f"SELECT count(*), count(DISTINCT (code, sequence)) FROM {history}") == [
            (self.events, self.events)
        ]
        newest = {code: sequence for source in self.sources for code, sequence in source.newest.items()}
        assert dict(self.select(f"SELECT code, sequence FROM {states}")) == newest
        assert self.select(f"SELECT count(*) FROM {states} WHERE status <> sequence % {len(Status)} + 1") == [(0,)]


def rows_of(batch: Batch) -> list[Row]:
    return [(e.code, e.sequence, e.status, datetime.strptime(f"{e.at}+0700", "%Y%m%d%H%M%S%z")) for e in batch.events]


def test_ours(agencies: Agencies) -> None:
    """From decoded events on: checks of each row, idempotency key, log, states, the answer."""
    _sync(agencies, status_sync.Writer())
    agencies.check("sync_events", "sync_states")


@pytest.mark.skipif(not os.environ.get(adapters.STATUS_SYNC), reason=f"{adapters.STATUS_SYNC} names no implementation")
def test_yours(agencies: Agencies) -> None:
    """The implementation that the environment names, as docs/staging.md says; it answers for its tables itself."""
    _sync(agencies, adapters.status_sync())


def _sync(agencies: Agencies, sync: adapters.StatusSync) -> None:
    told = {"accepted": 0, "stale": 0}

    async def push(link: Link, batch: Batch) -> None:
        connection, agency = link
        checked = sync.check(agency, batch.events)
        answer = await sync.apply(connection, agency, batch.batch, checked)
        assert answer is not None
        for name in told:
            told[name] += answer[name]  # type: ignore[operator]

    agencies.push(lambda batch: batch, push)
    assert told == {"accepted": agencies.events, "stale": agencies.repeated}


def test_unnest_upsert(agencies: Agencies) -> None:
    """History and newest state in one statement. Rows come checked; nobody learns what became of them, and a repeated
    batch is done again."""

    async def push(link: Link, rows: list[Row]) -> None:
        columns = [list(column) for column in zip(*rows, strict=True)]
        await link[0].execute(UPSERT, columns)

    agencies.push(rows_of, push)
    agencies.check("peer_history", "peer_states")


def test_copy_limit(agencies: Agencies) -> None:
    """Not a sync: what the server can write down at all, from bytes made beforehand, without keys or indexes."""

    def lines_of(batch: Batch) -> bytes:
        return "".join("\t".join(map(str, row)) + "\n" for row in rows_of(batch)).encode()

    async def push(link: Link, lines: bytes) -> None:
        async with link[0].cursor() as cursor, cursor.copy("COPY bare FROM STDIN") as copy:
            await copy.write(lines)

    agencies.push(lines_of, push)
    assert agencies.select("SELECT count(*), count(DISTINCT (code, sequence)) FROM bare") == [
        (agencies.events + agencies.repeated, agencies.events)
    ]
