"""The last layer: output unit by class of the images."""

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from figure_tables import seeds, variance

from rotvar.catalogue import DATASETS
from rotvar.errors import InputError
from rotvar.figures.last_layer import last_layer

INF, NAN = math.inf, math.nan
ZERO, ONE = "0 - zero", "1 - one"


def test_rows_are_output_units_and_columns_the_classes_of_the_images() -> None:
    figure = last_layer(variance(strata=["all", ZERO, ONE], aggregations=["mean", "spatial"]))
    unrotated, rotated = (axes.get_images()[0].get_array().tolist() for axes in figure.axes[:2])
    assert unrotated == [[1.25, 1.5], [2.25, 2.5]]
    assert rotated == [[0.75, 1.0], [1.25, 1.5]]
    for axes in figure.axes[:2]:
        assert [label.get_text() for label in axes.get_xticklabels()] == [ZERO, ONE]
        assert [label.get_text() for label in axes.get_yticklabels()] == [ZERO, ONE]
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("class of the images", "output unit")
    assert figure.get_suptitle() == "MNIST  ·  VGG16  ·  last layer (fc)"
    assert [text.get_text() for text in figure.axes[0].texts] == ["1.25", "1.50", "2.25", "2.50"]


def test_the_classes_order_rows_and_columns() -> None:
    figure = last_layer(variance({"rotated": {"fc": [1.0, 2.0]}}, strata=["cat", "dog"]), ["dog", "cat"])
    assert figure.axes[0].get_images()[0].get_array().tolist() == [[1.25, 1.0], [2.25, 2.0]]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["dog", "cat"]


def test_units_that_are_not_classes_are_numbered() -> None:
    figure = last_layer(variance({"rotated": {"fc": [1.0, 2.0, 3.0]}}, strata=[ZERO, ONE]))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["0", "1", "2"]


def test_marks_that_occur_are_in_the_legend() -> None:
    figure = last_layer(variance({"rotated": {"fc": [INF, 1.0]}}, strata=[ZERO, ONE]))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["infinite"]
    assert [text.get_text() for text in figure.axes[0].texts] == ["∞", "∞", "1.00", "1.25"]
    assert last_layer(variance(strata=[ZERO, ONE])).legends == []


def test_cells_of_several_seeds_are_means_with_their_standard_deviation() -> None:
    figure = last_layer(seeds({"fc": [1.0, INF]}, {"fc": [3.0, 2.0]}, strata=[ZERO, ONE]))
    drawn = figure.axes[0].get_images()[0].get_array()
    assert drawn.tolist() == [[2.0, 2.25], [-1.0, -1.0]]
    assert [text.get_text() for text in figure.axes[0].texts] == ["2.00\n±1.41", "2.25\n±1.41", "∞", "∞"]
    # The finite cells are 1, 1.25 and 3, 3.25, 2, 2.25: means 1.125 and 2.625
    assert figure.axes[0].get_title() == "trained rotated\nall cells: 1.875 ± 1.061"
    assert figure.get_suptitle().endswith("last layer (fc)  ·  mean ± std over 2 seeds")


def test_values_of_any_size_can_be_read_and_fit_their_cells() -> None:
    values = [3e-4, 0.0042, 12.3456, 12345.67, 1.2e12]
    networks = [{"fc": [factor * value for value in values]} for factor in (0.5, 1.5)]
    (axes, *_) = (figure := last_layer(seeds(*networks, strata=DATASETS["mnist"].classes))).axes
    texts = [text.get_text() for text in axes.texts[::10]]
    assert texts == ["3.0e−4\n±2.1e−4", "0.0042\n±0.0030", "12.3\n±8.7", "12346\n±8730", "1.2e12\n±0.8e12"]
    figure.draw_without_rendering()
    cell = axes.get_window_extent().width / 10
    assert all(text.get_window_extent().width < cell for text in axes.texts)


@pytest.mark.parametrize("fewer", ["unrotated", "rotated"])
@pytest.mark.parametrize("text", [str, "category"])
def test_a_training_that_lacks_the_layer_is_missing_in_its_panel(fewer: str, text: str) -> None:
    table = pd.concat(variance(strata=["all", ZERO, ONE], seed=seed) for seed in (0, 1))
    table = table.astype(dict.fromkeys(["training", "layer", "stratum"], text))
    figure = last_layer(table[(table["training"] != fewer) | (table["layer"] != "fc")])
    for axes, training in zip(figure.axes, ["unrotated", "rotated"], strict=False):
        lacks = training == fewer
        assert axes.get_images()[0].get_array().mask.tolist() == [[lacks, lacks]] * 2
        assert axes.get_title().startswith(f"trained {training}\nall cells: ")
        assert axes.get_title().endswith("–") == lacks
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["missing"]


def test_trainings_whose_last_layers_differ_are_one_sentence() -> None:
    table = variance({"unrotated": {"conv": [1.0], "relu": [2.0]}, "rotated": {"conv": [1.0], "fc": [2.0]}}, [ZERO])
    with pytest.raises(InputError, match=r"number 1 is relu and fc"):
        last_layer(table)


def test_one_seed_has_no_spread() -> None:
    figure = last_layer(variance({"rotated": {"fc": [1.0]}}, strata=[ZERO]))
    assert figure.axes[0].get_title() == "trained rotated"
    assert [text.get_text() for text in figure.axes[0].texts] == ["1.00"]


@pytest.mark.parametrize(("value", "drawn"), [(0.5, 0.5), (INF, -1.0), (NAN, NAN)])
def test_one_unit_and_one_class(value: float, drawn: float) -> None:
    figure = last_layer(variance({"rotated": {"fc": [value]}}, strata=["x" * 40], dataset="mine"))
    np.testing.assert_array_equal(figure.axes[0].get_images()[0].get_array().filled(NAN), [[drawn]])
    figure.draw_without_rendering()
    (label,) = figure.axes[0].get_xticklabels()
    assert len(label.get_text()) == 20
    assert label.get_window_extent().y0 > 0


@pytest.mark.parametrize(("classes", "every"), [(40, 1), (100, 3)])
def test_names_of_many_classes_do_not_hide_each_other(classes: int, every: int) -> None:
    names = [f"{number:03}" for number in range(classes)]
    figure = last_layer(variance({"rotated": {"fc": [1.0] * classes}}, strata=names, dataset="mine"))
    figure.draw_without_rendering()
    for axis, what in [(figure.axes[0].xaxis, "class of the images"), (figure.axes[0].yaxis, "output unit")]:
        assert axis.get_ticklocs().tolist() == list(range(0, classes, every))
        assert [label.get_text() for label in axis.get_ticklabels()] == names[::every]
        places = [label.get_window_extent() for label in axis.get_ticklabels()]
        assert not [one for one, other in pairwise(places) if one.overlaps(other)]
        assert axis.get_label_text() == what + (f" (one name in {every})" if every > 1 else "")
