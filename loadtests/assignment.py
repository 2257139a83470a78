"""What a replay was asked to do: which part of which plan, against whom, within which limits.

Checked before the first packet. Knows the command line's options as values; neither Locust nor gevent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from caodiem import abort, part, run, targets
from caodiem import plan as plans
from caodiem.errors import UsageError
from caodiem.scenario import Scenario
from loadtests import defaults, journeys, portals

# Later steps of journeys begun inside the window are sent until so long after the last would be due at the latest
# if every answer came at once; what is not sent by then is lost.
_DRAIN_S = 60.0


@dataclass(frozen=True)
class Assignment:
    """Everything that is settled before a replay begins. The pool's size is not: the web UI may change it."""

    plan_file: Path
    part: part.Part
    plan: plans.Plan  # the part of it that is replayed
    host: str
    admin_token: str = field(repr=False)
    authorities: str = field(repr=False)  # PEM; empty for those that everybody trusts
    rules: list[abort.Rule]
    portal: str  # module:Class
    greatest_lateness_s: float
    given_folder: str

    @classmethod
    def of(cls, options: Mapping[str, Any], host: str, admin_token: str) -> Self:
        """Read the plan and check it and the host; without a host a staging portal is started.

        CaodiemError, with its exit code, when they won't do.
        """
        plan_file = defaults.plan_file(options["plan"])
        chosen = part.parse(options["window"], options["scale"], options["speed"], options["journeys"])
        plan = chosen.of(plans.read(plan_file))
        portals.check_serves(portals.load(options["portal"]), plan)
        authorities = _read(Path(options["ca"])) if options["ca"] else ""
        if not host:
            host, admin_token = defaults.staging_portal()
        targets.load().check(host, journeys.highest_second_per_s(plan.table))
        # An empty rule is none: what a command says so that no config file says another.
        given = filter(None, options["abort"])
        rules = abort.rules(given, targets.is_loopback(urlsplit(host).hostname or ""))
        limits = (rules, options["portal"], options["greatest_lateness"], options["observations"])
        return cls(plan_file, chosen, plan, host, admin_token, authorities, *limits)

    @property
    def until_s(self) -> float:
        """When the draining ends."""
        nominal_s = journeys.nominal_due_s(self.plan.table)
        return max(self.plan.meta.length_s, float(nominal_s.max()) if len(nominal_s) else 0.0) + _DRAIN_S

    def folder(self) -> Path:
        """Where the observations go: a folder of their own beside the plan, unless another was given."""
        beside = self.plan_file.parent / f"locust-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        return Path(self.given_folder or beside).resolve()

    def scenario(self) -> Scenario | None:
        """The scenario of the run that the plan stands in; a plan alone has none, and so no SLOs."""
        resolved = run.Run(self.plan_file.parent.parent).scenario
        return Scenario.of_run(run.read_json(resolved)["resolved"]) if resolved.is_file() else None

    def in_words(self, pool: int) -> str:
        """The seed and every option as resolved: what it takes to repeat the replay."""
        meta = self.plan.meta
        return (
            f"plan {self.plan_file}: seed {meta.seed}, {self.part}\n"
            f"replays {self.plan.arrivals} arrivals, {self.plan.steps} steps in {meta.length_s:g} s from "
            f"{meta.starts_at}, hash {meta.plan_hash[:12]}\n"
            f"host {targets.without_secrets(self.host)}, asked by {self.portal}, pool {pool}, "
            f"greatest lateness {self.greatest_lateness_s:g} s, "
            f"abort rules: {'; '.join(rule.text for rule in self.rules) or 'none'}"
        )

    def as_json(self, pool: int) -> dict[str, Any]:
        """What info.json says of a replay before it begins."""
        return {
            "executor": "locust",
            "target": targets.without_secrets(self.host),
            "plan_hash": self.plan.meta.plan_hash,
            "part": str(self.part),
            "portal": self.portal,
            "pool": pool,
            "greatest_lateness_s": self.greatest_lateness_s,
            "abort_rules": [rule.text for rule in self.rules],
        }


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise UsageError(f"--ca {path}: {error}; expected a file of certificates in PEM") from error
