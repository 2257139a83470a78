"""Keyed draws inside compiled loops: the numbers of caodiem/draws.py, one at a time (Numba).

`word` is a quantity's `caodiem.draws.stream_word`, `key` the dossier's `mixed` number: it is mixed once for all that
chance decides about a dossier.
"""

import math

import numpy as np

from caodiem.draws import stream_word
from simulation.compiling import inlined, machine_code

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_11, _27, _30, _31 = np.uint64(11), np.uint64(27), np.uint64(30), np.uint64(31)


def words(seed: int, quantities: tuple[str, ...]) -> np.ndarray:
    """A word (uint64) for each quantity."""
    return np.array([stream_word(seed, quantity) for quantity in quantities], dtype=np.uint64)


@inlined
def _mix(word):  # type: ignore[no-untyped-def]
    """SplitMix64's finaliser, as in caodiem/draws.py."""
    word = word + _GOLDEN
    word = (word ^ (word >> _30)) * _FIRST
    word = (word ^ (word >> _27)) * _SECOND
    return word ^ (word >> _31)


@inlined
def mixed(number):  # type: ignore[no-untyped-def]
    """A dossier's number (int64) as a key."""
    return _mix(np.uint64(number))


@inlined
def chance(word, key):  # type: ignore[no-untyped-def]
    """What `uniform(seed, quantity, number)` draws: strictly inside (0, 1)."""
    return (np.float64(_mix(word ^ key) >> _11) + 0.5) * 2.0**-53


@inlined
def chance_of_two(word, key, other):  # type: ignore[no-untyped-def]
    """What `uniform(seed, quantity, number, other)` draws; `other` is a mixed number too."""
    return (np.float64(_mix(_mix(word ^ key) ^ other) >> _11) + 0.5) * 2.0**-53


@inlined
def exponential(mean, drawn):  # type: ignore[no-untyped-def]
    return -mean * math.log(drawn)


@inlined
def lognormal(sigma, drawn):  # type: ignore[no-untyped-def]
    """Of mean 1; `sigma` is the standard deviation of the logarithm."""
    return math.exp(sigma * normal_quantile(drawn) - sigma * sigma / 2)


def sigma_of(variation: float) -> float:
    """The standard deviation of the logarithm of a lognormal time, from its standard deviation over mean."""
    return math.sqrt(math.log1p(variation**2))


@machine_code
def normal_quantile(drawn):  # type: ignore[no-untyped-def]
    """The standard normal quantile by Wichura's AS 241 (1988), to 16 digits; SciPy's cannot be called from here."""
    q = drawn - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        upper = (
            ((((((2509.0809287301226727 * r + 33430.575583588128105) * r + 67265.770927008700853) * r
            + 45921.953931549871457) * r + 13731.693765509461125) * r + 1971.5909503065514427) * r
            + 133.14166789178437745) * r + 3.387132872796366608
        )  # fmt: skip
        lower = (
            ((((((5226.495278852854561 * r + 28729.085735721942674) * r + 39307.89580009271061) * r
            + 21213.794301586595867) * r + 5394.1960214247511077) * r + 687.1870074920579083) * r
            + 42.313330701600911252) * r + 1.0
        )  # fmt: skip
        return q * upper / lower
    r = math.sqrt(-math.log(drawn if q < 0 else 1.0 - drawn))
    if r <= 5.0:
        r -= 1.6
        upper = (
            ((((((7.7454501427834140764e-4 * r + 0.0227238449892691845833) * r + 0.24178072517745061177) * r
            + 1.27045825245236838258) * r + 3.64784832476320460504) * r + 5.7694972214606914055) * r
            + 4.6303378461565452959) * r + 1.42343711074968357734
        )  # fmt: skip
        lower = (
            ((((((1.05075007164441684324e-9 * r + 5.475938084995344946e-4) * r + 0.0151986665636164571966) * r
            + 0.14810397642748007459) * r + 0.68976733498510000455) * r + 1.6763848301838038494) * r
            + 2.05319162663775882187) * r + 1.0
        )  # fmt: skip
    else:
        r -= 5.0
        upper = (
            ((((((2.01033439929228813265e-7 * r + 2.71155556874348757815e-5) * r + 0.0012426609473880784386) * r
            + 0.026532189526576123093) * r + 0.29656057182850489123) * r + 1.7848265399172913358) * r
            + 5.4637849111641143699) * r + 6.6579046435011037772
        )  # fmt: skip
        lower = (
            ((((((2.04426310338993978564e-15 * r + 1.4215117583164458887e-7) * r + 1.8463183175100546818e-5) * r
            + 7.868691311456132591e-4) * r + 0.0148753612908506148525) * r + 0.13692988092273580531) * r
            + 0.59983220655588793769) * r + 1.0
        )  # fmt: skip
    return upper / lower if q >= 0 else -upper / lower
