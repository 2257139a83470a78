"""Slow-downs of a known share, planted into a copy of a repository: what the gate must catch.

The patch lengthens a function by a share of the time that each of its calls took, in work on the processor: whatever
the benchmark and however fast the machine, the call takes `1 + share` times as long. Calls that overlap in waiting are
lengthened by more.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path

_PATCH = """

def _plant(owner, name, clock, share):
    import inspect

    real = getattr(owner, name)

    def spend(taken_s):
        end_s = clock() + share * taken_s
        while clock() < end_s:
            sum(range(50))

    def planted(*args, **options):
        start_s = clock()
        result = real(*args, **options)
        spend(clock() - start_s)
        return result

    async def planted_later(*args, **options):
        start_s = clock()
        result = await real(*args, **options)
        spend(clock() - start_s)
        return result

    setattr(owner, name, planted_later if inspect.iscoroutinefunction(real) else planted)


import sys
import time

"""


@dataclass(frozen=True, slots=True)
class Place:
    """Functions of a file that are lengthened, as (owner, name) in the file's own words; `clock` times their calls."""

    file: str
    functions: tuple[tuple[str, str], ...]
    clock: str


def copy_of(root: Path, folder: Path) -> Path:
    """A clone that shares the repository's objects, to commit patches in."""
    copy = folder / "copy"
    _git(root, "clone", "--quiet", "--shared", str(root), str(copy))
    return copy


def plant(copy: Path, place: Place, share: float) -> str:
    """Commit the patch on top of the copy's HEAD, and return the commit; HEAD stays where it is."""
    start = _git(copy, "rev-parse", "HEAD")
    path = copy / place.file
    calls = [f"_plant({owner}, {name!r}, {place.clock}, {share})" for owner, name in place.functions]
    told = path.read_text(encoding="utf-8") + _PATCH + "\n".join([*calls, ""])
    path.write_text(told, encoding="utf-8")
    who = ("-c", "user.name=caodiem", "-c", "user.email=caodiem@localhost")
    _git(copy, *who, "commit", "--quiet", "--all", "--no-verify", "--message", f"Plant {share:.0%}")
    planted = _git(copy, "rev-parse", "HEAD")
    _git(copy, "reset", "--quiet", "--hard", start)
    return planted


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()
