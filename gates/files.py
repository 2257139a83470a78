"""The gate's answer for programs: one JSON document, JUnit XML, and lines of history that Apache Otava can read.

JUnit as Jenkins, GitLab and GitHub's reporters take it: a failure is a slow-down, an error is what proves nothing.
History is one JSON object a line, in the shape of an entry of Otava's JSON data source (timestamp, metrics,
attributes), with the benchmark's name beside it: docs/gates.md shows how to hand it over.
"""

import json
import math
import re
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from caodiem.run import plain
from gates.evidence import Interval, Outcome
from gates.gate import Result, Verdict
from gates.summary import in_short, lines, shown_interval

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_json(result: Result) -> dict[str, Any]:
    return {
        "outcome": result.outcome.value,
        "exit_code": int(result.exit_code),
        "base": result.base,
        "head": result.head,
        "seed": result.seed,
        "problem": result.problem,
        "notes": result.notes,
        "took_s": result.took_s,
        "machine": result.machine,
        "reference_s": result.reference_s,
        "benchmarks": [_verdict(each) for each in result.verdicts],
    }


def junit(result: Result) -> str:
    """A suite with a case for each benchmark, and one for the gate itself where it proved nothing."""
    suite = ElementTree.Element("testsuite", name="caodiem gate", time=f"{result.took_s:.3f}")
    if result.problem:
        case = ElementTree.SubElement(suite, "testcase", classname="caodiem.gate", name="gate", time="0")
        ElementTree.SubElement(case, "error", message=_plain(in_short(result.problem))).text = _plain(result.problem)
    for each in result.verdicts:
        file, _, name = each.benchmark.partition("::")
        spent_s = sum(pair.base_s + pair.head_s for pair in each.pairs)
        case = ElementTree.SubElement(suite, "testcase", classname=file, name=name, time=f"{spent_s:.3f}")
        if each.outcome is Outcome.SLOWER:
            ElementTree.SubElement(case, "failure", message=_told(result, each)).text = _plain(each.reason)
        elif each.outcome is Outcome.INCONCLUSIVE:
            ElementTree.SubElement(case, "error", message=_told(result, each)).text = _plain(each.reason)
        ElementTree.SubElement(case, "system-out").text = _told(result, each)
    for kind, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error")):
        suite.set(kind, str(len(suite.findall(f".//{tag}"))))
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def append_history(result: Result, path: Path) -> None:
    """A line for each benchmark that was measured."""
    path.parent.mkdir(parents=True, exist_ok=True)
    now_s = int(time.time())
    with path.open("a", encoding="utf-8") as written:
        for each in result.verdicts:
            if not each.pairs:
                continue
            metrics = [
                {"name": "head", "unit": "s", "value": each.head_s},
                {"name": "ratio", "unit": "", "value": math.exp(shown_interval(each).median)},
            ]
            attributes = {"commit": result.head, "base": result.base, "outcome": each.outcome.value}
            entry = {"timestamp": now_s, "test": each.benchmark, "metrics": metrics, "attributes": attributes}
            written.write(json.dumps(entry, ensure_ascii=False) + "\n")


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "benchmark": verdict.benchmark,
        "outcome": verdict.outcome.value,
        "reason": verdict.reason,
        "first": _interval(verdict.finding.first),
        "confirming": _interval(verdict.finding.second),
        "base_s": verdict.base_s,
        "head_s": verdict.head_s,
        "signs": verdict.signs,
        "work": {name: {**asdict(each), "ratio": each.ratio} for name, each in verdict.work.items()},
        "log_ratios": [pair.log_ratio for pair in verdict.pairs],
        "log_cpu_ratios": [pair.log_cpu_ratio for pair in verdict.pairs],
        "control_log_ratios": verdict.control,
    }


def _interval(found: Interval) -> dict[str, float | int]:
    """As ratios, head over base; null where there is no bound."""
    ratios = {name: math.exp(getattr(found, name)) for name in ("median", "low", "high")}
    return plain({**{name: each or math.nan for name, each in ratios.items()}, "pairs": found.pairs})


def _told(result: Result, verdict: Verdict) -> str:
    return _plain(" ".join(lines(result)[result.verdicts.index(verdict)].split()))


def _plain(text: str) -> str:
    """Without colours and what else XML 1.0 cannot hold; a crash may have printed anything."""
    return _NOT_IN_XML.sub("", _COLOURS.sub("", text))
