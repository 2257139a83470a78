"""A git repository with benchmarks of its own, made for a test: slow-downs can be planted into it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

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
        folder.mkdir(exist_ok=True)
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
