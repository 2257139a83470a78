"""How often somebody may call: a token bucket for each caller, in the database, so that all workers count together.

Knows the table `rate_limits`.
"""

from psycopg import AsyncConnection

from staging.answers import Refusal


async def take(connection: AsyncConnection, caller: str, rate_per_s: float, burst: int) -> None:
    """Take one token from `caller`'s bucket, which holds `burst` and fills at `rate_per_s`; Refusal 429 when empty."""
    statement = """
        INSERT INTO rate_limits AS r (caller, tokens, at) VALUES (%(caller)s, %(burst)s - 1, clock_timestamp())
        ON CONFLICT (caller) DO UPDATE SET at = clock_timestamp(), tokens = least(
            %(burst)s, r.tokens + %(rate)s * extract(epoch FROM clock_timestamp() - r.at)) - 1
        WHERE least(%(burst)s, r.tokens + %(rate)s * extract(epoch FROM clock_timestamp() - r.at)) >= 1"""
    values = {"caller": caller, "rate": float(rate_per_s), "burst": float(burst)}
    cursor = await connection.execute(statement, values)
    if cursor.rowcount == 0:
        raise Refusal(429, f"{caller}: more than {rate_per_s:g} calls a second; try again in a moment")
