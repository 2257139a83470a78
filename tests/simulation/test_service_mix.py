"""What is filed with which agency: services of some agencies alone, agencies that stand apart, sums that are kept."""

import numpy as np
import pytest

from caodiem.dossier import Group
from caodiem.errors import UsageError
from caodiem.quantity import Quantity
from caodiem.scenario import Scenario
from simulation import agencies, projection
from simulation.agencies import Agencies
from tests.conftest import ROOT

LISTED = ROOT / "scenarios" / "agencies.csv"


def mixed(scenario: Scenario, variation: float, only: dict[str, list[str]] | None = None, seed: int = 1) -> Scenario:
    demand = scenario.demand
    services = [
        service.model_copy(update={"agencies": (only or {}).get(service.name, [])}) for service in demand.services
    ]
    apart = Quantity(value=variation, unit="ratio", source="own", evidence="assumed")
    changed = demand.model_copy(update={"services": services, "mix_variation": apart})
    return scenario.model_copy(update={"demand": changed, "seed": seed})


def services_of(scenario: Scenario, known: Agencies, group: Group) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(parts, sizes, shares) of one group."""
    members = known.of(group)
    offered = [place for place, each in enumerate(scenario.demand.services) if each.group is group]
    sizes = known.volume_per_day[members] / known.volume_per_day[members].sum()
    shares = np.array([scenario.demand.services[place].share.value / 100 for place in offered])
    return known.service_parts[np.ix_(members, offered)], sizes, shares


def test_agencies_are_alike_unless_a_file_says_otherwise(scenario: Scenario) -> None:
    parts, _, shares = services_of(scenario, agencies.load(LISTED, scenario), Group.LOCALITIES)
    assert (parts == shares).all()


@pytest.mark.parametrize("variation", [0.2, 1.0])
def test_volumes_and_services_keep_their_sums_however_agencies_stand_apart(
    scenario: Scenario, variation: float
) -> None:
    apart = mixed(scenario, variation)
    known = agencies.load(LISTED, apart)
    assert (known.volume_per_day == agencies.load(LISTED, scenario).volume_per_day).all()
    for group in Group:
        parts, sizes, shares = services_of(apart, known, group)
        assert parts.sum(axis=1) == pytest.approx(1, abs=1e-12)
        assert sizes @ parts == pytest.approx(shares, abs=1e-12)
    # Of two services' odds within an agency, the logarithms' deviation is that of two log-normal preferences.
    spread = np.log(parts[:, 0] / parts[:, 1]).std()
    assert spread == pytest.approx(np.sqrt(2 * np.log1p(variation**2)), rel=0.25)


def test_online_shares_of_agencies_and_country_are_kept(scenario: Scenario) -> None:
    apart = mixed(scenario, 0.8, {"passports": ["G01"]})
    known = agencies.load(LISTED, apart)
    shares = projection.level_shares(apart, known, 60)
    assert shares == pytest.approx(projection.level_shares(scenario, agencies.load(LISTED, scenario), 60), abs=1e-13)
    found = agencies.service_shares(known, apart, shares)
    assert (found * known.service_parts).sum(axis=1) == pytest.approx(shares, abs=1e-12)


def test_a_service_of_one_agency_leaves_the_others_to_all(scenario: Scenario) -> None:
    """Passports, 14.6% of ministries, are filed with G01 alone: 0.146 over its size of its own dossiers; elsewhere each
    other service has its share over the 85.4% that are left, and with G01 the same of what passports leave there.
    """
    known = agencies.load(LISTED, only := mixed(scenario, 0.0, {"passports": ["G01"]}))
    parts, sizes, shares = services_of(only, known, Group.MINISTRIES)
    own = 0.146 / sizes[0]
    assert 0.8 < own < 1
    assert parts[:, 0] == pytest.approx([own] + [0.0] * 21, abs=1e-12)
    assert parts[1:, 1:] == pytest.approx(np.tile(shares[1:] / 0.854, (21, 1)), abs=1e-12)
    assert parts[0, 1:] == pytest.approx((1 - own) * shares[1:] / 0.854, abs=1e-12)


def test_the_same_seed_gives_the_same_mix_and_another_seed_another(scenario: Scenario) -> None:
    first, again, other = (agencies.load(LISTED, mixed(scenario, 0.5, seed=seed)).service_parts for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("only", "told"),
    [
        ({"taxes and fees": ["G22"]}, r"services \(ministries\).agencies: expected agencies whose dossiers suffice"),
        ({"passports": ["H01"]}, r"demand.services\[0\].agencies = 'H01': expected codes of ministries"),
        ({"passports": ["G99"]}, r"demand.services\[0\].agencies = 'G99'"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told(scenario: Scenario, only: dict[str, list[str]], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        agencies.load(LISTED, mixed(scenario, 0.0, only))
