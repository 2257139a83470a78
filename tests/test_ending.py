"""How a command ends where what it speaks through is gone. tests/test_main_job.py ends whole commands."""

import errno
import io
import os
import signal
import sys
from pathlib import Path

import pytest

from caodiem import cli, ending


@pytest.mark.parametrize("unbuffered", [False, True])
def test_what_nobody_reads_is_lost_without_an_error(monkeypatch: pytest.MonkeyPatch, unbuffered: bool) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb", 0) as pipe:
        stream = io.TextIOWrapper(pipe if unbuffered else io.BufferedWriter(pipe), write_through=unbuffered)
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "stderr", None)
        ending.need_no_reader()
        for _ in range(2):
            print("x" * 100_000, flush=True)
        assert sys.stderr is None


@pytest.mark.parametrize("unbuffered", [False, True])
def test_what_is_read_comes_when_it_would(monkeypatch: pytest.MonkeyPatch, unbuffered: bool) -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb", 0) as pipe:
        stream = io.TextIOWrapper(pipe if unbuffered else io.BufferedWriter(pipe), "utf-8", write_through=unbuffered)
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "stderr", None)
        ending.need_no_reader()
        print("cao điểm")
        if not unbuffered:
            os.set_blocking(reader, False)
            with pytest.raises(BlockingIOError):
                os.read(reader, 99)
            sys.stdout.flush()
        assert os.read(reader, 99).decode() == "cao điểm\n"
    os.close(reader)


def test_another_pipe_that_breaks_is_no_missed_slo(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(_path: Path) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(cli.kinds, "load_any", broken)
    monkeypatch.setattr(sys, "argv", ["caodiem", "check", "any.toml"])
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "stdout", sys.__stdout__)
    monkeypatch.setattr(sys, "stderr", sys.__stderr__)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 3
    assert "a pipe or connection of this command broke" in capfd.readouterr().err
