"""The heatmap: which cell is where, in which colour, on which scale."""

import math

import numpy as np
import pandas as pd
import pytest
from figure_tables import ROTATED, UNROTATED, seeds, variance
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from rotvar.errors import InputError
from rotvar.figures import scale
from rotvar.figures.heatmap import heatmap

INF, NAN = math.inf, math.nan


def pictures(figure: Figure) -> list[np.ma.MaskedArray]:
    return [axes.get_images()[0].get_array() for axes in figure.axes if axes.get_images()]


def names(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def cells(column: np.ma.MaskedArray) -> list[float]:
    """The runs of equal values, from the top."""
    values = column.filled(NAN).tolist()
    return [value for place, value in enumerate(values) if place == 0 or str(values[place - 1]) != str(value)]


def test_a_column_is_a_layer_and_its_units_fill_it_in_order() -> None:
    unrotated, rotated = pictures(heatmap(variance(), "all", "mean"))
    assert unrotated.shape == (513, 2)  # a multiple of the widest layer's three units
    assert [cells(column) for column in unrotated.T] == [UNROTATED["conv"], UNROTATED["fc"]]
    assert [cells(column) for column in rotated.T] == [ROTATED["conv"], ROTATED["fc"]]
    assert (unrotated[:171, 0] == 0.5).all()  # each unit of a layer has as many rows
    assert (unrotated[171:342, 0] == 1.0).all()


def test_the_order_of_the_rows_of_the_table_does_not_matter() -> None:
    drawn = pictures(heatmap(variance().sample(frac=1, random_state=0), "all", "mean"))
    for one, other in zip(drawn, pictures(heatmap(variance(), "all", "mean")), strict=True):
        np.testing.assert_array_equal(one, other)


def test_units_can_be_sorted() -> None:
    table = variance({"rotated": {"conv": [0.5, INF, 0.25, NAN]}})
    (picture,) = pictures(heatmap(table, "all", "mean", sort=True))
    np.testing.assert_array_equal(cells(picture[:, 0]), [0.25, 0.5, -1, NAN])


def test_stratum_and_aggregation_are_chosen() -> None:
    table = variance(strata=["all", "stratified"], aggregations=["mean", "spatial"])
    figure = heatmap(table, "stratified", "spatial")
    assert cells(pictures(figure)[0][:, 0]) == [0.75, 1.25, 1.75]
    assert figure.get_suptitle() == "MNIST  ·  VGG16  ·  stratum: stratified  ·  aggregation: spatial"


def test_both_trainings_share_a_scale_that_ends_at_median_plus_three_interquartile_ranges() -> None:
    low, high = [0.0, 1.0, 2.0], [3.0, 4.0, INF, NAN]  # finite: 0, 1, 2, 3, 4; quartiles 1, 2, 3
    figure = heatmap(variance({"unrotated": {"conv": low}, "rotated": {"conv": high}}), "all", "mean")
    limits = [axes.get_images()[0].get_clim() for axes in figure.axes if axes.get_images()]
    assert limits == [(0.0, 8.0), (0.0, 8.0)]
    assert figure.axes[-1].get_ylabel() == "normalized variance"


def test_above_infinite_and_missing_have_their_own_colours_in_the_legend() -> None:
    values = [0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 9.0, INF, NAN]  # the scale ends at 1
    figure = heatmap(variance({"rotated": {"conv": values}}), "all", "mean")
    image = figure.axes[0].get_images()[0]
    colours = image.to_rgba(image.get_array())[:, 0]
    height = len(colours) // len(values)
    drawn = [to_hex(colours[unit * height + height // 2]).upper() for unit in range(len(values))]
    assert drawn[6:] == [scale.ABOVE, scale.INFINITE, scale.MISSING]
    assert len(set(drawn)) == 5
    key = dict(zip(names(figure), figure.legends[0].get_patches(), strict=True))
    assert to_hex(key["above the scale"].get_facecolor()).upper() == scale.ABOVE
    assert to_hex(key["infinite"].get_facecolor()).upper() == scale.INFINITE
    assert to_hex(key["missing"].get_facecolor()).upper() == scale.MISSING


def test_layers_are_named_and_their_kinds_and_units_told() -> None:
    figure = heatmap(variance(), "all", "mean")
    for axes in figure.axes[:2]:
        strip, counts = axes.child_axes
        assert [label.get_text() for label in strip.get_xticklabels()] == ["conv", "fc"]
        assert strip.get_xlabel() == "layer, in execution order"
        assert [label.get_text() for label in counts.get_xticklabels()] == ["3", "2"]
    assert names(figure) == ["convolution", "fully connected", "above the scale", "infinite", "missing"]
    assert [axes.get_title() for axes in figure.axes[:2]] == ["trained unrotated", "trained rotated"]


def test_a_wide_layer_fills_its_column_in_passes_and_no_unit_is_lost() -> None:
    units = np.arange(1024) / 1024
    (picture,) = pictures(heatmap(variance({"rotated": {"conv": [0.0, 1.0], "conv2": units}}), "all", "mean"))
    assert picture.shape == (512, 4)  # two passes for each of the two layers
    np.testing.assert_array_equal(picture[:, 2], units[:512])
    np.testing.assert_array_equal(picture[:, 3], units[512:])
    np.testing.assert_array_equal(picture[:, 0], picture[:, 1])
    assert cells(picture[:, 0]) == [0.0, 1.0]


@pytest.mark.parametrize("sort", [False, True])
@pytest.mark.parametrize("fewer", ["unrotated", "rotated"])
def test_a_layer_that_one_training_lacks_is_missing_in_its_panel(fewer: str, sort: bool) -> None:
    table = variance({name: {"conv": [1.0, 2.0], "relu": [3.0], "fc": [4.0]} for name in ("unrotated", "rotated")})
    figure = heatmap(table[(table["training"] != fewer) | (table["layer"] != "relu")], "all", "mean", sort=sort)
    drawn = dict(zip(["unrotated", "rotated"], zip(pictures(figure), figure.axes[:2], strict=True), strict=True))
    for training, (picture, axes) in drawn.items():
        here = training != fewer
        columns = [[1.0, 2.0], [3.0 if here else NAN], [4.0]]
        np.testing.assert_array_equal(np.concatenate([cells(column) for column in picture.T]), np.concatenate(columns))
        strip, counts = axes.child_axes
        assert [label.get_text() for label in strip.get_xticklabels()] == ["conv", "relu", "fc"]
        assert [label.get_text() for label in counts.get_xticklabels()] == ["2", "1" if here else "0", "1"]


def test_trainings_whose_layers_do_not_go_together_are_one_sentence() -> None:
    table = variance({"unrotated": {"conv": [1.0], "relu": [2.0]}, "rotated": {"conv": [1.0], "fc": [2.0]}})
    with pytest.raises(
        InputError, match=r"same layers \(number 1 is relu and fc\): measure the same layers, or select"
    ):
        heatmap(table, "all", "mean")


def test_a_unit_has_one_value() -> None:
    with pytest.raises(InputError, match="^The table has several values of a unit of unrotated: select one of each"):
        heatmap(pd.concat([variance(), variance()]), "all", "mean")


def deep() -> dict[str, list[float]]:
    return {f"conv{index}": [index / 170, 1.0] for index in range(170)}


def test_a_deep_network_has_its_trainings_one_above_the_other_and_every_kth_name() -> None:
    figure = heatmap(variance({"unrotated": deep(), "rotated": deep()}), "all", "mean")
    upper, lower = (axes.get_position() for axes in figure.axes[:2])
    assert upper.x0 == lower.x0
    assert upper.y0 > lower.y1
    assert figure.axes[0].child_axes[0].get_xticklabels() == []
    shown = [label.get_text() for label in figure.axes[1].child_axes[0].get_xticklabels()]
    assert shown == [f"conv{index}" for index in range(0, 170, 2)]
    assert figure.axes[1].child_axes[0].get_xlabel() == "layer, in execution order (one name in 2)"


@pytest.mark.parametrize("network", [deep(), {"conv": list(np.arange(1024.0))}])
def test_every_row_and_column_of_the_picture_is_seen_at_200_dpi(network: dict[str, list[float]]) -> None:
    figure = heatmap(variance({"rotated": network}), "all", "mean")
    box = figure.axes[0].get_position()
    width, height = box.width * figure.get_figwidth() * 200, box.height * figure.get_figheight() * 200
    rows, columns = pictures(figure)[0].shape
    assert height >= rows
    assert width >= columns


@pytest.mark.parametrize("value", [INF, NAN, 0.0])
@pytest.mark.parametrize("units", [1, 3])
def test_a_scale_needs_no_finite_or_positive_value(value: float, units: int) -> None:
    figure = heatmap(variance({"rotated": {"conv": [value] * units}}), "all", "mean")
    assert figure.axes[0].get_images()[0].get_clim() == (0.0, 1.0)
    np.testing.assert_array_equal(cells(pictures(figure)[0][:, 0]), [-1.0 if value == INF else value])


def test_a_table_straight_from_the_measure_needs_no_partition_columns() -> None:
    table = variance({"rotated": {"conv": [0.5]}}).drop(columns=["training", "dataset", "model", "seed"])
    figure = heatmap(table, "all", "mean")
    assert figure.get_suptitle() == "stratum: all  ·  aggregation: mean"
    assert figure.axes[0].get_title() == ""


def test_of_several_seeds_the_map_is_the_first_and_the_title_has_the_global_value_of_all() -> None:
    three = [variance(strata=["all", "0 - zero"], seed=seed) for seed in (7, 0, 1)]
    for table, more in zip(three, [0, 1, 2], strict=True):
        table["normalized_variance"] += more * (table["training"] == "rotated")
    figure = heatmap(pd.concat(three), "0 - zero", "mean")
    for drawn, alone in zip(pictures(figure), pictures(heatmap(three[0], "0 - zero", "mean")), strict=True):
        np.testing.assert_array_equal(drawn, alone)
    # The unrotated units 0.5, 1, 1.5, 1, 2 and the rotated halves of them, 0.25 more for the class
    titles = ["trained unrotated, seed 7\nglobal: 1.450 ± 0.000", "trained rotated, seed 7\nglobal: 1.850 ± 1.000"]
    assert [axes.get_title() for axes in figure.axes[:2]] == titles
    assert figure.get_suptitle().endswith("stratum: 0 - zero  ·  aggregation: mean  ·  global: mean ± std over 3 seeds")


def test_the_scale_is_that_of_the_seed_that_is_shown() -> None:
    figure = heatmap(seeds({"conv": [1.0, 1.0]}, {"conv": [9.0, 20.0]}), "all", "mean")
    assert figure.axes[0].get_images()[0].get_clim() == (0.0, 1.0)


@pytest.mark.parametrize("units", [[INF, INF], [NAN, INF]])
def test_the_global_value_of_seeds_with_and_without_finite_units(units: list[float]) -> None:
    below = "trained rotated, seed 0\nglobal: "
    for others, value in {(1.0,): "1.000", (1.0, 3.0): "2.000 ± 1.414", (INF, INF): "–"}.items():
        table = seeds({"conv": units}, *({"conv": [other, INF]} for other in others))
        assert heatmap(table, "all", "mean").axes[0].get_title() == below + value


@pytest.mark.parametrize("layers", [2, 30])
def test_the_titles_of_several_seeds_have_room(layers: int) -> None:
    network = {f"conv{index}": [0.5, 1.0] for index in range(layers)}
    figure = heatmap(
        pd.concat(variance({"unrotated": network, "rotated": network}, seed=seed) for seed in range(3)), "all", "mean"
    )
    figure.draw_without_rendering()
    boxes = [axes.title.get_window_extent() for axes in figure.axes[:2]]
    assert not boxes[0].overlaps(boxes[1])
    assert not any(box.overlaps(figure._suptitle.get_window_extent()) for box in boxes)
    assert not boxes[1].overlaps(figure.axes[0].get_window_extent())


def test_the_heading_can_be_read_whatever_data_set_model_and_class_are_called() -> None:
    name = "a class whose name is a whole sentence, as names of folders may be, and goes on and on"
    table = variance(strata=["all", name], dataset="d" * 50, model="m" * 50)
    (heading,) = heatmap(table, name, "mean").texts
    assert heading.get_fontsize() > 5
    assert [len(part) for part in heading.get_text().split("  ·  ")[:3]] == [32, 32, 41]


def test_an_unknown_stratum_is_an_error() -> None:
    with pytest.raises(InputError, match="no stratum 'cat' in the table: choose one of all"):
        heatmap(variance(), "cat", "mean")
