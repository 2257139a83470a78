"""Faults: every switch of every system works, tells itself apart in the times, and turns off again."""

import random
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from caodiem import faults
from caodiem.errors import UsageError
from caodiem.faults import SYSTEMS, Fault
from staging.app import ROUTES
from staging.routes import Route
from staging.service import running
from tests.staging.calls import Caller, Reply

SignedIn = Callable[[str], Caller]
Switch = Callable[..., None]
Documents = list[dict[str, str]]
_serials = iter(range(10**7))
ASKS = {
    "identity": ("citizen-000000", "POST", "/accounts/sign-in", {"account": "citizen-000000", "secret": "guess"}, 401),
    "national_portal": ("citizen-000000", "GET", "/catalogue?q=khai", None, 200),
    "payment": ("citizen-000000", "POST", "/dossiers/H01-20260701-9999999/payment", {"amount_vnd": 1}, 404),
    "case_system": ("officer-H01", "POST", "/cases/H01-20260701-9999999/receive", {}, 404),
    "status_sync": ("agency-H01", "POST", "/sync", {"batch": "none", "events": []}, 200),
    "signature_verification": (
        "citizen-000000",
        "POST",
        "/dossiers",
        {
            "code": "H01-20260702-0000077",
            "procedure": "1.000001.H01",
            "components": [{"name": "bad.pdf", "content": "JVBERi0xLjcK"}],
        },
        422,
    ),
}


@pytest.fixture
def switch(admin: Caller) -> Iterator[Switch]:
    """Sets one system's fault; all are ended afterwards."""

    def put(system: str, **fault: object) -> None:
        assert admin.call("PUT", "/admin/faults", {"faults": {system: fault}}).status == 200

    yield put
    assert admin.call("PUT", "/admin/faults", {"faults": {}}).body == {"faults": {}}


def ask(signed_in: SignedIn, system: str) -> Reply:
    account, method, path, content, _ = ASKS[system]
    return signed_in(account).call(method, path, content)


def served_ms(reply: Reply, system: str) -> float:
    """What the answer says of a system's service time; -1 when it does not speak of it."""
    entries = dict(entry.split(";dur=") for entry in reply.headers["server-timing"].split(", "))
    return float(entries.get(system, -1))


@pytest.mark.parametrize("system", ASKS)
def test_each_switch_works_and_turns_off(signed_in: SignedIn, switch: Switch, admin: Caller, system: str) -> None:
    good = ASKS[system][-1]
    assert ask(signed_in, system).status == good
    switch(system, latency_s_median=0.04)
    slow = ask(signed_in, system)
    assert slow.status == good
    assert served_ms(slow, system) >= 40
    switch(system, latency_s_median=0.04, slowdown=2.5)
    assert served_ms(ask(signed_in, system), system) >= 100
    switch(system, error_share=1)
    assert ask(signed_in, system).status == 502
    switch(system, outage=True)
    away = ask(signed_in, system)
    assert (away.status, away.headers["retry-after"]) == (503, "1")
    assert system in away.body["error"]
    assert admin.get("/admin/faults").body["faults"][system]["outage"] is True
    assert admin.get("/admin/counts").status == 200
    admin.call("PUT", "/admin/faults", {"faults": {}})
    assert ask(signed_in, system).status == good


def test_a_slow_down_alone_stretches_the_work_itself(signed_in: SignedIn, switch: Switch) -> None:
    switch("national_portal", slowdown=8)
    reply = ask(signed_in, "national_portal")
    assert served_ms(reply, "national_portal") > 5 * served_ms(reply, "database")


def test_a_share_of_errors_is_a_share(signed_in: SignedIn, switch: Switch) -> None:
    switch("national_portal", error_share=0.5)
    statuses = [ask(signed_in, "national_portal").status for _ in range(200)]
    assert set(statuses) == {200, 502}
    assert 60 < statuses.count(502) < 140


@pytest.mark.parametrize(
    "route", [pytest.param(each, id=f"{each.method} {each.path}") for each in ROUTES if each.system]
)
def test_each_route_fails_with_its_system(
    route: Route, portal: object, admin: Caller, signed_in: SignedIn, switch: Switch
) -> None:
    assert route.system in SYSTEMS
    accounts = {"citizen": "citizen-000000", "officer": "officer-H01", "agency": "agency-H01"}
    caller = signed_in(accounts[route.who[0]]) if route.who else Caller(admin.url)
    switch(route.system, outage=True)
    path = route.path.format(**dict.fromkeys(route.parameters, "H01-20260701-9999999"))
    assert caller.call(route.method, path).status == 503
    switch(route.system, error_share=1)
    assert caller.call(route.method, path).status == 502


@pytest.mark.slow
def test_faults_can_stand_from_the_start_and_hold_in_every_worker(tmp_path: Path) -> None:
    with running(tmp_path / "log.txt", workers=2, faults={"national_portal": Fault(outage=True)}) as portal:
        anyone, admin = Caller(portal.url), Caller(portal.url, portal.admin_token)
        assert {anyone.get("/catalogue").status for _ in range(20)} == {503}
        assert admin.call("PUT", "/admin/faults", {"faults": {}}).status == 200
        assert {anyone.get("/catalogue").status for _ in range(20)} == {200}


@pytest.mark.parametrize("content", [{"nowhere": {}}, {"payment": {"slowdown": 0.5}}, {"payment": {"outage": "yes"}}])
def test_bad_faults_are_named(admin: Caller, content: object) -> None:
    reply = admin.call("PUT", "/admin/faults", {"faults": content})
    assert reply.status == 400
    assert "expected" in reply.body["error"].lower()


def test_latency_has_the_median_and_the_percentile_asked_for() -> None:
    fault, draws = Fault(latency_s_median=0.2, latency_s_p95=1.0), random.Random(1)
    drawn_s = sorted(fault.latency_s(draws.gauss(0, 1)) for _ in range(20_000))
    assert statistics.median(drawn_s) == pytest.approx(0.2, rel=0.05)
    assert drawn_s[19_000] == pytest.approx(1.0, rel=0.05)
    assert Fault(latency_s_median=0.2).latency_s(3.0) == 0.2


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ("[faults.nowhere]\noutage = true", "nowhere"),
        ("[faults.payment]\nlatency_s_median = -1", "latency_s_median = -1"),
        ("[faults.payment]\nlatency_s_median = 1\nlatency_s_p95 = 0.5", "latency_s_p95 = 0.5"),
        ("[faults.payment]\nerror_share = 2", "error_share = 2"),
        ("[faults.payment]\nlatency_s_median = true", "latency_s_median = True: expected a number"),
        ("[faults.payment]\nlatency_s_p95 = 'long'", "latency_s_p95 = 'long': expected a number"),
        ("[faults.payment]\noutage = 'yes'", "outage = 'yes': expected true or false"),
        ("[faults.payment]\nlatency = 2", "latency_s_median"),
        ("[faults]\npayment = 3", "payment"),
        ("[other]", r"\[faults.SYSTEM\]"),
        ("[", "TOML"),
    ],
)
def test_a_file_with_a_mistake_is_named(tmp_path: Path, table: str, named: str) -> None:
    path = tmp_path / "faults.toml"
    path.write_text(table)
    with pytest.raises(UsageError, match=named) as caught:
        faults.read(path)
    assert str(path) in str(caught.value)


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "faults.toml"
    path.write_text("[faults.payment]\nlatency_s_median = 0.2\nlatency_s_p95 = 1\n[faults.identity]\noutage = true\n")
    assert faults.read(path) == {"payment": Fault(0.2, 1), "identity": Fault(outage=True)}


def filed_at_counter(serial: int, scans: Documents) -> dict[str, object]:
    code = f"H01-20260705-{serial:07d}"
    return {"code": code, "procedure": "1.000001.H01", "citizen": "099000000001", "components": scans}


@pytest.mark.parametrize(
    ("system", "action"),
    [
        ("document_store", "digitise"),
        ("document_store", "file"),
        ("document_store", "return"),
        ("document_store", "fetch"),
        ("document_store", "upload"),
        ("signing", "return"),
        ("signature_verification", "return"),
        ("signature_verification", "digitise"),
        ("signature_verification", "file"),
        ("population_db", "file"),
    ],
)
def test_papers_and_results_need_what_keeps_signs_and_checks_them(
    signed_in: SignedIn, switch: Switch, prepared: Callable[[int], str], scans: Documents, system: str, action: str
) -> None:
    """Nothing is half done while a system behind is away, and all of it can be done again when it is back."""
    officer, citizen, agency = (signed_in(each) for each in ("officer-H01", "citizen-000001", "agency-H01"))
    code = prepared(9)
    returned = prepared(9)
    assert officer.post(f"/cases/{returned}/return").status == 200
    counter = filed_at_counter(next(_serials), scans)
    file = {"TenTepTin": "a", "NoiDung": f"{next(_serials):08d}"}
    ask_: Callable[[], Reply] = {
        "digitise": lambda: officer.post(f"/cases/{code}/papers", scans[0]),
        "file": lambda: officer.post("/cases", counter),
        "return": lambda: officer.post(f"/cases/{code}/return"),
        "fetch": lambda: citizen.get(f"/dossiers/{returned}/result"),
        "upload": lambda: agency.post("/lgsp/TepTin", {"files": [file]}),
    }[action]
    switch(system, outage=True)
    assert ask_().status == 503
    switch(system, error_share=1)
    failed = ask_()
    assert (failed.status, served_ms(failed, system) >= 0) == (502, True)
    switch("payment")
    assert citizen.get(f"/dossiers/{code}").body["status"] == 9
    assert citizen.get(f"/dossiers/{counter['code']}").status == 404
    switch(system, latency_s_median=0.03)
    slow = ask_()
    assert slow.status in (200, 201)
    assert served_ms(slow, system) >= 30


@pytest.mark.parametrize("fault", [{"outage": True}, {"error_share": 1}], ids=["away", "failing"])
def test_a_fault_of_the_system_behind_is_felt_through_the_one_in_front(
    signed_in: SignedIn, switch: Switch, fault: dict[str, object]
) -> None:
    agency, officer = signed_in("agency-H01"), signed_in("officer-H01")
    message = {"message": f"behind {fault}", "asked": {"service": "population.read", "number": "099000000001"}}
    switch("population_db", **fault)
    failed = agency.post("/exchange/messages", message)
    assert (failed.status, failed.body["state"], failed.body["answer"]) == (200, "failed", None)
    assert served_ms(failed, "population_db") >= 0
    known = {"message": f"beside {fault}", "asked": {"service": "catalogue.procedure", "procedure": "1.000001.H01"}}
    assert agency.post("/exchange/messages", known).body["state"] == "answered"
    switch("status_sync", **fault)
    entry = {"IdHoSo": "x", "MaHoSo": "H01-20260701-9999999", "TrangThai": 2}
    assert agency.post("/lgsp/CapNhatTrangThai", [entry]).status in (502, 503)
    switch("document_axis", **fault)
    work = {"document": f"work {fault}", "matter": "task", "title": "x", "to": ["G09"], "content": ""}
    assert officer.post("/government-work/documents", work).status in (502, 503)
    switch("payment")
    again = agency.post("/exchange/messages", message).body
    assert (again["state"], again["repeated"], again["answer"]["found"]) == ("answered", False, True)
