"""What happens first among the things that happen at one instant, for both engines.

At one instant services end first, then the number of servers changes, then a paced station may begin its next service,
then patience ends, then time-outs, and only then do clients come: those of a new journey, after a pause to think and
after a pause to try again, alike. Within a kind the smaller row (arrival, step), attempt, visit is first; of stations
the smaller. So somebody who comes when a server becomes free finds it free, and somebody whose patience ends at that
instant is served. Whoever is served goes on to the next station at once, and so comes there before it closes at that
instant. Whom an entrance lets in is among those who come at that instant.

Where a station's hours and an outage change its servers at one instant, what takes servers away comes first: nobody is
served in the moment between a failure and an opening.

An instant's `order` is one integer: kind, row, attempt and visit side by side.
"""

SERVED, SERVERS_CHANGE, TOKEN_COMES, PATIENCE_ENDS, TIMES_OUT, COMES = range(1, 7)

_KIND = 58
_ROW = 20
ATTEMPT_BITS = 10  # of a visit, above which an attempt begins
MOST = 2**ATTEMPT_BITS - 1  # attempts of a step, visits of an operation


def order(kind: int, row: int, attempt: int = 0, visit: int = 0) -> int:
    """The place of an event among those of its instant."""
    return kind << _KIND | row << _ROW | attempt << ATTEMPT_BITS | visit


def change(station: int, adds: bool, by_outage: bool) -> int:
    """The row of a change of servers: the station, then whether it adds any, then what changes them."""
    return 4 * station + 2 * adds + by_outage


def kind_of(place: int) -> int:
    return place >> _KIND


def row_of(place: int) -> int:
    return (place & ((1 << _KIND) - 1)) >> _ROW


def try_of(place: int) -> int:
    """Attempt and visit in one number."""
    return place & ((1 << _ROW) - 1)
