"""The file itself: whole and partial runs, nothing loaded from elsewhere, tables that agree with the Parquet files."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from caodiem import report
from caodiem.report import page
from caodiem.report.material import LevelMaterial
from caodiem.report.words import Words
from caodiem.run import Run, read_json, write_json
from tests.report.small_run import URL, add_hours, add_level, add_verdict, make_run, make_whole, never, paused

OF_A_PLAN = {
    "scale": 1,
    "plan": "yesterday.parquet",
    "slo_from": "slo.toml",
    "part": ["--window", "10+5", "--speed", "2"],
    "generator": {
        "host": "http://localhost:8000",
        "portal": None,
        "abort": ["failures > 5% for 10 s"],
        "pool": 7,
        "greatest_lateness_s": 0.5,
        "ca": "own/ca.pem",
    },
}
REPLAYED = (
    "caodiem replay yesterday.parquet --scenario slo.toml --window 10+5 --speed 2 --host http://localhost:8000 "
    "--ca own/ca.pem --pool 7 --greatest-lateness 0.5 --abort 'failures > 5% for 10 s'"
)
VOID = {"meta", "link", "input", "img", "source", "br"}


class Page(HTMLParser):
    """Every tag with its attributes, the text by language, and tags that were left open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = {"en": "", "vi": ""}
        self._language = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "article":
            self._language = attributes["lang"] or ""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another tag"
        if tag == "article":
            self._language = ""

    def handle_data(self, data: str) -> None:
        if self._language:
            self.text[self._language] += data


def page_of(run: Run) -> Page:
    return Page(report.build(run).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Page]:
    run = make_whole(tmp_path_factory.mktemp("whole"))
    return run, page_of(run)


def test_every_tag_is_closed_and_ids_are_unique(whole: tuple[Run, Page]) -> None:
    _, page = whole
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_nothing_is_loaded_from_elsewhere(whole: tuple[Run, Page]) -> None:
    _, page = whole
    ids = {attributes.get("id") for _, attributes in page.tags}
    for tag, attributes in page.tags:
        for name in ("src", "srcset", "poster", "data", "action"):
            assert (attributes.get(name) or "data:").startswith("data:"), (tag, name)
        address = attributes.get("href") or "#"
        if tag == "a" and address.startswith("#"):
            assert address[1:] in ids, address
        else:
            assert tag == "a" or address.startswith("data:") or address == "#"
    style = (Path(report.__file__).parent / "style.css").read_text(encoding="utf-8")
    assert "url(" not in style and "@import" not in style


def test_sources_with_an_address_are_links(whole: tuple[Run, Page]) -> None:
    _, page = whole
    assert [attributes["href"] for tag, attributes in page.tags if tag == "a"].count(URL) == 2


def test_plots_are_there_in_both_languages_and_shapes(whole: tuple[Run, Page]) -> None:
    run, page = whole
    names = {path.name for path in run.plots.iterdir()}
    plots = ("adoption", "dossiers", "requests", "arrivals", "responses")
    languages, shapes = ("en", "vi"), ("wide", "narrow")
    assert names == {f"{plot}.{lang}.{shape}.svg" for plot in plots for lang in languages for shape in shapes}
    alts = [attributes["alt"] for tag, attributes in page.tags if tag == "img"]
    assert len(alts) == len(set(alts)) == 10 and all(alts)


def test_the_file_is_small(whole: tuple[Run, Page]) -> None:
    run, _ = whole
    assert run.report.stat().st_size < 4_000_000


def test_the_same_run_gives_the_same_bytes(whole: tuple[Run, Page]) -> None:
    run, _ = whole
    before = run.report.read_bytes()
    assert report.build(run).read_bytes() == before


def test_numbers_are_written_in_each_language(whole: tuple[Run, Page]) -> None:
    _, page = whole
    assert "88,000.5" in page.text["en"] and "88.000,5" in page.text["vi"]
    assert "17,000" in page.text["en"] and "17.000" in page.text["vi"]


def test_the_accounts_agree_with_the_tables(whole: tuple[Run, Page]) -> None:
    _, page = whole
    accounts = page.text["en"].split("Arrivals by outcome")[1]
    numbers = re.search(r"In the plan\s*80808080\s*ok\s*80808080\s*refused\s*0000", accounts)
    assert numbers, accounts[:200]


def test_inputs_show_their_assumptions(whole: tuple[Run, Page]) -> None:
    _, page = whole
    assert "2 of 5 inputs rest on assumptions" in page.text["en"]
    assert "2 trong 5 số liệu đầu vào chỉ dựa trên giả định" in page.text["vi"]
    assert sum(attributes.get("class") == "assumed" for tag, attributes in page.tags if tag == "tr") == 4


def test_a_simulation_alone_says_what_is_missing(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    for percent in (43.0, 85.0):
        add_level(run, percent, replayed=None)
    page = page_of(run)
    for language, missing, badge in (
        ("en", "At 43%: the replay against the staging portal.", "Nothing proven"),
        ("vi", "Mức 43%: lượt phát lại với cổng thử nghiệm.", "Chưa chứng minh được gì"),
    ):
        assert missing in page.text[language] and badge in page.text[language]
    assert "caodiem run scenarios/small.toml --scale 0.25" in page.text["vi"]


def test_what_repeats_a_run_names_command_and_file_and_its_day_is_that_in_vietnam(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    add_level(run, 43.0, replayed=None)
    manifest = read_json(run.manifest)
    told = {**manifest["options"], "command": "size", "file": "my own/small.toml"}
    write_json(run.manifest, manifest | {"options": told, "started_at": "2026-05-04T18:30:00+00:00"})
    text = page_of(run).text
    assert "caodiem size 'my own/small.toml' --scale 0.25" in text["en"]
    # In Vietnam it was half past one of the next day.
    assert "Báo cáo Caodiem · 05/05/2026" in text["vi"] and "Caodiem report · 5 May 2026" in text["en"]


def test_hours_in_which_a_system_fails_are_told_in_both_languages(tmp_path: Path) -> None:
    run = make_whole(tmp_path)
    add_hours(run, 85.0)
    page = page_of(run)
    for language, told in (
        ("en", ("08:00 to 12:00 of the busiest day", "from 09:00 to 10:00", "does not recover by itself",
                "25.5% (24% to 27%)", "not answered rightly within 2 s, allowed 5%")),
        ("vi", ("Từ 08:00 đến 12:00 của ngày cao điểm", "từ 09:00 đến 10:00", "không tự phục hồi",
                "25,5% (24% đến 27%)", "không được phản hồi đúng trong 2 giây, cho phép 5%")),
    ):  # fmt: skip
        assert all(each in page.text[language] for each in told)
    assert page.open == []
    assert len(list(run.plots.glob("hours.*.svg"))) == 4
    assert "lets no connected system fail" in page_of(make_whole(tmp_path / "other")).text["en"]


def test_the_published_count_of_agencies_stands_beside_that_of_the_list(tmp_path: Path) -> None:
    run = make_whole(tmp_path)
    shares = dict.fromkeys(("on_time", "on_time_pauses_counted", "online", "online_by_formula", "paid_online",
                            "digitised", "points"), 60.0)  # fmt: skip
    found = {
        "criteria": {"online": 50.0},
        "agencies_listed": {"ministries": 22, "localities": 63},
        "agencies_judged": 84,
        "agencies_meeting": {"online": 80},
        "agencies_meeting_all": 80,
        "published": {"agencies": 83, "agencies_meeting_all": 17, "sources": ["agencies-total", "criteria-met"]},
        "agencies": [{"group": "ministries", "name_en": "A", "name_vi": "B", **shares}],
    }
    write_json(run.level(43.0).indicators, found)
    text = page_of(run).text
    assert "85 (22 and 63)" in text["en"] and "85 (22 và 63)" in text["vi"]
    assert "17 of 83 agencies met all criteria (sources agencies-total and criteria-met)" in text["en"]
    assert "17 trong 83 cơ quan" in text["vi"]


def test_a_plan_that_stands_alone_has_no_level_and_lacks_no_country(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    add_level(run, 0.0, info={"target": "http://127.0.0.1:8080", "pool": 20, "workers": 1, "wall_s": 21.5})
    add_verdict(run, {0.0: ["pass", "fail"]}, "fail")
    for made_of_a_country in (run.projection, run.level(0.0).traffic):
        made_of_a_country.unlink()
    manifest = read_json(run.manifest)
    write_json(run.manifest, {**manifest, "options": OF_A_PLAN})
    text = page_of(run).text
    assert "A plan that stands alone says nothing of the country" in text["en"]
    assert "loaded with 100% of the plan, missed 1 of 2 objectives at the plan's own level" in text["en"]
    assert "không đạt 1 trong 2 mục tiêu ở mức của kế hoạch" in text["vi"]
    assert "100% of the plan's traffic" in text["en"] and "100% lưu lượng của kế hoạch" in text["vi"]
    for language, wrong in (("en", "incomplete"), ("vi", "chưa đầy đủ")):
        assert wrong not in text[language]
        assert not re.search(r"(?<![\d.,])0%", text[language])
    assert REPLAYED in text["en"]


def test_an_interrupted_run_has_a_report(tmp_path: Path) -> None:
    run = make_run(tmp_path, "interrupted")
    run.scenario.unlink()
    run.projection.unlink()
    text = page_of(run).text
    assert "The run was interrupted." in text["en"] and "Lượt chạy bị gián đoạn." in text["vi"]
    assert "(scenario.json)" in text["vi"] and "(projection.json)" in text["vi"]


def test_damaged_tables_are_named_and_the_rest_is_shown(tmp_path: Path) -> None:
    run = make_whole(tmp_path)
    run.level(43.0).plan.write_bytes(b"not parquet")
    run.level(85.0).executed("replayed").observations.write_bytes(b"nor this")
    run.level(85.0).traffic.write_text("{")
    write_json(run.level(43.0).executed("replayed").info, {"stopped_because": "stopped by SIGINT"})
    text = page_of(run).text["en"]
    assert text.count("Cannot be read:") == 3
    assert "was not tested at 85%" in text
    html = run.report.read_text(encoding="utf-8")
    assert html.count('<li>Không đọc được: <span lang="en">') == 3, "what a program said is English"
    assert 'trước khi kết thúc: <span lang="en">stopped by SIGINT</span></li>' in html
    assert "before its end: <span>stopped by SIGINT</span></li>" in html


def test_one_level_with_everything_failed_says_never(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    add_level(run, 43.0, replayed=never)
    add_verdict(run, {43.0: ["fail", "fail"]}, "fail")
    text = page_of(run).text
    assert "not one step was answered rightly while 80 arrivals fell due" in text["en"]
    assert "không bước nào được phản hồi đúng trong khi 80 hành trình đến hạn" in text["vi"]
    assert "All operations160nevernevernever" in text["en"]
    assert "inf" not in re.findall(r"\b\w+\b", text["en"])


def test_a_stall_is_said_in_both_languages(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    add_level(
        run, 43.0, replayed=paused(8.0, 13.0), info={"locust_statistics": [{"name": "Aggregated", "max_ms": 51.0}]}
    )
    add_verdict(run, {43.0: ["fail", "pass"]}, "fail")
    text = page_of(run).text
    assert "service times do not show the waiting that people had; response times from due do" in text["en"]
    assert "Locust itself reports 51 ms" in text["en"]
    assert re.search(r"while \d+ arrivals fell due", text["en"])
    assert "thời gian phục vụ không cho thấy thời gian người dùng phải chờ" in text["vi"]
    assert re.search(r"trong khi \d+ hành trình đến hạn", text["vi"])


def test_an_slo_and_what_was_found_are_not_rounded_onto_each_other() -> None:
    rule = {"name": "slo", "operation": "all", "quantile_percent": 99.95, "unit": "seconds", "result": "fail"}
    verdict = {"rules": [{**rule, "limit": 1.0, "found": found} for found in (1.004, None)]}
    level = LevelMaterial(78.25, None, None, None, None, None, None, None, verdict)
    table = page.rules(level, Words("en"))
    assert table is not None
    told = [[cell.text.replace("\N{NO-BREAK SPACE}", " ") for cell in row] for row in table.rows]
    name = "SLO: 99.95% of steps answered rightly in time. All operations"
    assert [row[1:3] for row in told] == [["at most 1 s", "1.004 s"], ["at most 1 s", "never"]]
    assert {row[0] for row in told} == {name}
    assert "78.25%" in table.title
