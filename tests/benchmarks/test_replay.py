"""One generator process on one core, nginx as a stub on the other: how many requests a second leave on time.

Ours replays a plan of Poisson arrivals openly, with every account kept and Locust's statistics on. Its rate is the
highest that holds in three tries of three, found by search (rates.py): every arrival answered well, none dropped, and
the 99th percentile of released − due at most 5 ms. The rounds are replays at that rate; `rounds_held` says how many of
them held it as well, and what a round dropped does not count as done.

The peers send in a closed loop, as fast as answers come: Locust's FastHttpUser, which checks nothing and keeps its
statistics only, and wrk, which is C and marks what the stub and the sockets give.

A round is one replay; its time is that of the sending, from the plan's first second to the last answer, as rows and
statistics say it, since starting Locust is not what is asked here. Other work on these cores shows in the figures.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from caodiem import observations, plan, run, summary
from caodiem.draws import uniform
from loadtests.replay import replay
from tests.benchmarks import plans, rates, stub

POOL = 50
SECONDS = 4.0
GREATEST_LATENESS_S = 1.0
LATENESS_LIMIT_S = 0.005
FIRST_RATE_PER_S = 12_000.0
MOST_ROUNDS = 5


class SendingTime:
    """A clock that only runs while requests are sent: each round adds what its rows say."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


clock = SendingTime()
pytestmark = [pytest.mark.slow, pytest.mark.benchmark(group="replay", timer=clock)]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if why := stub.missing():
        pytest.skip(why)
    with stub.serving(tmp_path_factory.mktemp("stub")) as found:
        yield found


@dataclass(frozen=True)
class Replayed:
    """What one replay came to."""

    rate_per_s: float
    requests: int
    sending_s: float
    lateness_s_p99: float
    answered: int
    dropped: int

    @property
    def holds(self) -> bool:
        return self.answered == self.requests and self.lateness_s_p99 <= LATENESS_LIMIT_S

    def in_words(self) -> str:
        found = f"p99 of lateness {1000 * self.lateness_s_p99:.1f} ms, {self.dropped} dropped"
        return f"{self.rate_per_s:.0f}/s: {'held' if self.holds else 'not held'}, {found}"


def test_ours(benchmark: BenchmarkFixture, rounds: int, url: str, tmp_path: Path) -> None:
    tried: list[Replayed] = []
    told: list[Replayed] = []

    def holds(rate_per_s: float) -> bool:
        tried.append(play(url, tmp_path, rate_per_s))
        return tried[-1].holds

    rate_per_s = rates.highest(holds, FIRST_RATE_PER_S)

    def once() -> None:
        told.append(play(url, tmp_path, rate_per_s))
        clock.now_s += told[-1].sending_s * told[-1].requests / told[-1].answered

    benchmark.pedantic(once, rounds=min(rounds, MOST_ROUNDS), iterations=1)
    assert all(each.answered + each.dropped == each.requests for each in told)
    benchmark.extra_info |= {
        "unit": "requests",
        "units_per_round": told[0].requests,
        "rate_per_s": rate_per_s,
        "rounds_held": sum(each.holds for each in told),
        "lateness_ms_p99": 1000 * max(each.lateness_s_p99 for each in told),
        "dropped": sum(each.dropped for each in told),
        "rounds": [each.in_words() for each in told],
        "tried": [each.in_words() for each in tried],
    }


def test_stock_locust(benchmark: BenchmarkFixture, rounds: int, url: str) -> None:
    told: list[tuple[int, float]] = []

    def once() -> None:
        told.append(play_stock(url))
        # In a closed loop the number of requests differs from round to round; the time for as many as the first does.
        requests, sending_s = told[-1]
        clock.now_s += sending_s * told[0][0] / requests

    benchmark.pedantic(once, rounds=min(rounds, MOST_ROUNDS), iterations=1)
    benchmark.extra_info |= {"unit": "requests", "units_per_round": told[0][0]}


def test_wrk_limit(benchmark: BenchmarkFixture, rounds: int, url: str) -> None:
    if shutil.which("wrk") is None:
        pytest.skip("no wrk; `apt-get install wrk`")
    told: list[float] = []

    def once() -> None:
        told.append(play_wrk(url))
        clock.now_s += told[0] / told[-1]

    benchmark.pedantic(once, rounds=min(rounds, MOST_ROUNDS), iterations=1)
    benchmark.extra_info |= {"unit": "requests", "units_per_round": told[0]}


def play(url: str, folder: Path, rate_per_s: float) -> Replayed:
    """Replay `SECONDS` of arrivals at `rate_per_s`."""
    planned = draw(rate_per_s, SECONDS)
    into = run.Execution(folder / "replayed")
    plan.write(planned, folder / "plan.parquet")
    with stub.pinned(stub.GENERATOR_CORE):
        code = replay(folder / "plan.parquet", into, url, "token", POOL, GREATEST_LATENESS_S, None)
    assert code == 0, run.read_json(into.info)["stopped_because"]
    rows = observations.read(into.observations)
    assert rows.num_rows == planned.steps
    outcomes = summary.count_outcomes(rows)
    lateness_s = rows["released_s"].to_numpy() - rows["due_s"].to_numpy()
    sending_s = max(float(np.nanmax(rows["finished_s"].to_numpy())), SECONDS)
    p99_s = summary.quantile(lateness_s[~np.isnan(lateness_s)], 0.99)
    return Replayed(rate_per_s, planned.steps, sending_s, p99_s, outcomes["ok"], outcomes["dropped"])


def play_stock(url: str) -> tuple[int, float]:
    """Requests that stock Locust had answered, and the seconds that they took."""
    words = ["--headless", "--only-summary", "--json", "--host", url, "-u", POOL, "-r", POOL, "-t", f"{SECONDS:g}s"]
    locustfile = Path(__file__).with_name("stock_locustfile.py")
    command = [sys.executable, "-m", "locust", "-f", str(locustfile), *map(str, words)]
    environment = {**os.environ, "ASKED": stub.WHAT_IS_ASKED}
    with stub.pinned(stub.GENERATOR_CORE):
        done = subprocess.run(command, env=environment, cwd=locustfile.parent, capture_output=True, text=True)
    (told,) = json.loads(done.stdout)
    assert done.returncode == 0 and told["num_failures"] == 0, done.stderr
    return told["num_requests"], told["last_request_timestamp"] - told["start_time"]


def play_wrk(url: str) -> float:
    """Requests a second that wrk had answered."""
    words = ["wrk", "-t1", f"-c{POOL}", f"-d{SECONDS:g}s", f"{url}{stub.WHAT_IS_ASKED}"]
    with stub.pinned(stub.GENERATOR_CORE):
        said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in said and "Socket errors" not in said, said
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    assert found is not None, said
    return float(found[1])


def draw(rate_per_s: float, length_s: float) -> plan.Plan:
    """Poisson arrivals in [0, length_s), each of one search of the catalogue."""
    gaps_s = -np.log(uniform(plans.SEED, "gap", np.arange(round(1.2 * rate_per_s * length_s)))) / rate_per_s
    due_s = np.cumsum(gaps_s)
    due_s = due_s[due_s < length_s]
    arrival = np.arange(len(due_s))
    columns = {
        "arrival": arrival,
        "step": np.zeros(len(arrival), dtype=np.int16),
        "journey": np.full(len(arrival), "citizen_tracks"),
        "operation": np.full(len(arrival), "search_catalogue"),
        "agency": np.full(len(arrival), "H01"),
        "system": np.full(len(arrival), "national_portal"),
        "dossier": 20260504 * 10**7 + arrival,
        "items": np.ones(len(arrival), dtype=np.int32),
        "due_s": due_s,
        "think_s": np.zeros(len(arrival)),
    }
    meta = plan.PlanMeta("0" * 64, plans.SEED, "2026-05-04T09:00:00", length_s, 1.0, 85.0)
    return plan.make(pa.table(columns), meta)
