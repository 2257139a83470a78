"""A number with its unit, its source and its evidence; nothing in a scenario is a bare number.

`Quantity` is one number, `Profile` a row of numbers (a week, a day). `Percent`, `Seconds` and the like are the types
that scenario fields are declared with: they say which unit a field takes and what values make sense.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

# seed: stated in the project's founding documents; published: a public text says it; derived: arithmetic on other
# rows of sources.csv; measured: by something in this repository; assumed: chosen by us, and said so in every report.
EVIDENCE = ("seed", "published", "derived", "measured", "assumed")
# The source of a number in a planner's own network that is nobody's but the planner's; its evidence is `assumed`.
OWN = "own"
Problems = list[tuple[str, object, str]]
INFINITE = float("inf")


class _Sourced(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: str
    source: str = Field(min_length=1)
    evidence: str


# A number as such: not true, not "5", not infinite.
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
# Not "yes", not 1.
TrueOrFalse = Annotated[bool, Field(strict=True)]


class Quantity(_Sourced):
    """One number. `low` and `high` bound what the sources allow."""

    value: Number
    low: Number | None = None
    high: Number | None = None


class Profile(_Sourced):
    """A row of numbers of one unit, such as a weight for each hour of a day."""

    value: list[Annotated[Number, Field(ge=0)]]


def _evidence_problems(sourced: _Sourced) -> Problems:
    if sourced.source == OWN and sourced.evidence != "assumed":
        return [("evidence", sourced.evidence, "'assumed', as everything of one's own is")]
    if sourced.evidence in EVIDENCE:
        return []
    return [("evidence", sourced.evidence, f"one of {', '.join(EVIDENCE)}")]


def _refuse(problems: Problems) -> None:
    """Raise one validation error that carries every (key, value, expected) found wrong in a quantity."""
    if problems:
        raise PydanticCustomError("quantity", "{problems}", {"problems": problems})


def checked(units: tuple[str, ...], least: float, most: float, whole: bool = False) -> Any:
    """A validator for one number, in one of `units`, between `least` and `most`, both included; `whole`: a count."""

    def check(quantity: Quantity) -> Quantity:
        value, low, high = quantity.value, quantity.low, quantity.high
        problems = _evidence_problems(quantity)
        if quantity.unit not in units:
            problems.append(("unit", quantity.unit, " or ".join(map(repr, units))))
        if not least <= value <= most:
            accepted = f"{least:g} to {most:g}" if most < INFINITE else f"at least {least:g}"
            problems.append(("value", value, f"{accepted} {units[0]}"))
        elif whole and value != int(value):
            problems.append(("value", value, f"a whole number of {units[0]}"))
        if low is not None and low > value:
            problems.append(("low", low, f"at most the value, {value:g}"))
        if high is not None and high < value:
            problems.append(("high", high, f"at least the value, {value:g}"))
        _refuse(problems)
        return quantity

    return AfterValidator(check)


def listed(units: tuple[str, ...], most: float) -> Any:
    """A validator for one or more numbers in one of `units`, of at most `most`."""

    def check(profile: Profile) -> Profile:
        problems = _evidence_problems(profile)
        if profile.unit not in units:
            problems.append(("unit", profile.unit, " or ".join(map(repr, units))))
        if not profile.value or max(profile.value) > most:
            problems.append(("value", profile.value, f"one or more numbers up to {most:g} {units[0]}"))
        _refuse(problems)
        return profile

    return AfterValidator(check)


def _checked(unit: str, least: float, most: float, whole: bool = False) -> Any:
    return checked((unit,), least, most, whole)


def _profile(unit: str, length: int) -> Any:
    """A validator for `length` numbers of `unit`, not all of them zero."""

    def check(profile: Profile) -> Profile:
        problems = _evidence_problems(profile)
        if profile.unit != unit:
            problems.append(("unit", profile.unit, repr(unit)))
        if len(profile.value) != length:
            problems.append(("value", f"{len(profile.value)} numbers", f"{length} numbers"))
        elif sum(profile.value) <= 0:
            problems.append(("value", profile.value, "at least one number above zero"))
        _refuse(problems)
        return profile

    return AfterValidator(check)


def _counted(quantity: Quantity) -> Quantity:
    problems = _evidence_problems(quantity)
    if quantity.unit not in COUNTED:
        problems.append(("unit", quantity.unit, f"one of {', '.join(COUNTED)}"))
    if not 0 < quantity.value <= _GREATEST_COUNT:
        problems.append(("value", quantity.value, f"more than 0, to {_GREATEST_COUNT:g}"))
    _refuse(problems)
    return quantity


def _varied(quantity: Quantity) -> Quantity:
    if 0 < quantity.value < _LEAST_VARIATION:
        _refuse([("value", quantity.value, f"0, or {_LEAST_VARIATION:g} to {_GREATEST_VARIATION:g} ratio")])
    return quantity


# What a cumulative count may count, and how far.
_GREATEST_COUNT = 1e15
COUNTED = ("accounts", "visits", "dossiers", "transactions")
Count = Annotated[Quantity, AfterValidator(_counted)]

Percent = Annotated[Quantity, _checked("percent", 0, 100)]
PositivePercent = Annotated[Quantity, _checked("percent", 0.1, 100)]
QuantilePercent = Annotated[Quantity, _checked("percent", 1, 99.99)]
# Standard deviation over mean. What varies more shows its mean in no number of draws that anybody makes; what varies
# less is always the same.
_LEAST_VARIATION, _GREATEST_VARIATION = 1e-6, 100.0
Variation = Annotated[Quantity, AfterValidator(_varied), _checked("ratio", 0, _GREATEST_VARIATION)]
Factor = Annotated[Quantity, _checked("ratio", 1, INFINITE)]
LogitSpread = Annotated[Quantity, _checked("logit", 0, 5)]
Logit = Annotated[Quantity, _checked("logit", -10, 10)]
# More would not fit into the seven digits of a day's serial, on the busiest day.
DossiersPerDay = Annotated[Quantity, _checked("dossiers/day", 1, 2e6)]
PerDossier = Annotated[Quantity, _checked("per dossier", 0, 200)]
# A day's serials keep two million numbers for each surge.
Dossiers = Annotated[Quantity, _checked("dossiers", 1, 1.9e6)]
Days = Annotated[Quantity, _checked("days", 0, 3660)]
WorkingDays = Annotated[Quantity, _checked("working days", 0, 250)]
WorkingHours = Annotated[Quantity, _checked("working hours", 0, 1e4)]
WorkingMinutes = Annotated[Quantity, _checked("working minutes", 0, 1e5)]
Hours = Annotated[Quantity, _checked("hours", 0.01, 1000)]
Minutes = Annotated[Quantity, _checked("minutes", 0, 1e5)]
Hour = Annotated[Quantity, _checked("hour", 0, 24)]
Seconds = Annotated[Quantity, _checked("seconds", 0, 1e6)]
Period = Annotated[Quantity, _checked("seconds", 1, 86_400)]
Slice = Annotated[Quantity, _checked("seconds", 1, 3600)]
Milliseconds = Annotated[Quantity, _checked("milliseconds", 0, 1e6)]
Servers = Annotated[Quantity, _checked("servers", 1, 1e6, whole=True)]
Agencies = Annotated[Quantity, _checked("agencies", 0, 1e4, whole=True)]
Requests = Annotated[Quantity, _checked("requests", 1, 100, whole=True)]
Repeats = Annotated[Quantity, _checked("retries", 0, 1000, whole=True)]
Systems = Annotated[Quantity, _checked("systems", 1, 1000, whole=True)]
Events = Annotated[Quantity, _checked("events", 1, 1e6, whole=True)]
WeekProfile = Annotated[Profile, _profile("weight", 7)]
YearProfile = Annotated[Profile, _profile("weight", 12)]
DayProfile = Annotated[Profile, _profile("weight", 24)]
CountProfile = Annotated[Profile, _profile("weight", 3)]
