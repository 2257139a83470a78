"""The newer flow of status sync through the LGSP, step by step, as its client sends it."""

import base64
import hashlib
from collections.abc import Callable

from staging.service import Portal
from tests.staging.calls import Caller

SignedIn = Callable[[str], Caller]


def created(agency: Caller, code: str, digest: str) -> dict[str, object]:
    unit = code[:3]
    paper = {"IdGiayTo": "1", "MaKetQua": "", "TenGiayTo": "Tờ khai", "HashTepTin": digest}
    return {
        "MaHoSo": code, "MaTTHC": f"1.000001.{unit}", "MaDichVuCong": "", "ChuHoSo": "Nguyễn Văn An", "LoaiDoiTuong": 0,
        "MaDonViTiepNhan": f"{unit}.20", "NgayNop": "2026-06-09 08:30:00", "NgayTiepNhan": "2026-06-09 09:00:00",
        "ThanhPhanHoSo": [{"MaThanhPhanHoSo": "1", "SoLuong": 1, "LoaiBan": 2, "GiayToDinhKem": [paper]}],
    }  # fmt: skip


def test_the_six_steps(portal: Portal, secret: str, admin: Caller) -> None:
    client = {"client_id": "agency-H01", "client_secret": secret}
    token = Caller(portal.url).post("/lgsp/token", client).body["access_token"]
    agency = Caller(portal.url, token)
    codes = [agency.post("/lgsp/MaHoSo", {"code": "H01.20"}).body["value"] for _ in range(2)]
    assert codes[0] != codes[1]
    file = {"TenTepTin": "to-khai.pdf", "NoiDung": base64.b64encode(b"content").decode()}
    (uploaded,) = agency.post("/lgsp/TepTin", {"files": [file]}).body
    assert uploaded["HashTepTin"] == hashlib.sha256(b"content").hexdigest()
    dossier = agency.post("/lgsp/NoiHoSo", created(agency, codes[0], uploaded["HashTepTin"])).body
    entry = {
        "IDHoSo": dossier["idHoSo"], "MaHoSo": codes[0], "NguoiXuLy": "Bình", "NoiDungXuLy": "Tiếp nhận",
        "ThoiDiemXuLy": "2026-06-09T02:00:00.123Z", "PhongBanXuLy": "", "TrangThai": 2,
    }  # fmt: skip
    status = {"IdHoSo": dossier["idHoSo"], "MaHoSo": codes[0], "TrangThai": 4}
    for at in ("1969-12-31T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"):
        assert agency.post("/lgsp/CapNhatTienTrinh", [{**entry, "ThoiDiemXuLy": at}]).status == 400
    before = admin.get("/admin/counts").body["sync_events"]
    for _ in range(3):
        assert agency.post("/lgsp/CapNhatTienTrinh", [entry]).body == {"taken": 1}
        assert agency.post("/lgsp/CapNhatTrangThai", [status]).body == {"taken": 1}
    assert admin.get("/admin/counts").body["sync_events"] == before + 2, "repeats are no events"
    # The same log is behind the older form.
    wish = {"session": token, "madonvi": "H01", "service": "TraCuuHoSo", "mahoso": codes[0]}
    assert agency.post("/adapter/number/dossiers", wish).body["result"][0]["TrangThai"] == "4"
    # However soon one status follows upon another, in a call of its own or in the same one.
    for told in ([6], [4], [9, 5, 4], [5]):
        assert agency.post("/lgsp/CapNhatTrangThai", [{**status, "TrangThai": each} for each in told]).status == 200
        assert agency.post("/adapter/number/dossiers", wish).body["result"][0]["TrangThai"] == str(told[-1])


def test_what_an_agency_reported_goes_whole_and_nobody_elses(signed_in: SignedIn, admin: Caller) -> None:
    """Where a load test asks for it: the record as well as its statuses."""
    names = ["G77", "G78"]
    wanted = {"agencies": names, "citizens": 0, "dossiers": []}
    assert admin.post("/admin/prepare", wanted).status == 200
    asked = []
    for name in names:
        agency = signed_in(f"agency-{name}")
        (file,) = agency.post("/lgsp/TepTin", {"files": [{"TenTepTin": "a.pdf", "NoiDung": "YQ=="}]}).body
        code = agency.post("/lgsp/MaHoSo", {"code": name}).body["value"]
        dossier = agency.post("/lgsp/NoiHoSo", created(agency, code, file["HashTepTin"])).body
        entry = {"IdHoSo": dossier["idHoSo"], "MaHoSo": code, "TrangThai": 4}
        assert agency.post("/lgsp/CapNhatTrangThai", [entry]).status == 200
        asked.append((agency, {"session": agency.token, "madonvi": name, "service": "TraCuuHoSo", "mahoso": code}))

    def found() -> list[int]:
        return [len(agency.post("/adapter/number/dossiers", wish).body["result"]) for agency, wish in asked]

    assert found() == [1, 1]
    assert admin.post("/admin/prepare", {**wanted, "agencies": ["G77"], "anew": True}).status == 200
    assert found() == [0, 1]


def test_what_is_missing_or_anothers_is_refused(portal: Portal, signed_in: SignedIn, admin: Caller) -> None:
    agency, digest = signed_in("agency-H01"), "0" * 64
    code = agency.post("/lgsp/MaHoSo", {"code": "H01"}).body["value"]
    assert Caller(portal.url).post("/lgsp/token", {"client_id": "agency-H01", "client_secret": "guess"}).status == 401
    assert Caller(portal.url).post("/lgsp/MaHoSo", {"code": "H01"}).status == 401
    assert signed_in("citizen-000001").post("/lgsp/MaHoSo", {"code": "H01"}).status == 403
    assert agency.post("/lgsp/MaHoSo", {"code": "H02"}).status == 403
    assert agency.post("/lgsp/NoiHoSo", created(agency, code, digest)).status == 400, "no such file"
    assert agency.post("/lgsp/NoiHoSo", created(agency, code.replace("H01", "H02"), digest)).status == 403
    assert agency.post("/lgsp/NoiHoSo", {"MaHoSo": code}).status == 400
    for filed_at in ("1969-12-31 08:30:00", "0001-01-01 00:00:00", "9999-12-31 23:59:59", "2026-06-31 00:00:00"):
        assert agency.post("/lgsp/NoiHoSo", {**created(agency, code, digest), "NgayNop": filed_at}).status == 400
    entry = {"IdHoSo": "x", "MaHoSo": code, "TrangThai": 2}
    assert agency.post("/lgsp/CapNhatTrangThai", [entry]).status == 400
    assert agency.post("/lgsp/NhanHoSo", {}).status == 404
    faults = {"faults": {"data_exchange": {"error_share": 1.0}}}
    assert admin.call("PUT", "/admin/faults", faults).status == 200
    try:
        assert agency.post("/lgsp/MaHoSo", {"code": "H01"}).status == 502
    finally:
        admin.call("PUT", "/admin/faults", {"faults": {}})
