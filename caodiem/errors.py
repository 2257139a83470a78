"""The exceptions of Caodiem and the exit codes that they end a command with.

Every message names what, where, which value, and what would be right.

    CaodiemError
    ├── UsageError    2  bad input or usage
    ├── InvalidRun    3  the run proves nothing
    └── SafetyError   4  refused, or stopped, for safety
"""

from enum import IntEnum


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
