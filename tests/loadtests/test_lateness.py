"""Released times against the plan, the percentiles that come of them, and what journeys cost that only think.

Figures are kept as properties of the tests (`--junit-xml FILE -o junit_family=xunit1`); the bounds leave room for other
work on the machine.
"""

import math
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from caodiem import plan, run, summary
from caodiem.dossier import dossier_number
from caodiem.draws import uniform
from loadtests.replay import replay
from tests.benchmarks import stub
from tests.conftest import ROOT
from tests.loadtests.conftest import Served

Serve = Callable[..., Served]
STEPS = ("sign_in", "search_catalogue", "look_up_status", "pay_fee")


def poisson(rate_per_s: float, length_s: float, steps: int = 1, think_s: float = 0.0) -> plan.Plan:
    """Poisson arrivals in [0, length_s) of journeys that search the catalogue, or of the first `steps` of `STEPS`."""
    drawn_s = -np.log(uniform(7, "gap", np.arange(round(2 * rate_per_s * length_s) + 20))) / rate_per_s
    due_s = np.cumsum(drawn_s)
    due_s = due_s[due_s < length_s]
    arrival, step = np.repeat(np.arange(len(due_s)), steps), np.tile(np.arange(steps), len(due_s))
    columns = {
        "arrival": arrival,
        "step": step,
        "journey": np.full(len(arrival), "asks"),
        "operation": np.array(STEPS if steps > 1 else ("search_catalogue",))[step],
        "agency": np.full(len(arrival), "H01"),
        "system": np.full(len(arrival), "national_portal"),
        "dossier": dossier_number(date(2026, 6, 9), 0) + arrival,
        "items": np.ones(len(arrival), dtype=np.int32),
        "due_s": due_s[arrival],
        "think_s": np.where(step > 0, think_s, 0.0),
    }
    meta = plan.PlanMeta("0" * 64, 7, "2026-06-09T09:00:00", length_s, 1.0, 85.0)
    return plan.make(pa.table({name: columns[name] for name in plan.SCHEMA.names}), meta)


def play(planned: plan.Plan, folder: Path, url: str) -> pa.Table:
    """The rows as they stand in the file, by due time; every arrival must have been answered."""
    plan.write(planned, folder / "plan.parquet")
    into = run.Execution(folder / "replayed")
    assert replay(folder / "plan.parquet", into, url, "admin", 100, 2.0, None) == 0
    rows = pq.read_table(into.observations).sort_by("due_s")
    assert set(rows["outcome"].to_pylist()) == {"ok"} and rows.num_rows == planned.steps
    return rows


def check_times(rows: pa.Table, rate_per_s: float, together: int, record: Callable[[str, object], None]) -> None:
    """Lateness, and Kolmogorov-Smirnov tests of the gaps between every `together` releases: those of the plan."""
    due_s, released_s = rows["due_s"].to_numpy(), rows["released_s"].to_numpy()
    lateness_s = released_s - due_s
    gaps_s = np.diff(released_s[::together])
    found = stats.ks_2samp(gaps_s, np.diff(due_s[::together]))
    erlang = stats.kstest(gaps_s, stats.gamma(together, scale=1 / rate_per_s).cdf)
    record("lateness_ms_p99", 1000 * summary.quantile(lateness_s, 0.99))
    record("lateness_ms_max", 1000 * float(lateness_s.max()))
    record("ks_p_value_plan", float(found.pvalue))
    record("ks_p_value_erlang", float(erlang.pvalue))
    assert lateness_s.min() >= 0
    assert summary.quantile(lateness_s, 0.99) < 0.1 and lateness_s.max() < 0.5
    assert found.pvalue > 0.05 and erlang.pvalue > 0.001, f"{len(gaps_s)} gaps: {found}, {erlang}"


@pytest.mark.parametrize(
    ("rate_per_s", "length_s", "together"), [pytest.param(1.0, 8.0, 1, marks=pytest.mark.slow), (100.0, 5.0, 5)]
)
def test_steps_are_released_as_poisson_arrivals_come(
    serve: Serve,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
    rate_per_s: float,
    length_s: float,
    together: int,
) -> None:
    rows = play(poisson(rate_per_s, length_s), tmp_path, serve().url)
    # The event loop wakes by the millisecond, which single gaps at 100/s can tell: a sixth of them is below 2 ms.
    check_times(rows, rate_per_s, together, record_property)
    check_percentiles(rows)


def check_percentiles(rows: pa.Table) -> None:
    """What is reported is what sorting the raw rows gives, to the last digit."""
    taken_s = sorted(row["finished_s"] - row["due_s"] for row in rows.select(["finished_s", "due_s"]).to_pylist())
    told = summary.summarise(rows.sort_by("arrival"))["all"]["response_s"]
    for name, q in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)):
        assert told[name] == taken_s[math.ceil(q * len(taken_s)) - 1]
    assert (told["count"], told["max"]) == (len(taken_s), taken_s[-1])


@pytest.mark.slow
@pytest.mark.skipif(bool(stub.missing()), reason=stub.missing())
def test_five_thousand_a_second(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    with stub.serving(tmp_path) as url:
        rows = play(poisson(5000.0, 5.0), tmp_path, url)
    # Gaps of 0.2 ms are below what one wake-up of a process takes; those over 250 arrivals, 50 ms, are not.
    check_times(rows, 5000.0, 250, record_property)
    check_percentiles(rows)


@pytest.mark.slow
@pytest.mark.skipif(bool(stub.missing()), reason=stub.missing())
def test_ten_thousand_a_second_for_a_minute_by_two_workers(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Two workers and the stub on two cores: on a machine that does other things some are dropped, and counted."""
    planned = poisson(10_000.0, 60.0)
    plan.write(planned, tmp_path / "plan.parquet")
    into = run.Execution(tmp_path / "replayed")
    with stub.serving(tmp_path) as url:
        asked = {"--plan": tmp_path / "plan.parquet", "--host": url, "--observations": into.folder}
        words = [str(word) for pair in asked.items() for word in pair]
        command = [sys.executable, "-m", "locust", "--headless", "--only-summary", "--processes", "2", "-u", "100"]
        done = subprocess.run([*command, "-r", "100", *words], cwd=ROOT, capture_output=True, text=True, timeout=300)
    rows = pq.read_table(into.observations)
    outcomes = summary.arrival_outcomes(rows)
    lateness_s = rows["released_s"].to_numpy() - rows["due_s"].to_numpy()
    record_property("outcomes", outcomes)
    record_property("lateness_ms_p99", 1000 * float(np.nanquantile(lateness_s, 0.99)))
    assert sum(outcomes.values()) == planned.arrivals == rows.num_rows
    assert outcomes["ok"] + outcomes["dropped"] == planned.arrivals, done.stderr[-2000:]
    assert done.returncode == (3 if outcomes["dropped"] else 0)
    workers = {worker for worker in rows["worker"].to_pylist() if worker}
    assert len(workers) == 2


# In a process of its own, with Locust in it as on a worker: every journey has had its first answer and thinks. The
# peak is Linux's of this very program: `ru_maxrss` begins with that of whoever started it, here the tests'.
THINKING = """
import locust.main
import gevent, re, sys, time
from pathlib import Path
from caodiem.dossier import Outcome
from caodiem import plan
from loadtests import journeys
from loadtests.ledger import Ledger
from loadtests.pacer import Pacer
from loadtests.portals import Answer, Request
from loadtests.swarm import Swarm

def peak_mb():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

folder = Path(sys.argv[1])
imported_mb = peak_mb()
answered = 0

class Client:
    host = "http://127.0.0.1"
    def send(self, request, jar):
        global answered
        answered += 1
        return Answer(Outcome.OK, 200)
    def close(self): pass

class Portal:
    def request(self, journey):
        journey.token = f"a token of the usual length, about as long as this, for arrival {journey.arrival}"
        return Request("GET", "/", lambda status, body: None)

ignore = lambda *_: None
swarm = Swarm(Pacer(60.0), Portal(), Client(), Ledger("w"), 9999.0, ignore, None, [], ignore)

def visit():
    while True:
        swarm.perform(swarm.take(), Client.host)

swarm.begin(time.monotonic())
swarm.add(journeys.of_rows(plan.slices(folder / "plan.parquet", rows=2048)))
swarm.renew(time.monotonic() + 3600)
for _ in range(100):
    gevent.spawn(visit)
while answered < int(sys.argv[2]):
    gevent.sleep(0.1)
swarm.end()
print(answered, imported_mb, peak_mb())
"""


@pytest.mark.slow
def test_fifty_thousand_journeys_think_at_once(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    planned = poisson(10_000.0, 5.2, steps=4, think_s=3600.0)
    assert planned.arrivals > 50_000
    plan.write(planned, tmp_path / "plan.parquet")
    command = [sys.executable, "-c", THINKING, str(tmp_path), str(planned.arrivals)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    answered, imported_mb, memory_mb = done.stdout.split()
    record_property("imported_mb", float(imported_mb))
    record_property("memory_mb", float(memory_mb))
    assert int(answered) == planned.arrivals
    assert float(memory_mb) < 300
