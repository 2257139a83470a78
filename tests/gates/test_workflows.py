"""The ready workflow files: what they run, run here as a CI machine would, in a repository of a test's own."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from tests.conftest import ROOT
from tests.gates.repositories import Repository

FILES = {"github": ROOT / "docs/ci/github-actions.yml", "gitlab": ROOT / "docs/ci/gitlab-ci.yml"}


def scripts(name: str) -> dict[str, list[str]]:
    """By job: the shell commands."""
    read: dict[str, Any] = yaml.safe_load(FILES[name].read_text(encoding="utf-8"))
    if name == "gitlab":
        return {job: content["script"] for job, content in read.items()}
    return {job: [step["run"] for step in content["steps"] if "run" in step] for job, content in read["jobs"].items()}


def filled_in(script: str, base: str, head: str) -> tuple[str, dict[str, str]]:
    """The script with what GitHub puts into it, and the variables that either service sets."""
    script = re.sub(r"\$\{\{ github.event.pull_request.head.sha \}\}", head, script)
    assert "${{" not in script
    variables = {"GITHUB_BASE_REF": "main", "CI_MERGE_REQUEST_DIFF_BASE_SHA": base, "CI_COMMIT_SHA": head}
    return script, {**variables, "PERFORMANCE_BASE": base}


@pytest.mark.parametrize("name", FILES)
def test_the_jobs_are_there_and_load_nothing_but_our_own_portal(name: str) -> None:
    found = scripts(name)
    assert set(found) == {"gate", "history", "replay"}
    assert not any("--host" in line for lines in found.values() for line in lines)


def run(name: str, job: str, repository: Repository) -> tuple[int, str]:
    """What a job's line with the gate ends with and prints, in a branch of one commit."""
    repository.commit()
    repository.git("branch", "--force", "origin/main")
    repository.commit()
    base, head = (repository.git("rev-parse", each).strip() for each in ("HEAD~1", "HEAD"))
    command = repository.folder / ".venv/bin/caodiem"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m caodiem.cli "$@" --tests tests\n')
    command.chmod(0o755)
    (script,) = [line for line in scripts(name)[job] if "caodiem gate" in line]
    script, variables = filled_in(script, base, head)
    summary = {"GITHUB_STEP_SUMMARY": str(repository.folder / "gate.md")}
    environment = {**os.environ, **variables, **summary, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-e", "-c", script], cwd=repository.folder, env=environment, capture_output=True, text=True
    )
    return done.returncode, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_the_gate_of_a_workflow_judges_a_branch(name: str, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "work")
    code, told = run(name, "gate", repository)
    # A machine with much else to do may prove nothing; nothing here is slower.
    assert code in (0, 3), told
    suite = ElementTree.parse(repository.folder / "gate.xml").getroot().find("testsuite")
    assert suite is not None and suite.attrib["failures"] == "0"
    assert "test_compute" in (repository.folder / "gate.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_the_history_of_a_workflow_goes_on_from_what_was_restored(name: str, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "work")
    (repository.folder / "history.jsonl").write_text('{"timestamp": 1}\n')
    assert run(name, "history", repository)[0] == 0
    assert len((repository.folder / "history.jsonl").read_text(encoding="utf-8").splitlines()) == 1 + 3
