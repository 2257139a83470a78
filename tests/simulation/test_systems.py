"""A year's systems held against a plain account of the same days: no classes, no slots, no memory that is used again.

The account is written from docs/national-year.md and journeys.py: every start of a day in one sorted list, one heap of
visits, of each station the servers' free times; draws by caodiem/draws.py.
"""

import heapq
import itertools
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from caodiem.draws import stream_word, uniform
from caodiem.errors import UsageError
from caodiem.scenario_file import load_document
from caodiem.year import YearScenario
from simulation import ledger, systems
from simulation.cases import NUMBER, ROW, Channel
from simulation.demand import DAY_S
from simulation.journeys import GATHERED, JOURNEYS, STARTS
from tests.conftest import ROOT

DAYS, AGENCIES = 3, 3
EVENTS = list(NUMBER)
_64 = 2**64 - 1


def mixed(number: int) -> int:
    """SplitMix64's finaliser on Python's integers."""
    word = (number + 0x9E3779B97F4A7C15) & _64
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _64
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _64
    return word ^ (word >> 31)


def signed(word: int) -> int:
    return word - 2**64 if word >= 2**63 else word


@dataclass
class Account:
    """What the stations saw."""

    scenario: YearScenario
    visits: Counter[str] = field(default_factory=Counter)
    waited: Counter[str] = field(default_factory=Counter)
    wait_s: Counter[str] = field(default_factory=Counter)
    busy_s: Counter[str] = field(default_factory=Counter)
    per_hour: Counter[tuple[int, str]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._free = {name: [-math.inf] * int(each.servers.value) for name, each in self.scenario.year.stations.items()}
        self._plans = {name: self._visits_of(number, name) for number, name in enumerate(JOURNEYS)}
        self._pending: list[tuple[float, int, int, list[Any]]] = []
        self._started = itertools.count()
        self._left: list[tuple[float, int, int, int]] = []
        self._words: dict[str, int] = {}

    def _visits_of(self, number: int, journey: str) -> list[Any]:
        """(station, mean, whether exponential, think before it, its number among all) of each visit."""
        found, think_s = [], 0.0
        for step, operation in enumerate(JOURNEYS[journey]):
            services = [each for each in self.scenario.year.services if each.operation == operation]
            for place, each in enumerate(services):
                which = (number + 1) << 16 | step << 8 | place
                found.append((each.station, each.mean.value / 1000, each.variation.value == 1, think_s, which))
                think_s = 0.0
            think_s += self.scenario.traffic.think_time.value
        return found

    def _drawn(self, quantity: str, *keys: int) -> float:
        """What `uniform` draws for one row of keys, without an array for it."""
        if quantity not in self._words:
            self._words[quantity] = stream_word(self.scenario.seed, quantity)
        word = self._words[quantity]
        for key in keys:
            word = mixed(word ^ mixed(key & _64))
        return ((word >> 11) + 0.5) * 2.0**-53

    def day(self, day: int, rows: np.ndarray) -> None:
        """Serve a day: what its events start, in order of time, and what was under way."""
        starts = sorted([*self._left, *self._journeys(rows), *self._batches(day, rows)])
        today = [start for start in starts if start[0] < (day + 1) * DAY_S]
        self._left = starts[len(today) :]
        for at_s, _, journey, number in today:
            visits = self._plans[list(JOURNEYS)[journey]]
            self._serve_until(at_s)
            if visits:
                self._visit(at_s, number, visits)
        self._serve_until((day + 1) * DAY_S, inclusive=False)

    def _journeys(self, rows: np.ndarray) -> list[tuple[float, int, int, int]]:
        """(when, key, journey, number of its draws) of all that events start."""
        found = []
        for at_s, number, _, event, channel, _ in rows.tolist():
            for start in STARTS:
                if EVENTS[event] is not start.event or channel not in start.channels:
                    continue
                share = getattr(self.scenario.traffic, start.share).value / 100 if start.share else 1.0
                if self._drawn(f"{start.event} {start.journey}", number) < share:
                    after_s = self.scenario.casework.pause.value if start.later else 0.0
                    found.append((at_s + after_s, mixed(number), list(JOURNEYS).index(start.journey), number))
        return found

    def _batches(self, day: int, rows: np.ndarray) -> list[tuple[float, int, int, int]]:
        """The passes of the day that find something, cut into batches."""
        found = []
        for kind, each in enumerate(GATHERED):
            period_s = getattr(self.scenario.traffic, each.period).value
            most = getattr(self.scenario.traffic, each.batch).value if each.batch else 1
            phases = period_s * uniform(self.scenario.seed, f"phase {kind}", np.arange(AGENCIES))
            waiting: Counter[tuple[int, int]] = Counter()
            for at_s, _, agency, event, *_ in rows.tolist():
                if EVENTS[event] in each.events:
                    since_s = max(at_s - day * DAY_S, 0.0) - phases[agency]
                    waiting[agency, math.ceil(max(since_s, 0.0) / period_s)] += 1
            for (agency, number), events in waiting.items():
                at_s = day * DAY_S + phases[agency] + number * period_s
                for batch in range(math.ceil(events / most) if each.batch else 1):
                    own = mixed(int(at_s)) ^ mixed(agency * 1_000_003 + batch)
                    found.append((at_s, mixed(own), list(JOURNEYS).index(each.journey), signed(own)))
        return found

    def _serve_until(self, at_s: float, inclusive: bool = True) -> None:
        """Make the visits of journeys under way before an instant; at it too, where a start there comes after them."""
        while self._pending and (self._pending[0][0] < at_s or (inclusive and self._pending[0][0] == at_s)):
            now_s, _, number, visits = heapq.heappop(self._pending)
            self._visit(now_s, number, visits)

    def _visit(self, now_s: float, number: int, visits: list[Any]) -> None:
        station, mean_s, exponential, _, which = visits[0]
        drawn = self._drawn("service", number, which)
        service_s = -mean_s * math.log(drawn) if exponential else mean_s
        free = self._free[station]
        begins_s = max(now_s, min(free))
        free[free.index(min(free))] = begins_s + service_s
        if 0 <= now_s < DAYS * DAY_S:
            self.visits[station] += 1
            self.waited[station] += begins_s > now_s
            self.wait_s[station] += begins_s - now_s
            self.busy_s[station] += service_s
            self.per_hour[int(now_s // 3600), station] += 1
        if len(visits) > 1:
            _, _, _, think_s, which = visits[1]
            next_s = begins_s + service_s
            if think_s:
                next_s -= think_s * math.log(self._drawn("think", number, which))
            heapq.heappush(self._pending, (next_s, next(self._started), number, visits[1:]))


@pytest.fixture(scope="module")
def busy() -> YearScenario:
    """The year's systems, each with as few servers that people wait, thinking, and batches that are cut."""
    year = load_document(ROOT / "scenarios" / "national-year.toml", YearScenario)
    services = [
        each.model_copy(update={"mean": each.mean.model_copy(update={"value": 400 * each.mean.value})})
        for each in year.year.services
        if each.station != "signing"
    ]
    traffic = year.traffic.model_copy(update={"sync_batch": year.traffic.sync_batch.model_copy(update={"value": 3})})
    return year.model_copy(update={"year": year.year.model_copy(update={"services": services}), "traffic": traffic})


def events(count: int, seed: int) -> list[np.ndarray]:
    """Each day's rows as they are told: some at one instant, some told days late, some ahead of their day."""
    random = np.random.default_rng(seed)
    rows = np.zeros(count, dtype=ROW)
    rows["dossier"] = 202605110000000 + random.integers(0, count // 4, count)
    rows["agency"] = random.integers(0, AGENCIES, count)
    rows["event"] = random.integers(0, len(EVENTS), count)
    rows["channel"] = random.integers(0, len(Channel), count)
    at_s = random.normal(0.4 * DAY_S, 1800, count) % DAY_S
    at_s = np.where(random.random(count) < 0.2, at_s.round(), at_s)
    rows["at_s"] = random.integers(0, DAYS, count) * DAY_S + at_s
    told = np.clip(rows["at_s"] // DAY_S + random.choice([0, 0, 0, 1, -1], count), 0, DAYS - 1).astype(int)
    return [rows[told == day] for day in range(DAYS)]


@pytest.mark.parametrize("seed", [1, 2])
def test_systems_see_what_a_plain_account_of_the_days_says(busy: YearScenario, seed: int) -> None:
    told, fast, account = ledger.Ledger(), systems.Systems(busy, AGENCIES, DAYS), Account(busy)
    later = np.empty(0, dtype=ROW)
    for day, rows in enumerate(events(6_000, seed)):
        # In two pieces, as desks and filings tell them.
        fast.advance(*told.take([rows[::2], rows[1::2]], day), day)
        known = np.concatenate([later, rows])
        ahead = known["at_s"] >= (day + 1) * DAY_S
        account.day(day, known[~ahead])
        later = known[ahead]
    names = list(busy.year.stations)
    found = {name: fast.stations[number] for number, name in enumerate(names)}
    assert {name: row["visits"] for name, row in found.items()} == {name: account.visits[name] for name in names}
    assert {name: row["waited"] for name, row in found.items()} == {name: account.waited[name] for name in names}
    for name, row in found.items():
        assert row["wait_s"] == pytest.approx(account.wait_s[name], rel=1e-9), name
        assert row["busy_s"] == pytest.approx(account.busy_s[name], rel=1e-9), name
    hours = {(hour, names[at]): int(n) for (hour, at), n in np.ndenumerate(fast.per_hour) if n}
    assert hours == dict(account.per_hour)
    # The days are busy enough to tell: people wait at several systems, batches are cut, journeys go on after midnight.
    assert sum(row["waited"] > 100 for row in found.values()) >= 3


def test_a_day_that_overflowed_is_never_gone_on_from(busy: YearScenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """The days that a year has queued by then would use slots that the day had just got."""
    monkeypatch.setattr(systems, "_through_day", systems._through_day.py_func)
    monkeypatch.setattr(systems, "_with_room", systems._with_room.py_func)
    monkeypatch.setattr(systems, "_MOST_GOING", 100)
    told, fast = ledger.Ledger(), systems.Systems(busy, AGENCIES, DAYS)
    with pytest.raises(UsageError, match="journeys are under way on day 0") as first:
        fast.advance(*told.take([events(6_000, 1)[0]], 0), 0)
    kept = fast._under_way
    assert kept.counts[:2].max() <= len(kept.going)
    with pytest.raises(UsageError) as again:
        fast.advance(*told.take([], 1), 1)
    assert again.value is first.value
