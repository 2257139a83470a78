"""The portal class for a gateway: one address, the service named in the body, success told by `error_code` alone.

An example of another shape than the reference portal's, as many agencies' systems have it: every answer is HTTP 200,
the session travels in the envelope, and dossiers come into being by being synchronised. docs/your-portal.md walks
through it.
"""

import json
from collections.abc import Iterator
from typing import Any

from caodiem.dossier import Status, dossier_code
from caodiem.errors import InvalidRun
from caodiem.plan import Plan
from loadtests.journeys import Journey
from loadtests.portals import Check, Request, Send
from loadtests.portals.bodies import json_object

_PATH = "/gateway"
# Clients of every age ask for one of these.
_SUCCESS = ("00", "0", 0)
_DOSSIERS_A_CALL = 500


class GatewayPortal:
    """See `loadtests.portals.Portal`."""

    operations = ("sign_in", "search_catalogue", "look_up_status", "push_sync")

    def __init__(self, admin_token: str = "") -> None:
        self._admin_token = admin_token

    def prepare(self, plan: Plan, send: Send) -> dict[str, Any]:
        """Make every dossier that is asked after known, in the way in which the portal learns of any: by a sync."""
        asked = plan.table.select(["agency", "dossier"]).group_by(["agency", "dossier"]).aggregate([]).to_pylist()
        for begin in range(0, len(asked), _DOSSIERS_A_CALL):
            records = [
                _record(dossier_code(row["agency"], row["dossier"]), Status.RECEIVED)
                for row in asked[begin : begin + _DOSSIERS_A_CALL]
            ]
            answer = send(_call("DongBoHoSoMC", self._admin_token, records, _succeeds))
            if answer.error:
                raise InvalidRun(f"POST {_PATH} DongBoHoSoMC: {answer.error}; expected the dossiers to be taken")
        return {"agencies": sorted({row["agency"] for row in asked})}

    def use(self, prepared: dict[str, Any]) -> None:
        """Nothing that `request` needs is made beforehand."""

    def request(self, journey: Journey) -> Request:
        match journey.step.operation:
            case "sign_in":
                return _call("DangNhap", "", [{"TaiKhoan": f"citizen-{journey.dossier % 1000:06d}"}], _keeps(journey))
            case "search_catalogue":
                return _call("LayDanhMucThuTuc", journey.token, [{"MaDonVi": journey.agency}], _succeeds)
            case "look_up_status":
                asked = [{"MaHoSo": dossier_code(journey.agency, journey.dossier)}]
                return _call("TraCuuHoSo", journey.token, asked, _succeeds)
            case _:
                return _call("DongBoHoSoMC", journey.token, list(_events(journey)), _succeeds)


def _call(service: str, session: str, data: list[dict[str, Any]], check: Check) -> Request:
    envelope = {"session": session, "service": service, "data": data}
    return Request("POST", _PATH, check, json.dumps(envelope).encode())


def _succeeds(status: int, body: bytes) -> str | None:
    """What is wrong with an answer; the status says nothing here, an empty result is none."""
    answer = json_object(body)
    if status != 200 or "error_code" not in answer:
        return f"answer {status} without an error_code"
    if answer["error_code"] not in _SUCCESS:
        return f"error_code {answer['error_code']}"
    return None if answer.get("result") else "an empty result"


def _keeps(journey: Journey) -> Check:
    """The same, and the session is kept for the journey's later steps."""

    def check(status: int, body: bytes) -> str | None:
        wrong = _succeeds(status, body)
        if wrong is None:
            journey.token = str(json_object(body)["result"][0]["session"])
        return wrong

    return check


def _events(journey: Journey) -> Iterator[dict[str, str]]:
    """As many records as the plan says that the batch has, of dossiers beside the journey's own."""
    for number in range(journey.step.items):
        yield _record(dossier_code(journey.agency, journey.dossier + number), Status.IN_PROCESS)


def _record(code: str, status: Status) -> dict[str, str]:
    return {"MaHoSo": code, "TrangThaiHoSo": str(int(status))}
