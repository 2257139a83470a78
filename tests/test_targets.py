"""Targets: loopback always, what is listed within its bounds, nothing else."""

import math
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from caodiem import targets
from caodiem.errors import ExitCode, SafetyError, UsageError

TEXT = '[[target]]\nhost = "staging.portal.example"\ntop_rate_per_s = 200\nuntil = 2026-12-31\n'


def listed(tmp_path: Path, today: date = date(2026, 12, 31)) -> targets.Targets:
    path = tmp_path / "targets.toml"
    path.write_text(TEXT)
    return targets.load(path, today)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "localhost", "[::1]"])
def test_loopback_needs_no_permission(tmp_path: Path, host: str) -> None:
    targets.load(tmp_path / "none.toml").check(f"http://{host}:8080/x", 1e9)


@pytest.mark.parametrize(
    "url",
    [
        "https://dichvucong.gov.vn/",
        "http://127.0.0.1.nip.example/",
        "http://localhost.example/",
        "http://staging.portal.example.org/",
        "http://user@other.example/",
        "http://staging.portal.example@other.example/",
        "http://10.0.0.1/",
    ],
)
def test_everything_else_is_refused_by_name(tmp_path: Path, url: str) -> None:
    with pytest.raises(SafetyError, match="may not be loaded") as caught:
        listed(tmp_path).check(url)
    assert caught.value.exit_code is ExitCode.SAFETY


@pytest.mark.parametrize(
    "url", ["http:///nowhere", "", "127.0.0.1:80", "ftp://127.0.0.1", "http://[::1", "http://127.0.0.1:99999"]
)
def test_what_is_no_address_is_said(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match="expected one like"):
        listed(tmp_path).check(url)


def test_a_permission_ends_and_has_a_top_rate(tmp_path: Path) -> None:
    url = "https://staging.portal.example/a"
    listed(tmp_path).check(url, 200)
    with pytest.raises(SafetyError, match="asks 201 steps/s"):
        listed(tmp_path).check(url, 201)
    with pytest.raises(SafetyError, match="ended on 2026-12-31"):
        listed(tmp_path, date(2027, 1, 1)).check(url)
    assert listed(tmp_path).top_rate_per_s(url) == 200
    assert listed(tmp_path).top_rate_per_s("http://localhost:1") == math.inf
    with pytest.raises(SafetyError):
        listed(tmp_path).top_rate_per_s("http://other.example")


def test_a_permission_ends_at_midnight(tmp_path: Path) -> None:
    url = "https://staging.portal.example/a"
    assert listed(tmp_path).ends_at_s(url) == datetime(2027, 1, 1).timestamp()
    assert listed(tmp_path).ends_at_s("http://localhost:1") == math.inf
    with pytest.raises(SafetyError, match="ended on 2026-12-31"):
        listed(tmp_path, date(2027, 1, 1)).ends_at_s(url)


def test_without_a_day_given_every_check_takes_the_day_that_it_is(tmp_path: Path) -> None:
    (tmp_path / "targets.toml").write_text(TEXT.replace("2026-12-31", str(date.today() - timedelta(days=1))))
    with pytest.raises(SafetyError, match="ended on"):
        targets.load(tmp_path / "targets.toml").check("https://staging.portal.example/a")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("200", '"many"', "top_rate_per_s = 'many': expected a number"),
        *(
            ("200", rate, "top_rate_per_s = .*: expected a number above 0")
            for rate in ("nan", "inf", "true", "0", "-1", "9" * 400)
        ),
        ("2026-12-31", '"soon"', "until = 'soon': expected a date"),
        ("2026-12-31", "2026-12-31T17:00:00", "until = datetime.*: expected a date"),
        ('host = "staging.portal.example"', "", "host = None: expected a host name"),
        ("[[target]]", "[[target", "expected TOML"),
    ],
)
def test_a_bad_entry_is_named(tmp_path: Path, old: str, new: str, told: str) -> None:
    path = tmp_path / "targets.toml"
    path.write_text(TEXT.replace(old, new))
    with pytest.raises(UsageError, match=told):
        targets.load(path)


def test_a_host_has_one_permission(tmp_path: Path) -> None:
    """Of two the first would count: a renewed permission below one that has ended would not."""
    path = tmp_path / "targets.toml"
    path.write_text(TEXT + TEXT.replace("staging", "Staging").replace("2026", "2027"))
    with pytest.raises(UsageError, match=r"target\[1\].host = 'Staging\.portal\.example': .*target\[0\]"):
        targets.load(path)


@pytest.mark.parametrize(
    "url",
    [
        "https://me:hush@other.example/a?token=hush#hush",
        "http://me:hush@127.0.0.1:99999/",
        "http://me:hu@hush@127.0.0.1:99999/",
        "ftp://hush@x/?hush",
        "//hush@x",
    ],
)
def test_secrets_of_an_address_are_not_repeated(tmp_path: Path, url: str) -> None:
    with pytest.raises((SafetyError, UsageError)) as caught:
        listed(tmp_path).check(url)
    assert "hush" not in str(caught.value)
