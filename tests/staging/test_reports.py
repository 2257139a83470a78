"""Days are by Viet Nam's clocks, wherever the portal runs."""

import time
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from staging import reports


# Twenty-six hours apart: at any moment one of them has another day than Viet Nam.
@pytest.fixture(params=["Etc/GMT+12", "Etc/GMT-14"])
def abroad(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("abroad")
def test_today_is_the_day_in_viet_nam() -> None:
    before, found, after = _day(), reports.today(), _day()
    assert before <= found <= after


def _day() -> object:
    return datetime.now(ZoneInfo("Asia/Ho_Chi_Minh")).date()
