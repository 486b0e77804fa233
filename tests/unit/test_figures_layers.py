"""Variance by layer, and by layer and class."""

import math

import numpy as np
import pytest
from figure_tables import seeds, variance
from matplotlib.colors import to_hex
from matplotlib.textpath import TextPath

from rotvar.figures import layer_axis, theme
from rotvar.figures.classes import by_class
from rotvar.figures.layers import by_layer

INF, NAN = math.inf, math.nan


def test_a_line_for_each_training_and_stratum() -> None:
    figure = by_layer(variance(strata=["all", "stratified", "0 - zero"]), "mean")
    (axes,) = figure.axes
    lines = [(to_hex(line.get_color()).upper(), line.get_linestyle(), line.get_ydata().tolist()) for line in axes.lines]
    assert lines == [
        (theme.TRAININGS["unrotated"], "-", [1.0, 1.5]),
        (theme.TRAININGS["unrotated"], "--", [1.25, 1.75]),
        (theme.TRAININGS["rotated"], "-", [0.5, 0.75]),
        (theme.TRAININGS["rotated"], "--", [0.75, 1.0]),
    ]
    assert axes.get_ylabel() == "mean normalized variance"
    assert axes.get_ylim() == pytest.approx((0, 1.75 * 1.08))
    key = [text.get_text() for text in figure.legends[0].get_texts()]
    assert key == ["convolution", "fully connected", "trained unrotated", "trained rotated", "all", "stratified"]
    assert not axes.collections  # one seed has no band


def test_seeds_are_a_mean_and_a_band_of_one_standard_deviation() -> None:
    figure = by_layer(seeds({"conv": [1.0], "fc": [1.0]}, {"conv": [3.0], "fc": [1.0]}), "mean")
    (axes,) = figure.axes
    assert axes.lines[0].get_ydata().tolist() == [2.0, 1.0]
    heights = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((2 - 2**0.5, 2 + 2**0.5))
    assert axes.get_ylim()[1] > 2 + 2**0.5
    assert figure.get_suptitle() == "MNIST  ·  VGG16  ·  aggregation: mean  ·  mean ± std over 2 seeds"


def test_the_spread_of_one_layer_is_a_bar() -> None:
    (axes,) = by_layer(seeds({"conv": [1.0]}, {"conv": [3.0]}), "mean").axes
    assert axes.collections[0].get_segments()[0][:, 1].tolist() == pytest.approx([2 - 2**0.5, 2 + 2**0.5])


def test_classes_of_several_seeds_are_means_with_their_global_value_beside_them() -> None:
    networks = {"conv": [1.0, 1.0], "fc": [4.0]}, {"conv": [3.0, INF], "fc": [6.0]}
    figure = by_class(seeds(*networks, strata=["0 - zero", "1 - one"]), "mean")
    assert figure.axes[0].get_images()[0].get_array().tolist() == [[2.0, 5.0], [2.25, 5.25]]
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["0 - zero   3.250 ± 1.768", "1 - one   3.500 ± 1.768"]  # of 2 and 4.5, the means of finite units
    assert figure.axes[0].get_ylabel() == "class and global value"
    assert figure.get_suptitle().endswith("mean ± std over 2 seeds")
    figure.draw_without_rendering()
    assert all(label.get_window_extent().x0 > 0 for label in figure.axes[0].get_yticklabels())


@pytest.mark.parametrize(
    ("size", "value"),
    [(1e-4, "2.00e−4 ± 1.41e−4"), (1e6, "2.00e6 ± 1.41e6")],
)
def test_the_global_value_of_a_class_can_be_read_whatever_its_size(size: float, value: str) -> None:
    figure = by_class(seeds({"conv": [size]}, {"conv": [3 * size]}, strata=["0 - zero"]), "mean")
    assert figure.axes[0].get_yticklabels()[0].get_text() == f"0 - zero   {value}"


@pytest.mark.parametrize("name", ["قطة", "חתול 2"])
def test_the_global_value_of_a_class_is_mean_and_std_also_beside_letters_from_right_to_left(name: str) -> None:
    figure = by_class(seeds({"conv": [1.0]}, {"conv": [3.0]}, strata=[name]), "mean")
    (label,) = figure.axes[0].get_yticklabels()
    drawn, value = (TextPath((0, 0), text).vertices for text in (label.get_text(), "2.000 ± 1.414"))
    at_the_end = drawn[-len(value) :]  # letters are drawn from left to right
    np.testing.assert_allclose(at_the_end - at_the_end[0], value - value[0], atol=0.05)


def test_infinite_and_missing_units_do_not_count_and_a_layer_of_them_is_a_gap() -> None:
    network = {"conv": [1.0, INF, NAN], "relu": [INF, INF], "fc": [2.0]}
    line = by_layer(variance({"rotated": network}), "mean").axes[0].lines[0]
    np.testing.assert_array_equal(line.get_ydata(), [1.0, NAN, 2.0])


def test_all_infinite_is_an_empty_figure_with_an_axis() -> None:
    (axes,) = by_layer(variance({"rotated": {"conv": [INF]}}), "mean").axes
    assert axes.get_ylim() == (0.0, 1.0)


def falling(lowest: float) -> dict[str, list[float]]:
    return {f"conv{index}": [value] for index, value in enumerate([2.0, 0.0, 1.0, lowest, 20 * lowest])}


def test_layers_that_differ_by_orders_of_magnitude_can_be_read_and_0_is_still_0() -> None:
    (axes,) = (figure := by_layer(variance({"rotated": falling(1e-5)}), "mean")).axes
    assert axes.get_ylabel() == "mean normalized variance (log)"
    figure.draw_without_rendering()
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["0", "1e−5", "1e−4", "0.001", "0.01", "0.1", "1"]
    line = axes.lines[0]
    heights = line.get_transform().transform(line.get_xydata())[:, 1] - axes.bbox.y0
    assert heights[1] == pytest.approx(0)
    steps = (heights[[0, 2, 4, 3]] / axes.bbox.height).tolist()
    assert steps == sorted(steps, reverse=True)
    assert steps[0] < 0.95
    assert min(np.diff([0.0, *steps[::-1]])) > 0.04


def test_one_layer_that_is_nearly_invariant_leaves_the_axis_linear() -> None:
    network = {f"conv{index}": [1.0 + index] for index in range(11)} | {"fc": [1e-9]}
    for layers in (network, falling(0.01)):
        (axes,) = by_layer(variance({"rotated": layers}), "mean").axes
        assert (axes.get_yscale(), axes.get_ylabel()) == ("linear", "mean normalized variance")


def test_a_deep_network_has_a_panel_for_each_stratum() -> None:
    network = {f"conv{index}": [float(index)] for index in range(170)}
    figure = by_layer(variance({"unrotated": network, "rotated": network}, strata=["all", "stratified"]), "mean")
    assert [axes.get_title() for axes in figure.axes] == ["stratum: all", "stratum: stratified"]
    assert [len(axes.lines) for axes in figure.axes] == [2, 2]
    assert figure.axes[0].lines[0].get_ydata().tolist() == list(range(170))


def test_the_strip_shows_the_kinds_in_their_colours() -> None:
    network = {"conv1": [1.0], "bn1": [1.0], "relu1": [1.0], "conv2": [1.0], "odd": [1.0]}
    table = variance({"rotated": network}).astype({"kind": str}).replace({"kind": {"pooling": "dropout"}})
    strip = by_layer(table, "mean").axes[0].child_axes[0]
    mesh = strip.collections[0]
    drawn = [to_hex(colour).upper() for colour in mesh.to_rgba(mesh.get_array())[0]]
    known = layer_axis.KINDS
    convolution = known["convolution"]
    expected = [convolution, known["normalization"], known["non-linearity"], convolution, "#DDDDDD"]
    assert drawn == expected


def test_long_layer_names_lose_their_outermost_modules() -> None:
    name = "features.denseblock1." + "denselayer1." * 2 + "conv1"
    strip = by_layer(variance({"rotated": {name: [1.0]}}), "mean").axes[0].child_axes[0]
    (label,) = [label.get_text() for label in strip.get_xticklabels()]
    assert label == "…denselayer1.denselayer1.conv1"
    strip = by_layer(variance({"rotated": {"x" * 40: [1.0]}}), "mean").axes[0].child_axes[0]
    (label,) = [label.get_text() for label in strip.get_xticklabels()]
    assert label == f"{'x' * 16}…{'x' * 15}"


def test_by_class_has_a_row_for_each_class_in_the_data_sets_order() -> None:
    figure = by_class(variance(strata=["all", "1 - one", "0 - zero"]), "mean")
    unrotated, rotated = (axes.get_images()[0].get_array().tolist() for axes in figure.axes[:2])
    assert unrotated == [[1.5, 2.0], [1.25, 1.75]]
    assert rotated == [[1.0, 1.25], [0.75, 1.0]]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["0 - zero", "1 - one"]
    values = np.array([1.5, 2.0, 1.25, 1.75, 1.0, 1.25, 0.75, 1.0])
    end = np.median(values) + 3 * (np.quantile(values, 0.75) - np.quantile(values, 0.25))
    limits = [axes.get_images()[0].get_clim() for axes in figure.axes[:2]]
    assert limits == [(0.0, end), (0.0, end)]


def test_one_class_one_layer_one_unit_one_training() -> None:
    table = variance({"rotated": {"conv": [0.5]}}, strata=["cat"], dataset="mine")
    figure = by_class(table, "mean")
    assert figure.axes[0].get_images()[0].get_array().tolist() == [[0.5]]
    assert figure.get_suptitle() == "mine  ·  VGG16  ·  each class by itself  ·  aggregation: mean"


def test_a_class_name_of_40_characters_stays_inside_the_figure() -> None:
    table = variance(strata=["x" * 40, "y" * 40], dataset="mine")
    figure = by_class(table, "mean")
    figure.draw_without_rendering()
    for axes in figure.axes[:2]:
        for label in axes.get_yticklabels():
            assert len(label.get_text()) == 32
            assert label.get_window_extent().x0 > 0
