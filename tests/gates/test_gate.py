"""The gate on a repository of its own, made here: planted slow-downs, commits that do not build, missing tests.

Real git, real pytest processes. What takes many rings is slow.
"""

import os
import signal
import subprocess
import time
from pathlib import Path
from xml.etree import ElementTree

import psutil
import pytest

from gates import turns
from tests.conftest import ROOT
from tests.gates.repositories import TESTS, Repository

# A server that a fixture starts and must stop, as a database is.
SERVER = """
import subprocess
from pathlib import Path
import pytest

@pytest.fixture(scope="session", autouse=True)
def server():
    started = subprocess.Popen(["sleep", "600"])
    Path("{torn}", f"{{started.pid}}.up").touch()
    yield
    started.kill()
    started.wait()
    Path("{torn}", f"{{started.pid}}.down").touch()
"""


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path)
    made.commit()
    return made


@pytest.mark.parametrize(
    ("side", "modules"), [("base", ["nothing_of_this_name", "os"]), ("head", ["os", "nothing_of_this_name"])]
)
def test_a_side_that_does_not_build_proves_nothing(side: str, modules: list[str], repository: Repository) -> None:
    for module in modules:
        repository.write("work/__init__.py", f"import {module}")
        repository.commit()
    code, found = repository.gate("--budget", "30s")
    assert code == 3
    assert f"{side}-1" in found["problem"]
    assert "nothing_of_this_name" in found["problem"]
    repository.check_clean()


@pytest.mark.slow
def test_a_head_whose_packages_cannot_be_had_proves_nothing(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    repository.write(".gitignore", "/cache\n")
    repository.commit()
    repository.write("requirements.txt", "./no-such-folder\n")
    repository.commit()
    code, found = repository.gate("--budget", "2m")
    assert code == 3
    assert "its environment could not be made" in found["problem"]
    repository.check_clean()


@pytest.mark.slow
def test_a_head_that_hangs_keeps_to_the_budget(repository: Repository) -> None:
    repository.commit()
    repository.commit(sleep_s=600)
    began_s = time.monotonic()
    code, found = repository.gate("--budget", "40s")
    assert time.monotonic() - began_s < 40 + 2 * turns.STOP_S
    assert code == 3
    told = {each["benchmark"].split("::")[1]: each for each in found["benchmarks"]}
    assert told["test_wait"]["outcome"] == "inconclusive"
    assert "was not measured in the" in told["test_wait"]["reason"]
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
    # Not of a round of so few instructions that they differ from one to the next.
    for name, ratio in (("test_compute", 1.3), ("test_wait", 1.0)):
        if "instructions" in told[name]["work"]:
            assert told[name]["work"]["instructions"]["ratio"] == pytest.approx(ratio, rel=0.02)
    assert "slower" in summary.read_text(encoding="utf-8")
    repository.check_clean()


@pytest.mark.slow
def test_ctrl_c_leaves_no_process_and_no_checkout(repository: Repository, tmp_path: Path) -> None:
    torn = tmp_path / "torn"
    torn.mkdir()
    repository.write("tests/conftest.py", SERVER.format(torn=str(torn)))
    repository.commit()
    repository.commit()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = subprocess.Popen(
        repository.command("--budget", "60s"), cwd=repository.folder, env=environment, stderr=subprocess.PIPE, text=True
    )
    deadline_s = time.monotonic() + 30
    while len(list(torn.glob("*.up"))) < 4 and time.monotonic() < deadline_s:
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    _, told = running.communicate(timeout=60)
    assert running.returncode == 3
    assert "interrupted" in told
    repository.check_clean()
    servers = {path.stem for path in torn.glob("*.up")}
    assert len(servers) == 4
    assert {path.stem for path in torn.glob("*.down")} == servers
    assert not any(psutil.pid_exists(int(server)) for server in servers)


@pytest.mark.slow
def test_sides_that_want_other_packages_get_an_environment_each(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    repository.write(".gitignore", "/cache\n")
    repository.commit()
    repository.write("pyproject.toml", '[project]\nname = "work"\nversion = "1"\ndependencies = ["cowsay"]\n')
    repository.write("work/__init__.py", "import cowsay")
    repository.commit()
    code, found = repository.gate("--budget", "2m")
    assert (code, found["problem"]) in [(0, ""), (3, "")]
    assert {each["outcome"] for each in found["benchmarks"]} <= {"same", "inconclusive"}
    assert all(each["base_s"] > 0 and each["head_s"] > 0 for each in found["benchmarks"])
    with_it = [bool(list(each.glob("lib/*/site-packages/cowsay"))) for each in (cache / "caodiem/gate").glob("*/")]
    assert sorted(with_it) == [False, True]
