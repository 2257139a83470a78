"""How stations and clients behave, as typed values: times, hours, outages, retries, breakers.

Networks of one's own (network.py) and the portal of a scenario (scenario.py) are described with these. Each quantity
says what a file may leave out of it where it stands in a network of one's own: its unit, the source `own`, the evidence
`assumed`, so that a bare number will do. Where every number has a source (`strict` in the context of the validation)
nothing is filled in.
"""

from collections.abc import Sequence
from datetime import time
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from caodiem import quantity as q
from caodiem.document import Part

SECONDS = {"seconds": 1.0, "milliseconds": 1e-3, "minutes": 60.0, "hours": 3600.0, "days": 86400.0}
PER_SECOND = {"per second": 1.0, "per minute": 1 / 60, "per hour": 1 / 3600, "per day": 1 / 86400}
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# What "infinite" servers are counted as.
INFINITE_SERVERS = 2**31


def completed(unit: str, setting: bool = False) -> BeforeValidator:
    """Fills in what a quantity of one's own network leaves out.

    A `setting` says what is tried, which is no figure about the world: it is completed in every kind of scenario.
    """

    def complete(given: Any, info: ValidationInfo) -> Any:
        is_strict = bool(info.context and info.context.get("strict")) and not setting
        if isinstance(given, bool | str) or is_strict:
            return given
        if not isinstance(given, dict):
            given = {"value": given}
        return {"unit": unit, "source": q.OWN, "evidence": "assumed", **given}

    return BeforeValidator(complete)


def _clock(given: Any) -> Any:
    """07:30 as seconds from midnight."""
    if not isinstance(given, str | time):
        return given
    hours, colon, minutes = given.partition(":") if isinstance(given, str) else ("", "", "")
    if colon and hours.isdecimal() and minutes.isdecimal() and int(hours) <= 24 and int(minutes) < 60:
        return int(hours) * 3600.0 + int(minutes) * 60.0
    raise ValueError('a time from "00:00" to "24:00", in quotes, or seconds')


# Times and rates beyond these are mistakes, and let floating-point numbers overflow.
LONGEST_S = 1e12
MOST_PER_SECOND = 1e9
Seconds = Annotated[q.Quantity, completed("seconds"), q.checked(tuple(SECONDS), 0, LONGEST_S)]
# Pydantic calls what stands before a type's check from the right: first _clock, then completed.
Moment = Annotated[q.Quantity, completed("seconds"), BeforeValidator(_clock), q.checked(tuple(SECONDS), 0, LONGEST_S)]
# Of the busiest day: 07:30, or seconds from midnight.
TimeOfDay = Annotated[
    q.Quantity, completed("seconds", setting=True), BeforeValidator(_clock), q.checked(("seconds",), 0, 86400)
]
Rate = Annotated[q.Quantity, completed("per second"), q.checked(tuple(PER_SECOND), 0, MOST_PER_SECOND)]
Ratio = Annotated[q.Quantity, completed("ratio"), q.checked(("ratio",), 0, 1e6)]
Variation = Annotated[q.Variation, completed("ratio")]
Share = Annotated[q.Quantity, completed("ratio"), q.checked(("ratio",), 0, 1)]
Count = Annotated[q.Quantity, completed("visits"), q.checked(("visits",), 0, 1e9, whole=True)]
Journeys = Annotated[q.Quantity, completed("journeys"), q.checked(("journeys",), 0, 1e9, whole=True)]
Servers = Annotated[
    q.Quantity,
    completed("servers"),
    BeforeValidator(lambda given: float(INFINITE_SERVERS) if given == "infinite" else given),
    q.checked(("servers",), 0, INFINITE_SERVERS, whole=True),
]
Times = Annotated[q.Profile, completed("seconds"), q.listed(tuple(SECONDS), LONGEST_S)]
Weights = Annotated[q.Profile, completed("weight"), q.listed(("weight",), 1e6)]


def seconds(quantity: q.Quantity) -> float:
    """The quantity in seconds."""
    return quantity.value * SECONDS[quantity.unit]


def per_second(quantity: q.Quantity) -> float:
    """The quantity per second."""
    return quantity.value * PER_SECOND[quantity.unit]


def wrong(*problems: tuple[str, object, str]) -> PydanticCustomError:
    """One validation error that carries every (key, value, what is expected)."""
    return PydanticCustomError("quantity", "{problems}", {"problems": list(problems)})


class Time(Part):
    """How long something takes: a distribution and its parameters. A bare number is that time, always."""

    distribution: Literal["fixed", "exponential", "gamma", "lognormal", "uniform", "empirical", "mixture"]
    mean: Seconds | None = None
    variation: Variation | None = None
    low: Seconds | None = None
    high: Seconds | None = None
    values: Times | None = None
    weights: Weights | None = None
    parts: list["Time"] | None = None

    @property
    def is_nothing(self) -> bool:
        """Whether it is always 0."""
        if self.parts is not None and self.weights is not None:
            weighted = zip(self.parts, self.weights.value, strict=True)
            return all(part.is_nothing for part, weight in weighted if weight > 0)
        ends = [each.value for each in (self.mean, self.high) if each is not None]
        return not any([*ends, *(self.values.value if self.values is not None else ())])

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, given: Any) -> Any:
        if isinstance(given, int | float) and not isinstance(given, bool):
            return {"distribution": "fixed", "mean": given}
        if isinstance(given, dict) and "distribution" not in given and "value" in given:
            return {"distribution": "fixed", "mean": given}
        return given

    @model_validator(mode="after")
    def _parameters(self) -> "Time":
        needed = _PARAMETERS[self.distribution]
        problems: q.Problems = [
            (name, None, f"a value; {self.distribution} times need {', '.join(needed)}")
            for name in needed
            if getattr(self, name) is None
        ]
        problems += [
            (name, "a value", f"nothing; {self.distribution} times have {', '.join(needed)}")
            for name in type(self).model_fields
            if name not in ("distribution", *needed) and getattr(self, name) is not None
        ]
        if not problems and self.distribution == "uniform" and seconds(self.low) > seconds(self.high):  # type: ignore[arg-type]
            problems.append(("high", self.high.value, "at least low"))  # type: ignore[union-attr]
        if self.variation is not None and self.variation.value == 0:
            problems.append(("variation", 0, "more than 0; distribution = 'fixed' has none"))
        if not problems and self.parts is not None and self.weights is not None:
            weights = self.weights.value
            if len(weights) != len(self.parts) or sum(weights) <= 0:
                problems.append(("weights", weights, f"{len(self.parts)} weights, not all zero, one for each part"))
        if problems:
            raise wrong(*problems)
        return self


_PARAMETERS: dict[str, tuple[str, ...]] = {
    "fixed": ("mean",),
    "exponential": ("mean",),
    "gamma": ("mean", "variation"),
    "lognormal": ("mean", "variation"),
    "uniform": ("low", "high"),
    "empirical": ("values",),
    "mixture": ("parts", "weights"),
}


class Opening(Part):
    """Servers from one moment to another, on some days of the week."""

    from_: Annotated[Moment, Field(alias="from")]
    to: Moment
    days: Annotated[list[Literal[DAYS]], Field(min_length=1)] | None = None  # type: ignore[valid-type]
    servers: Servers | None = None


class Calendar(Part):
    """When a station is open, again every `period`; second 0 is a Monday's midnight for a week."""

    period: Literal["day", "week"] | Seconds
    open: list[Opening] = Field(min_length=1)

    @property
    def period_s(self) -> float:
        named = {"day": 86400.0, "week": 7 * 86400.0}
        return named[self.period] if isinstance(self.period, str) else seconds(self.period)

    def spans(self) -> list[tuple[float, float, q.Quantity | None]]:
        """(from, to, servers) within a period, in order."""
        found = []
        for each in self.open:
            offsets = [DAYS.index(day) * 86400.0 for day in each.days] if each.days else None
            if offsets is None:
                offsets = [day * 86400.0 for day in range(7)] if self.period == "week" else [0.0]
            found += [(o + seconds(each.from_), o + seconds(each.to), each.servers) for o in offsets]
        return sorted(found, key=lambda span: span[:2])

    @model_validator(mode="after")
    def _apart(self) -> "Calendar":
        if self.period_s < 1:
            raise wrong(("period", self.period_s, "at least 1 second"))
        end = 0.0
        for from_s, to_s, _ in self.spans():
            if from_s < end or to_s <= from_s or to_s > self.period_s:
                expected = f"spans within {self.period_s:g} seconds, each after the one before"
                raise wrong(("open", f"{from_s:g} to {to_s:g}", expected))
            end = to_s
        if any(each.days for each in self.open) and self.period != "week":
            raise wrong(("open", "days", 'none unless period = "week"'))
        return self


class Outage(Part):
    """At most `servers` work from one moment to another; `refuses`: whoever comes meanwhile is turned away."""

    from_: Annotated[Moment, Field(alias="from")]
    to: Moment
    servers: Servers = q.Quantity(value=0, unit="servers", source=q.OWN, evidence="assumed")
    refuses: q.TrueOrFalse = False


class Slowdown(Part):
    """Services that begin from one moment to another take `factor` times as long."""

    from_: Annotated[Moment, Field(alias="from")]
    to: Moment
    factor: Ratio


class SystemOutage(Outage):
    """The same of a system that the portal asks, from one time of the busiest day to another."""

    from_: Annotated[TimeOfDay, Field(alias="from")]
    to: TimeOfDay
    servers: Annotated[q.Quantity, completed("servers", setting=True), q.checked(("servers",), 0, 1e6, whole=True)] = (
        q.Quantity(value=0, unit="servers", source=q.OWN, evidence="assumed")
    )


class SystemSlowdown(Slowdown):
    """The same of a system that the portal asks, from one time of the busiest day to another."""

    from_: Annotated[TimeOfDay, Field(alias="from")]
    to: TimeOfDay
    factor: Annotated[q.Quantity, completed("ratio", setting=True), q.checked(("ratio",), 0, 1e6)]


class Breaker(Part):
    """A circuit breaker in front of a station; simulation/network.py says exactly when it opens and closes."""

    share: Share
    calls: Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
    least: Annotated[int, Field(strict=True, ge=1)] | None = None
    open: Seconds
    probes: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = 1

    @model_validator(mode="after")
    def _reachable(self) -> "Breaker":
        if self.share.value == 0:
            raise wrong(("share", 0, "more than 0"))
        if self.least is not None and self.least > self.calls:
            raise wrong(("least", self.least, f"at most calls, {self.calls}"))
        return self


class Pace(Part):
    """A token bucket: services begin at most at this rate, `burst` at once after a quiet time."""

    rate: Rate
    burst: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = 1

    @model_validator(mode="after")
    def _moves(self) -> "Pace":
        if self.rate.value == 0:
            raise wrong(("rate", 0, "more than 0"))
        return self


class Retries(Part):
    """What clients do whose request was refused, abandoned or timed out."""

    attempts: Annotated[int, Field(strict=True, ge=1, le=100)]
    pause: Seconds
    # A thousand to the power of 98 is still a floating-point number.
    factor: Annotated[q.Quantity, completed("ratio"), q.checked(("ratio",), 0, 1000)] = q.Quantity(
        value=2, unit="ratio", source=q.OWN, evidence="assumed"
    )
    longest: Seconds | None = None
    jitter: Share = q.Quantity(value=0, unit="ratio", source=q.OWN, evidence="assumed")
    budget: Ratio | None = None
    burst: Count = q.Quantity(value=0, unit="visits", source=q.OWN, evidence="assumed")

    @model_validator(mode="after")
    def _ends(self) -> "Retries":
        last_s = seconds(self.pause) * self.factor.value ** max(self.attempts - 2, 0)
        if self.longest is None and last_s > LONGEST_S:
            raise wrong(("longest", None, f"a value; the last pause would be {last_s:g} seconds"))
        return self


def overlaps(key: str, spans: Sequence[Outage | Slowdown]) -> q.Problems:
    """Those that do not begin after the one before has ended, or end before they begin."""
    found: q.Problems = []
    end = 0.0
    for place, each in enumerate(spans):
        from_s, to_s = seconds(each.from_), seconds(each.to)
        if from_s < end or to_s <= from_s:
            found.append((f"{key}[{place}]", f"{from_s:g} to {to_s:g}", "spans in order, each after the one before"))
        end = max(end, to_s)
    return found
