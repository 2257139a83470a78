"""The report of a run: one HTML file that opens offline, in English and Vietnamese, and its plots.

    material.py  what the run's folder holds         figures.py  numbers and series from tables
    answer.py    the answer in one sentence          words.py    both languages' texts and numbers
    page.py      tables and sentences, worded        plots.py    the pictures

`build` is all that a command needs; `answer` gives the sentence that it prints.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from caodiem.report import alternatives, figures, hours, inputs, page, plots
from caodiem.report.answer import answer
from caodiem.report.material import LevelMaterial, Material, gather
from caodiem.report.words import LANGUAGE_NAMES, LANGUAGES, Words
from caodiem.run import Run

__all__ = ["answer", "build"]
VIET_NAM = timezone(timedelta(hours=7))  # since 1975 without summer time
SECTIONS = (
    "adoption",
    "dossiers",
    "requests",
    "indicators",
    "sync",
    "hours",
    "arrivals",
    "responses",
    "rules",
    "accounts",
    "inputs",
    "provenance",
)


@dataclass(frozen=True, slots=True)
class Picture:
    """One plot as data addresses, wide and narrow, and what it shows in words."""

    alt: str
    wide: str
    narrow: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What both languages show alike, computed once. Keys are levels in percent."""

    times: dict[float, list[figures.OperationTimes]]
    rates: dict[float, figures.ArrivalRates]
    accounts: list[figures.Account]


def build(run: Run) -> Path:
    """Write report.html and plots/ into the run's folder; what the run lacks is said in the report, not an error."""
    material = gather(run)
    findings = _find(material)
    environment = _environment()
    articles = [_article(material, findings, Words(language), environment) for language in LANGUAGES]
    html = environment.get_template("document.html.j2").render(
        title=page.head(material, Words(LANGUAGES[0]))["title"],
        languages=LANGUAGE_NAMES,
        articles=articles,
        style=Markup(_packaged("style.css")),
        script=Markup(_packaged("script.js")),
    )
    partial_file = run.report.with_name(f".{run.report.name}")
    partial_file.write_text(html, encoding="utf-8")
    return partial_file.rename(run.report)


def _find(material: Material) -> Findings:
    times, rates, accounts = {}, {}, []
    for level in material.levels:
        if level.executed is None:
            continue
        tables = {"replayed": level.replayed, "simulated": level.simulated}
        rows = {name: executed.rows for name, executed in tables.items() if executed}
        info = level.replayed.info if level.replayed else {}
        times[level.percent] = figures.operation_times(rows.get("replayed"), rows.get("simulated"), info)
        if level.plan is not None:
            rates[level.percent] = figures.arrival_rates(level.plan, level.executed.rows)
        accounts += [figures.account(level.percent, name, level.plan, table) for name, table in rows.items()]
    return Findings(times, rates, accounts)


def _article(material: Material, findings: Findings, words: Words, environment: jinja2.Environment) -> Markup:
    levels = material.levels
    simulated_only = [level for level in levels if level.simulated and not level.replayed]
    started_at = datetime.fromisoformat(material.manifest["started_at"]).astimezone(VIET_NAM)
    rendered = environment.get_template("template.html.j2").render(
        t=words.text,
        language=words.language,
        sections=SECTIONS,
        made_on=words.day(started_at.date()),
        notes=page.note_on_scale(material, words),
        head=page.head(material, words),
        facts=page.facts(material, words),
        indicator_tables=[
            table for make in (page.indicators, page.indicator_readings) if (table := make(levels, words))
        ],
        indicators_published=page.indicators_published(levels, words),
        sync_text=page.sync_text(levels, words),
        sync_tables=[table for level in levels if (table := page.sync(level, words))],
        sync_ceilings=page.sync_ceilings(levels, words),
        hours_sentences=hours.sentences(levels, words),
        hours_tables=hours.tables(levels, words),
        mix=page.mix(material.projection, words),
        uptake_text=page.uptake_text(material.projection, words),
        pictures=_pictures(material, findings, words),
        simulated_only=words.listed([words.level(level.percent) for level in simulated_only]),
        waits=[line for level in levels for line in page.waits(level, words)],
        response_tables=[
            page.responses(level, findings.times[level.percent], words)
            for level in levels
            if level.percent in findings.times
        ],
        rule_tables=[table for level in levels if (table := page.rules(level, words))],
        accounts=page.accounts(findings.accounts, words) if findings.accounts else None,
        assumed=words.number(material.assumed),
        input_count=words.number(len(material.inputs)),
        input_groups=inputs.groups(material, words),
        provenance=page.provenance(material, words),
        repeat=page.repeat(material),
    )
    return Markup(rendered)


def _pictures(material: Material, findings: Findings, words: Words) -> dict[str, Picture]:
    """Each plot that the run has data for."""
    found: dict[str, tuple[Callable[[plots.Shape], str], str]] = {}
    if material.projection is not None:
        projection = material.projection
        found["adoption"] = partial(plots.adoption, projection, words), alternatives.adoption(projection, words)
        if "fits" in projection:
            found["uptake"] = partial(plots.uptake, projection, words), alternatives.uptake(projection, words)
        found["dossiers"] = partial(plots.dossiers, projection, words), alternatives.dossiers(projection, words)
    busy = [level for level in material.levels if level.traffic]
    if busy:
        panels = [_panel(level, level.traffic, words) for level in busy]
        found["requests"] = partial(plots.requests, panels, words), alternatives.requests(busy, words)
    indicated = [level for level in material.levels if level.indicators]
    if indicated:
        panels = [_panel(level, level.indicators, words) for level in indicated]
        found["indicators"] = partial(plots.indicators, panels, words), alternatives.indicators(indicated, words)
    synced = [level for level in material.levels if level.sync]
    if synced:
        panels = [_panel(level, level.sync, words) for level in synced]
        found["sync"] = partial(plots.sync, panels, words), alternatives.sync(synced, words)
    failing = [level for level in material.levels if level.hours and "faults" in level.hours]
    if failing:
        panels = [_panel(level, level.hours, words) for level in failing]
        found["hours"] = partial(plots.hours, panels, words), alternatives.hours(failing, words)
    if findings.rates:
        moving = [level for level in material.levels if level.percent in findings.rates]
        panels = [_arrivals_panel(level, findings, words) for level in moving]
        found["arrivals"] = partial(plots.arrivals, panels, words), alternatives.arrivals(findings.rates, words)
    if findings.times:
        timed = [level for level in material.levels if level.percent in findings.times]
        panels = [_panel(level, findings.times[level.percent], words) for level in timed]
        found["responses"] = partial(plots.responses, panels, words), alternatives.responses(findings.times, words)
    return {name: _picture(material.run, name, draw, alt, words) for name, (draw, alt) in found.items()}


def _panel(level: LevelMaterial, data: Any, words: Words) -> plots.Panel:
    return plots.Panel(words.level_name(level.percent), data)


def _arrivals_panel(level: LevelMaterial, findings: Findings, words: Words) -> plots.Panel:
    assert level.plan is not None  # the rates come from it
    return _panel(level, (findings.rates[level.percent], level.plan.meta.length_s, level.replayed is not None), words)


def _picture(run: Run, name: str, draw: Callable[[plots.Shape], str], alt: str, words: Words) -> Picture:
    """Draw in both shapes, keep both under plots/, and give them as addresses that need no file."""
    run.plots.mkdir(exist_ok=True)
    addresses = {}
    for shape in plots.SHAPES:
        svg = draw(shape).encode()
        (run.plots / f"{name}.{words.language}.{shape.name}.svg").write_bytes(svg)
        addresses[shape.name] = "data:image/svg+xml;base64," + base64.b64encode(svg).decode()
    return Picture(alt, **addresses)


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(_packaged), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )


def _packaged(name: str) -> str:
    return (files("caodiem.report") / name).read_text(encoding="utf-8")
