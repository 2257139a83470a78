"""The interpreter for a checkout: ours where both sides want the same packages, else a virtual environment for each.

Reads what a checkout demands (lock files, requirements, the dependency tables of pyproject.toml) and nothing else.
"""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from caodiem.errors import InvalidRun

_LOCKS = ("requirements.lock", "requirements*.txt", "requirements/*.txt", "uv.lock", "poetry.lock", "pdm.lock")
_INSTALLABLE = ("requirements.lock", "requirements*.txt")
_RUNNERS = ("pytest", "pytest-benchmark")


def interpreters(base: Path, head: Path) -> tuple[Path, Path]:
    """(base's, head's): twice the one that runs us where the demands are the same."""
    if demands(base) == demands(head):
        return Path(sys.executable), Path(sys.executable)
    return _environment(base), _environment(head)


def demands(checkout: Path) -> str:
    """A hash of everything that decides which packages a checkout gets."""
    digest = hashlib.sha256(json.dumps(_tables(checkout), sort_keys=True).encode())
    for pattern in _LOCKS:
        for path in sorted(checkout.glob(pattern)):
            digest.update(f"{path.relative_to(checkout)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _tables(checkout: Path) -> dict[str, Any]:
    """What pyproject.toml says of packages; its other tables configure tools."""
    path = checkout / "pyproject.toml"
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise InvalidRun(f"{checkout.name}: pyproject.toml: {error}") from error
    project = found.get("project", {})
    wanted = {key: project.get(key) for key in ("name", "dependencies", "optional-dependencies", "requires-python")}
    return {**wanted, "groups": found.get("dependency-groups"), "build": found.get("build-system")}


def _environment(checkout: Path) -> Path:
    """A virtual environment of what the checkout demands, kept for the next time; InvalidRun when it cannot be made."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "caodiem" / "gate"
    folder = cache / demands(checkout)[:16]
    python, ready = folder / "bin" / "python", folder / ".ready"
    cache.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of two gates the second takes what the first has made
        if not ready.is_file():
            _run([sys.executable, "-m", "venv", "--clear", str(folder)], checkout)
            _run([str(python), "-m", "pip", "install", "--quiet", *_wanted(checkout)], checkout)
            ready.touch()
    return python


def _wanted(checkout: Path) -> list[str]:
    """Arguments for pip: the lock or the requirements if there are any, else the tables' packages and the runners."""
    for pattern in _INSTALLABLE:
        if files := sorted(checkout.glob(pattern)):
            return [word for path in files for word in ("-r", str(path))]
    tables = _tables(checkout)
    own = canonicalize_name(tables["name"] or "")
    groups = [*(tables["optional-dependencies"] or {}).values(), *(tables["groups"] or {}).values()]
    packages = [each for group in [tables["dependencies"] or [], *groups] for each in group if isinstance(each, str)]
    # `all = ["project[dev]"]` would bring a release of the project itself, to be measured in place of the checkout.
    try:
        foreign = [each for each in packages if canonicalize_name(Requirement(each).name) != own]
    except InvalidRequirement as error:
        raise InvalidRun(f"{checkout.name}: pyproject.toml: {error}") from error
    return [*foreign, *_RUNNERS]


def _run(words: list[str], checkout: Path) -> None:
    done = subprocess.run(words, cwd=checkout, capture_output=True, text=True)
    if done.returncode:
        raise InvalidRun(f"{checkout.name}: its environment could not be made: {done.stderr.strip()[-500:]}")
