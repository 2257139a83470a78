"""The exceptions of Caodiem and the exit codes that they end a command with.

Every message names what, where, which value, and what would be right.

    CaodiemError
    ├── UsageError    2  bad input or usage
    ├── InvalidRun    3  the run proves nothing
    └── SafetyError   4  refused, or stopped, for safety
"""

import difflib
import errno
from collections.abc import Sequence
from enum import IntEnum

# More are not read, and would not fit on a screen.
_MOST_LISTED = 16


class ExitCode(IntEnum):
    """What a command tells the shell. Anything not proven good is not a pass."""

    PASS = 0
    FAIL = 1
    USAGE = 2
    INVALID = 3
    SAFETY = 4


class CaodiemError(Exception):
    """Base of every error that a user can cause or must act upon."""

    exit_code = ExitCode.USAGE


class UsageError(CaodiemError):
    """Bad input or usage: a scenario, a file, an option."""


class InvalidRun(CaodiemError):
    """The run proves nothing: no data, arrivals lost, interrupted."""

    exit_code = ExitCode.INVALID


class SafetyError(CaodiemError):
    """A target that may not be loaded, or a limit that was passed."""

    exit_code = ExitCode.SAFETY


def exit_code_of(error: BaseException) -> ExitCode:
    """What a command ends with where `error` ended it; Ctrl-C and a mistake of ours prove nothing."""
    if isinstance(error, CaodiemError):
        return error.exit_code
    # A full disk, or a process of ours that is gone, is nobody's mistake in usage.
    is_usage = isinstance(error, OSError) and error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EPIPE)
    return ExitCode.USAGE if is_usage else ExitCode.INVALID


def one_of(word: str, known: Sequence[str]) -> str:
    """What is accepted instead of `word`, and which of it was probably meant."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    few = len(known) <= _MOST_LISTED
    listed = ", ".join(known) if few else f"{', '.join(known[:5])} and {len(known) - 5} more"
    return f"one of {listed}" + (f"; did you mean {close[0]!r}?" if close else "")
