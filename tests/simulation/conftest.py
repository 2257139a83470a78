"""The agencies and the year's days of a module's scenario: the main one, unless the module has one of its own."""

import pytest

from caodiem.scenario import Scenario
from simulation import agencies, demand
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def known(scenario: Scenario) -> agencies.Agencies:
    return agencies.load(ROOT / "scenarios" / "agencies.csv", scenario)


@pytest.fixture(scope="module")
def calendar(scenario: Scenario) -> demand.Calendar:
    return demand.calendar(scenario, 2026)
