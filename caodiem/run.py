"""One run's folder under results/runs/: its names, its manifest, its provenance.

    manifest.json               what was asked, from which inputs, by which code, and how it ended
    scenario.json               every input resolved, with unit, source and evidence
    projection.json             the adoption path and the demand along it
    level-43/                   one folder for each adoption level
        casework.parquet        status events of the dossiers simulated
        traffic.json            requests a second through the busiest day
        indicators.json         each agency by the formulas of Decision 766
        sync.json               each agency's status sync, where the scenario has [sync]
        hours.json              what clients feel while a connected system fails, where the scenario has `hours`
        hours.parquet           the plan of these hours
        plan.parquet            what was executed
        simulated/  replayed/   observations.parquet, components.parquet
    agencies.csv                the list of agencies that the scenario names
    summary.json  verdict.json  report.html  plots/
    capacity.json  network.json  year.json  backtest.json
                                instead, or as well: what models were asked alone (studies.py)

Tables, JSON and the report are written beside their final names and renamed, so that a reader never meets half of one.
Pictures, logs and copies are not.
"""

import importlib.metadata
import json
import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from caodiem.errors import UsageError

SCHEMA_VERSION = 1
RUNS = Path("results/runs")
_PACKAGES = (
    "caodiem",
    "locust",
    "simpy",
    "numpy",
    "pyarrow",
    "matplotlib",
    "starlette",
    "granian",
    "psycopg",
    "pyhanko",
)


@dataclass(frozen=True, slots=True)
class Level:
    """One adoption level's folder: `level-43` holds what belongs to 43%."""

    folder: Path

    @property
    def percent(self) -> float:
        return float(self.folder.name.removeprefix("level-"))

    @property
    def plan(self) -> Path:
        return self.folder / "plan.parquet"

    @property
    def casework(self) -> Path:
        return self.folder / "casework.parquet"

    @property
    def traffic(self) -> Path:
        return self.folder / "traffic.json"

    @property
    def indicators(self) -> Path:
        return self.folder / "indicators.json"

    @property
    def sync(self) -> Path:
        return self.folder / "sync.json"

    @property
    def hours(self) -> Path:
        return self.folder / "hours.json"

    @property
    def hours_plan(self) -> Path:
        return self.folder / "hours.parquet"

    def executed(self, how: str) -> "Execution":
        """`how` is "simulated" or "replayed"."""
        return Execution(self.folder / how)


@dataclass(frozen=True, slots=True)
class Execution:
    """The tables that one executor left: simulated or replayed."""

    folder: Path

    @property
    def kind(self) -> str:
        """`simulated` or `replayed`; what `locust` replayed lies where one likes."""
        return "simulated" if self.folder.resolve().name == "simulated" else "replayed"

    @property
    def observations(self) -> Path:
        return self.folder / "observations.parquet"

    @property
    def components(self) -> Path:
        return self.folder / "components.parquet"

    @property
    def plan(self) -> Path:
        """The plan that was executed, where it is a part of the level's and not the level's own."""
        return self.folder / "plan.parquet"

    @property
    def parts(self) -> Path:
        return self.folder / "parts"

    @property
    def info(self) -> Path:
        """What the executor says of itself: target, pool, Locust's own statistics."""
        return self.folder / "info.json"


@dataclass(frozen=True, slots=True)
class Run:
    """A run's folder."""

    folder: Path

    @property
    def manifest(self) -> Path:
        return self.folder / "manifest.json"

    @property
    def scenario(self) -> Path:
        return self.folder / "scenario.json"

    @property
    def projection(self) -> Path:
        return self.folder / "projection.json"

    @property
    def summary(self) -> Path:
        return self.folder / "summary.json"

    @property
    def verdict(self) -> Path:
        return self.folder / "verdict.json"

    @property
    def report(self) -> Path:
        return self.folder / "report.html"

    @property
    def plots(self) -> Path:
        return self.folder / "plots"

    def level(self, percent: float) -> Level:
        return Level(self.folder / f"level-{percent:g}")

    @property
    def levels(self) -> list[Level]:
        """The levels that have a folder, the lowest adoption first."""
        return sorted((Level(path) for path in self.folder.glob("level-[0-9]*")), key=lambda level: level.percent)


def create(name: str, scenario_hash: str, options: dict[str, Any], runs: Path = RUNS) -> Run:
    """Make the folder of a new run and write its manifest with state `running`."""
    manifest = _manifest(name, scenario_hash, options)
    stem = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}_{name}_{scenario_hash[:7]}"
    try:
        runs.mkdir(parents=True, exist_ok=True)
        run = Run(_claim(runs, stem))
    except OSError as error:
        raise UsageError(f"{runs}: {error.strerror}; expected a folder to write runs into") from error
    write_json(run.manifest, manifest)
    return run


def begin_in(run: Run, name: str, scenario_hash: str, options: dict[str, Any]) -> None:
    """Write the manifest of a run that begins, with state `running`."""
    write_json(run.manifest, _manifest(name, scenario_hash, options))


def _manifest(name: str, scenario_hash: str, options: dict[str, Any]) -> dict[str, Any]:
    started = datetime.now(UTC)
    return {
        "schema_version": SCHEMA_VERSION,
        "state": "running",
        "scenario": name,
        "scenario_hash": scenario_hash,
        "options": options,
        "started_at": started.isoformat(timespec="seconds"),
        **provenance(),
    }


def _claim(runs: Path, stem: str) -> Path:
    """A new folder; runs that begin in the same second get a number."""
    for suffix in ["", *(f"-{n}" for n in range(2, 100))]:
        folder = runs / f"{stem}{suffix}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise UsageError(f"{runs / stem}: a hundred runs began in this second; expected fewer")


def finish(run: Run, state: str, exit_code: int) -> None:
    """Say in the manifest how the run ended: `finished`, `interrupted` or `failed`."""
    ended = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(run.manifest, {**read_json(run.manifest), "state": state, "exit_code": exit_code, "ended_at": ended})


def open_run(folder: Path) -> Run:
    """The run in `folder`; UsageError when it is none."""
    run = Run(folder)
    if not run.manifest.is_file():
        raise UsageError(f"{folder}: no manifest.json; expected a folder that `caodiem run` or `simulate` made")
    if missing := {"scenario", "options", "state"} - set(read_json(run.manifest)):
        raise UsageError(f"{run.manifest}: no {', '.join(sorted(missing))}; expected the manifest of a run")
    return run


def latest(runs: Path = RUNS) -> Run | None:
    """The newest run that has a plan, by its name's time."""
    folders = sorted((path for path in runs.glob("*Z_*") if list(path.glob("level-*/plan.parquet"))), reverse=True)
    return Run(folders[0]) if folders else None


def provenance() -> dict[str, Any]:
    """Which code on what machine: commit, dirty flag, versions, cores; no names or addresses of the machine."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain")),
        "versions": {"python": platform.python_version(), **_versions()},
        "machine": {"system": platform.system(), "processor": _processor(), "cores": os.cpu_count()},
    }


def _processor() -> str:
    """The model, where Linux tells it; else the kind."""
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text(encoding="utf-8").splitlines() if listed.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def write_json(path: Path, content: Any) -> None:
    """Indented UTF-8 JSON, renamed into place; NaN and infinity become null, since JSON has neither."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}")
    partial.write_text(json.dumps(plain(content), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.rename(path)


def read_json(path: Path) -> Any:
    """UsageError when the file is missing or no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file; the run did not get that far") from error
    except ValueError as error:
        raise UsageError(f"{path}: {error}; expected JSON") from error


def plain(content: Any) -> Any:
    """The same content with NaN and infinity as None, tuples as lists and keys as text: what JSON can hold."""
    if isinstance(content, float):
        return content if abs(content) < float("inf") else None
    if isinstance(content, dict):
        return {str(key): plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [plain(value) for value in content]
    return content


def _git(*words: str) -> str:
    try:
        # Of this code, not of whatever folder the command was called in.
        here = Path(__file__).parent
        found = subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip()


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
