"""Where each of some codes stands in a column, for columns of millions of rows and codes from one to thousands."""

import numpy as np

Integers = np.ndarray

# Up to so many codes it takes less time to look through the column for each of them than to sort it.
_FEW = 8


def places(codes: Integers, count: int) -> list[Integers]:
    """Of each code from 0 to `count` - 1 the rows in which it stands, ascending."""
    if count <= _FEW:
        return [np.flatnonzero(codes == code) for code in range(count)]
    # Numbers of 16 bits are sorted in linear time.
    order = np.argsort(codes.astype(np.int16) if count < 2**15 else codes, kind="stable")
    return np.split(order, np.cumsum(np.bincount(codes, minlength=count))[:-1])
