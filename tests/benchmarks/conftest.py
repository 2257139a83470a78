"""Benchmarks: choosing a group, and the table of units a second at the end.

A benchmark says in `benchmark.extra_info` what it counts ("unit") and how many of them one call of its timed function
does ("units_per_round"). Peers that do the same work stand in one group; the ratio is to the group's `test_ours`, or
to its first peer. A figure whose check failed after the timing is neither shown nor written.
"""

from collections.abc import Generator
from typing import Any

import pytest

Figures = list[dict[str, Any]]  # what pytest-benchmark knows of each benchmark, in the order in which they ran
_FIGURES = pytest.StashKey[Figures]()
_UNPROVEN = pytest.StashKey[set[str]]()
_OURS = "test_ours"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--only-group", metavar="GROUP", default="", help="Run only the benchmarks of this group.")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_FIGURES] = []
    config.stash[_UNPROVEN] = set()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = config.getoption("only_group", "")
    if not wanted:
        return
    groups = sorted({_group(item) for item in items} - {""})
    if wanted not in groups:
        raise pytest.UsageError(f"--only-group {wanted}: no such group; expected one of {', '.join(groups)}")
    config.hook.pytest_deselected(items=[item for item in items if _group(item) != wanted])
    items[:] = [item for item in items if _group(item) == wanted]


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    """For benchmarks whose every round needs fresh input, which pytest-benchmark does not count by itself."""
    return int(request.config.getoption("benchmark_min_rounds"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    benchmark = getattr(item, "funcargs", {}).get("benchmark")
    if report.failed and benchmark is not None:
        benchmark.has_error = True  # keeps it out of the JSON
        item.config.stash[_UNPROVEN].add(item.nodeid)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_benchmark_group_stats(config: pytest.Config, benchmarks: Figures) -> Generator[None, Any, Any]:
    # Rows with a path are of earlier runs (--benchmark-compare). Copies, because the printed table renames its rows.
    now = (dict(each) for each in benchmarks if each["path"] is None and "unit" in each["extra_info"])
    config.stash[_FIGURES] = [each for each in now if each["fullname"] not in config.stash[_UNPROVEN]]
    return (yield)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    figures = config.stash[_FIGURES]
    if figures and not config.getoption("benchmark_quiet"):
        terminalreporter.section("units a second: median of rounds (interquartile range), ratio")
        for line in table(figures):
            terminalreporter.write_line(line)


def table(figures: Figures) -> list[str]:
    """The lines of the table, groups in the order in which they ran."""
    lines = []
    for group in dict.fromkeys(each["group"] for each in figures):
        peers = [each for each in figures if each["group"] == group]
        base = next((each for each in peers if each["name"] == _OURS), peers[0])
        lines.append(f"{group}, {base['extra_info']['unit']}/s")
        for each in peers:
            spread = each["iqr"] / each["median"]
            ratio = _rate_per_s(each) / _rate_per_s(base)
            rate = f"{_rate_per_s(each):14,.0f}  ({spread:4.0%} of {each['rounds']})"
            lines.append(f"  {each['name']:<24}{rate}{ratio:10.3g} × {base['name']}")
    return lines


def _rate_per_s(figure: dict[str, Any]) -> float:
    return float(figure["extra_info"]["units_per_round"] / figure["median"])


def _group(item: pytest.Item) -> str:
    mark = item.get_closest_marker("benchmark")
    return str(mark.kwargs.get("group", "")) if mark else ""
