"""Our locustfile on a machine whose clock began elsewhere: what a worker on another machine is to its master.

`SHIFT_S` is how far; with `DRIFT` it also runs so much faster from the first second on.
"""

import os
import time

from loadtests import clock

_SHIFT_S, _DRIFT = float(os.environ["SHIFT_S"]), float(os.environ.get("DRIFT", "0"))
_BEGAN_S = time.monotonic()


def shifted_s() -> float:
    now_s = time.monotonic()
    return now_s + _SHIFT_S + _DRIFT * (now_s - _BEGAN_S)


clock.monotonic = shifted_s

from loadtests.locustfile import *  # noqa: E402, F403
