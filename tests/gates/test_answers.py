"""What the gate writes: exit codes, JUnit, Markdown, history, each of results made by hand."""

import dataclasses
import json
import math
from pathlib import Path
from xml.etree import ElementTree

import pytest

from caodiem.errors import ExitCode, UsageError
from gates import files, summary
from gates.budget import parse
from gates.evidence import Outcome
from gates.gate import Case, Result, Work, _machine_problem, _verdict
from gates.probe import REFERENCE
from gates.sampling import Pair, Ring


def case(
    log_ratios: list[float], control: float = 0.0, problem: str = "", base_s: float = 0.01, queueing: float = 0.0
) -> Case:
    pairs = [Pair(each, each, 0.0, queueing, base_s, base_s * math.exp(each), ({}, {})) for each in log_ratios]
    return Case("tests/test_a.py::test_a[1|2]", pairs, [control] * len(pairs), problem)


def result(*cases: Case, problem: str = "") -> Result:
    verdicts = [_verdict(each, case([]), {}) for each in cases]
    return Result("a" * 40, "b" * 40, 1, verdicts, problem, [], [0.01], 12.0, {})


SAME, SLOWER, FASTER, OPEN = [0.0] * 8, [0.1] * 16, [-0.1] * 8, [0.1, -0.1]


@pytest.mark.parametrize(
    ("cases", "code"),
    [
        ([case(SAME)], ExitCode.PASS),
        ([case(SAME), case(FASTER)], ExitCode.PASS),
        ([case(SAME), case(SLOWER)], ExitCode.FAIL),
        ([case(OPEN), case(SLOWER)], ExitCode.FAIL),
        ([case(SAME), case(OPEN)], ExitCode.INVALID),
        ([case(SAME, problem="crashed")], ExitCode.INVALID),
        ([case(SLOWER, control=0.1)], ExitCode.INVALID),
        ([case(SAME, queueing=0.2)], ExitCode.INVALID),
        ([], ExitCode.INVALID),
    ],
)
def test_only_what_is_proven_good_passes(cases: list[Case], code: ExitCode) -> None:
    assert result(*cases).exit_code is code
    assert result(*cases, problem="the machine changed").exit_code is ExitCode.INVALID


def test_a_reference_that_moves_or_a_machine_that_changes_speed_is_told() -> None:
    assert "reference" in _machine_problem(Case(REFERENCE, case([0.1] * 8).pairs))
    changed = case([0.0] * 6).pairs + case([0.0] * 6, base_s=0.02).pairs
    assert "changed its speed" in _machine_problem(Case(REFERENCE, changed))
    assert _machine_problem(Case(REFERENCE, case([0.0] * 12).pairs)) == ""


def test_junit_is_read_by_a_reader() -> None:
    root = ElementTree.fromstring(files.junit(result(case(SAME), case(SLOWER), case(OPEN), problem="why\nmore")))
    suite = root[0]
    assert {key: suite.attrib[key] for key in ("tests", "failures", "errors")} == {
        "tests": "4",
        "failures": "1",
        "errors": "2",
    }
    assert [len(each) for each in suite.findall("testcase")] == [1, 1, 2, 2]


TRACEBACK = """head-1: failed in call: benchmark = <fixture>

    def test_a(benchmark):
E   KeyError: 'a|b'
\x1b[31m\x00a.py:5"""


def test_what_crashed_may_have_printed_anything() -> None:
    found = result(case([], problem=TRACEBACK), problem="base-1: not collected:\n\x1b[1mE   ImportError\x07\nE   why")
    suite = ElementTree.fromstring(files.junit(found))[0]
    assert suite[0][0].attrib["message"] == "base-1: not collected: why"
    assert "KeyError: 'a|b'" in suite[1][0].attrib["message"] and suite[1][0].text == TRACEBACK.replace(
        "\x1b[31m\x00", ""
    )
    told = summary.markdown(found)
    assert "| head-1: failed in call: KeyError: 'a&#124;b' |" in told and "<fixture>" not in told
    assert "**Proves nothing:** base-1: not collected: why" in told


def test_the_summary_says_what_and_how_much() -> None:
    told = summary.markdown(result(case(SLOWER)))
    assert "+10.5% [+10.5%, +10.5%]" in told
    assert "test_a[1&#124;2]" in told
    assert "●" in told


def test_benchmarks_of_one_name_are_told_apart_by_their_files() -> None:
    other = dataclasses.replace(case(SAME), benchmark="tests/test_b.py::test_a[1|2]")
    told = summary.lines(result(case(SAME), other))
    assert [line.split()[0] for line in told[:2]] == ["tests/test_a.py::test_a[1|2]", "tests/test_b.py::test_a[1|2]"]
    assert summary.lines(result(case(SAME)))[0].startswith("test_a[1|2] ")


def test_history_is_in_the_shape_that_otava_reads(tmp_path: Path) -> None:
    for _ in range(2):
        files.append_history(result(case(SAME), case([], problem="crashed")), tmp_path / "history.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 2
    for row in rows:
        assert {metric["name"] for metric in row["metrics"]} == {"head", "ratio"}
        assert row["attributes"]["commit"] == "b" * 40
        assert isinstance(row["timestamp"], int)


def test_json_has_no_infinity() -> None:
    json.loads(json.dumps(files.as_json(result(case(OPEN))), allow_nan=False))


def test_budgets() -> None:
    assert [parse(text) for text in ("90s", "5m", "1.5 min", "60")] == [90, 300, 90, 60]
    for text in ("soon", "5 days", "1s"):
        with pytest.raises(UsageError, match="--budget"):
            parse(text)


def test_counts_stand_beside_the_clock_and_decide_nothing() -> None:
    more = {"instructions": Work(100.0, 110.0)}
    for pairs, outcome in (([0.3, -0.3] * 5, Outcome.INCONCLUSIVE), (SAME, Outcome.SAME)):
        found = _verdict(case(pairs), case([]), more)
        assert (found.outcome, found.signs) == (outcome, ["more instructions"])


def test_a_ring_that_was_too_late_takes_nothing_from_a_benchmark_that_was_measured_before() -> None:
    measured, new = case(OPEN), case([])
    late = Ring({}, {}, {measured.benchmark: "was not measured in the 5 s that there were"}, is_late=True)
    for each in (measured, new):
        each.add(late)
    assert measured.is_open
    assert "5 s" in _verdict(new, case([]), {}).reason
    measured.add(Ring({}, {}, {measured.benchmark: "head-1 crashed"}))
    assert _verdict(measured, case([]), {}).reason == "head-1 crashed"
