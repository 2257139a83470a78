"""The answer in one sentence, in each language: what the busiest hour asks, and whether the staging portal held.

Pure functions of what a run left; the report and the command line print the same sentence.
"""

import math
from typing import Any

from caodiem.part import Part
from caodiem.report.material import LevelMaterial, Material, gather
from caodiem.report.words import LANGUAGES, Words
from caodiem.run import Run


def answer(run: Run) -> dict[str, str]:
    """The sentence by language: "en", "vi"."""
    material = gather(run)
    return {language: sentence(material, Words(language)) for language in LANGUAGES}


def sentence(material: Material, words: Words) -> str:
    """What the lowest and the highest level ask for, then what the replays say of the staging portal."""
    known = [level for level in material.levels if level.traffic]
    portal = _portal(material, words)
    if material.stands_alone:
        return words.text("answer_plan_alone", portal=portal)
    if not known:
        return words.text("answer_no_traffic", portal=portal)
    low, high = known[0], known[-1]
    values = {**_asked(low, "low", words), "portal": portal}
    if low is high:
        return words.text("answer_one_level", **values)
    values |= _asked(high, "high", words)
    return words.text("answer_rises" if _rises(low, high) else "answer_changes", **values)


def limits(material: Material, words: Words) -> str:
    """One sentence on what the answer does not prove."""
    counts = {"assumed": material.assumed, "inputs": len(material.inputs)}
    lengths = [level.plan.meta.length_s for level in material.levels if level.plan and level.replayed]
    if not lengths or material.part is None:
        return words.text("limits_no_replay", **counts)
    key = "limits_plan_alone" if material.stands_alone else "limits_replay"
    return words.text(key, length=words.time(max(lengths)), **_sent(material, material.part, words), **counts)


def result(material: Material) -> str:
    """`pass`, `fail`, `invalid`; `none` where there is no verdict, or one without a replay to stand on."""
    verdict = material.verdict
    if not verdict or not any(level.replayed for level in material.levels):
        return "none"
    found = str(verdict.get("result", "none"))
    untested = any(level.verdict is None for level in material.levels)
    broken_off = material.manifest.get("state") in ("interrupted", "failed")
    # A level that was not tested, or a run that broke off, cannot make a pass.
    return "none" if found == "pass" and (untested or broken_off) else found


def _rises(low: LevelMaterial, high: LevelMaterial) -> bool:
    (dossiers_low, requests_low), (dossiers_high, requests_high) = _figures(low), _figures(high)
    return dossiers_high > dossiers_low and requests_high > requests_low


def _figures(level: LevelMaterial) -> tuple[float, float]:
    """(dossiers filed fully online in the busiest hour, requests a second in its mean)."""
    hour: dict[str, Any] = (level.traffic or {})["busiest_hour"]
    return hour["dossiers_filed_online"], hour["requests_per_s_mean"]


def _asked(level: LevelMaterial, name: str, words: Words) -> dict[str, str]:
    dossiers, requests = _figures(level)
    return {
        name: words.level(level.percent),
        f"dossiers_{name}": words.number(dossiers),
        f"requests_{name}": words.number(requests, digits=2),
    }


def _portal(material: Material, words: Words) -> str:
    tested = [level for level in material.levels if level.replayed and level.verdict]
    if not tested or material.part is None:
        return words.text(_why_nothing(material))
    results = _results(material.levels, words)
    loaded = "portal_loaded_plan" if material.stands_alone else "portal_loaded"
    return words.text(loaded, results=words.listed(results), **_sent(material, material.part, words))


def _sent(material: Material, part: Part, words: Words) -> dict[str, str]:
    """`scale`, the share that was sent, and `part`: of it what window, speed and journeys; empty for the whole."""
    said = []
    if part.length_s < math.inf or part.start_s:
        # The plan as it was cut: a window may reach beyond the end.
        cut_s = [level.plan.meta.length_s * part.speed for level in material.levels if level.plan]
        length = words.time(max(cut_s, default=part.length_s))
        said.append(words.text("part_window", length=length, start=words.exactly(part.start_s)))
    if part.speed != 1:
        said.append(words.text("part_speed", speed=words.number(part.speed)))
    if part.journeys:
        said.append(words.text("part_journeys", journeys=words.listed(part.journeys)))
    return {"scale": words.percent(100 * part.scale), "part": f" ({words.listed(said)})" if said else ""}


def _why_nothing(material: Material) -> str:
    state = material.manifest.get("state")
    if state in ("interrupted", "failed"):
        return {"interrupted": "portal_interrupted", "failed": "portal_broken"}[state]
    replayed = any(level.replayed for level in material.levels)
    return "portal_no_verdict" if replayed else "portal_no_replay"


def _results(levels: list[LevelMaterial], words: Words) -> list[str]:
    """A clause for the levels that held, one for each that missed, one for those that prove nothing."""
    by_result: dict[str, list[LevelMaterial]] = {"pass": [], "fail": [], "invalid": [], "untested": []}
    for level in levels:
        known = level.verdict["result"] if level.verdict and level.replayed else "untested"
        by_result[known].append(level)
    missed = [_missed(level, words) for level in by_result["fail"]]
    clauses = [("pass", "portal_held"), ("invalid", "portal_invalid"), ("untested", "portal_untested")]
    held, invalid, untested = (
        [words.text(key, levels=words.listed([words.level(level.percent) for level in by_result[name]]))]
        if by_result[name]
        else []
        for name, key in clauses
    )
    return [*held, *missed, *invalid, *untested]


def _missed(level: LevelMaterial, words: Words) -> str:
    targets = [rule for rule in (level.verdict or {})["rules"] if rule["name"] == "slo"]
    missed = sum(rule["result"] == "fail" for rule in targets)
    return words.text("portal_missed", missed=missed, asked=len(targets), level=words.level(level.percent))
