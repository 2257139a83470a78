"""Adapters: the portal works with an implementation of somebody else's, and says what is wrong with a name."""

from pathlib import Path

import pytest

from caodiem.errors import UsageError
from staging import adapters
from staging.service import running
from staging.signatures import Verifier
from staging.status_sync import Writer
from tests.staging.calls import Caller
from tests.staging.others import REASON, REFUSED, TOLD
from tests.staging.test_lgsp import created
from tests.staging.test_sync_adapter import STEP, ask, look_up, new_code, report


def test_ours_are_found_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(adapters.SIGNATURES, raising=False)
    monkeypatch.delenv(adapters.STATUS_SYNC, raising=False)
    assert adapters.find(adapters.SIGNATURES) is Verifier
    assert isinstance(adapters.status_sync(), Writer)


def test_the_portal_uses_what_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(adapters.SIGNATURES, "tests.staging.others:Strict")
    monkeypatch.setenv(adapters.STATUS_SYNC, "tests.staging.others:Forgetful")
    with running(tmp_path / "log.txt") as portal:
        admin = Caller(portal.url, portal.admin_token)
        secret = admin.post("/admin/prepare", {"agencies": ["H01"], "citizens": 1, "dossiers": []}).body["secret"]

        def signed_in(account: str) -> Caller:
            reply = Caller(portal.url).post("/accounts/sign-in", {"account": account, "secret": secret})
            return Caller(portal.url, reply.body["token"])

        documents = admin.get("/admin/documents?count=1&signer=citizen-000000").body["documents"]
        filing = {"code": "H01-20260701-0000001", "procedure": "1.000001.H01", "components": documents}
        reply = signed_in("citizen-000000").post("/dossiers", filing)
        assert (reply.status, reply.body["components"][0]["reasons"]) == (422, [REASON])
        event = {"code": "H01-20260701-0000001", "status": 2, "sequence": 1, "at": "20260609083000"}
        reply = signed_in("agency-H01").post("/sync", {"batch": "a", "events": [event]})
        assert reply.body == {"accepted": 1, "stale": 0, "rejected": []}
        check_wire_formats(signed_in("agency-H01"))
        assert admin.get("/admin/counts").body["sync_events"] == 0


def check_wire_formats(agency: Caller) -> None:
    """What comes in the published formats goes to the implementation named, and its answers come back in them."""
    code = new_code()
    assert report(agency, code)["error_code"] == 0
    steps = [{**STEP, "MaHoSo": code, "TrangThai": str(status)} for status in (2, REFUSED)]
    told = ask(agency, "CapNhatTienDoHoSoMC", data=steps)
    assert told["result"] == [{"index": 1, "MaHoSo": code, "reason": REASON}]
    assert look_up(agency, code) == (str(TOLD), "Khai sinh")
    given = agency.post("/lgsp/MaHoSo", {"code": "H01"}).body["value"]
    dossier = created(agency, given, "")
    dossier["ThanhPhanHoSo"] = []
    named = {"IdHoSo": agency.post("/lgsp/NoiHoSo", dossier).body["idHoSo"], "MaHoSo": given}
    assert agency.post("/lgsp/CapNhatTrangThai", [{**named, "TrangThai": 2}]).body == {"taken": 1}
    refused = agency.post("/lgsp/CapNhatTrangThai", [{**named, "TrangThai": REFUSED}])
    assert (refused.status, REASON in refused.body["error"]) == (400, True)


@pytest.mark.parametrize(
    "name", ["nowhere:Nothing", "staging.signatures:Nothing", "staging.signatures", "staging.signatures:THREADS", ":x"]
)
def test_a_name_that_leads_nowhere_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(adapters.SIGNATURES, name)
    with pytest.raises(UsageError, match=f"CAODIEM_SIGNATURES = '{name}'"):
        adapters.find(adapters.SIGNATURES)


def test_a_bad_name_ends_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(adapters.STATUS_SYNC, "nowhere:Nothing")
    with pytest.raises(UsageError, match="CAODIEM_STATUS_SYNC"), running(tmp_path / "log.txt"):
        pass


def test_what_lacks_a_method_is_told() -> None:
    with pytest.raises(UsageError, match="apply"):
        adapters.status_sync("builtins:dict")
