"""Calibration: the service times that a replay measured come back, and what no station explains is the connection's."""

import tomllib

import pytest

from caodiem import observations
from caodiem.dossier import Outcome
from simulation.calibration import as_toml, services
from tests.conftest import make_plan
from tests.test_observations import row


def test_means_variations_and_the_rest_come_back() -> None:
    """Every step takes 100 ms: 10 or 30 ms of service and 5 ms of waiting at the database, the rest on the way."""
    planned = make_plan([0.0, 1.0, 2.0])
    rows = [row(planned, n, Outcome.FAILED if n == 2 else Outcome.OK) for n in range(3)]
    parts = [(0, 0, "database", 0.005, 0.01), (1, 0, "database", 0.005, 0.03), (2, 0, "database", 0.0, 9.0)]
    components = observations.table_of(parts, observations.COMPONENTS_SCHEMA)
    found = services(observations.table_of(rows), components, ["portal", "database", "connection"])
    assert [(each.station, each.steps) for each in found] == [("database", 2), ("connection", 2)]
    database, connection = found
    assert (database.mean_ms, database.variation) == pytest.approx((20, 0.5))
    assert connection.mean_ms == pytest.approx(100 - 5 - 20)
    written = tomllib.loads("\n".join(as_toml(found)))["portal"]["services"]
    assert [each["mean"]["value"] for each in written] == pytest.approx([20, 75])
