"""The answer's sentence, from known figures, in both languages; and what may never be called proven."""

from pathlib import Path

import pytest

from caodiem.report.answer import answer, limits, result
from caodiem.report.material import gather
from caodiem.report.words import Words
from caodiem.run import read_json, write_json
from tests.report.small_run import add_level, add_verdict, make_run, make_whole


def test_all_levels_held(tmp_path: Path) -> None:
    said = answer(make_whole(tmp_path))
    assert said["en"] == (
        "When the share of dossiers filed fully online rises from 43% to 85%, the country's busiest hour rises from "
        "8,600 to 17,000 dossiers filed fully online and from 129 to 255 requests a second; the staging portal, loaded "
        "with 25% of that traffic, met every objective at 43% and 85%."
    )
    assert said["vi"] == (
        "Khi tỷ lệ hồ sơ trực tuyến toàn trình tăng từ 43% lên 85%, trong giờ cao điểm của cả nước số hồ sơ trực tuyến "
        "toàn trình tăng từ 8.600 lên 17.000 và số yêu cầu mỗi giây tăng từ 129 lên 255; cổng thử nghiệm, khi nhận "
        "25% lưu lượng đó, đạt mọi mục tiêu ở mức 43% và 85%."
    )


def test_a_missed_level_is_said_with_its_count(tmp_path: Path) -> None:
    run = make_whole(tmp_path)
    add_verdict(run, {43.0: ["pass", "pass"], 85.0: ["pass", "fail"]}, "fail")
    said = answer(run)
    assert said["en"].endswith("met every objective at 43% and missed 1 of 2 objectives at 85%.")
    assert said["vi"].endswith("đạt mọi mục tiêu ở mức 43% và không đạt 1 trong 2 mục tiêu ở mức 85%.")
    assert result(gather(run)) == "fail"


def test_an_invalid_level_is_not_judged(tmp_path: Path) -> None:
    run = make_whole(tmp_path)
    add_verdict(run, {43.0: ["pass", "pass"], 85.0: ["invalid"]}, "invalid")
    assert "was not judged at 85%" in answer(run)["en"]
    assert "chưa được kết luận ở mức 85%" in answer(run)["vi"]


def test_one_level(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    add_level(run, 43.0)
    add_verdict(run, {43.0: ["pass"]}, "pass")
    said = answer(run)
    assert said["en"].startswith("With 43% of dossiers filed fully online, the country's busiest hour brings 8,600 of")
    assert said["vi"].startswith("Khi 43% hồ sơ là trực tuyến toàn trình, trong giờ cao điểm cả nước có 8.600 hồ sơ")


def test_a_replay_of_one_level_alone_is_no_pass_of_both(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    add_level(run, 43.0)
    add_level(run, 85.0, replayed=None)
    add_verdict(run, {43.0: ["pass"]}, "pass")
    assert "was not tested at 85%" in answer(run)["en"]
    assert result(gather(run)) == "none"


@pytest.mark.parametrize(
    ("state", "english", "vietnamese"),
    [
        ("finished", "no replay was made", "chưa có lượt phát lại nào"),
        ("interrupted", "the run was interrupted", "lượt chạy bị gián đoạn"),
        ("failed", "the run ended with an error", "lượt chạy kết thúc vì lỗi"),
    ],
)
def test_without_a_replay_nothing_is_proven(tmp_path: Path, state: str, english: str, vietnamese: str) -> None:
    run = make_run(tmp_path, state)
    add_level(run, 43.0, replayed=None)
    # Even a file that claims a pass proves nothing without a replay.
    add_verdict(run, {43.0: ["pass"]}, "pass")
    said = answer(run)
    assert english in said["en"] and "nothing is proven" in said["en"]
    assert vietnamese in said["vi"] and "chưa chứng minh được điều gì" in said["vi"]
    assert result(gather(run)) == "none"


def test_an_interrupted_run_never_passes(tmp_path: Path) -> None:
    run = make_run(tmp_path, "interrupted")
    add_level(run, 43.0)
    add_verdict(run, {43.0: ["pass"]}, "pass")
    assert result(gather(run)) == "none"


def test_a_run_that_drew_nothing_still_answers(tmp_path: Path) -> None:
    run = make_run(tmp_path, "interrupted")
    assert answer(run)["en"].startswith("The run did not get far enough")
    assert answer(run)["vi"].startswith("Lượt chạy dừng quá sớm")


def test_the_limits_count_assumptions_and_name_the_scale(tmp_path: Path) -> None:
    material = gather(make_whole(tmp_path))
    assert "sent 25% of the country's traffic to one staging portal for 20 s" in limits(material, Words("en"))
    assert "2 trong 5 số liệu đầu vào là giả định" in limits(material, Words("vi"))


def test_what_was_sent_is_what_the_replay_took_of_the_plan(tmp_path: Path) -> None:
    """The source's traffic.json goes along with a replay, for the country's figures: its scale is not what was sent."""
    run = make_whole(tmp_path)
    manifest = read_json(run.manifest)
    taken = {"scale": 0.05, "start_s": 12.5, "length_s": 40.0, "speed": 0.5, "journeys": ["citizen_tracks", "ask"]}
    write_json(run.manifest, {**manifest, "options": {**manifest["options"], **taken}})
    said, material = answer(run), gather(run)
    # Of the window so much as the plan has: 20 s at half the speed.
    part = "only 10 s of the plan, from its second 12.5 on, at 0.5 times its speed and only the journeys "
    assert f"loaded with 5% of that traffic ({part}citizen_tracks and ask), met every objective" in said["en"]
    assert f"sent 5% of the country's traffic ({part}citizen_tracks and ask) to one" in limits(material, Words("en"))
    part = "chỉ 10 giây của kế hoạch, kể từ giây thứ 12,5, với tốc độ bằng 0,5 lần tốc độ gốc và chỉ các hành trình "
    assert f"khi nhận 5% lưu lượng đó ({part}citizen_tracks và ask), đạt mọi mục tiêu" in said["vi"]
    assert f"gửi 5% lưu lượng cả nước ({part}citizen_tracks và ask) tới" in limits(material, Words("vi"))
    assert material.scale == 0.25
