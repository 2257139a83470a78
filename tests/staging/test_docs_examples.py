"""The examples of docs/staging.md do what the page says, against a running portal."""

import re
import subprocess
import tomllib

import pytest

from caodiem.dossier import OPERATIONS
from staging.service import Portal
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "staging.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```sh\n(curl .*?)\n#> (.*?)\n```", PAGE, flags=re.DOTALL)


def test_each_curl_is_an_example() -> None:
    assert len(EXAMPLES) == PAGE.count("\ncurl ") > 4


@pytest.mark.parametrize(("command", "printed"), EXAMPLES)
def test_an_example_prints_what_it_says(command: str, printed: str, portal: Portal, secret: str) -> None:
    command = command.replace("PORTAL", portal.url).replace("SECRET", secret)
    run = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=30)
    assert run.stdout.strip() == printed


def test_each_system_that_a_plan_may_ask_is_described() -> None:
    for system in {operation.system for operation in OPERATIONS.values()}:
        assert f"`{system}`" in PAGE, system


def test_each_operation_can_be_read_out_of_an_access_log() -> None:
    with (ROOT / "loadtests" / "portals" / "reference.toml").open("rb") as file:
        mapped = {entry["operation"] for entry in tomllib.load(file)["map"]}
    assert mapped == set(OPERATIONS)
