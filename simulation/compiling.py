"""How simulation compiles (Numba): the two decorators, and where machine code is kept from run to run.

Numba takes kept code for good as long as the file of its function is the same. Here functions are inlined from other
files, so what is kept goes by all of them: a change in any compiles anew.
"""

import atexit
import hashlib
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from numba import config, njit

from caodiem import dossier

# Where it is kept if the user says so, as Numba has it.
_PLACE_VARIABLE = "NUMBA_CACHE_DIR"
_PREFIX = "caodiem-"
_DIGITS = 16
_A_MONTH_S = 30 * 86400.0

# Compiled at the first call, once for all runs. Also for what is called from several places: inlined in each, it would
# make a loop long to compile.
machine_code = njit(cache=True, nogil=True)
# Compiled as a part of what calls it.
inlined = njit(inline="always")


def keep(package: Path = Path(__file__).parent) -> Path:
    """Have Numba keep what it compiles in a folder that may be written to, and return it: where the user says, beside
    the package, in the user's cache, or until this process ends.

    What other versions kept beside the package is removed; elsewhere, where other installations may keep theirs, what
    none has used for a month.
    """
    name = _PREFIX + _version(package)
    beside = package / "__pycache__"
    found = next((folder / name for folder in _places(beside) if _is_writable(folder / name)), None)
    if found is None:
        found = Path(tempfile.mkdtemp(prefix=_PREFIX))
        os.environ[_PLACE_VARIABLE] = str(found)  # for the processes that this one starts
        atexit.register(shutil.rmtree, found, ignore_errors=True)
    config.CACHE_DIR = str(found)
    with suppress(OSError):
        os.utime(found)
    for place in _places(beside):
        _remove_old(place, name, unused_s=0.0 if place == beside else _A_MONTH_S)
    return found


def _remove_old(place: Path, name: str, unused_s: float) -> None:
    """Remove what versions other than `name` keep in a place, where none began to use it for so long."""
    for old in place.glob(_PREFIX + _DIGITS * "[0-9a-f]"):
        with suppress(OSError):
            if old.name != name and time.time() - old.stat().st_mtime >= unused_s:
                shutil.rmtree(old, ignore_errors=True)


def _version(package: Path) -> str:
    """A hash of all that machine code is made of."""
    digest = hashlib.sha256()
    for path in (*sorted(package.glob("*.py")), Path(dossier.__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:_DIGITS]


def _places(beside: Path) -> list[Path]:
    places = [Path(told) for told in [os.environ.get(_PLACE_VARIABLE)] if told] + [beside]
    with suppress(RuntimeError):  # a user without a home
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        places.append(cache / "caodiem" / "compiled")
    return places


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


keep()
