"""Status sync: idempotent, in any order, bad rows named, writers that do not deadlock."""

import asyncio
import random
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import count

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import AsyncConnection

from staging import status_sync
from staging.status_sync import Event
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
    assert push(agency, [event(81, 2), event(81, 3), event(82, 1)]) == {"accepted": 3, "stale": 0, "rejected": []}
    assert push(agency, [event(81, 1), event(81, 3), event(81, 4)]) == {"accepted": 1, "stale": 2, "rejected": []}
    assert push(agency, [event(83, 1), event(83, 1)]) == {"accepted": 1, "stale": 1, "rejected": []}
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
            told = await status_sync.apply(connection, "H01", str(number), status_sync.check("H01", events))
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


Key = tuple[str, int]
Logged = tuple[int, str]


def _push_by_hand(log: dict[Key, Logged], events: list[Event]) -> dict[str, object]:
    """What a batch should do and answer, event by event: the first report of a sequence number stays."""
    newest: dict[str, int] = {}
    for code, sequence in log:
        newest[code] = max(sequence, newest.get(code, -1))
    told: dict[str, list[int]] = {"accepted": [], "stale": [], "rejected": []}
    for index, each in enumerate(events):
        key, value = (each.code, each.sequence), (each.status, each.at)
        is_new = key not in log
        if log.setdefault(key, value) != value:
            told["rejected"].append(index)
        else:
            told["accepted" if is_new and each.sequence > newest.get(each.code, -1) else "stale"].append(index)
    return {"accepted": len(told["accepted"]), "stale": len(told["stale"]), "rejected": told["rejected"]}


some_events = st.builds(
    Event,
    st.sampled_from(["H01-00000000-0000000", "H01-20260609-0000001", "H01-99999999-9999999"]),
    st.sampled_from([1, 2, 10]),
    st.sampled_from([0, 1, 2, 255, 256, 257, 2**32, 2**63 - 1]),
    st.sampled_from(["19691231235959", "20260609083000", "20260609083001", "99991231000000"]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(some_events, max_size=10), min_size=1, max_size=6))
def test_each_answer_is_that_of_a_log_kept_by_hand(conninfo: str, batches: list[list[Event]]) -> None:
    """Contradictions, copies within a batch and events that come late, in any mixture."""

    async def compare() -> None:
        log: dict[Key, Logged] = {}
        async with await AsyncConnection.connect(conninfo) as connection:
            for number, events in enumerate(batches):
                told = await status_sync.apply(connection, "H01", str(number), status_sync.check("H01", events))
                assert told is not None
                told["rejected"] = [each["index"] for each in told["rejected"]]  # type: ignore[attr-defined]
                assert told == _push_by_hand(log, events)
            query = """SELECT code, sequence, status, to_char(at AT TIME ZONE interval '7 hours', 'YYYYMMDDHH24MISS')
                       FROM {} ORDER BY code, sequence"""
            kept = await (await connection.execute(query.format("sync_events"))).fetchall()
            assert kept == sorted((*key, *value) for key, value in log.items())
            states = await (await connection.execute(query.format("sync_states"))).fetchall()
            assert states == list({row[0]: row for row in kept}.values())
            await connection.rollback()

    asyncio.run(compare())


def _is_good(event: Event) -> bool:
    """The check of one event by other means than the portal's."""
    if not re.fullmatch("H01-[0-9]{8}-[0-9]{7}", event.code) or not re.fullmatch("[0-9]{14}", event.at):
        return False
    try:
        datetime.fromisoformat(f"{event.at[:8]}T{event.at[8:]}")
    except ValueError:
        return False
    return 1 <= event.status <= 10 and 0 <= event.sequence < 2**63


almost = st.builds(
    Event,
    st.just("H01-20260609-0000001") | st.text("0H1-٣a\x00\n", min_size=19, max_size=21)
    | st.sampled_from(["H02-20260609-0000001", "H01-20260609-0000001\n", "H01-2026060990000001"])
    | st.sampled_from(["H01-20260609-000000٣", "H01-20260609-00000010"]),
    st.integers(-1, 12) | st.sampled_from([2**63, -(2**70)]),
    st.integers(-2, 3) | st.sampled_from([2**63 - 1, 2**63, 2**70]),
    st.from_regex(r"[0-9]{13,15}", fullmatch=True)
    | st.from_regex(r"(0000|1900|2024)(0[0-9]|1[0-3])([0-2][0-9]|3[0-2])[0-2][0-9](30|60)(30|60)", fullmatch=True)
    | st.from_regex(r"(0001|1900|2000|2024|2026|9999)(0[1-9]|1[0-2])(0[1-9]|2[7-9]|3[01])(00|23)5959", fullmatch=True),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(almost, max_size=12))
def test_a_batch_at_once_is_checked_as_its_events_one_by_one(events: list[Event]) -> None:
    checked = status_sync.check("H01", events)
    assert [each["index"] for each in checked.rejected] == [i for i, each in enumerate(events) if not _is_good(each)]
    times = {index: detail // 16 for index, detail in zip(checked.index, checked.words[:, 1], strict=True)}
    assert sorted(times) == [i for i, each in enumerate(events) if _is_good(each)]
    for index, at_s in times.items():
        assert datetime(1970, 1, 1, 7) + timedelta(seconds=int(at_s)) == datetime.strptime(
            events[index].at, "%Y%m%d%H%M%S"
        )


def test_no_batch_reads_a_whole_table(conninfo: str) -> None:
    """Plans made while the tables are empty are kept; without care they read ever more as the tables grow."""

    async def read() -> tuple[int, int]:
        async with await AsyncConnection.connect(conninfo) as connection:
            for number in range(20):
                events = [Event(f"H01-20260611-{number * 100 + each:07d}", 2, 1, AT) for each in range(100)]
                await status_sync.apply(connection, "H01", str(number), status_sync.check("H01", events))
            counts = """SELECT sum(seq_scan)::integer, sum(idx_tup_fetch)::integer
                        FROM pg_stat_xact_user_tables WHERE relname LIKE 'sync%'"""
            _, before = await (await connection.execute(counts)).fetchone()  # type: ignore[misc]
            for sequence in (2, 2, 0):
                events = [Event("H01-20260611-0000500", 2, sequence, AT)]
                await status_sync.apply(connection, "H01", f"s{before}{sequence}", status_sync.check("H01", events))
            scans, after = await (await connection.execute(counts)).fetchone()  # type: ignore[misc]
            await connection.rollback()
        return scans, after - before

    scans, fetched = asyncio.run(read())
    assert scans == 0
    assert fetched < 40


def test_stale_and_contradicting_rows_are_neither_written_nor_locked(conninfo: str) -> None:
    async def rows_before_and_after() -> list[list[tuple[object, ...]]]:
        found = []
        async with await AsyncConnection.connect(conninfo, autocommit=True) as connection:
            truth = [Event(f"H01-20260613-{each:07d}", 2, sequence, AT) for each in range(50) for sequence in (1, 2, 3)]
            wrong = [Event(each.code, 5, each.sequence, AT) for each in truth[::7]]
            for number, events in enumerate((truth, truth, truth[::-2], wrong, truth[:9] + wrong)):
                await status_sync.apply(connection, "H01", str(number), status_sync.check("H01", events))
                rows = await connection.execute("SELECT key, ctid, xmin, xmax FROM sync_dossiers ORDER BY key")
                found.append(await rows.fetchall())
            await connection.execute("TRUNCATE sync_dossiers, sync_batches")
        return found

    found = asyncio.run(rows_before_and_after())
    assert len(found[0]) == 50
    assert all(rows == found[0] for rows in found)


@pytest.mark.parametrize(
    ("turns", "codes"), [(6, 60), pytest.param(1250, 4, marks=pytest.mark.slow)], ids=["large", "10,000 batches"]
)
def test_concurrent_writers_neither_deadlock_nor_lose(conninfo: str, turns: int, codes: int) -> None:
    """Eight writers of two agencies push overlapping halves of the same events at once, each in an order of its own."""
    writers = 8
    start = threading.Barrier(writers, timeout=30)

    def truth(turn: int, agency: str) -> list[Event]:
        serials = range(turn * codes // 2, turn * codes // 2 + codes)  # the next turn shares half of them
        return [Event(f"{agency}-20260610-{each:07d}", 2, sequence, AT) for each in serials for sequence in range(6)]

    async def write(writer: int) -> None:
        order, agency = random.Random(writer), ("H01", "G09")[writer % 2]
        async with await AsyncConnection.connect(conninfo, autocommit=True) as connection:
            for turn in range(turns):
                events = order.choices(truth(turn, agency), k=codes * 3)
                checked = status_sync.check(agency, events)
                if turn < 6:
                    await asyncio.to_thread(start.wait)
                told = await status_sync.apply(connection, agency, f"{writer}-{turn}", checked)
                assert told is not None
                assert not told["rejected"]
                pushed.update((each.code, each.sequence) for each in events)

    pushed: set[tuple[str, int]] = set()
    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(lambda writer: asyncio.run(write(writer)), range(writers)))
    with psycopg.connect(conninfo) as connection:
        log = connection.execute("SELECT code, sequence FROM sync_events").fetchall()
        assert sorted(log) == sorted(pushed)
        newest = "SELECT code, max(sequence) FROM sync_events GROUP BY code ORDER BY code"
        states = connection.execute("SELECT code, sequence FROM sync_states ORDER BY code").fetchall()
        assert states == connection.execute(newest).fetchall()
        connection.execute("TRUNCATE sync_dossiers, sync_batches")


def test_an_older_event_that_had_to_wait_does_not_win(conninfo: str) -> None:
    """A batch that looked at the state before a newer one was committed finds, after its wait, that it is stale."""

    async def apply(connection: AsyncConnection, sequence: int) -> None:
        checked = status_sync.check("H01", [Event("H01-20260612-0000001", 2, sequence, AT)])
        await status_sync.apply(connection, "H01", str(sequence), checked)

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
            await older.execute("TRUNCATE sync_dossiers, sync_batches")
        assert row is not None
        return int(row[0])

    assert asyncio.run(race()) == 2


def test_the_same_batch_pushed_twice_at_once_is_applied_once(signed_in: SignedIn) -> None:
    agency, events = signed_in("agency-H02"), [event(each, 1, agency="H02") for each in range(100, 160)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: push(agency, events, "twice"), range(6)))
    assert answers == [{"accepted": 60, "stale": 0, "rejected": []}] * 6


def test_one_key_for_two_batches_at_once_takes_one_of_them(conninfo: str) -> None:
    async def push_one(serial: int) -> bool:
        events = [Event(f"H01-20260614-{serial:07d}", 2, 1, AT)]
        async with await AsyncConnection.connect(conninfo, autocommit=True) as connection:
            return await status_sync.apply(connection, "H01", "one key", status_sync.check("H01", events)) is not None

    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda serial: asyncio.run(push_one(serial)), range(8)))
    with psycopg.connect(conninfo) as connection:
        kept = connection.execute("SELECT code FROM sync_events").fetchall()
        connection.execute("TRUNCATE sync_dossiers, sync_batches")
    assert kept == [(f"H01-20260614-{taken.index(True):07d}",)]
    assert sum(taken) == 1


def test_a_key_stands_for_the_bad_rows_too_and_for_their_order() -> None:
    good, bad = Event("H01-20260609-0000001", 2, 1, AT), Event("H01-20260609-0000001", 99, 1, AT)
    worse, later = Event("H01-20260609-0000001", 98, 1, AT), Event("H01-20260609-0000001", 2, 2, AT)
    batches = [[good], [good, good], [good, bad], [bad, good], [good, worse], [good, later], [later, good], [bad], []]
    assert len({status_sync.check("H01", events).digest for events in batches}) == len(batches)
