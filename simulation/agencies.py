"""The agencies of the country: ministries and provinces, each with its volume and its online share.

Names and ranks come from the list that the scenario names (22 and 63 before the mergers of 2025, 17 and 34 since); how
far agencies stand apart comes from the scenario. Groups' means are kept exactly.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit, ndtri

from caodiem import text_file
from caodiem.dossier import Group
from caodiem.draws import uniform
from caodiem.errors import UsageError
from caodiem.scenario import Scenario

Floats = np.ndarray
_COLUMNS = ("code", "group", "name_vi", "name_en", "volume_rank", "share_rank")
_LONGEST_CODE = 10
# Balanced is a table whose sums are right to the last digits; what needs more turns has no solution, or nearly none.
_BALANCED, _MOST_TURNS = 1e-14, 5_000


@dataclass(frozen=True, slots=True)
class Agencies:
    """Arrays of one length, an entry an agency. `volume_per_day` counts dossiers of all channels."""

    code: list[str]
    name_en: list[str]
    name_vi: list[str]
    group: list[Group]
    volume_per_day: Floats
    share_rank: Floats  # 1: the highest online share of its group
    service_parts: Floats  # a row an agency, a column a service: its share (0 to 1) of the agency's dossiers

    def of(self, group: Group) -> Floats:
        """The indices of a group's agencies."""
        return np.array([index for index, each in enumerate(self.group) if each is group])


def load(path: Path, scenario: Scenario) -> Agencies:
    """The agencies in `path` with the scenario's volumes; UsageError when the file lacks a column or a group."""
    rows = text_file.rows(path, _COLUMNS)
    _check_rows(path, rows)
    groups = [Group(row["group"]) for _, row in rows]
    if missing := [group.value for group in Group if group not in groups]:
        raise UsageError(f"{path}: no agency of the group {missing[0]!r}: expected at least one")
    volume_rank, share_rank = (np.array([int(row[f"{key}_rank"]) for _, row in rows]) for key in ("volume", "share"))
    words = {key: [row[key] for _, row in rows] for key in ("code", "name_en", "name_vi")}
    for key, ranks in (("volume_rank", volume_rank), ("share_rank", share_rank)):
        _check_ranks(path, key, groups, ranks)
    for number, surge in enumerate(scenario.demand.surges):
        if surge.agency is not None and surge.agency not in words["code"]:
            raise UsageError(f"demand.surges[{number}].agency = {surge.agency!r}: expected a code of {path}")
    for number, service in enumerate(scenario.demand.services):
        members = [code for code, group in zip(words["code"], groups, strict=True) if group is service.group]
        for code in service.agencies:
            if code not in members:
                expected = f"codes of {service.group.value} in {path}"
                raise UsageError(f"demand.services[{number}].agencies = {code!r}: expected {expected}")
    volumes = _volumes(groups, volume_rank, scenario)
    parts = _service_parts(words["code"], groups, volumes, scenario)
    return Agencies(words["code"], words["name_en"], words["name_vi"], groups, volumes, share_rank, parts)


def key_of(code: str) -> int:
    """An agency's code as a number that keys its draws, wherever in a list it stands."""
    return int.from_bytes(code.encode(), "big")


def online_shares(agencies: Agencies, scenario: Scenario, means: dict[Group, float]) -> Floats:
    """Each agency's online share (0 to 1), such that each group's mean, weighted by dossiers, is `means[group]`.

    Within a group the logits of the shares stand at normal quantiles of the ranks, `spread` apart; the constant is
    solved for. A mean of 0 or 1 gives every agency that share.
    """
    spread = scenario.adoption.spread.value
    shares = np.zeros(len(agencies.code))
    for group, mean in means.items():
        members = agencies.of(group)
        if not 0 < mean < 1 or not agencies.volume_per_day[members].any():
            shares[members] = mean
            continue
        weights = agencies.volume_per_day[members] / agencies.volume_per_day[members].sum()
        offsets = spread * ndtri(1 - (agencies.share_rank[members] - 0.5) / len(members))

        def excess(constant: float, offsets: Floats = offsets, weights: Floats = weights, mean: float = mean) -> float:
            return float(weights @ expit(constant + offsets)) - mean

        constant = brentq(excess, logit(mean) - 10 * spread - 1, logit(mean) + 10 * spread + 1, xtol=1e-13)
        shares[members] = expit(constant + offsets)
    return shares


def service_shares(agencies: Agencies, scenario: Scenario, shares: Floats) -> Floats:
    """Each agency's online share of each service, such that its mean over its services' dossiers is `shares`.

    A row an agency, a column a service; 0 where the agency has none of it. A service's logit stands `lean` above the
    agency's constant, which is found by bisection to the last bit.
    """
    services = scenario.demand.services
    lean = np.array([service.lean.value for service in services])
    parts = agencies.service_parts
    below, above = np.full((2, len(shares)), np.abs(lean).max() + 40.0) * np.array([[-1.0], [1.0]])
    for _ in range(100):
        middle = (below + above) / 2
        is_low = (parts * expit(middle[:, None] + lean)).sum(axis=1) < shares
        below, above = np.where(is_low, middle, below), np.where(is_low, above, middle)
    found = np.where((shares > 0) & (shares < 1), expit((below[:, None] + lean).T), shares).T
    return np.asarray(np.where(parts > 0, found, 0.0))


def _service_parts(codes: list[str], groups: list[Group], volumes: Floats, scenario: Scenario) -> Floats:
    """The share (0 to 1) of each service (columns) in the dossiers of each agency (rows).

    Alike in all agencies of a group, unless the scenario has services of some agencies alone, or agencies that stand
    apart: then keyed log-normal preferences of mean 1, balanced to the agencies' volumes and the services' shares.
    """
    services, variation = scenario.demand.services, scenario.demand.mix_variation.value
    parts = np.zeros((len(codes), len(services)))
    for group in Group:
        members = np.array([place for place, each in enumerate(groups) if each is group])
        offered = np.array([place for place, service in enumerate(services) if service.group is group])
        shares = np.array([services[place].share.value / 100 for place in offered])
        allowed = np.array(
            [[not services[n].agencies or codes[m] in services[n].agencies for n in offered] for m in members]
        )
        if variation == 0 and allowed.all():
            parts[np.ix_(members, offered)] = shares
            continue
        keys = np.array([key_of(codes[member]) for member in members])
        normal = np.stack([ndtri(uniform(scenario.seed, "service mix", keys, int(n))) for n in offered], axis=1)
        preference = np.exp(np.sqrt(np.log1p(variation**2)) * normal) * allowed
        sizes = volumes[members] / volumes[members].sum()
        parts[np.ix_(members, offered)] = _balanced(preference, sizes, shares, group) / sizes[:, None]
    return parts


def _balanced(preference: Floats, rows: Floats, columns: Floats, group: Group) -> Floats:
    """`preference` with its rows and columns scaled until they come to `rows` and `columns`, both of sum 1.

    Iterative proportional fitting (Deming and Stephan 1940): of all tables with these sums the nearest in relative
    entropy. UsageError where no table has them.
    """
    table = preference.copy()
    for _ in range(_MOST_TURNS):
        with np.errstate(invalid="ignore", divide="ignore"):
            table *= np.nan_to_num(columns / table.sum(axis=0))
            table *= np.nan_to_num(rows / table.sum(axis=1), posinf=0.0)[:, None]
        if np.abs(table.sum(axis=0) - columns).max() < _BALANCED and np.abs(table.sum(axis=1) - rows).max() < _BALANCED:
            return table
    raise UsageError(
        f"demand.services ({group.value}).agencies: expected agencies whose dossiers suffice for the services that are "
        "filed with them alone, and for every agency a service that may be filed with it"
    )


def _check_rows(path: Path, rows: list[tuple[int, text_file.Row]]) -> None:
    """UsageError tells every value that is none of its column's."""
    problems, seen = [], set()
    for line, row in rows:
        accepted = {
            "code": (0 < len(row["code"]) <= _LONGEST_CODE and row["code"] not in seen,
                     f"a code of at most {_LONGEST_CODE} letters that no row above has"),
            "group": (row["group"] in list(Group), f"one of {', '.join(Group)}"),
            **{key: (row[key].isdecimal() and len(row[key]) < _LONGEST_CODE, "a whole number from 1 on")
               for key in ("volume_rank", "share_rank")},
        }  # fmt: skip
        problems += [
            f"{path}:{line}: {key} = {row[key][:40]!r}: expected {expected}"
            for key, (is_right, expected) in accepted.items()
            if not is_right
        ]
        seen.add(row["code"])
    if problems:
        raise UsageError("\n".join(problems))


def _check_ranks(path: Path, key: str, groups: list[Group], ranks: Floats) -> None:
    """UsageError unless the agencies of each group are ranked 1, 2, … without a gap."""
    for group in Group:
        found = sorted(int(rank) for rank, each in zip(ranks, groups, strict=True) if each is group)
        wrong = set(range(1, len(found) + 1)).symmetric_difference(found)
        if wrong:
            told = f"{key} of {group.value}: {min(wrong)} is missing or too many"
            raise UsageError(f"{path}: {told}; expected each from 1 to {len(found)} once")


def _volumes(groups: list[Group], rank: Floats, scenario: Scenario) -> Floats:
    """Dossiers a day of each agency: a geometric row in each group, the group's sum as the scenario says."""
    ministry_share = scenario.adoption.ministry_dossier_share.value / 100
    volumes = np.zeros(len(groups))
    for group, part in ((Group.MINISTRIES, ministry_share), (Group.LOCALITIES, 1 - ministry_share)):
        members = np.array([index for index, each in enumerate(groups) if each is group], dtype=np.int64)
        position = (rank[members] - 1) / max(len(members) - 1, 1)
        weights = scenario.demand.volume_spread.value**-position
        volumes[members] = scenario.demand.volume.value * part * weights / weights.sum()
    return volumes
