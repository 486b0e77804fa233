"""Figures of the least that a table can hold, and of the longest names: all is drawn, and inside the figure."""

import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from figure_tables import (
    WANTED,
    accuracy,
    elsewhere,
    emerging,
    floor,
    history,
    published,
    retrained,
    stable,
    under_several,
    variance,
    with_measures,
)
from matplotlib.figure import Figure

from rotvar import summary
from rotvar.errors import InputError
from rotvar.figures import theme
from rotvar.figures.accuracy import accuracy_bars
from rotvar.figures.accuracy_by_angle import accuracy_by_angle
from rotvar.figures.accuracy_polar import accuracy_polar
from rotvar.figures.agreement import agreement
from rotvar.figures.classes import by_class
from rotvar.figures.depth import by_depth
from rotvar.figures.distribution import distribution
from rotvar.figures.emergence import emergence
from rotvar.figures.global_variance import global_variance
from rotvar.figures.heatmap import heatmap
from rotvar.figures.last_layer import last_layer
from rotvar.figures.layers import by_layer
from rotvar.figures.measures import measures
from rotvar.figures.retraining import retraining
from rotvar.figures.stability import stability
from rotvar.figures.training_curves import training_curves
from rotvar.figures.transfer import transfer, transfer_by_layer
from rotvar.figures.transformations import transformations

INF, NAN = math.inf, math.nan
LONG = "a class whose name has forty characters."
BOTH = ["mean", "spatial"]

VARIANCE_FIGURES: dict[str, Callable[[pd.DataFrame], Figure]] = {
    "heatmap": lambda table: heatmap(table, "all", "mean"),
    "layers": lambda table: by_layer(table, "mean"),
    "measures": lambda table: measures(with_measures(table), "mean", floor(table)),
    "classes": lambda table: by_class(table, "mean"),
    "distribution": lambda table: distribution(table, BOTH),
    "last_layer": last_layer,
    "global_variance": lambda table: global_variance(summary.global_variance(table)),
    "transformations": lambda table: transformations(under_several(summary.global_variance(table)), "mean"),
    "emergence": lambda table: emergence(emerging(table), history(), "mean"),
    "stability": lambda table: stability(stable(table), "mean", **WANTED),
    "transfer": lambda table: transfer(elsewhere(summary.global_variance(table), "global_variance"), "mean"),
    "transfer_layers": lambda table: transfer_by_layer(
        elsewhere(summary.layer_means(table), "normalized_variance"), "mean"
    ),
    "depth": lambda table: by_depth(summary.layer_means(table), "mean"),
}

# Each with one seed.
NETWORKS = {
    "one layer": {"rotated": {"conv": [0.5, 1.0]}},
    "one unit": {"unrotated": {"conv": [0.5], "fc": [1.0]}, "rotated": {"conv": [0.25], "fc": [0.5]}},
    "all infinite": {"unrotated": {"conv": [INF, INF], "fc": [INF]}, "rotated": {"conv": [INF, INF], "fc": [INF]}},
    "all missing": {"rotated": {"conv": [NAN, NAN], "fc": [NAN]}},
    "all zero": {"rotated": {"conv": [0.0, 0.0], "fc": [0.0]}},
    "a deep network of one unit a layer": {"rotated": {f"conv{index}": [1.0] for index in range(170)}},
    "long layer names": {"rotated": {"layer." * 12 + "conv": [1.0], "l" * 60: [2.0]}},
}


def is_whole(figure: Figure) -> None:
    """Everything that is drawn is inside the figure."""
    figure.draw_without_rendering()
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    slack = 0.02  # inches
    assert drawn.x0 >= -slack
    assert drawn.y0 >= -slack
    assert drawn.x1 <= width + slack
    assert drawn.y1 <= height + slack


@pytest.mark.parametrize("figure", VARIANCE_FIGURES)
@pytest.mark.parametrize("network", NETWORKS)
def test_networks(figure: str, network: str) -> None:
    is_whole(VARIANCE_FIGURES[figure](variance(NETWORKS[network], ["all", "stratified", "0 - zero"], BOTH)))


@pytest.mark.parametrize("figure", ["layers", "measures", "global_variance", "stability", "transfer_layers", "depth"])
def test_what_differs_by_orders_of_magnitude_is_on_a_logarithmic_axis_that_says_so(figure: str) -> None:
    values = {"unrotated": {"conv": [1e4], "fc": [2e4]}, "rotated": {"conv": [1e-12], "fc": [2e-12]}}
    drawn = VARIANCE_FIGURES[figure](variance(values, ["all", "stratified"], BOTH))
    axes = drawn.axes[0]
    assert axes.get_yscale() == "symlog"
    assert axes.get_ylabel().endswith(" (log)")
    is_whole(drawn)
    labels = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert all(above.y0 > below.y1 for below, above in itertools.pairwise(labels))


@pytest.mark.parametrize("figure", VARIANCE_FIGURES)
@pytest.mark.parametrize("classes", [["cat"], [LONG], [LONG, LONG.upper(), "W" * 40]])
def test_class_names(figure: str, classes: list[str]) -> None:
    table = variance(strata=["all", "stratified", *classes], aggregations=BOTH, dataset="a data set of the user's own")
    is_whole(VARIANCE_FIGURES[figure](table))


@pytest.mark.parametrize("figure", VARIANCE_FIGURES)
def test_a_table_straight_from_the_measure(figure: str) -> None:
    table = variance({"": {"conv": [0.5, 1.0], "fc": [1.0]}}, ["all", "stratified", "0 - zero"], BOTH)
    is_whole(VARIANCE_FIGURES[figure](table.drop(columns=["training", "dataset", "model", "seed"])))


@pytest.mark.parametrize("draw", [accuracy_bars, accuracy_by_angle, accuracy_polar])
@pytest.mark.parametrize(
    "table",
    [
        accuracy(["cat"], dataset="mine"),
        accuracy([LONG, "dog"], dataset="mine"),
        accuracy([LONG], angles=1, seeds=2, dataset="mine"),
        accuracy(angles=2),
        accuracy([f"class {number}" for number in range(23)], dataset="mine"),
        accuracy().drop(columns=["training", "dataset", "model", "seed"]),
    ],
    ids=["one class", "a long name", "one angle", "two angles", "many classes", "a table of one network"],
)
def test_accuracies(draw: Callable[[pd.DataFrame], Figure], table: pd.DataFrame) -> None:
    is_whole(draw(table))


@pytest.mark.parametrize(("epochs", "seeds"), [(1, 1), (1, 2), (300, 1)])
def test_histories(epochs: int, seeds: int) -> None:
    is_whole(training_curves(history(epochs, seeds)))


@pytest.mark.parametrize("epochs", [[0], [7], range(40)])
def test_epochs(epochs: Sequence[int]) -> None:
    is_whole(emergence(emerging(variance(), epochs), history(3), "mean"))


@pytest.mark.parametrize(
    "layers", [{}, {"fc": "fully connected"}, {LONG: "convolution"}, {f"conv{n}": "convolution" for n in range(156)}]
)
@pytest.mark.parametrize("seeds", [1, 2])
def test_retrained_networks(layers: dict[str, str], seeds: int) -> None:
    is_whole(retraining(retrained(layers, seeds)))


def test_networks_that_were_not_trained_from_the_start_or_on_one_test_set() -> None:
    table = retrained({"conv": "convolution"})
    is_whole(retraining(table[table["scheme"] != "from the start"]))
    is_whole(retraining(table[table["test"] == "rotated"].drop(columns=["dataset", "model", "seed"])))


@pytest.mark.parametrize("accuracies", [0, 1, 4])
@pytest.mark.parametrize("values", [0, 1, 4])
def test_published_cells(accuracies: int, values: int) -> None:
    is_whole(agreement(published("accuracy")[:accuracies], published("global_variance")[:values]))


def test_an_aggregation_that_is_only_sum_is_drawn() -> None:
    table = variance(strata=["all", "stratified"], aggregations=["sum"])
    assert len(global_variance(summary.global_variance(table)).axes) == 1
    assert len(distribution(table, ["sum"]).axes) == len(distribution(table, "sum").axes) == 1
    assert theme.distinct(["mean", "sum", "spatial"]) == ["mean", "spatial"]


@pytest.mark.parametrize(
    ("figure", "strata", "lacks"),
    [
        ("layers", ["cat", "dog"], "all or stratified"),
        ("global_variance", ["cat", "dog"], "all or stratified"),
        ("classes", ["all", "stratified"], "of a class"),
        ("last_layer", ["all", "stratified"], "of a class"),
    ],
)
def test_a_table_without_the_strata_of_a_figure_is_one_sentence(figure: str, strata: list[str], lacks: str) -> None:
    with pytest.raises(InputError, match=f"^There is no stratum {lacks} in the table: take all strata of the measure"):
        VARIANCE_FIGURES[figure](variance(strata=strata))


def test_all_infinite_is_said() -> None:
    figure = distribution(variance(NETWORKS["all infinite"], aggregations=BOTH), BOTH)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == [f"{name}: ρ = –; 3 units, 3 infinite, 0 missing" for name in ("unrotated", "rotated")]
    marked = [line.get_xdata() for line in figure.axes[0].lines if line.get_marker() == "v"]
    np.testing.assert_allclose(np.sort(np.concatenate(marked)), [-0.215, 0.215, 0.785, 1.215])


@pytest.mark.parametrize(
    "name",
    ["<script>", "$\\frac{$", "a $x_$ b", "50% & \\more", "{dataset}"],
)
def test_a_class_may_have_any_name(name: str, tmp_path: Path) -> None:
    """It is written as it is: no formula, and no mark-up in an SVG."""
    table = variance(strata=["all", "stratified", name], aggregations=BOTH, dataset="images", model="network")
    by_angle = accuracy(classes=["a class", name], dataset="images")
    figures = [by_class(table, "mean"), last_layer(table), heatmap(table, name, "mean"), accuracy_by_angle(by_angle)]
    for figure in figures:
        theme.save(figure, tmp_path / "figure.svg")
        svg = ElementTree.parse(tmp_path / "figure.svg")
        assert not [element for element in svg.iter() if element.tag.endswith("script")]
        assert any(name in (element.text or "") for element in svg.iter() if element.tag.endswith("text"))
