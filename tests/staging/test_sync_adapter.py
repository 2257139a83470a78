"""The published wire format of status sync: each kind of client is served, repeats are harmless."""

from collections.abc import Callable
from itertools import count

import pytest

from tests.staging.calls import Caller

SignedIn = Callable[[str], Caller]
_serials = count(1)

RECORD = {
    "MaTTHC": "1.000001.H01", "TenTTHC": "Cấp giấy khai sinh", "MaLinhVuc": "LV01", "TenLinhVuc": "Hộ tịch",
    "SoBienNhan": "", "ChuHoSo": "Nguyễn Văn An", "LoaiDoiTuong": "1", "MaDoiTuong": "", "ThongTinKhac": "",
    "Email": "an@example.vn", "Fax": "", "SoDienThoai": "0900000000", "TrichYeuHoSo": "Khai sinh",
    "NgayTiepNhan": "20260609083000", "NgayHenTra": "20260616083000", "TrangThaiHoSo": "2", "NgayTra": "",
    "ThongTinTra": "", "HinhThuc": "0", "NgayKetThucXuLy": "", "DonViXuLy": "Phòng Tư pháp", "GhiChu": "",
    "TaiLieuNop": [], "DanhSachLePhi": [],
}  # fmt: skip
STEP = {
    "NguoiXuLy": "Trần Thị Bình", "ChucDanh": "", "ThoiDiemXuLy": "20260609083000", "PhongBanXuLy": "",
    "NoiDungXuLy": "Tiếp nhận", "TrangThai": "2", "NgayBatDau": "", "NgayKetThucTheoQuyDinh": "",
}  # fmt: skip


def new_code(agency: str = "H01") -> str:
    return f"{agency}-20260611-{next(_serials):07d}"


def ask(
    caller: Caller, service: str, form: str = "number", path: str = "dossiers", **fields: object
) -> dict[str, object]:
    envelope = {"session": caller.token, "madonvi": "H01", "service": service, **fields}
    reply = Caller(caller.url).post(f"/adapter/{form}/{path}", envelope)
    assert reply.status == 200
    return dict(reply.body)


def report(
    caller: Caller, code: str, form: str = "number", updating: str = "False", **changed: str
) -> dict[str, object]:
    return ask(caller, "DongBoHoSoMC", form, isUpdating=updating, data=[{**RECORD, "MaHoSo": code, **changed}])


def look_up(caller: Caller, code: str) -> tuple[str, str] | None:
    """(status, subject line) that the portal has of a dossier; None when it has none."""
    told = ask(caller, "TraCuuHoSo", mahoso=code)
    assert told["error_code"] == 0
    assert isinstance(told["result"], list)
    return next(((each["TrangThai"], each["TrichYeuHoSo"]) for each in told["result"]), None)


@pytest.mark.parametrize(("form", "success", "failure"), [("00", "00", "-1"), ("0", "0", "-1"), ("number", 0, -1)])
def test_each_client_finds_the_success_that_it_looks_for(
    signed_in: SignedIn, form: str, success: object, failure: object
) -> None:
    agency, code = signed_in("agency-H01"), new_code()
    told = report(agency, code, form)
    assert (told["error_code"], type(told["error_code"])) == (success, type(success))
    assert ask(agency, "TraCuuHoSo", form, mahoso=code)["error_code"] == success
    assert ask(agency, "TraCuuHoSo", form, mahoso="nonsense")["error_code"] == failure
    assert ask(agency, "LayDanhMucCoQuan", form, "catalogues")["error_code"] == success


def test_the_four_calls_of_one_event(signed_in: SignedIn) -> None:
    agency, code = signed_in("agency-H01"), new_code()
    assert look_up(agency, code) is None
    (procedure,) = ask(agency, "LayThuTuc", maTTHC="1.000001.H01")["result"]
    assert procedure["TENTTHC"] == "Cấp giấy khai sinh"
    assert procedure["LINHVUCTHUCHIEN"][0] == {"MALINHVUC": "LV01", "TENLINHVUC": "Hộ tịch"}
    assert report(agency, code)["error_code"] == 0
    assert ask(agency, "CapNhatTienDoHoSoMC", data=[{**STEP, "MaHoSo": code}])["error_code"] == 0
    assert look_up(agency, code) == ("2", "Khai sinh")


def test_repeats_in_any_order_end_in_one_state(signed_in: SignedIn, admin: Caller) -> None:
    agency, code = signed_in("agency-H01"), new_code()
    report(agency, code)
    steps = [
        {**STEP, "MaHoSo": code, "TrangThai": status, "ThoiDiemXuLy": f"20260609{hour}0000"}
        for status, hour in (("4", "10"), ("2", "09"), ("9", "11"))
    ]
    for data in ([steps[0]], [steps[2]], [steps[0]], steps, steps[::-1], [steps[1]] * 3):
        assert ask(agency, "CapNhatTienDoHoSoMC", data=data)["error_code"] == 0
    assert look_up(agency, code) == ("9", "Khai sinh")
    before = admin.get("/admin/counts").body["sync_events"]
    assert ask(agency, "CapNhatTienDoHoSoMC", data=steps)["error_code"] == 0
    assert admin.get("/admin/counts").body["sync_events"] == before


def test_an_old_record_that_comes_again_undoes_nothing(signed_in: SignedIn) -> None:
    agency, code = signed_in("agency-H01"), new_code()
    report(agency, code, TrichYeuHoSo="first")
    report(agency, code, updating="True", TrichYeuHoSo="second")
    # The client's look-up timed out: it takes the dossier for unknown and sends the first record once more.
    assert report(agency, code, updating="False", TrichYeuHoSo="first")["error_code"] == 0
    assert look_up(agency, code) == ("", "second")


def test_bad_items_are_named_and_do_not_sink_the_batch(signed_in: SignedIn) -> None:
    agency, code = signed_in("agency-H01"), new_code()
    good = {**RECORD, "MaHoSo": code}
    bad = [
        {**good, "MaHoSo": new_code("H02")},
        {**good, "NgayTiepNhan": "2026-06-09"},
        {**good, "NgayTiepNhan": "20260631000000"},
        {**good, "TrangThaiHoSo": "11"},
        {**good, "TenTTHC": ""},
        {**good, "Email": 3},
        {},
    ]
    told = ask(agency, "DongBoHoSoMC", data=[*bad, good])
    assert told["error_code"] == -1
    assert [each["index"] for each in told["result"]] == list(range(len(bad)))
    assert all("expected" in each["reason"] for each in told["result"])
    assert look_up(agency, code) == ("", "Khai sinh")
    unknown = ask(agency, "CapNhatTienDoHoSoMC", data=[{**STEP, "MaHoSo": new_code()}, {**STEP, "MaHoSo": code}])
    assert [each["index"] for each in unknown["result"]] == [0]
    for at in ("19600101000000", "00010101000000", "99991231235959"):  # of which no event can be made
        refused = ask(agency, "CapNhatTienDoHoSoMC", data=[{**STEP, "MaHoSo": code, "ThoiDiemXuLy": at}])
        assert [each["index"] for each in refused["result"]] == [0]
    assert look_up(agency, code) == ("2", "Khai sinh")


def test_an_agency_speaks_for_itself_alone(signed_in: SignedIn) -> None:
    agency, other, code = signed_in("agency-H01"), signed_in("agency-H02"), new_code()
    report(agency, code)
    assert ask(agency, "TraCuuHoSo", mahoso=new_code("H02"))["error_code"] == -1
    assert ask(other, "TraCuuHoSo", mahoso=code)["error_code"] == -1  # its session, another's madonvi
    assert ask(signed_in("officer-H01"), "TraCuuHoSo", mahoso=code)["error_code"] == -1
    assert ask(Caller(agency.url, "made up"), "TraCuuHoSo", mahoso=code)["error_code"] == -1
    assert ask(agency, "XoaHoSo", mahoso=code)["error_code"] == -1


def test_catalogues(signed_in: SignedIn) -> None:
    agency = signed_in("agency-H01")
    agencies = ask(agency, "LayDanhMucCoQuan", path="catalogues")["result"]
    assert len(agencies) == 85
    assert {"MACOQUAN": "G01", "TENCOQUAN": "Bộ Công an"} in agencies
    assert {"MALINHVUC": "LV03", "TENLINHVUC": "Đất đai"} in ask(agency, "LayDanhMucLinhVuc", path="catalogues")[
        "result"
    ]
