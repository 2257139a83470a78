"""The replay's tab in Locust's web UI, in a real browser: what it shows is what the accounts say in the end."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from caodiem import observations, plan, summary
from tests.browser import chromium
from tests.conftest import ROOT
from tests.loadtests import replay_plans

pytestmark = chromium.NEEDED
LENGTH_S = 6.0


def locust_with_web_ui(planned: Path, url: str, into: Path) -> "tuple[str, subprocess.Popen[bytes]]":
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "locust", "--host", url, "--plan", str(planned), "--observations", str(into)]
    command += ["--web-host", "127.0.0.1", "--web-port", str(port)]
    started = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "CAODIEM_ADMIN_TOKEN": "admin"}, stdin=subprocess.DEVNULL
    )
    return f"http://127.0.0.1:{port}", started


def wait_for(what: Callable[[], Any], within_s: float = 30.0) -> Any:
    until_s = time.monotonic() + within_s
    while time.monotonic() < until_s:
        try:
            if found := what():
                return found
        except Exception as error:
            last = error
        time.sleep(0.2)
    raise AssertionError(f"not within {within_s:g} s: {locals().get('last')}")


def figures(address: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{address}/replay/figures", timeout=5) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def test_the_tab_shows_the_replay(serve: Callable[..., Any], tmp_path: Path) -> None:
    planned = replay_plans.evenly(40, LENGTH_S)
    plan.write(planned, tmp_path / "plan.parquet")
    address, locust = locust_with_web_ui(tmp_path / "plan.parquet", serve().url, tmp_path / "into")
    browser = chromium.start(tmp_path / "chromium")
    try:
        wait_for(lambda: figures(address)["waiting"])
        browser.get(address)
        start = wait_for(lambda: browser.find_element("xpath", "//button[contains(., 'Start')]"))
        assert browser.find_element("name", "host").get_attribute("readonly")
        start.click()
        # Locust's page draws its tabs more than once, so what was found may be gone when it is clicked.
        wait_for(lambda: browser.find_element("xpath", "//*[@role='tab'][contains(., 'Replay')]").click() is None)
        wait_for(lambda: figures(address).get("played_s", 0) > 3)
        browser.switch_to.frame(wait_for(lambda: browser.find_element("css selector", "iframe[title=Replay]")))
        wait_for(lambda: len(browser.find_elements("css selector", "#charts svg path")) == 6)
        operations = {row.text.split()[0] for row in browser.find_elements("css selector", "#by_operation tbody tr")}
        assert operations == set(planned.table["operation"].unique().to_pylist())
        closed = tmp_path / "into" / "observations.parquet"
        wait_for(closed.is_file)
        shown = "return document.querySelector('#outcomes').textContent"
        ok = summary.count_outcomes(observations.read(closed))["ok"]
        wait_for(lambda: f"ok{ok}" in browser.execute_script(shown))
        browser.switch_to.default_content()
        chromium.keep_picture(browser, "replay-tab")
        errors = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
        assert not errors
    finally:
        browser.quit()
        locust.terminate()
        locust.wait(20)
    found = summary.summarise(observations.read(closed))
    assert found["all"]["outcomes"]["ok"] == planned.steps
