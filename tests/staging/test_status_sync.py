"""Status sync: idempotent, in any order, bad rows named, writers that do not deadlock."""

import asyncio
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import count

import psycopg
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import AsyncConnection

from staging import status_sync
from staging.status_sync import Batch, Event
from tests.staging.calls import Caller

SignedIn = Callable[[str], Caller]
AT = "20260609083000"
_batches = count()
States = list[tuple[str, int, int, datetime]]


def event(serial: int, sequence: int, status: int = 2, at: str = AT, agency: str = "H01") -> dict[str, object]:
    return {"code": f"{agency}-20260609-{serial:07d}", "status": status, "sequence": sequence, "at": at}


def push(caller: Caller, events: list[dict[str, object]], batch: str | None = None) -> dict[str, object]:
    reply = caller.post("/sync", {"batch": batch or f"batch-{next(_batches)}", "events": events})
    assert reply.status == 200, reply
    return dict(reply.body)


def test_new_events_are_accepted_and_older_ones_stale(signed_in: SignedIn, admin: Caller) -> None:
    agency, before = signed_in("agency-H01"), admin.get("/admin/counts").body["sync_events"]
    assert push(agency, [event(1, 2), event(1, 3), event(2, 1)]) == {"accepted": 3, "stale": 0, "rejected": []}
    assert push(agency, [event(1, 1), event(1, 3), event(1, 4)]) == {"accepted": 1, "stale": 2, "rejected": []}
    assert push(agency, [event(3, 1), event(3, 1)]) == {"accepted": 1, "stale": 1, "rejected": []}
    assert admin.get("/admin/counts").body["sync_events"] == before + 6


def test_a_repeated_batch_gets_the_same_answer(signed_in: SignedIn, admin: Caller) -> None:
    agency, events = signed_in("agency-H01"), [event(10, 1), event(10, 2), event(11, 1, status=99)]
    first = push(agency, events, "again")
    before = admin.get("/admin/counts").body
    assert push(agency, events, "again") == first
    assert first["accepted"] == 2
    assert admin.get("/admin/counts").body == before
    other = agency.post("/sync", {"batch": "again", "events": [event(12, 1)]})
    assert other.status == 409
    assert push(signed_in("agency-H02"), [event(1, 1, agency="H02")], "again")["accepted"] == 1


def test_bad_rows_are_named_and_do_not_sink_the_batch(signed_in: SignedIn) -> None:
    bad = [
        event(20, 1, agency="H02"),
        {**event(20, 1), "code": "H01-2026-1"},
        event(20, 1, status=11),
        event(20, 1, status=0),
        event(20, -1),
        event(20, 2**63),
        event(20, 1, at="2026-06-09"),
        event(20, 1, at="20260631000000"),
        event(20, 1, at="٢٠٢٦٠٦٠٩٠٨٣٠٠٠"),
    ]
    told = push(signed_in("agency-H01"), [event(21, 1), *bad, event(22, 1)])
    assert (told["accepted"], told["stale"]) == (2, 0)
    rejected = told["rejected"]
    assert isinstance(rejected, list)
    assert [each["index"] for each in rejected] == list(range(1, len(bad) + 1))
    assert all("expected" in each["reason"] for each in rejected)


def test_one_sequence_number_cannot_mean_two_things(signed_in: SignedIn) -> None:
    agency = signed_in("agency-H01")
    assert push(agency, [event(30, 1, status=2)])["accepted"] == 1
    told = push(agency, [event(30, 1, status=4), event(31, 1)])
    assert (told["accepted"], told["stale"]) == (1, 0)
    assert [each["index"] for each in told["rejected"]] == [0]  # type: ignore[attr-defined]


def test_empty_and_oversized_batches(signed_in: SignedIn) -> None:
    agency = signed_in("agency-H01")
    assert push(agency, []) == {"accepted": 0, "stale": 0, "rejected": []}
    many = [event(each, 1) for each in range(status_sync.EVENTS_MAX + 1)]
    assert agency.post("/sync", {"batch": "many", "events": many}).status == 400


async def _apply_all(conninfo: str, batches: list[list[Event]]) -> tuple[States, States]:
    """(states, log) after pushing the batches into empty tables, all rolled back afterwards."""
    async with await AsyncConnection.connect(conninfo) as connection:
        for number, events in enumerate(batches):
            rows, rejected = status_sync.check("H01", events)
            told = await status_sync.apply(connection, "H01", Batch(str(number), events), rows, rejected)
            assert told is not None
            assert told["accepted"] + told["stale"] + len(told["rejected"]) == len(events)  # type: ignore[operator,arg-type]
        states = await (await connection.execute("SELECT * FROM sync_states ORDER BY code")).fetchall()
        log = await (await connection.execute("SELECT * FROM sync_events ORDER BY code, sequence")).fetchall()
        await connection.rollback()
    return states, log  # type: ignore[return-value]


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Event], list[list[Event]]]:
    """(events, batches): a truth, and one way in which it may arrive: permuted, repeated, cut anywhere."""
    keys = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6)), min_size=1, max_size=12, unique=True))
    truth = [
        Event(f"H01-20260609-{serial:07d}", draw(st.integers(1, 10)), sequence, f"202606{sequence + 10}080000")
        for serial, sequence in keys
    ]
    arriving = draw(st.permutations(truth + draw(st.lists(st.sampled_from(truth), max_size=6))))
    cuts = sorted(draw(st.lists(st.integers(0, len(arriving)), max_size=4)))
    return truth, [arriving[a:b] for a, b in zip([0, *cuts], [*cuts, len(arriving)], strict=True)]


@settings(max_examples=60, deadline=None)
@given(deliveries())
def test_any_order_repetition_and_split_ends_in_the_same_rows(
    conninfo: str, delivery: tuple[list[Event], list[list[Event]]]
) -> None:
    truth, batches = delivery
    states, log = asyncio.run(_apply_all(conninfo, batches))
    assert [row[:3] for row in log] == sorted((each.code, each.sequence, each.status) for each in truth)
    newest = {each.code: each for each in sorted(truth, key=lambda each: each.sequence)}
    assert [row[:3] for row in states] == [
        (code, newest[code].sequence, newest[code].status) for code in sorted(newest)
    ]


def test_no_batch_reads_a_whole_table(conninfo: str) -> None:
    """Plans made while the tables are empty are kept; without care they read ever more as the tables grow."""

    async def sequential_scans() -> list[tuple[str, int]]:
        async with await AsyncConnection.connect(conninfo) as connection:
            for number in range(20):
                rows, _ = status_sync.check("H01", [Event(f"H01-20260611-{number:07d}", 2, 1, AT)])
                await status_sync.apply(connection, "H01", Batch(str(number), []), rows, [])
            cursor = await connection.execute(
                "SELECT relname, seq_scan FROM pg_stat_xact_user_tables WHERE relname LIKE 'sync%' AND seq_scan > 0"
            )
            found = await cursor.fetchall()
            await connection.rollback()
        return found  # type: ignore[return-value]

    assert asyncio.run(sequential_scans()) == []


def test_concurrent_writers_neither_deadlock_nor_lose(conninfo: str) -> None:
    """Eight writers push overlapping halves of the same new events at once, each in an order of its own."""
    writers, turns = 8, 6
    start = threading.Barrier(writers, timeout=30)

    def truth(turn: int) -> list[Event]:
        codes = (f"H01-202606{turn + 10}-{serial:07d}" for serial in range(60))
        return [Event(code, 2, sequence, AT) for code in codes for sequence in range(6)]

    async def write(writer: int) -> None:
        order = random.Random(writer)
        async with await AsyncConnection.connect(conninfo, autocommit=True) as connection:
            for turn in range(turns):
                events = order.sample(truth(turn), len(truth(turn)) // 2)
                rows, rejected = status_sync.check("H01", events)
                await asyncio.to_thread(start.wait)
                await status_sync.apply(connection, "H01", Batch(f"{writer}-{turn}", events), rows, rejected)

    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(lambda writer: asyncio.run(write(writer)), range(writers)))
    with psycopg.connect(conninfo) as connection:
        newest = "SELECT code, max(sequence) FROM sync_events GROUP BY code ORDER BY code"
        states = connection.execute("SELECT code, sequence FROM sync_states ORDER BY code").fetchall()
        assert states == connection.execute(newest).fetchall()
        assert len(states) == 60 * turns
        connection.execute("TRUNCATE sync_events, sync_states, sync_batches")


def test_an_older_event_that_had_to_wait_does_not_win(conninfo: str) -> None:
    """A batch that looked at the state before a newer one was committed finds, after its wait, that it is stale."""

    async def apply(connection: AsyncConnection, sequence: int) -> None:
        rows, _ = status_sync.check("H01", [Event("H01-20260612-0000001", 2, sequence, AT)])
        await status_sync.apply(connection, "H01", Batch(str(sequence), []), rows, [])

    async def race() -> int:
        async with (
            await AsyncConnection.connect(conninfo) as newer,
            await AsyncConnection.connect(conninfo, autocommit=True) as older,
        ):
            await apply(newer, 2)
            waiting = asyncio.create_task(apply(older, 1))
            await asyncio.sleep(0.2)
            assert not waiting.done()
            await newer.commit()
            await waiting
            row = await (await older.execute("SELECT sequence FROM sync_states")).fetchone()
            await older.execute("TRUNCATE sync_events, sync_states, sync_batches")
        assert row is not None
        return int(row[0])

    assert asyncio.run(race()) == 2


def test_the_same_batch_pushed_twice_at_once_is_applied_once(signed_in: SignedIn) -> None:
    agency, events = signed_in("agency-H02"), [event(each, 1, agency="H02") for each in range(100, 160)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: push(agency, events, "twice"), range(6)))
    assert answers == [{"accepted": 60, "stale": 0, "rejected": []}] * 6
