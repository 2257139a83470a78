"""What Locust counted, as JSON. Its response times are service times, and kept to about two digits."""

from typing import Any

from locust.stats import RequestStats, StatsEntry


def by_name(stats: RequestStats) -> list[dict[str, Any]]:
    """Figures of every operation, and of all together."""
    return [_figures(entry) for entry in [*stats.entries.values(), stats.total]]


def _figures(entry: StatsEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "method": entry.method or None,
        "num_requests": entry.num_requests,
        "num_failures": entry.num_failures,
        "avg_ms": entry.avg_response_time,
        "median_ms": entry.median_response_time,
        "p95_ms": entry.get_response_time_percentile(0.95),
        "p99_ms": entry.get_response_time_percentile(0.99),
        "max_ms": entry.max_response_time,
    }
