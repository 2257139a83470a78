"""How simulation compiles (Numba): the two decorators, and where machine code is kept from run to run.

Numba takes kept code for good as long as the file of its function is the same. Here functions are inlined from other
files, so what is kept goes by all of them: a change in any compiles anew.
"""

import atexit
import hashlib
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from numba import config, njit

from caodiem import dossier

# Where it is kept if the user says so, as Numba has it.
_PLACE_VARIABLE = "NUMBA_CACHE_DIR"
_PREFIX = "caodiem-"

# Compiled at the first call, once for all runs. Also for what is called from several places: inlined in each, it would
# make a loop long to compile.
machine_code = njit(cache=True, nogil=True)
# Compiled as a part of what calls it.
inlined = njit(inline="always")


def keep(package: Path = Path(__file__).parent) -> Path:
    """Have Numba keep what it compiles in a folder that may be written to, and return it: where the user says, beside
    the package, in the user's cache, or until this process ends.
    """
    name = _PREFIX + _version(package)
    beside = package / "__pycache__"
    found = next((folder / name for folder in _places(beside) if _is_writable(folder / name)), None)
    if found is None:
        found = Path(tempfile.mkdtemp(prefix=_PREFIX))
        os.environ[_PLACE_VARIABLE] = str(found)  # for the processes that this one starts
        atexit.register(shutil.rmtree, found, ignore_errors=True)
    config.CACHE_DIR = str(found)
    for old in beside.glob(f"{_PREFIX}*"):
        if old.name != name:
            shutil.rmtree(old, ignore_errors=True)
    return found


def _version(package: Path) -> str:
    """A hash of all that machine code is made of."""
    digest = hashlib.sha256()
    for path in (*sorted(package.glob("*.py")), Path(dossier.__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


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
