"""The page in one language: everything the template shows, worded and formatted. Knows neither HTML nor plots."""

import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from caodiem.report import figures
from caodiem.report.answer import limits, result, sentence
from caodiem.report.material import Executed, Json, LevelMaterial, Material, Missing
from caodiem.report.words import Words

_SYNC_ROWS = 15


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell. `kind` is its class: "text", "number", "label", or a result such as "pass"."""

    text: str
    kind: str = "text"
    span: int = 1


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a head; `groups` is a line above the head that spans columns."""

    title: str
    head: list[Cell]
    rows: list[list[Cell]]
    groups: list[Cell] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Gap:
    """What is missing, and behind it what a program `said` of it, which is English on either page."""

    text: str
    said: str


def head(material: Material, words: Words) -> dict[str, Any]:
    """Title, question, answer, badge and what is missing."""
    scenario = material.scenario or {}
    suffix = "" if words.language == "en" else f"_{words.language}"
    found = result(material)
    return {
        "title": scenario.get(f"title{suffix}") or words.text("untitled"),
        "question": scenario.get(f"question{suffix}", ""),
        "answer": sentence(material, words),
        "limits": limits(material, words),
        "result": found,
        "badge": words.text(f"badge_{found}"),
        "missing": [_missing(each, words) for each in material.missing],
    }


def facts(material: Material, words: Words) -> Table | None:
    """The busiest hour, a column a level."""
    levels = [level for level in material.levels if level.traffic]
    if not levels:
        return None
    minutes = words.number((levels[0].traffic or {})["bin_s"] / 60)
    rows = [
        ("facts_day", {}, [starts_at(level, words) for level in levels]),
        ("facts_dossiers_online", {}, [hour(level, "dossiers_filed_online", words) for level in levels]),
        ("facts_dossiers", {}, [hour(level, "dossiers_filed", words) for level in levels]),
        ("facts_requests", {}, [hour(level, "requests_per_s_mean", words) for level in levels]),
        ("facts_requests_highest", {"minutes": minutes},
         [hour(level, "requests_per_s_highest_bin", words) for level in levels]),
        ("facts_replayed", {}, [_replayed(level, words) for level in levels]),
    ]  # fmt: skip
    body = [[Cell(words.text(key, **values), "label"), *(Cell(each, "number") for each in cells)]
            for key, values, cells in rows]  # fmt: skip
    body.append([Cell(words.text("facts_verdict"), "label"), *(_verdict_cell(level, words) for level in levels)])
    return Table(words.text("facts_title"), [Cell(""), *_level_heads(levels, words)], body)


def responses(level: LevelMaterial, rows: list[figures.OperationTimes], words: Words) -> Table:
    """Every operation's percentiles in milliseconds: measured, predicted, and service time beside them."""
    percentiles = ("p50", "p95", "p99")
    has_locust = any(row.locust_p95_s is not None for row in rows)
    groups = [
        Cell("", span=2),
        *(Cell(words.text(f"column_{name}"), "group", 3) for name in ("measured", "predicted", "service")),
        *([Cell(words.text("column_locust"), "group", 1)] if has_locust else []),
    ]
    columns = [*percentiles * 3, *(["p95"] if has_locust else [])]
    heads = [Cell(words.text("column_operation")), Cell(words.text("column_steps"), "number")]
    body = []
    for row in rows:
        cells = [cell for times in (row.measured, row.predicted, row.service) for cell in _times(times, words)]
        if has_locust:
            cells.append(Cell(words.milliseconds(row.locust_p95_s), "number"))
        body.append([Cell(words.operation(row.operation), "label"), Cell(words.number(row.steps), "number"), *cells])
    title = words.text("responses_table", percent=words.level(level.percent))
    return Table(title, [*heads, *(Cell(name, "number") for name in columns)], body, groups)


def waits(level: LevelMaterial, words: Words) -> list[str]:
    """Sentences on waiting that service times hide, on stalls, and on steps that were never answered rightly."""
    if level.replayed is None:
        return []
    length_s = level.plan.meta.length_s if level.plan else _last_due_s(level.replayed)
    found = figures.waiting(level.replayed.rows, length_s)
    percent = words.level(level.percent)
    if found.never == found.steps:
        return [words.text("nothing_answered", percent=percent, arrivals=words.number(found.arrivals))]
    times = {"response": words.time(found.longest_response_s), "service": words.time(found.longest_service_s)}
    said = []
    if found.is_hidden:
        counts = {"waited": words.number(found.long_responses), "shown": words.number(found.long_services)}
        hidden = words.text("hidden_waiting", percent=percent, long=words.time(found.long_s), **counts, **times)
        said.append(" ".join([hidden, *_locust_longest(level.replayed, words)]))
    if found.stall is not None:
        # The longest times are said once.
        longest = [] if found.is_hidden else [words.text("longest_said", **times)]
        said.append(" ".join([_stall(found.stall, percent, words), *longest]))
    if found.never:
        counts = {"never": words.number(found.never), "steps": words.number(found.steps)}
        said.append(words.text("never_answered", percent=percent, **counts))
    return said


def rules(level: LevelMaterial, words: Words) -> Table | None:
    """Every rule of a level: validity first, then the SLOs, as verdict.json has them."""
    if level.verdict is None:
        return None
    names = ("column_rule", "column_limit", "column_found", "column_result")
    heads = [Cell(words.text(name), "number" if name in ("column_limit", "column_found") else "text") for name in names]
    body = [_rule(rule, words) for rule in level.verdict["rules"]]
    return Table(words.text("rules_table", percent=words.level(level.percent)), heads, body)


def indicators(levels: list[LevelMaterial], words: Words) -> Table | None:
    """How many agencies meet each criterion, a column a level."""
    found = {level.percent: level.indicators for level in levels if level.indicators}
    if not found:
        return None
    asked: dict[str, float] = {name: least for each in found.values() for name, least in each["criteria"].items()}
    body = []
    for name, least in asked.items():
        asked_for = words.exact_percent(least)
        label = words.text("indicators_at_least", name=words.text(f"indicator_{name}"), least=asked_for)
        met = [str(each["agencies_meeting"].get(name, words.text("none"))) for each in found.values()]
        body.append([Cell(label, "label"), *(Cell(each, "number") for each in met)])
    for key in ("agencies_meeting_all", "agencies_judged"):
        counts = [Cell(str(each[key]), "number") for each in found.values()]
        body.append([Cell(words.text(f"indicators_{key}"), "label"), *counts])
    if all("agencies_listed" in each for each in found.values()):
        listed = [Cell(_listed(each["agencies_listed"], words), "number") for each in found.values()]
        body.append([Cell(words.text("indicators_agencies_listed"), "label"), *listed])
    heads = [Cell(words.level_name(each), "number") for each in found]
    return Table(words.text("indicators_table"), [Cell(""), *heads], body)


def indicators_published(levels: list[LevelMaterial], words: Words) -> str:
    """What was published of the same count, and why its number of agencies is another; empty where nothing was."""
    found = next((level.indicators for level in levels if level.indicators), {}).get("published")
    if found is None:
        return ""
    counts = {"met": str(found["agencies_meeting_all"]), "published": str(found["agencies"])}
    return words.text("indicators_published", sources=words.listed(found["sources"]), **counts)


def _listed(counts: dict[str, int], words: Words) -> str:
    return words.text("indicators_listed_value", all=sum(counts.values()), **counts)


def indicator_readings(levels: list[LevelMaterial], words: Words) -> Table | None:
    """Where the formulas contradict themselves: the median agency by either reading, a column a level."""
    found = {level.percent: level.indicators for level in levels if level.indicators}
    if not found:
        return None
    body = []
    for name in ("on_time", "on_time_pauses_counted", "online", "online_by_formula", "points"):
        values = [figures.median_of(each["agencies"], name) for each in found.values()]
        shown = [words.number(value) if name == "points" else words.percent(value) for value in values]
        body.append([Cell(words.text(f"indicator_{name}"), "label"), *(Cell(each, "number") for each in shown)])
    heads = [Cell(words.level_name(each), "number") for each in found]
    return Table(words.text("indicators_readings"), [Cell(""), *heads], body)


def sync(level: LevelMaterial, words: Words) -> Table | None:
    """The agencies whose queue was busiest: the published queue's figures, and beside them those of batches."""
    if level.sync is None:
        return None
    queue, batch = level.sync["adapters"]["queue"], {row["code"]: row for row in level.sync["adapters"]["batch"]}
    busiest = sorted(queue, key=lambda row: -float(row["utilisation"]))[:_SYNC_ROWS]
    names = ("events", "utilisation", "delay", "most", "mornings", "end", "failed", "batch_delay", "batch_failed")
    heads = [Cell(words.text("sync_agency")), *(Cell(words.text(f"sync_{name}"), "number") for name in names)]
    body = []
    for row in busiest:
        other = batch[row["code"]]
        shown = [
            words.number(row["events"]), words.percent(100 * row["utilisation"]), _delay(row["delay_s_p95"], words),
            *(words.number(row[name]) for name in ("backlog_most", "mornings_with_backlog", "backlog_end", "failed")),
            _delay(other["delay_s_p95"], words), words.number(other["failed"]),
        ]  # fmt: skip
        body.append([Cell(agency(row, words), "label"), *(Cell(each, "number") for each in shown)])
    return Table(words.text("sync_table", percent=words.level(level.percent)), heads, body)


def sync_ceilings(levels: list[LevelMaterial], words: Words) -> Table | None:
    """From which national level on an agency's published queue does not drain; agencies for which there is one."""
    rows: list[Json] = next((level.sync["ceiling"] for level in reversed(levels) if level.sync), [])
    names = [f"{who}_{what}" for who in ("all", "online_only") for what in ("not_every_morning", "never")]
    body = []
    for row in rows:
        found = [row[f"{name}_from_percent"] for name in names]
        if any(each is not None for each in found):
            cells = [words.text("sync_no_level") if each is None else words.percent(each) for each in found]
            body.append([Cell(agency(row, words), "label"), *(Cell(each, "number") for each in cells)])
    if not body:
        return None
    heads = [Cell(words.text("sync_agency")), *(Cell(words.text(f"sync_{name}"), "number") for name in names)]
    return Table(words.text("sync_ceiling_table"), heads, body)


def sync_text(levels: list[LevelMaterial], words: Words) -> str:
    """What was simulated of the sync; empty where nothing was."""
    found = next((level.sync for level in levels if level.sync), None)
    if found is None:
        return ""
    first = words.day(date.fromisoformat(found["first_day"]))
    taken = {name: words.number(value) for name, value in found["ceiling_per_minute"].items()}
    events = words.number(found["events_per_online_dossier"])
    return words.text("sync_text", first=first, days=words.number(found["days"]), events=events, **taken)


def agency(row: Json, words: Words) -> str:
    """The name of the row's agency."""
    return str(row[f"name_{words.language}"])


def _delay(seconds: float | None, words: Words) -> str:
    """In hours; a null was infinite: at least one in twenty is still waiting, or was given up."""
    return words.text("sync_unfinished") if seconds is None else words.number(seconds / 3600)


def accounts(found: list[figures.Account], words: Words) -> Table:
    """Outcomes down, levels and executors across, so that it fits a phone."""
    heads = [Cell(""), *(Cell(words.text(f"executor_{each.executor}"), "number") for each in found)]
    spans = Counter(each.percent for each in found)
    groups = [Cell(words.level_name(each), "group", span) for each, span in spans.items()]
    body = [_account_row("column_planned", [each.planned for each in found], words)]
    for outcome in figures.outcome_names():
        body.append(_account_row(f"outcome_{outcome}", [each.outcomes[outcome] for each in found], words))
    body.append(_account_row("column_sum", [each.total for each in found], words))
    signs = {True: Cell(words.text("yes"), "pass"), False: Cell(words.text("no"), "fail")}
    body.append([Cell(words.text("column_balanced"), "label"), *(signs[each.is_balanced] for each in found)])
    return Table(words.text("accounts_table"), heads, body, [Cell(""), *groups])


def provenance(material: Material, words: Words) -> list[tuple[str, str]]:
    """(label, value) of everything that a run came from."""
    manifest, scenario = material.manifest, material.scenario or {}
    dirty = words.text("provenance_dirty" if manifest.get("dirty") else "provenance_clean")
    rows = [
        ("provenance_folder", material.run.folder.resolve().name),
        ("provenance_state", words.text_or(f"state_{manifest.get('state')}", str(manifest.get("state")))),
        ("provenance_started", _utc(manifest.get("started_at"), words)),
        ("provenance_ended", _utc(manifest.get("ended_at"), words)),
        ("provenance_commit", f"{manifest.get('commit') or words.text('none')} ({dirty})"),
        ("provenance_scenario", manifest.get("scenario_hash") or words.text("none")),
        ("provenance_seed", str(scenario.get("seed", words.text("none")))),
        ("provenance_scale", words.text("none") if material.scale is None else words.percent(100 * material.scale)),
        ("provenance_machine", words.text("provenance_machine_value", **_machine(manifest))),
        ("provenance_versions", ", ".join(f"{name} {found}" for name, found in manifest.get("versions", {}).items())),
    ]
    return [*((words.text(key), value) for key, value in rows), *_of_levels(material.levels, words)]


def repeat(material: Material) -> list[str]:
    """The commands that make this run again; a replay names the plans that it took, what part of them and how."""
    manifest, options = material.manifest, material.manifest.get("options", {})
    if "plans_from" in options:
        words = ["replay", f"results/runs/{options['plans_from']}"]
    elif "plan" in options:
        words = ["replay", options["plan"], "--scenario", options.get("slo_from", "SCENARIO")]
    else:
        file = options.get("file", f"scenarios/{manifest.get('scenario', 'SCENARIO')}.toml")
        scale = ["--scale", options["scale"]] if "scale" in options else []
        words = [options.get("command", "run"), file, *scale]
    sent = _sent(options.get("generator", {}), words[0] == "replay")
    again = shlex.join(map(str, ["caodiem", *words, *options.get("part", []), *sent]))
    commit = manifest.get("commit")
    return [f"git checkout {commit}", again] if commit else [again]


def _sent(generator: Json, with_limits: bool) -> list[str]:
    """The options of a command that say whom it asked, under what rules and, of `caodiem replay`, with what limits."""
    said = {f"--{name}": generator.get(name) for name in ("host", "portal", "ca")}
    if with_limits:
        said |= {"--pool": generator.get("pool"), "--greatest-lateness": generator.get("greatest_lateness_s")}
    rules = [("--abort", rule) for rule in generator.get("abort", [])]
    given = [(option, value) for option, value in said.items() if value is not None]
    return [str(word) for pair in [*given, *rules] for word in pair]


def note_on_scale(material: Material, words: Words) -> dict[str, str]:
    """How the country's figures came from the sample: sentences for the facts and for the requests."""
    marks = words.text("requests_marks")
    if material.scale is None or material.scale >= 1:
        return {"facts": words.text("facts_national_whole"), "requests": words.text("requests_text_whole", marks=marks)}
    scale = words.percent(100 * material.scale)
    return {
        "facts": words.text("facts_national", scale=scale),
        "requests": words.text("requests_text", scale=scale, marks=marks),
    }


def uptake_text(projection: Json | None, words: Words) -> str:
    """Which curve the path follows, and how well the fitted ones foretold; empty for older runs."""
    if projection is None or "fits" not in projection:
        return ""
    said = [words.text("uptake_text", curve=words.curve(projection["curve"]))]
    for group, fits in projection["fits"].items():
        judged = [curve for curve in fits["curves"] if curve["error_points"] is not None]
        if not judged:
            said.append(words.text("uptake_unjudged", group=words.text(group)))
            continue
        errors = words.listed(
            [f"{words.curve(curve['name'])} {words.number(curve['error_points'], 2)}" for curve in judged]
        )
        said.append(words.text("uptake_judged", group=words.text(group), errors=errors))
    return " ".join(said)


def mix(projection: Json | None, words: Words) -> Table | None:
    """A column a level: the day on which the country reaches it, by the ministries' share of all dossiers."""
    if projection is None or "mix" not in projection:
        return None
    levels = [Cell(words.level_name(each["percent"]), "number")
              for each in projection["levels"]]  # fmt: skip
    rows = []
    for row in projection["mix"]:
        days = [
            words.text("never") if each["reached_on"] is None else words.day(date.fromisoformat(each["reached_on"]))
            for each in row["levels"]
        ]
        share = words.exact_percent(row["ministry_dossier_share_percent"])
        rows.append([Cell(share, "label"), *(Cell(day, "number") for day in days)])
    return Table(words.text("mix_title"), [Cell(words.text("mix_column")), *levels], rows)


def _missing(missing: Missing, words: Words) -> Gap:
    shown = {name: words.level(value) if name == "percent" else value for name, value in missing.values.items()}
    return Gap(words.text(missing.key, **shown), missing.said)


def _level_heads(levels: list[LevelMaterial], words: Words) -> list[Cell]:
    return [Cell(words.level_name(level.percent), "number") for level in levels]


def hour(level: LevelMaterial, key: str, words: Words) -> str:
    """A figure of the level's busiest hour."""
    return words.number((level.traffic or {})["busiest_hour"][key])


def starts_at(level: LevelMaterial, words: Words) -> str:
    """When the level's busiest hour begins."""
    return words.moment(datetime.fromisoformat((level.traffic or {})["busiest_hour"]["starts_at"]))


def _replayed(level: LevelMaterial, words: Words) -> str:
    if level.replayed is None or level.plan is None:
        return words.text("none")
    return words.text(
        "facts_replayed_value",
        scale=words.percent(100 * level.plan.meta.scale),
        length=words.time(level.plan.meta.length_s),
        arrivals=words.number(level.plan.arrivals),
        steps=words.number(level.plan.steps),
    )


def _verdict_cell(level: LevelMaterial, words: Words) -> Cell:
    result = str(level.verdict["result"]) if level.verdict and level.replayed else "none"
    return Cell(words.text(f"badge_{result}"), f"number {result}")


def _times(times: figures.Times | None, words: Words) -> list[Cell]:
    values = [None] * 3 if times is None else [times.p50_s, times.p95_s, times.p99_s]
    return [Cell(words.milliseconds(value), "number") for value in values]


def _last_due_s(executed: Executed) -> float:
    due_s = executed.rows.column("due_s").to_pylist()
    return max((value for value in due_s if value is not None and value == value), default=0.0)


def _locust_longest(executed: Executed, words: Words) -> list[str]:
    longest = [each.get("max_ms") for each in executed.info.get("locust_statistics") or []]
    known = [value for value in longest if value is not None]
    return [words.text("hidden_waiting_locust", locust=words.time(max(known) / 1000))] if known else []


def _stall(stall: figures.Stall, percent: str, words: Words) -> str:
    values = {"from_s": words.number(stall.from_s), "to_s": words.number(stall.to_s)}
    values |= {"length": words.time(stall.to_s - stall.from_s), "arrivals": words.number(stall.arrivals)}
    return words.text("stall_said", percent=percent, **values)


def _rule(rule: Json, words: Words) -> list[Cell]:
    name = rule["name"]
    quantile = rule.get("quantile_percent")
    shown = "" if quantile is None else words.exactly(quantile)
    if name == "slo":
        text = words.text("rule_slo", quantile=shown + "%", operation=words.operation(rule["operation"]))
    else:
        text = words.text_or(f"rule_{name}", name).format(quantile=shown)
    in_seconds = rule["unit"] == "seconds"
    asked = words.exact_time(rule["limit"]) if in_seconds else _counted(words.exactly(rule["limit"]), rule, words)
    limit = words.text("limit_least" if name == "least_steps" else "limit_most", value=_together(asked))
    result = rule["result"]
    found = Cell(_together(_found(rule, words)), "number")
    return [Cell(text, "label"), Cell(limit, "number"), found, Cell(words.text(f"result_{result}"), result)]


def _found(rule: Json, words: Words) -> str:
    """A null in verdict.json was infinite: JSON has no infinity."""
    value, limit = rule["found"], rule["limit"]
    if value is None:
        return words.text("never")
    if rule["unit"] == "seconds":
        return words.time(value, beside=limit)
    return _counted(words.number(value, beside=(limit,)), rule, words)


def _counted(number: str, rule: Json, words: Words) -> str:
    return f"{number} {words.unit(rule['unit'])}"


def _together(text: str) -> str:
    """A number and its unit stay on one line."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _account_row(key: str, counts: list[int | None], words: Words) -> list[Cell]:
    cells = [Cell(words.text("none") if count is None else words.number(count), "number") for count in counts]
    return [Cell(words.text(key), "label"), *cells]


def _utc(moment: str | None, words: Words) -> str:
    return f"{words.moment(datetime.fromisoformat(moment))} UTC" if moment else words.text("none")


def _machine(manifest: Json) -> dict[str, Any]:
    found = manifest.get("machine", {})
    return {name: found.get(name, "?") for name in ("system", "processor", "cores")}


def _of_levels(levels: list[LevelMaterial], words: Words) -> Iterator[tuple[str, str]]:
    for level in levels:
        percent = words.level(level.percent)
        if level.plan is not None:
            yield words.text("provenance_plan", percent=percent), level.plan.meta.plan_hash
        info = level.replayed.info if level.replayed else {}
        if "target" in info:
            asked = {name: words.number(info.get(name) or 0) for name in ("pool", "workers")}
            wall = words.time(info.get("wall_s") or 0)
            value = words.text("provenance_replay_value", target=info["target"], wall=wall, **asked)
            yield words.text("provenance_replay", percent=percent), value
