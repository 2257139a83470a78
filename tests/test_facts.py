"""The published figures hold together: group shares give the national ones, derived rows follow from their parts."""

from collections.abc import Callable

import pytest

from caodiem.dossier import STATUS_NAMES_VI, TRANSITIONS, Group, Status
from caodiem.scenario import Scenario
from caodiem.scenario_file import sources_of
from simulation import adoption
from tests.conftest import MAIN

SOURCES = sources_of(MAIN)


def fact(name: str) -> float:
    number = SOURCES[name].number
    assert number is not None
    return number


@pytest.mark.parametrize(
    ("ministries", "localities", "expected"),
    [
        ("adoption-e2e-ministries-2024", "adoption-e2e-localities-2024", 43.0),
        ("adoption-target-ministries-2024", "adoption-target-localities-2024", 52.3),
        ("adoption-target-ministries-2025", "adoption-target-localities-2025", 78.3),
    ],
)
def test_the_group_mix_gives_the_national_share(
    scenario: Scenario, ministries: str, localities: str, expected: float
) -> None:
    shares = {Group.MINISTRIES: fact(ministries), Group.LOCALITIES: fact(localities)}
    mix = scenario.adoption.ministry_dossier_share.value / 100
    assert round(adoption.national(shares, mix), 1) == expected


# Each derived row that a scenario may use, computed again from the rows that its source names.
DERIVED: dict[str, Callable[[], float]] = {
    "derived-ministry-dossier-share": lambda: 100 * _mix(fact("adoption-e2e-localities-2024")),
    "adoption-ministry-dossier-share-high": lambda: 100 * _mix(fact("adoption-localities-weighted-low")),
    "derived-ministries-end-2023": lambda: fact("adoption-e2e-ministries-2024") / fact("adoption-e2e-growth-factor"),
    "derived-localities-end-2023": lambda: fact("adoption-e2e-localities-2024") / fact("adoption-e2e-growth-factor"),
    "adoption-e2e-national-end-2023": lambda: fact("adoption-e2e-national-2024") / fact("adoption-e2e-growth-factor"),
    "volume-dossiers-per-day-2025": lambda: fact("volume-dossiers-2025-08-19") / 50,
    "volume-dossiers-per-weekday-2025": lambda: fact("volume-dossiers-2025-08-19") / 36,
    "volume-province-spread-2025": lambda: (
        fact("volume-dossiers-hcmc-2025-08-19") / fact("volume-dossiers-dienbien-2025-08-19")
    ),
    "derived-visits-per-online-dossier": lambda: (
        fact("volume-visits-daily-2025-06") / fact("volume-online-per-day-2025")
    ),
    "sync-queue-rate-ceiling": lambda: fact("sync-queue-batch-portal") * 60 / fact("sync-queue-period-portal"),
}


def _mix(localities: float) -> float:
    """The share of ministries in all dossiers that makes the three published shares agree."""
    return (fact("adoption-e2e-national-2024") - localities) / (fact("adoption-e2e-ministries-2024") - localities)


@pytest.mark.parametrize("name", DERIVED)
def test_derived_rows_follow_from_their_parts(name: str) -> None:
    written = SOURCES[name].value
    digits = len(written.partition(".")[2])
    assert f"{DERIVED[name]():.{digits}f}" == written


def test_statuses_are_the_published_ten() -> None:
    for status in Status:
        assert SOURCES[f"lifecycle-status-{status:02d}"].value == STATUS_NAMES_VI[status]
    assert set(TRANSITIONS) == set(Status)


def test_every_status_can_be_reached_and_the_last_ones_end_a_dossier() -> None:
    reached = {Status.REGISTERED}
    while more := set().union(*(TRANSITIONS[status] for status in reached)) - reached:
        reached |= more
    assert reached == set(Status)
    final = {status for status, after in TRANSITIONS.items() if not after}
    assert final == {Status.NOT_RECEIVED, Status.WITHDRAWN, Status.STOPPED, Status.RETURNED}
