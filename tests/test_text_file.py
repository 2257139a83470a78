"""Text files that a person hands over by mistake: each refused in one line, whatever stands in it."""

import os
from pathlib import Path

import pytest

from caodiem import text_file
from caodiem.errors import UsageError

GOOD = 'title = "Cổng"\n[a]\nb = 1\n'
ROWS = "name,on\na,1\n"


def refused(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        text_file.rows(path, ("name", "on")) if path.suffix == ".csv" else text_file.toml(path, "a scenario file")
    told = str(caught.value)
    assert "\n" not in told
    assert len(told) < 400
    return told


@pytest.mark.parametrize(
    "content", [GOOD, f"\ufeff{GOOD}", GOOD.replace("\n", "\r\n")], ids=["plain", "mark", "Windows"]
)
def test_what_editors_make_of_a_file_is_taken(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.toml").write_bytes(content.encode())
    assert text_file.toml(tmp_path / "a.toml") == {"title": "Cổng", "a": {"b": 1}}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (bytes(range(128, 256)), "byte 0x80 in line 1 is no UTF-8; expected a scenario file, saved as UTF-8"),
        (GOOD.encode("utf-16"), "holds NUL bytes, as no text in UTF-8 does; expected a scenario file, saved as UTF-8"),
        (GOOD.encode("utf-16-le"), "holds NUL bytes"),
        (GOOD.encode().replace("ổ".encode(), b"\xf4"), "byte 0xf4 in line 1 is no UTF-8"),
        (b"x = " + b"[" * 50_000, "too deep; expected at most 100"),
        (b"x = " + b"[" * 200 + b"]" * 200, "too deep; expected at most 100"),
        (b"x = " + b"{a=" * 5_000, "too deep; expected at most 100"),
        (b"a." * 100_000 + b"a = 1", "too deep; expected at most 100"),
        (b"[" + b"a." * 3_000 + b"a]", "too deep; expected at most 100"),
        (b"a = 1\na = 2\n", "a key for the second time (at line 2, column 6); expected TOML"),
        (b"a = 0,9\n", "at line 1, column 6); expected TOML"),
        (b"a = " + b"9" * 5_000, "a whole number of thousands of digits"),
        (b"#" * 5_000_001, "5 MB; expected a scenario file, of at most 5 MB"),
    ],
    ids=lambda value: value[:12].decode("latin-1") if isinstance(value, bytes) else value[:30],
)
def test_what_is_no_toml_is_told(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "a.toml").write_bytes(content)
    found = refused(tmp_path / "a.toml")
    assert found.startswith(f"{tmp_path / 'a.toml'}: ")
    assert told in found


def test_what_is_no_file_is_told_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "round.toml").symlink_to("round.toml")
    (tmp_path / "folder.toml").mkdir()
    for name, told in {
        "pipe.toml": "a pipe or a device",
        "round.toml": "Too many levels of symbolic links",
        "folder.toml": "Is a directory",
        "none.toml": "No such file or directory",
        "a\0b.toml": "no name of a file",
    }.items():
        assert f"{told}; expected a scenario file" in refused(tmp_path / name)
    assert "a pipe or a device" in refused(Path("/dev/zero"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "a.csv: empty; expected a CSV file with the columns name, on"),
        ("name;on\na;1\n", "a.csv: semicolons between the columns, not commas"),
        ("name\ton\na\t1\n", "a.csv: tabs between the columns, not commas"),
        ("name,when\na,1\n", "a.csv: no column on; expected"),
        ("nmae,on\na,1\n", "a.csv: a column 'nmae'; did you mean 'name'?"),
        ("name,on,on\na,1,2\n", "of which two have one name"),
        ("name,on\na,1,2\n", "a.csv:2: 3 values; expected 2, one for each column (name, on)"),
        ("name,on\na,1\n\nb\n", "a.csv:4: 1 values; expected 2"),
        ('name,on\n"a\nb",1\n"c,2\nd,3\n', "a.csv:4: a quote that is not closed"),
        (f"name,on\na,{'1' * 200_000}\n", "a.csv:2: a quote that is not closed, or a value without end"),
    ],
    ids=lambda value: value[:16],
)
def test_what_is_no_table_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    assert told in refused(tmp_path / "a.csv")


def test_the_empty_rows_and_columns_of_a_spreadsheet_are_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,on,,\na,1,,\n,,,\nc,2,,\n,,,\n")
    found = text_file.rows(tmp_path / "a.csv", ("name", "on"))
    assert [(line, row["name"], row["on"]) for line, row in found] == [(2, "a", "1"), (4, "c", "2")]


def test_rows_come_with_their_lines(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'\xef\xbb\xbf\r\nname,on,note\r\n"a\nb",1,\r\n\r\nc,2,x\r\n')
    assert text_file.rows(tmp_path / "a.csv", ("name", "on")) == [
        (3, {"name": "a\nb", "on": "1", "note": ""}),
        (6, {"name": "c", "on": "2", "note": "x"}),
    ]
