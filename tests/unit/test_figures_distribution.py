"""The distribution of units by layer: quantiles of the finite ones, and a count of the others."""

import math

import numpy as np
import pandas as pd
import pytest
from figure_tables import variance
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from rotvar.errors import InputError
from rotvar.figures import theme
from rotvar.figures.distribution import distribution

INF, NAN = math.inf, math.nan
# 0.05, 0.25, 0.5, 0.75 and 0.95 quantiles: 0.05, 0.25, ...
EVEN = list(np.linspace(0, 1, 21))
DOUBLE = [2 * value for value in EVEN]


def bars(axes: Axes) -> list[tuple[str, float, float, float]]:
    """Colour, middle, lower and upper end of every bar, from left to right, the pale before the dark."""
    found = [
        (to_hex(bar.get_facecolor()).upper(), bar.get_x() + bar.get_width() / 2, bar.get_y(), bar.get_height())
        for bar in axes.patches
    ]
    return sorted(
        [(colour, round(x, 3), round(low, 6), round(low + height, 6)) for colour, x, low, height in found],
        key=lambda bar: bar[1],
    )


def notes(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_each_layer_has_a_bar_for_each_training_beside_the_other() -> None:
    figure = distribution(variance({"unrotated": {"conv": EVEN, "fc": DOUBLE}, "rotated": {"conv": DOUBLE}}), ["mean"])
    (axes,) = figure.axes
    orange, blue = theme.TRAININGS["unrotated"], theme.TRAININGS["rotated"]
    assert bars(axes) == [
        (orange, -0.215, 0.05, 0.95),
        (orange, -0.215, 0.25, 0.75),
        (blue, 0.215, 0.1, 1.9),
        (blue, 0.215, 0.5, 1.5),
        (orange, 0.785, 0.1, 1.9),
        (orange, 0.785, 0.5, 1.5),
    ]
    medians = [segment[:, 1].tolist() for lines in axes.collections for segment in lines.get_segments()]
    assert medians == [[0.5, 0.5], [1.0, 1.0], [1.0, 1.0]]
    assert axes.get_ylim() == pytest.approx((0, 1.9 * 1.08))


def test_the_aggregations_are_beside_each_other_on_one_scale_and_sum_is_mean() -> None:
    mean = variance({"rotated": {"conv": EVEN}}, aggregations=["mean", "sum"])
    spatial = variance({"rotated": {"conv": DOUBLE}}, aggregations=["spatial"])
    figure = distribution(pd.concat([mean, spatial]), ["mean", "sum", "spatial"])
    assert [axes.get_title() for axes in figure.axes] == ["aggregation: mean", "aggregation: spatial"]
    assert figure.axes[0].get_position().x1 < figure.axes[1].get_position().x0
    assert [axes.get_ylim() for axes in figure.axes] == [pytest.approx((0, 1.9 * 1.08))] * 2


def test_infinite_and_missing_units_are_counted_and_their_layers_marked() -> None:
    table = variance({"unrotated": {"conv": [*EVEN, INF, NAN], "fc": [1.0, INF]}, "rotated": {"conv": EVEN, "fc": [1]}})
    figure = distribution(table, ["mean"])
    (axes,) = figure.axes
    assert bars(axes)[0][2:] == (0.05, 0.95)  # they do not count in the quantiles
    assert notes(axes) == [
        "unrotated: ρ = +1.00; 25 units, 2 infinite, 1 missing",
        "rotated: ρ = +1.00; 22 units, 0 infinite, 0 missing",
    ]
    marks = [line.get_xdata().tolist() for line in axes.lines if line.get_marker() == "v"]
    assert marks == [pytest.approx([-0.215, 0.785]), pytest.approx([-0.215]), [], []]
    key = [text.get_text() for text in figure.legends[0].get_texts()]
    assert key[-3:] == ["median", "some infinite", "some missing"]


def test_the_rank_correlation_says_whether_the_lower_layers_are_the_most_invariant() -> None:
    rising = {f"conv{index}": [index**3] for index in range(5)}
    falling = {f"conv{index}": [1 / (index + 1)] for index in range(5)}
    table = pd.concat([variance({"rotated": rising}), variance({"rotated": falling}, aggregations=["spatial"])])
    mean, spatial = distribution(table, ["mean", "spatial"]).axes
    assert notes(mean)[0].startswith("rotated: ρ = +1.00;")
    assert notes(spatial)[0].startswith("rotated: ρ = −1.00;")
    assert notes(distribution(variance({"rotated": {"conv": [1.0]}}), ["mean"]).axes[0])[0].startswith(
        "rotated: ρ = –;"
    )


def test_a_few_extreme_layers_do_not_rule_the_scale() -> None:
    figure = distribution(variance({"rotated": {"conv": [*EVEN[:-2], 500.0, 1000.0]}}), ["mean"])
    assert figure.axes[0].get_ylim() == pytest.approx((0, 2 * 0.75 * 1.08))


def test_a_deep_network_has_a_panel_for_each_training() -> None:
    network = {f"conv{index}": [float(index), index + 1.0] for index in range(170)}
    figure = distribution(
        variance({"unrotated": network, "rotated": network}, aggregations=["mean", "spatial"]), ["mean"]
    )
    upper, lower = figure.axes
    assert upper.get_position().y0 > lower.get_position().y1
    assert [notes(axes)[0].split(":")[0] for axes in figure.axes] == ["unrotated", "rotated"]
    assert [bar.get_width() for bar in upper.patches] == [pytest.approx(0.86)] * 340
    titles = ["aggregation: mean, trained unrotated", "aggregation: mean, trained rotated"]
    assert [axes.get_title() for axes in figure.axes] == titles


def test_the_units_of_several_seeds_are_taken_together() -> None:
    table = pd.concat(
        [variance({"rotated": {"conv": part}}, seed=seed) for seed, part in enumerate([EVEN[::2], EVEN[1::2]])]
    )
    figure = distribution(table, ["mean"])
    assert bars(figure.axes[0])[0][2:] == (0.05, 0.95)
    assert figure.get_suptitle().endswith("units of 2 seeds together")


def test_an_aggregation_that_was_not_measured_is_an_error() -> None:
    with pytest.raises(InputError, match="no aggregation 'spatial' in the table: choose one of mean"):
        distribution(variance(), ["mean", "spatial"])
