"""Commits of a git repository as folders: worktrees in a temporary folder, gone at the end. Knows git only."""

import hashlib
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from caodiem.errors import InvalidRun, UsageError


def root_of(folder: Path) -> Path:
    """The top folder of the repository that `folder` is in."""
    return Path(_git(folder, "rev-parse", "--show-toplevel"))


def commit_of(root: Path, reference: str) -> str:
    """The full hash of a commit; UsageError when there is none of that name, as in a shallow clone."""
    try:
        return _git(root, "rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}")
    except UsageError as error:
        raise UsageError(f"{reference}: no such commit in {root}; expected one, and a clone that is deep enough") from (
            error
        )


def version_of(root: Path, files: list[str]) -> str:
    """A short name of what these files hold in HEAD."""
    blobs = _git(root, "rev-parse", *(f"HEAD:{file}" for file in files))
    return hashlib.sha256(blobs.encode()).hexdigest()[:12]


@contextmanager
def checkouts(root: Path, commits: dict[str, str]) -> Iterator[dict[str, Path]]:
    """A folder for each named commit. The names are of equal length, so that no path is longer than another's.

    InvalidRun when git cannot make one, as on a full disk.
    """
    with tempfile.TemporaryDirectory(prefix="caodiem-gate-") as folder:
        made = {name: Path(folder) / name for name in commits}
        try:
            for name, path in made.items():
                try:
                    _git(root, "worktree", "add", "--quiet", "--detach", str(path), commits[name])
                except UsageError as error:
                    raise InvalidRun(f"{name} could not be checked out: {error}") from error
            yield made
        finally:
            for path in made.values():
                subprocess.run(["git", "worktree", "remove", "--force", str(path)], cwd=root, capture_output=True)
            subprocess.run(["git", "worktree", "prune"], cwd=root, capture_output=True)


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True)
    except OSError as error:
        raise InvalidRun(f"git: {error.strerror}; expected git on the path") from error
    if done.returncode:
        raise UsageError(f"git {' '.join(words)} in {folder}: {done.stderr.strip() or 'failed'}")
    return done.stdout.strip()
