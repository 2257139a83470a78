"""Connections to PostgreSQL for the request handlers: one bounded pool a worker, each visit timed.

Knows no table. What runs in a transaction is the handlers' affair; connections commit statement by statement.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg import AsyncConnection, DataError, OperationalError
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from staging import timing
from staging.answers import Refusal

CONNECTIONS = 8
POOL_WAIT_MAX_S = 5.0


class Database:
    """A pool of CONNECTIONS connections. `connection()` is the only way in, so that no visit goes uncounted."""

    def __init__(self, conninfo: str) -> None:
        self._pool = AsyncConnectionPool(
            conninfo,
            min_size=CONNECTIONS,
            max_size=CONNECTIONS,
            timeout=POOL_WAIT_MAX_S,
            open=False,
            kwargs={"autocommit": True},
        )

    async def open(self) -> None:
        """Connect; raises psycopg_pool.PoolTimeout when the server cannot be reached."""
        await self._pool.open(wait=True, timeout=15.0)

    async def close(self) -> None:
        await self._pool.close(timeout=2.0)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        """A connection for one short piece of work. Refusal 503 when none comes free or the server is away,
        400 for values that PostgreSQL cannot hold.

        The service time is that of the statements as this process sees them: on a busy event loop it includes the
        moment until the loop looks at the answer.
        """
        asked_s = time.perf_counter()
        try:
            connection = await self._pool.getconn()
        except (PoolTimeout, TooManyRequests) as error:
            timing.add(timing.DATABASE, time.perf_counter() - asked_s, 0.0)
            raise Refusal(503, f"no database connection came free within {POOL_WAIT_MAX_S:g} s; try again") from error
        got_s = time.perf_counter()
        try:
            yield connection
        except DataError as error:  # for one, a NUL character, which JSON can carry and PostgreSQL's text cannot
            raise Refusal(400, f"a value that the database cannot keep: {error}; expected plain text") from error
        except OperationalError as error:
            raise Refusal(503, f"the database did not answer ({type(error).__name__}); try again") from error
        finally:
            timing.add(timing.DATABASE, got_s - asked_s, time.perf_counter() - got_s)
            await self._pool.putconn(connection)
