"""A number with its unit, its source and its evidence; nothing in a scenario is a bare number.

`Quantity` is one number, `Profile` a row of numbers (a week, a day). `Percent`, `Seconds` and the like are the types
that scenario fields are declared with: they say which unit a field takes and what values make sense.
"""

from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Evidence = Literal["seed", "published", "derived", "measured", "assumed"]
EVIDENCE: tuple[str, ...] = get_args(Evidence)


class _Sourced(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: str
    source: str = Field(min_length=1)
    evidence: Evidence


class Quantity(_Sourced):
    """One number. `low` and `high` bound what the sources allow."""

    value: Annotated[float, Field(allow_inf_nan=False)]
    low: float | None = None
    high: float | None = None


class Profile(_Sourced):
    """A row of numbers of one unit, such as a weight for each hour of a day."""

    value: list[Annotated[float, Field(allow_inf_nan=False, ge=0)]]


def _checked(unit: str, least: float, most: float) -> Any:
    def check(quantity: Quantity) -> Quantity:
        if quantity.unit != unit:
            raise ValueError(f"unit {quantity.unit!r}: expected {unit!r}")
        if not least <= quantity.value <= most:
            raise ValueError(f"value {quantity.value:g}: expected {least:g} to {most:g} {unit}")
        if quantity.low is not None and quantity.low > quantity.value:
            raise ValueError(f"low {quantity.low:g}: expected at most the value, {quantity.value:g}")
        if quantity.high is not None and quantity.high < quantity.value:
            raise ValueError(f"high {quantity.high:g}: expected at least the value, {quantity.value:g}")
        return quantity

    return AfterValidator(check)


def _profile(unit: str, length: int) -> Any:
    def check(profile: Profile) -> Profile:
        if profile.unit != unit:
            raise ValueError(f"unit {profile.unit!r}: expected {unit!r}")
        if len(profile.value) != length:
            raise ValueError(f"{len(profile.value)} values: expected {length}")
        if sum(profile.value) <= 0:
            raise ValueError("all values are zero: expected at least one above zero")
        return profile

    return AfterValidator(check)


INFINITE = float("inf")

Percent = Annotated[Quantity, _checked("percent", 0, 100)]
Ratio = Annotated[Quantity, _checked("ratio", 0, INFINITE)]
Factor = Annotated[Quantity, _checked("ratio", 1, INFINITE)]
Agencies = Annotated[Quantity, _checked("agencies", 1, 99)]
LogitSpread = Annotated[Quantity, _checked("logit", 0, 5)]
DossiersPerDay = Annotated[Quantity, _checked("dossiers/day", 1, 1e8)]
PerDossier = Annotated[Quantity, _checked("per dossier", 0, 1e4)]
Days = Annotated[Quantity, _checked("days", 0, 3660)]
WorkingHours = Annotated[Quantity, _checked("working hours", 0, 1e4)]
WorkingMinutes = Annotated[Quantity, _checked("working minutes", 0, 1e5)]
Seconds = Annotated[Quantity, _checked("seconds", 0, 1e6)]
Milliseconds = Annotated[Quantity, _checked("milliseconds", 0, 1e6)]
Servers = Annotated[Quantity, _checked("servers", 1, 1e6)]
Events = Annotated[Quantity, _checked("events", 1, 1e6)]
WeekProfile = Annotated[Profile, _profile("weight", 7)]
DayProfile = Annotated[Profile, _profile("weight", 24)]
CountProfile = Annotated[Profile, _profile("weight", 3)]
