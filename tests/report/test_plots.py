"""The plots: well-formed pictures of the right width, drawable from whatever a run left."""

import math
import re
import xml.etree.ElementTree as ET

import matplotlib as mpl
import pytest

from caodiem.report import figures, plots
from caodiem.report.words import Words

QUICK = figures.Times(0.004, 0.05, 0.08)
ENDLESS = figures.Times(0.004, math.inf, math.inf)


def times(measured: figures.Times | None, predicted: figures.Times | None = QUICK) -> figures.OperationTimes:
    return figures.OperationTimes("all", 100, measured, predicted, QUICK, None)


@pytest.mark.parametrize("language", ["en", "vi"])
@pytest.mark.parametrize("shape", plots.SHAPES, ids=lambda shape: shape.name)
@pytest.mark.parametrize("measured", [QUICK, ENDLESS, None], ids=["quick", "endless", "not replayed"])
def test_response_times_are_drawn_whatever_they_are(
    measured: figures.Times | None, shape: plots.Shape, language: str
) -> None:
    panels = [plots.Panel("43%", [times(measured)]), plots.Panel("85%", [times(QUICK)])]
    svg = plots.responses(panels, Words(language), shape)
    root = ET.fromstring(svg)
    assert float(str(root.get("width")).removesuffix("pt")) == pytest.approx(shape.width_in * 72)
    assert not re.search(r"\b(nan|inf)\b", svg)


def test_a_plot_leaves_matplotlib_as_it_was() -> None:
    before = dict(mpl.rcParams)
    plots.responses([plots.Panel("43%", [times(QUICK)])], Words("vi"), plots.WIDE)
    assert dict(mpl.rcParams) == before


def test_a_level_without_an_operation_keeps_its_row_free() -> None:
    filed = figures.OperationTimes("file_dossier", 1, QUICK, QUICK, QUICK, None)
    both, one = [times(QUICK), filed], [times(QUICK)]
    whole, partly = (
        plots.responses([plots.Panel("43%", both), plots.Panel("85%", rows)], Words("en"), plots.WIDE)
        for rows in (both, one)
    )
    # The picture is as high, with one row of dots fewer.
    assert ET.fromstring(whole).get("height") == ET.fromstring(partly).get("height")
    assert whole.count("<use") > partly.count("<use")


@pytest.mark.parametrize(
    ("labels", "width_pt", "columns"),
    [(["ab"] * 4, 500, 4), (["ab"] * 4, 100, 2), (["a" * 60] * 3, 268, 1), (["a"], 9, 1)],
)
def test_a_legend_takes_the_columns_that_fit(labels: list[str], width_pt: float, columns: int) -> None:
    assert plots._legend_columns(labels, width_pt) == columns


def test_the_span_holds_every_time_in_whole_decades() -> None:
    assert plots._span([[times(QUICK)]]) == pytest.approx((0.001, 0.1))
    assert plots._span([[times(ENDLESS)]]) == pytest.approx((0.001, 1.0))
    assert plots._span([[]]) == pytest.approx((0.001, 1.0))
