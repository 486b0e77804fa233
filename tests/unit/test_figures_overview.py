"""All networks beside each other."""

import math

import numpy as np
import pandas as pd
import pytest
from figure_tables import FIVE, seeds, under, variance
from matplotlib.colors import to_hex

from rotvar import summary
from rotvar.figures import theme
from rotvar.figures.depth import by_depth
from rotvar.figures.global_variance import global_variance
from rotvar.figures.transformations import transformations

STRATA = ["all", "stratified"]


def study() -> list[pd.DataFrame]:
    """resnet and simple_conv on cifar10, simple_conv on mnist: global values 1.2 and 0.6, and 0.25 more stratified."""
    networks = [("cifar10", "resnet"), ("cifar10", "simple_conv"), ("mnist", "simple_conv")]
    aggregations = ["mean", "sum", "spatial"]
    return [variance(strata=STRATA, aggregations=aggregations, dataset=d, model=m) for d, m in networks]


def test_a_column_for_each_data_set_and_a_row_for_each_aggregation_but_sum() -> None:
    figure = global_variance(pd.concat(map(summary.global_variance, study())))
    assert len(figure.axes) == 4
    assert [axes.get_title() for axes in figure.axes] == ["MNIST", "CIFAR10", "", ""]
    assert [axes.get_ylabel() for axes in figure.axes] == ["aggregation: mean", "", "aggregation: spatial", ""]
    labels = [label.get_text() for label in figure.axes[2].get_xticklabels()]
    assert labels == ["SimpleConv", "ResNet"]  # in the catalogue's order


def test_a_mark_for_each_training_and_stratum() -> None:
    figure = global_variance(pd.concat(map(summary.global_variance, study())))
    marks = [bars.lines[0] for bars in figure.axes[0].containers]
    assert [(to_hex(mark.get_color()).upper(), mark.get_marker()) for mark in marks] == [
        (theme.TRAININGS["unrotated"], "o"),
        (theme.TRAININGS["unrotated"], "s"),
        (theme.TRAININGS["rotated"], "o"),
        (theme.TRAININGS["rotated"], "s"),
    ]
    expected = [[1.2, math.nan], [1.45, math.nan], [0.6, math.nan], [0.85, math.nan]]
    np.testing.assert_allclose([np.asarray(mark.get_ydata(), dtype=float) for mark in marks], expected)
    key = [text.get_text() for text in figure.legends[0].get_texts()]
    assert key == ["trained unrotated", "trained rotated", "all", "stratified"]


def test_every_value_is_inside_its_panel() -> None:
    values = pd.concat(map(summary.global_variance, study()))
    values.loc[(values["aggregation"] == "spatial") & (values["dataset"] == "cifar10"), "global_variance"] = 7.0
    figure = global_variance(values)
    assert {axes.get_ylim() for axes in figure.axes} == {(0.0, 7.0 * 1.08)}


def test_published_values_stand_beside_ours() -> None:
    published = pd.DataFrame(
        [("mnist", "simple_conv", "rotated", "mean", "all", 0.9)],
        columns=["dataset", "model", "training", "aggregation", "stratum", "global_variance"],
    )
    figure = global_variance(pd.concat(map(summary.global_variance, study())), published)
    heights = [line.get_ydata() for line in figure.axes[0].lines if line.get_marker() == "D"]
    np.testing.assert_array_equal(heights, [[math.nan] * 2, [math.nan] * 2, [0.9, math.nan], [math.nan] * 2])
    assert figure.legends[0].get_texts()[-1].get_text() == "published"
    for other in ({"training": "untrained"}, {"aggregation": "max"}, {"model": "vgg16"}, {"dataset": "digits"}):
        figure = global_variance(pd.concat(map(summary.global_variance, study())), published.assign(**other))
        assert figure.legends[0].get_texts()[-1].get_text() == "stratified"


def test_our_mark_stands_before_the_published_diamond_and_lies_inside_it_where_both_agree() -> None:
    ours = summary.global_variance(variance(strata=STRATA, dataset="mnist", model="simple_conv"))
    (axes,) = global_variance(ours, ours.drop(columns="seed")).axes
    diamonds = [line for line in axes.lines if line.get_marker() == "D"]
    for bars, diamond in zip(axes.containers, diamonds, strict=True):
        mark = bars.lines[0]
        np.testing.assert_array_equal(mark.get_xydata(), diamond.get_xydata())
        assert mark.get_zorder() > diamond.get_zorder()
        assert mark.get_markersize() < diamond.get_markersize() / 2**0.5  # a square in a square on its corner


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_every_mark_has_a_place_of_its_own_beside_its_model(count: int) -> None:
    values = pd.concat(map(summary.global_variance, study()))
    axes = global_variance(under(FIVE[:count], values, "global_variance")).axes[0]
    places = np.sort(np.concatenate([bars.lines[0].get_xdata() for bars in axes.containers]))
    assert np.round(places).tolist() == [0] * 2 * count + [1] * 2 * count
    apart = np.diff(axes.transData.transform([(place, 0) for place in places])[:, 0]) / axes.figure.dpi
    assert apart.min() > 0.1  # inches; a mark is 0.07 wide


def test_seeds_are_a_mean_with_a_line() -> None:
    figure = global_variance(summary.global_variance(seeds({"conv": [1.0]}, {"conv": [3.0]})))
    bars = figure.axes[0].containers[0]
    assert bars.lines[0].get_ydata().tolist() == [2.0]
    low, high = bars.lines[2][0].get_segments()[0][:, 1]
    assert (low, high) == pytest.approx((2 - 2**0.5, 2 + 2**0.5))
    assert figure.get_suptitle().endswith("mean ± std over 2 seeds")


def test_one_seed_has_no_line() -> None:
    figure = global_variance(pd.concat(map(summary.global_variance, study())))
    assert not any(len(line) for bars in figure.axes[0].containers for line in bars.lines[2][0].get_segments())
    assert "seeds" not in figure.get_suptitle()


def test_the_depths_of_several_seeds_are_a_mean_and_a_band() -> None:
    networks = [{f"conv{index}": [value] for index in range(21)} for value in (1.0, 3.0)]
    (axes,) = (figure := by_depth(summary.layer_means(seeds(*networks)), "mean")).axes
    assert axes.collections[0].get_offsets()[:, 1].tolist() == [2.0] * 21
    assert axes.lines[0].get_ydata().tolist() == [2.0] * 10
    heights = axes.collections[1].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((2 - 2**0.5, 2 + 2**0.5))
    assert axes.get_ylim()[1] > 2 + 2**0.5
    assert figure.get_suptitle().endswith("mean ± std over 2 seeds")
    (axes,) = (figure := by_depth(summary.layer_means(seeds(networks[0])), "mean")).axes
    assert len(axes.collections) == 1  # the points
    assert "seeds" not in figure.get_suptitle()


def test_every_model_has_a_mark_of_its_own_in_the_depths() -> None:
    models = ["simple_conv", "mine", "yours", "theirs"]
    table = pd.concat([variance({"rotated": {"conv": [0.5]}}).assign(model=model) for model in models])
    figure = by_depth(summary.layer_means(table), "mean")
    marks = {line.get_label(): line.get_marker() for line in figure.legends[0].get_lines()}
    assert len({marks[name] for name in ("SimpleConv", "mine", "yours", "theirs")}) == 4


def test_depth_is_relative_and_layers_are_averaged_in_tenths() -> None:
    network = {f"conv{index}": [float(index)] for index in range(21)}  # depths 0, 0.05, ..., 1
    figure = by_depth(summary.layer_means(variance({"rotated": network})), "mean")
    (axes,) = figure.axes
    points = axes.collections[0].get_offsets()
    np.testing.assert_allclose(points[:, 0], np.arange(21) / 20)
    np.testing.assert_allclose(points[:, 1], np.arange(21))
    (line,) = axes.lines
    np.testing.assert_allclose(line.get_xdata(), np.arange(10) / 10 + 0.05)
    np.testing.assert_allclose(line.get_ydata(), [0.5, 2.5, 4.5, 6.5, 8.5, 10.5, 12.5, 14.5, 16.5, 19.0])


def test_a_panel_for_each_data_set_and_training_a_colour_for_each_model() -> None:
    figure = by_depth(pd.concat(map(summary.layer_means, study())), "spatial", "stratified")
    titles = [(axes.get_title("left"), axes.get_title("right")) for axes in figure.axes]
    trainings = ["trained unrotated", "trained rotated"]
    assert titles == [(name, training) for training in trainings for name in ["MNIST", "CIFAR10"]]
    mnist, cifar10 = figure.axes[:2]
    assert len(mnist.lines) == 1 + 1  # ours, and an empty line where the model was not studied
    colours = [to_hex(line.get_color()).upper() for line in cifar10.lines]
    assert colours == [theme.MODEL_COLOURS["simple_conv"], theme.MODEL_COLOURS["resnet"]]
    np.testing.assert_allclose(cifar10.lines[0].get_ydata(), [1.25, 1.75])
    key = [text.get_text() for text in figure.legends[0].get_texts()]
    assert key == ["SimpleConv", "ResNet", "mean of a tenth of the depth", "one layer"]


def test_one_layer_and_nothing_finite() -> None:
    figure = by_depth(summary.layer_means(variance({"rotated": {"conv": [math.inf]}})), "mean")
    assert figure.axes[0].get_ylim() == (0.0, 1.0)
    figure = by_depth(summary.layer_means(variance({"rotated": {"conv": [0.5]}})), "mean")
    assert figure.axes[0].lines[0].get_ydata().tolist() == [0.5]


def test_a_network_without_a_name_is_drawn_without_one() -> None:
    """What `variance.measure` gives says neither which data set, model nor training it is of."""
    table = variance({"": {"conv": [0.5, 1.0], "fc": [3.0]}}).drop(columns=["training", "dataset", "model", "seed"])
    (axes,) = (figure := by_depth(summary.layer_means(table), "mean")).axes
    assert axes.collections[0].get_offsets().tolist() == [[0.0, 0.75], [1.0, 3.0]]
    key = [text.get_text() for text in figure.legends[0].get_texts()]
    assert key == ["mean of a tenth of the depth", "one layer"]
    values = summary.global_variance(table)
    (axes,) = global_variance(values).axes
    assert axes.containers[0].lines[0].get_ydata().tolist() == [1.5]
    values = pd.concat(values.assign(transformation=name) for name in ("rotation", "scale"))
    assert transformations(values, "mean").axes[0].get_images()[0].get_array().tolist() == [[1.5, 1.5]]
