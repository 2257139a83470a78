"""What each picture shows, in words, for readers who do not see it: numbers of its first and last, highest or sums."""

from collections.abc import Mapping
from datetime import date

from caodiem.report import figures
from caodiem.report.material import Json, LevelMaterial
from caodiem.report.page import agency, hour, starts_at
from caodiem.report.words import Words


def adoption(projection: Json, words: Words) -> str:
    path = projection["path"]
    ends = {
        f"{name}_{end}": words.percent(path[f"{name}_percent"][index])
        for name in ("ministries", "localities", "national")
        for end, index in (("first", 0), ("last", -1))
    }
    first, last = (words.day(date.fromisoformat(path["on"][index])) for index in (0, -1))
    return words.text("adoption_alt", first=first, last=last, **ends)


def uptake(projection: Json, words: Words) -> str:
    last = words.day(date.fromisoformat(projection["path"]["on"][-1]))
    said = []
    for group, fits in projection["fits"].items():
        curves = words.listed(
            [f"{words.curve(curve['name'])} {words.percent(curve['percent'][-1])}" for curve in fits["curves"]]
        )
        low, high = (words.percent(fits[f"{end}_percent"][-1]) for end in ("low", "high"))
        path = words.percent(projection["path"][f"{group}_percent"][-1])
        said.append(
            words.text("uptake_alt_group", group=words.text(group), curves=curves, low=low, high=high, path=path)
        )
    return words.text("uptake_alt", last=last, groups=" ".join(said))


def dossiers(projection: Json, words: Words) -> str:
    table = projection["dossiers_per_day"]
    values: dict[str, str] = {}
    for end, index in (("first", 0), ("last", -1)):
        online = table["ministries_online"][index] + table["localities_online"][index]
        counter = table["ministries_counter"][index] + table["localities_counter"][index]
        values |= {end: words.number(online + counter), f"{end}_online": words.number(online)}
    return words.text("dossiers_alt", **values)


def requests(levels: list[LevelMaterial], words: Words) -> str:
    said = [
        words.text(
            "requests_alt_level",
            percent=words.level(level.percent),
            mean=hour(level, "requests_per_s_mean", words),
            hour=starts_at(level, words),
        )
        for level in levels
    ]
    return words.text("requests_alt", levels=" ".join(said))


def indicators(levels: list[LevelMaterial], words: Words) -> str:
    said = []
    for level in levels:
        found = level.indicators or {}
        counts = {"all": str(found["agencies_meeting_all"]), "judged": str(found["agencies_judged"])}
        said.append(words.text("indicators_alt_level", percent=words.level(level.percent), **counts))
    return words.text("indicators_alt", levels=" ".join(said))


def sync(levels: list[LevelMaterial], words: Words) -> str:
    said = []
    for level in levels:
        drawn = (level.sync or {})["backlog"]["agencies"]
        ends = words.listed([f"{agency(each, words)} {words.number(each['waiting'][-1])}" for each in drawn])
        said.append(words.text("sync_alt_level", percent=words.level(level.percent), agencies=ends))
    return words.text("sync_alt", levels=" ".join(said))


def hours(levels: list[LevelMaterial], words: Words) -> str:
    said = []
    for level in levels:
        goodput = (level.hours or {})["faults"]["goodput_per_s"]
        values = {phase: each["value"] for phase, each in goodput.items()}
        rates = {phase: words.text("none") if each is None else words.number(each) for phase, each in values.items()}
        said.append(words.text("hours_alt_level", percent=words.level(level.percent), **rates))
    return words.text("hours_alt", levels=" ".join(said))


def arrivals(rates: Mapping[float, figures.ArrivalRates], words: Words) -> str:
    said = []
    for percent, each in rates.items():
        counts = {
            name: words.number(float(series.sum()) * each.bin_s)
            for name, series in (("planned", each.planned), ("released", each.released), ("finished", each.finished))
        }
        said.append(words.text("arrivals_alt_level", percent=words.level(percent), **counts))
    return words.text("arrivals_alt", levels=" ".join(said))


def responses(times: Mapping[float, list[figures.OperationTimes]], words: Words) -> str:
    def p95(found: figures.Times | None) -> str:
        return words.text("none") if found is None else words.time(found.p95_s)

    said = [
        words.text(
            "responses_alt_level",
            percent=words.level(percent),
            measured=p95(rows[0].measured),
            predicted=p95(rows[0].predicted),
        )
        for percent, rows in times.items()
    ]
    return words.text("responses_alt", levels=" ".join(said))
