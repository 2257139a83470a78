"""Random draws that belong to a thing, not to a moment: keyed, never streamed.

A draw depends on (seed, stream, keys) only: the dossier or arrival that it is for and the step. So it does not
matter in which order an engine runs, whether a policy makes more draws, or which worker asks; two scenarios with
one seed share their random numbers (common random numbers) wherever they share their keys.
"""

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

Keys = npt.ArrayLike
Floats = npt.NDArray[np.float64]

# Rows drawn at once: few enough to stay in a processor's nearest caches.
_PIECE = 8192
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele, Lea, Flood 2014, doi 10.1145/2660193.2660195); array in, array out."""
    words = words + _GOLDEN
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def uniform(seed: int, stream: str, *keys: Keys) -> Floats:
    """Uniform draws strictly inside (0, 1), one for each broadcast row of `keys` (integers).

    `stream` names the quantity drawn ("supplement", "think"), so that no two quantities share a number.
    """
    begin = np.array([stream_word(seed, stream)], dtype=np.uint64)
    rows = [np.atleast_1d(key) for key in np.broadcast_arrays(*keys)]
    if not rows or rows[0].ndim > 1 or len(rows[0]) <= _PIECE:
        return _drawn(begin, rows)
    pieces = (slice(start, start + _PIECE) for start in range(0, len(rows[0]), _PIECE))
    return np.concatenate([_drawn(begin, [row[piece] for row in rows]) for piece in pieces])


def stream_word(seed: int, stream: str) -> int:
    """The 64 bits that a quantity's draws begin with, before any key is mixed in."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{stream}".encode(), digest_size=8).digest(), "little")


def _drawn(words: npt.NDArray[np.uint64], keys: list[npt.NDArray[Any]]) -> Floats:
    with np.errstate(over="ignore"):
        for key in keys:
            words = _mix(words ^ _mix(key.astype(np.int64).view(np.uint64)))
    return (np.asarray(words >> np.uint64(11), dtype=np.float64) + 0.5) * 2.0**-53
