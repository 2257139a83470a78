"""The lists of agencies: by name, and the merged list as the one before it with what was put together."""

import csv
import unicodedata

import pytest

from caodiem.scenario import Scenario
from simulation import agencies
from tests.conftest import ROOT

LISTS = ROOT / "scenarios"
# Resolution 176/2025/QH15 (structure-ministries-names-2025), in its order.
MINISTRIES = (
    "Bộ Quốc phòng", "Bộ Công an", "Bộ Ngoại giao", "Bộ Nội vụ", "Bộ Tư pháp", "Bộ Tài chính", "Bộ Công Thương",
    "Bộ Nông nghiệp và Môi trường", "Bộ Xây dựng", "Bộ Văn hóa, Thể thao và Du lịch", "Bộ Khoa học và Công nghệ",
    "Bộ Giáo dục và Đào tạo", "Bộ Y tế", "Bộ Dân tộc và Tôn giáo", "Ngân hàng Nhà nước Việt Nam",
    "Thanh tra Chính phủ", "Văn phòng Chính phủ",
)  # fmt: skip
# Resolution 202/2025/QH15: the eleven that were not rearranged (structure-provinces-names-2025).
AS_BEFORE = (
    "Cao Bằng", "Điện Biên", "Hà Tĩnh", "Lai Châu", "Lạng Sơn", "Nghệ An", "Quảng Ninh", "Thanh Hóa", "Sơn La",
    "Hà Nội", "Thành phố Huế",
)  # fmt: skip


def rows(name: str) -> list[dict[str, str]]:
    with (LISTS / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def of(group: str) -> list[dict[str, str]]:
    return [row for row in rows("agencies-2025.csv") if row["group"] == group]


def test_the_merged_list_has_the_published_names() -> None:
    assert sorted(row["name_vi"] for row in of("ministries")) == sorted(MINISTRIES)
    assert len(of("localities")) == 34
    assert {row["name_vi"] for row in of("localities") if row["formed_of"] == row["code"]} == set(AS_BEFORE)
    assert all(unicodedata.is_normalized("NFC", row["name_vi"]) for row in rows("agencies-2025.csv"))


def test_every_agency_of_before_is_in_one_of_the_merged_list() -> None:
    parts = [code for row in rows("agencies-2025.csv") for code in row["formed_of"].split()]
    before = {row["code"]: row["group"] for row in rows("agencies.csv")}
    assert sorted(parts) == sorted(before)
    for row in rows("agencies-2025.csv"):
        assert row["code"] == row["formed_of"].split()[0]
        assert {before[code] for code in row["formed_of"].split()} == {row["group"]}


@pytest.mark.parametrize("group", ["ministries", "localities"])
def test_ranks_follow_from_those_of_the_parts(scenario: Scenario, group: str) -> None:
    """As assumed-merged-ranks says: by the sum of dossiers, Hà Nội second; by the mean rank, weighted by dossiers."""
    known = agencies.load(LISTS / "agencies.csv", scenario)
    volume = dict(zip(known.code, known.volume_per_day.tolist(), strict=True))
    rank = dict(zip(known.code, known.share_rank.tolist(), strict=True))
    parts = {row["code"]: row["formed_of"].split() for row in of(group)}
    dossiers = {code: sum(volume[each] for each in whole) for code, whole in parts.items()}
    by_volume = sorted(dossiers, key=lambda code: -dossiers[code])
    if group == "localities":
        by_volume.remove("H02")
        by_volume.insert(1, "H02")
    means = {code: sum(volume[each] * rank[each] for each in whole) / dossiers[code] for code, whole in parts.items()}
    assert {row["code"]: int(row["volume_rank"]) - 1 for row in of(group)} == {
        code: place for place, code in enumerate(by_volume)
    }
    assert {row["code"]: int(row["share_rank"]) - 1 for row in of(group)} == {
        code: place for place, code in enumerate(sorted(means, key=lambda code: means[code]))
    }
