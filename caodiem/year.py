"""A year of the whole country as a scenario: a main scenario at one level, and the systems that its dossiers visit.

A file with `[year]` is of this kind. Its stations are the country's systems, where those of `portal` are the staging
portal's.
"""

from typing import Annotated

from pydantic import Field

from caodiem import quantity as q
from caodiem.document import Part
from caodiem.scenario import Scenario, Service, clock


class System(Part):
    """A system of the country as one station."""

    servers: q.Servers


class Year(Part):
    """How much of the calendar's year is simulated, and the systems: each operation visits its stations in order."""

    months: Annotated[int, Field(strict=True, ge=1, le=12)] = 12
    stations: dict[str, System] = Field(min_length=1)
    services: list[Service] = Field(min_length=1)


class YearScenario(Scenario):
    """All inputs of a national year."""

    year: Year

    def contradictions(self) -> list[tuple[str, object, str]]:
        found = super().contradictions()
        if self.hours is not None:
            expected = "none beside [year], which simulates every hour and lets no system fail"
            found.append(("hours", clock(self.hours), expected))
        if len(self.levels) != 1:
            found.append(("levels", self.levels, "one level: a year has one online share"))
        for number, service in enumerate(self.year.services):
            key = f"year.services[{number}]"
            if service.station not in self.year.stations:
                found.append((f"{key}.station", service.station, f"one of {', '.join(self.year.stations)}"))
            if service.variation.value not in (0, 1):
                expected = "0 (always the same) or 1 (exponential), which is all that a year takes"
                found.append((f"{key}.variation", service.variation.value, expected))
        return found
