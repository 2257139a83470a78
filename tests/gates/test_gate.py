"""The gate on a repository of its own, made here: planted slow-downs, commits that do not build, missing tests.

Real git, real pytest processes. What takes many rings is slow.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.conftest import ROOT

HOT = """
import time

def compute(count={count}):
    return sum(number * number % 7 for number in range(count))

def talk(sent, statements={statements}):
    for number in range(statements):
        sent.append(number)
        sum(range(300))

def wait():
    time.sleep({sleep_s})
"""
TESTS = """
from work import hot

def test_compute(benchmark):
    benchmark(hot.compute)

def test_talk(benchmark):
    sent = []
    benchmark(hot.talk, sent)
    sent.clear()
    hot.talk(sent)
    benchmark.extra_info["counters"] = {"statements": len(sent)}

def test_wait(benchmark):
    benchmark(hot.wait)
"""
PLAIN = {"count": 3000, "statements": 20, "sleep_s": 0.002}


class Repository:
    """A git repository with a package `work` and benchmarks of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "--quiet")
        self.write("work/__init__.py", "")
        self.write("tests/test_hot.py", TESTS)

    def git(self, *words: str) -> str:
        who = ("-c", "user.name=tests", "-c", "user.email=tests@localhost")
        done = subprocess.run(["git", *who, *words], cwd=self.folder, check=True, capture_output=True, text=True)
        return done.stdout

    def write(self, path: str, content: str) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(content, encoding="utf-8")

    def commit(self, **changed: float) -> None:
        self.write("work/hot.py", HOT.format(**{**PLAIN, **changed}))
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "A change")

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "caodiem.cli", "gate", "--base", "HEAD~1", "--tests", "tests", *words]

    def gate(self, *words: str) -> tuple[int, dict[str, Any]]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            self.command("--json", *words), cwd=self.folder, env=environment, capture_output=True, text=True
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, json.loads(done.stdout)

    def check_clean(self) -> None:
        assert len(self.git("worktree", "list").splitlines()) == 1


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path)
    made.commit()
    return made


def test_a_head_that_does_not_build_proves_nothing(repository: Repository) -> None:
    repository.commit()
    repository.write("work/__init__.py", "import nothing_of_this_name")
    repository.commit()
    code, found = repository.gate("--budget", "10s")
    assert code == 3
    assert "head-1" in found["problem"]
    assert "nothing_of_this_name" in found["problem"]
    repository.check_clean()


@pytest.mark.parametrize("reference", ["HEAD~5", "nothing"])
def test_a_commit_that_is_not_there_is_bad_usage(repository: Repository, reference: str) -> None:
    code, found = repository.gate("--base", reference)
    assert code == 2
    assert reference in found["error"]


@pytest.mark.slow
def test_a_test_that_one_side_lacks_and_one_that_crashes_are_no_pass(repository: Repository, tmp_path: Path) -> None:
    more = "\n\ndef test_more(benchmark):\n    benchmark(hot.wait)\n\n"
    broken = "def test_broken(benchmark):\n    benchmark(hot.compute)\n    assert hot.compute() < 10**9\n"
    repository.write("tests/test_hot.py", TESTS + broken)
    repository.commit()
    repository.write("tests/test_hot.py", TESTS + more + broken.replace("<", ">"))
    repository.commit()
    code, found = repository.gate("--budget", "30s", "--junit", str(tmp_path / "junit.xml"))
    told = {each["benchmark"].split("::")[1]: (each["outcome"], each["reason"]) for each in found["benchmarks"]}
    assert code == 3
    assert told["test_more"] == ("inconclusive", "missing in base")
    assert told["test_broken"][0] == "inconclusive"
    assert "AssertionError" in told["test_broken"][1]
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    assert int(suite.attrib["errors"]) >= 2
    assert len(suite.findall("testcase/error")) == int(suite.attrib["errors"])


@pytest.mark.slow
def test_each_kind_of_slow_down_is_caught_by_its_sign(repository: Repository, tmp_path: Path) -> None:
    repository.commit(count=3900, statements=30, sleep_s=0.003)
    summary = tmp_path / "summary.md"
    code, found = repository.gate("--budget", "5m", "--markdown", str(summary))
    told = {each["benchmark"].split("::")[1]: each for each in found["benchmarks"]}
    assert code == 1
    assert {each["outcome"] for each in told.values()} == {"slower"}
    assert {"more processor time"} <= {*told["test_compute"]["signs"]}
    assert {"more statements"} <= {*told["test_talk"]["signs"]}
    assert {"more waiting"} <= {*told["test_wait"]["signs"]}
    assert told["test_talk"]["work"]["statements"]["ratio"] == 1.5
    if "instructions" in told["test_compute"]["work"]:
        assert told["test_compute"]["work"]["instructions"]["ratio"] == pytest.approx(1.3, rel=0.02)
        assert told["test_wait"]["work"]["instructions"]["ratio"] == pytest.approx(1.0, rel=0.02)
    assert "slower" in summary.read_text(encoding="utf-8")
    repository.check_clean()


@pytest.mark.slow
def test_ctrl_c_leaves_no_process_and_no_checkout(repository: Repository) -> None:
    repository.commit()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = subprocess.Popen(
        repository.command("--budget", "60s"), cwd=repository.folder, env=environment, stderr=subprocess.PIPE, text=True
    )
    deadline_s = time.monotonic() + 30
    while len(repository.git("worktree", "list").splitlines()) < 4 and time.monotonic() < deadline_s:
        time.sleep(0.1)
    time.sleep(2)
    running.send_signal(signal.SIGINT)
    _, told = running.communicate(timeout=60)
    assert running.returncode == 3
    assert "interrupted" in told
    repository.check_clean()
