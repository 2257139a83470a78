"""A portal of another shape: its class is chosen by name, asked what it can, and replayed against."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from caodiem import observations, plan, run, stages, summary
from caodiem.dossier import Outcome
from caodiem.errors import UsageError
from caodiem.part import Part, parse
from loadtests import portals
from loadtests.journeys import Journey, Step
from loadtests.replay import replay
from simulation.journeys import JOURNEYS
from tests.conftest import ROOT, make_plan
from tests.loadtests import replay_plans

GATEWAY = "loadtests.portals.gateway:GatewayPortal"
RAISING = "tests.loadtests.raising_portal"


def test_a_plan_is_replayed_against_a_portal_of_another_shape(serve: Callable[..., Any], tmp_path: Path) -> None:
    planned = replay_plans.evenly(40, 2, ["ask", "sync", "search"])
    plan.write(planned, tmp_path / "plan.parquet")
    into = run.Execution(tmp_path / "into")
    url = serve(script="gateway_portal.py").url
    assert replay(tmp_path / "plan.parquet", into, url, "admin", 20, 1.0, None, portal=GATEWAY) == 0
    rows = observations.read(into.observations)
    # A search has no session of its own in these journeys, so the gateway says no, with HTTP 200.
    assert summary.arrival_outcomes(rows)["ok"] == sum(n % 3 != 2 for n in range(80))
    assert summary.arrival_outcomes(rows)["failed"] == sum(n % 3 == 2 for n in range(80))
    assert set(rows["status"].to_pylist()) == {200}
    assert run.read_json(into.info)["portal"] == GATEWAY


def test_what_a_class_raises_fails_its_step_and_no_other(serve: Callable[..., Any], tmp_path: Path) -> None:
    planned = replay_plans.evenly(60, 1, ["search"])
    plan.write(planned, tmp_path / "plan.parquet")
    into = run.Execution(tmp_path / "into")
    name = f"{RAISING}:RaisesInRequests"
    assert replay(tmp_path / "plan.parquet", into, serve().url, "admin", 20, 1.0, None, portal=name) == 0
    outcomes = summary.arrival_outcomes(observations.read(into.observations))
    assert (outcomes["ok"], outcomes["failed"], outcomes["lost"]) == (19, 41, 0)
    failures = run.read_json(into.info)["failures"]
    told = {re.sub(r":\d+$", "", each["error"]): each["steps"] for each in failures}
    assert {(each["operation"], each["outcome"]) for each in failures} == {("search_catalogue", "failed")}
    assert told == {
        "request: KeyError at raising_portal.py": 20,
        "answer 200: check: IndexError at raising_portal.py": 20,
        "request: path or headers hold other letters than HTTP takes; quote them": 1,
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("RaisesWhenPreparing", "prepare: KeyError at raising_portal.py:"),
        ("PreparesWhatCannotTravel", "prepare: .*set.*; expected what msgpack"),
        ("RaisesWhenTakingOver", "use: KeyError at reference.py:"),
    ],
)
def test_a_class_that_cannot_begin_ends_the_replay(
    serve: Callable[..., Any], tmp_path: Path, kind: str, said: str
) -> None:
    plan.write(replay_plans.evenly(10, 60, ["search"]), tmp_path / "plan.parquet")
    into = run.Execution(tmp_path / "into")
    name = f"{RAISING}:{kind}"
    assert replay(tmp_path / "plan.parquet", into, serve().url, "admin", 20, 1.0, None, portal=name) == 3
    assert re.search(f"--portal {name}: {said}", run.read_json(into.info)["stopped_because"])


def test_what_a_portal_cannot_is_refused_with_what_it_can() -> None:
    planned = replay_plans.evenly(5, 2)
    with pytest.raises(UsageError, match=r"serves no file_dossier, .*; expected --journeys ask,search,sync"):
        portals.check_serves(portals.load(GATEWAY), planned)
    portals.check_serves(portals.load(GATEWAY), Part(journeys=("ask", "search", "sync")).of(planned))
    portals.check_serves(portals.load(portals.REFERENCE), planned)
    with pytest.raises(UsageError, match="no journey of this one will do"):
        portals.check_serves(portals.load(GATEWAY), Part(journeys=("file",)).of(planned))


@pytest.mark.parametrize("name", ["nothing", "no.such:Class", "loadtests.portals.gateway:Nobody", "caodiem.plan:Plan"])
def test_a_name_that_means_no_portal_class_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=rf"--portal {name}: .*expected a class as module:Class"):
        portals.load(name)


def test_a_class_that_lacks_something_is_refused() -> None:
    with pytest.raises(UsageError, match=r"has no operations, prepare, use, request"):
        portals.load("builtins:str")


def test_some_journeys_of_a_plan_are_a_plan() -> None:
    planned = replay_plans.evenly(5, 2)
    part = parse("", 1, 1, "ask, sync")
    found = part.of(planned)
    assert set(found.table["journey"].to_pylist()) == {"ask", "sync"}
    assert found.meta.plan_hash != planned.meta.plan_hash
    assert str(part).endswith("journeys ask,sync")
    with pytest.raises(UsageError, match="--journeys nobody: expected some of ask, file"):
        parse("", 1, 1, "nobody").of(planned)


def test_a_portal_class_needs_a_host() -> None:
    with pytest.raises(UsageError, match="expected --host as well"):
        stages.Generator(portal=GATEWAY).check()


def test_the_page_on_other_portals_shows_a_class_that_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "your-portal.md").read_text(encoding="utf-8")
    (tmp_path / "our_portal.py").write_text(page.split("```python\n")[1].split("```")[0], encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    portal = portals.load("our_portal:OurPortal")
    (named,) = set(re.findall(r"--journeys (\w+)", page))
    planned = make_plan([0.0, 1.0], JOURNEYS[named])
    portals.check_serves(portal, planned)
    portal.use(portal.prepare(planned, lambda request: portals.Answer(Outcome.OK, 200)))
    steps = tuple(Step(number, operation, "", 1) for number, operation in enumerate(JOURNEYS[named]))
    journey = Journey(0, named, "H01", 20260609_0000001, 0.0, steps)
    signed_in = portal.request(journey)
    assert signed_in.check(200, b"{}") == "answer 200: expected 200 with a session"
    assert signed_in.check(200, b'{"session": "s1"}') is None
    journey.position = 1
    asked = portal.request(journey)
    assert (asked.path, asked.headers["X-Session"]) == ("/api/status/H01-20260609-0000001", "s1")
    assert asked.check(200, b"... H01-20260609-0000001 ...") is None
    assert asked.check(200, b"somebody else's") == "answer 200: expected 200 with its code"
