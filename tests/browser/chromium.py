"""A headless Chromium for tests, and pictures of what it shows where a person wants to look."""

import base64
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: `make setup` installs it")
_CHROMIUM, _DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
NEEDED = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (_CHROMIUM and _DRIVER),
        reason="chromium or its driver is missing: `apt-get install chromium chromium-driver`",
    ),
]
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip


def start(profile: Path) -> Any:
    """A driver whose profile is a folder of its own; its network and console are logged."""
    options = webdriver.ChromeOptions()
    options.binary_location = _CHROMIUM
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(_DRIVER))


def keep_picture(browser: Any, name: str) -> None:
    """A picture of the whole page under $CAODIEM_SCREENSHOTS, where a person wants to look."""
    folder = os.environ.get("CAODIEM_SCREENSHOTS")
    if folder:
        whole_page = {"format": "png", "captureBeyondViewport": True}
        taken = browser.execute_cdp_cmd("Page.captureScreenshot", whole_page)
        (Path(folder) / f"{name}.png").write_bytes(base64.b64decode(taken["data"]))
