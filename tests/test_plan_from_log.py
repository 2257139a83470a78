"""Plans from monitoring: the same shape in time, the right operations, and nothing left out without being counted."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from caodiem import access_log, operation_map, plan, plan_from_log
from caodiem.errors import UsageError
from tests.conftest import ROOT

REFERENCE = ROOT / "loadtests" / "portals" / "reference.toml"
CODE = "G02-20260504-0001234"
COMBINED = '10.0.0.9 - - [{time}] "{request}" 200 512 "-" "Mozilla/5.0 (X11; Linux) \\"x\\""\n'
NINE = datetime(2026, 5, 4, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def known() -> operation_map.OperationMap:
    return operation_map.load(REFERENCE)


def combined(second: int, request: str, zone: str = "+0700") -> str:
    return COMBINED.format(time=f"{NINE + timedelta(seconds=second):%d/%b/%Y:%H:%M:%S} {zone}", request=request)


def made(path: Path, text: str, known: operation_map.OperationMap, times: float = 1.0, seed: int = 1) -> plan.Plan:
    path.write_text(text)
    return plan_from_log.to_plan(plan_from_log.read(path, known), path, seed, times)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (combined(0, "GET /a?b=c HTTP/1.1"), ("GET", "/a?b=c")),
        ('::1 - an na [04/May/2026:09:00:00 +0700] "POST /sync HTTP/2.0" 200 2\n', ("POST", "/sync")),
        ('{"time": "2026-05-04T09:00:00+07:00", "method": "get", "path": "/a"}', ("GET", "/a")),
        ('{"time_iso8601": "2026-05-04T02:00:00Z", "request": "GET /a HTTP/1.1"}', ("GET", "/a")),
        ('{"msec": 1777860000.25, "request_method": "GET", "request_uri": "/a?x=1"}', ("GET", "/a?x=1")),
        ('{"ts": 1777860000250, "method": "GET", "uri": "/a"}', ("GET", "/a")),
        ('{"ts": 1777860000250000, "method": "GET", "uri": "/a"}', ("GET", "/a")),
        ('{"ts": "1777860000250000123", "method": "GET", "uri": "/a"}', ("GET", "/a")),
        ('{"time_local": "04/May/2026:09:00:00 +0700", "verb": "GET", "url": "/a"}', ("GET", "/a")),
    ],
)
def test_lines_of_either_form(line: str, expected: tuple[str, str]) -> None:
    found = access_log.parse(line)
    assert found is not None and (found.method, found.path) == expected
    assert int(found.at_s) == 1777860000


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        '10.0.0.9 - - [04/May/2026:09:00:00 +0700] "GET /a HTTP/1.1',
        '10.0.0.9 - - [04/May/2026:25:00:00 +0700] "GET /a HTTP/1.1" 200 1',
        '10.0.0.9 - - [yesterday] "GET /a HTTP/1.1" 200 1',
        '10.0.0.9 - - [04/May/2026:09:00:00 +0700] "\\x16\\x03\\x01" 400 0',
        '10.0.0.9 - - [04/May/2026:09:00:00 +0700] "-" 408 0',
        '{"time": "2026-05-04T09:00:00", "method": "GET"',
        '{"time": "2026-05-04T09:00:00", "method": "GET"}',
        '{"time": null, "method": "GET", "path": "/a"}',
        '{"time": "nan", "method": "GET", "path": "/a"}',
        '{"time": 1e400, "method": "GET", "path": "/a"}',
        '{"time": 1777860000250000000000, "method": "GET", "path": "/a"}',
        '{"time": -1, "method": "GET", "path": "/a"}',
        '{"time": 7258118400, "method": "GET", "path": "/a"}',
        '{"time": "9999-12-31T23:59:59-07:00", "method": "GET", "path": "/a"}',
        '10.0.0.9 - - [31/Dec/9999:23:59:59 -0700] "GET /a HTTP/1.1" 200 1',
        '{"time": "2026-05-04T09:00:00", "request": "GET"}',
        '{"time": "2026-05-04T09:00:00", "method": "GET", "path": "http://other.example/"}',
        "{}",
        "[]",
    ],
)
def test_damaged_lines_say_nothing(line: str) -> None:
    assert access_log.parse(line) is None


@settings(deadline=None)
@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: "{" + data.decode("latin-1")))
def test_no_line_is_an_exception(line: str) -> None:
    access_log.parse(line)


def test_requests_become_operations_with_agency_and_dossier(known: operation_map.OperationMap) -> None:
    found = known.find("GET", f"/dossiers/{CODE}?full=1")
    assert found == operation_map.Mapped("look_up_status", 1, "G02", 202605040001234)
    assert known.find("POST", f"/cases/{CODE}/ask-supplement").operation == "ask_supplement"
    assert known.find("POST", "/dossiers") == operation_map.Mapped("file_dossier", 3, "H01", 0)
    assert known.find("GET", "/dossiers/anything").agency == "H01"
    for method, path in (("GET", "/dossiers"), ("GET", "/dossiers/a/b"), ("GET", "/"), ("POST", "/accounts/sign-in/")):
        assert known.find(method, path) is None


def test_a_log_becomes_a_plan_of_the_same_shape(tmp_path: Path, known: operation_map.OperationMap) -> None:
    seconds = [0, 0, 0, 5, 5, 9]
    text = "".join(combined(second, "GET /catalogue?q=a HTTP/1.1") for second in seconds)
    text += combined(3, f"GET /dossiers/{CODE} HTTP/1.1")
    text += "nonsense\n\n" + combined(2, "GET /favicon.ico HTTP/1.1") * 2 + combined(2, "GET /x?y=1 HTTP/1.1")
    path = tmp_path / "access.log"
    found = made(path, text, known)
    assert (found.arrivals, found.steps) == (7, 7)
    assert (found.meta.starts_at, found.meta.length_s) == ("2026-05-04T09:00:00", 10.0)
    due_s = found.table["due_s"].to_numpy()
    assert sorted(np.floor(due_s)) == sorted([*seconds, 3])
    looked_up = found.table.filter(np.floor(due_s) == 3).to_pylist()[0]
    assert (looked_up["operation"], looked_up["agency"], looked_up["dossier"]) == (
        "look_up_status",
        "G02",
        202605040001234,
    )
    taken = plan_from_log.read(path, known)
    assert (taken.lines, taken.damaged) == (11, 1)
    assert taken.unmapped == {"GET /favicon.ico": 2, "GET /x": 1}
    said = taken.in_words()
    assert "11 lines, 7 requests taken" in said and "3 fit no entry of the map: GET /favicon.ico (2)" in said
    assert "1 damaged, the first line 8: 'nonsense'" in said
    # The same file gives the same plan; another seed other moments; packed, it is the same traffic.
    assert made(path, text, known).meta.plan_hash == found.meta.plan_hash
    assert made(path, text, known, seed=2).meta.plan_hash != found.meta.plan_hash
    packed = tmp_path / "access.log.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    again = plan_from_log.to_plan(plan_from_log.read(packed, known), packed, 1, 1.0)
    assert again.meta.plan_hash == found.meta.plan_hash


def test_moments_that_a_log_knows_exactly_are_kept(tmp_path: Path, known: operation_map.OperationMap) -> None:
    moments_s = [0.125, 0.5, 7.75]
    lines = [{"ts": NINE.timestamp() + moment_s, "method": "GET", "path": "/catalogue"} for moment_s in moments_s]
    found = made(tmp_path / "log.jsonl", "\n".join(map(json.dumps, lines)), known)
    assert found.table["due_s"].to_pylist() == moments_s


def test_one_odd_time_is_a_damaged_line(tmp_path: Path, known: operation_map.OperationMap) -> None:
    lines = [
        {"ts": ts, "method": "GET", "path": "/catalogue"} for ts in (1777860000250000, 1777860000, 17778600002500000000)
    ]
    path = tmp_path / "log.jsonl"
    assert made(path, "\n".join(map(json.dumps, lines)), known).arrivals == 2
    assert plan_from_log.read(path, known).first_damaged.startswith("line 3")


def test_counts_become_arrivals_spread_over_their_intervals(tmp_path: Path, known: operation_map.OperationMap) -> None:
    rows = ["time,look_up_status,push_sync", "2026-05-04T09:00:00,3000,0", "2026-05-04T09:01:00,0,5", "", "torn,1"]
    rows += ["2026-05-04T09:02:00,-1,0", "2026-05-04T09:04:00,1000,0"]
    path = tmp_path / "counts.csv"
    found = made(path, "\n".join(rows), known)
    assert (found.arrivals, found.meta.starts_at) == (4005, "2026-05-04T09:00:00")
    due_s, operation = found.table["due_s"].to_numpy(), np.array(found.table["operation"].to_pylist())
    minute = np.floor(due_s / 60)
    assert [(minute == each).sum() for each in range(5)] == [3000, 5, 0, 0, 1000]
    assert set(operation[minute == 1]) == {"push_sync"} and set(found.table["items"].to_pylist()) == {1, 50}
    assert stats.kstest(due_s[minute == 0] / 60, "uniform").pvalue > 0.01
    taken = plan_from_log.read(path, known)
    assert (taken.damaged, taken.first_damaged) == (2, "line 5: 'torn,1'")
    path.write_text("\n".join(rows), encoding="utf-8-sig")  # as spreadsheets save it
    assert plan_from_log.read(path, known).figures() == taken.figures()


def test_traffic_is_multiplied_with_moments_of_its_own(tmp_path: Path, known: operation_map.OperationMap) -> None:
    text = "".join(combined(second % 100, "GET /catalogue HTTP/1.1") for second in range(1000))
    path = tmp_path / "access.log"
    once, more, less = (made(path, text, known, times) for times in (1.0, 2.5, 0.25))
    assert (once.arrivals, len(np.unique(more.table["due_s"].to_numpy()))) == (1000, more.arrivals)
    assert abs(more.arrivals - 2500) < 100 and abs(less.arrivals - 250) < 80
    assert set(once.table["due_s"].to_pylist()) < set(more.table["due_s"].to_pylist())


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("access.log", "nonsense\n", "no request could be taken; 1 lines, 0 requests taken"),
        ("access.log", "", "no request could be taken"),
        ("access.log", combined(0, "GET /elsewhere HTTP/1.1"), r"GET /elsewhere \(1\)"),
        ("c.csv", "", "expected time and operations"),
        ("c.csv", "time,look_up\n", "expected an operation, such as look_up_status"),
        ("c.csv", "time,sign_in\n2026-05-04T09:00:00,5\n", "1 intervals; expected two or more"),
        ("log.gz", "not packed", "cannot be read"),
    ],
)
def test_files_that_will_not_do(
    tmp_path: Path, known: operation_map.OperationMap, name: str, text: str, told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        made(tmp_path / name, text, known)


def test_no_file_and_no_times(tmp_path: Path, known: operation_map.OperationMap) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        plan_from_log.read(tmp_path / "none.log", known)
    with pytest.raises(UsageError, match="--times 0: expected more than 0"):
        made(tmp_path / "access.log", combined(0, "GET /catalogue HTTP/1.1"), known, times=0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "expected at least one"),
        ("[[map]", "expected TOML"),
        ('agency = "X1"\n[[map]]', "agency = 'X1': expected a code like H01"),
        ('[[map]]\nmethod = "get"', r"map\[0\].method = 'get': expected a method in capitals"),
        ('[[map]]\nmethod = "GET"\npath = "a"', "path = 'a': expected a path like"),
        (
            '[[map]]\nmethod = "GET"\npath = "/a"\noperation = "look_up"',
            "expected an operation, such as look_up_status",
        ),
        (
            '[[map]]\nmethod = "GET"\npath = "/a"\nitems = 0\noperation = "pay_fee"',
            "items = 0: expected a whole number",
        ),
        ('[[map]]\nmethod = "GET"\nPath = "/a"', "map.0..Path: no such key"),
    ],
)
def test_a_bad_map_is_named(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "map.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=told):
        operation_map.load(path)
