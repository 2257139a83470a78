"""Which part of a plan is replayed, and how fast: a window, a share of its dossiers, some journeys, a speed.

What comes of it is a plan again, with a hash of its own, and the accounts of a replay are against that one.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from caodiem import plan as plans
from caodiem.errors import UsageError

_DURATION = r"(\d+(?:\.\d+)?)\s*(s|min|h)?"
_WINDOW = re.compile(rf"\s*{_DURATION}\s*\+\s*{_DURATION}\s*")
_SECONDS = {None: 1.0, "s": 1.0, "min": 60.0, "h": 3600.0}
_SLOWEST, _FASTEST = 0.001, 1000.0


@dataclass(frozen=True, slots=True)
class Part:
    """Seconds [start_s, start_s + length_s) of a plan, thinned to `scale`, all times divided by `speed`."""

    start_s: float = 0.0
    length_s: float = math.inf
    scale: float = 1.0
    speed: float = 1.0
    journeys: tuple[str, ...] = ()  # all of them where none is named

    @property
    def is_whole(self) -> bool:
        return self == Part()

    @property
    def options(self) -> list[str]:
        """The options of `caodiem replay` that ask for it; none for the whole plan."""
        said = {
            "--window": "" if math.isinf(self.length_s) else f"{self.start_s:.10g}+{self.length_s:.10g}",
            "--scale": "" if self.scale == 1 else f"{self.scale:.10g}",
            "--speed": "" if self.speed == 1 else f"{self.speed:.10g}",
            "--journeys": ",".join(self.journeys),
        }
        return [word for option, value in said.items() if value for word in (option, value)]

    def of(self, whole: plans.Plan) -> plans.Plan:
        """The plan to execute; UsageError when the window lies outside it or nobody arrives."""
        if self.is_whole:
            return whole
        length_s = whole.meta.length_s
        if self.start_s >= length_s:
            raise UsageError(f"--window starts at second {self.start_s:g}: expected less than {length_s:g} s, the plan")
        found = plans.window(whole, self.start_s, min(self.length_s, length_s - self.start_s))
        found = plans.hasten(plans.scale(found, self.scale), self.speed)
        if self.journeys:
            found = plans.only(found, self.journeys)
        if not found.arrivals:
            raise UsageError(f"{self}: nobody arrives; expected a wider window or a greater --scale")
        return found

    def after(self, earlier: "Part") -> "Part":
        """The part of the first plan that is replayed where `self` is taken of what `earlier` left of it."""
        start_s = self.start_s * earlier.speed
        length_s = min(self.length_s * earlier.speed, earlier.length_s - start_s)
        scale, speed = earlier.scale * self.scale, earlier.speed * self.speed
        return Part(earlier.start_s + start_s, length_s, scale, speed, self.journeys or earlier.journeys)

    def __str__(self) -> str:
        """In the words of the options, so that it can be asked for again."""
        window = "all" if math.isinf(self.length_s) else f"{self.start_s:g}+{self.length_s:g} s"
        journeys = f", journeys {','.join(self.journeys)}" if self.journeys else ""
        return f"window {window}, scale {self.scale:g}, speed {self.speed:g}{journeys}"


def of_options(options: Mapping[str, Any]) -> Part:
    """What a manifest's options say was replayed of the plans as they were first drawn; `scale` is of the country."""
    length_s = options.get("length_s")  # null where it was infinite
    return Part(
        options.get("start_s", 0.0),
        math.inf if length_s is None else length_s,
        options.get("scale", 1.0),
        options.get("speed", 1.0),
        tuple(options.get("journeys", ())),
    )


def parse(window: str, scale: float, speed: float, journeys: str = "") -> Part:
    """From the options `--window START+LENGTH`, `--scale`, `--speed` and `--journeys A,B`; UsageError says which.

    "" stands for the whole window, and for every journey.
    """
    names = tuple(name.strip() for name in journeys.split(",") if name.strip())
    if not 0 < scale <= 1:
        raise UsageError(f"--scale {scale:g}: expected more than 0 and at most 1")
    if not _SLOWEST <= speed <= _FASTEST:
        raise UsageError(f"--speed {speed:g}: expected {_SLOWEST:g} to {_FASTEST:g}; 2 is twice as fast")
    if not window:
        return Part(scale=scale, speed=speed, journeys=names)
    found = _WINDOW.fullmatch(window)
    if found is None:
        raise UsageError(f"--window {window!r}: expected START+LENGTH, like '600+60' or '10min+90s' (s, min, h)")
    start_s, length_s = float(found[1]) * _SECONDS[found[2]], float(found[3]) * _SECONDS[found[4]]
    if not length_s > 0:
        raise UsageError(f"--window {window!r}: a length of 0: expected more")
    return Part(start_s, length_s, scale, speed, names)
