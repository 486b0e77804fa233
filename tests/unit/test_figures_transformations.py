"""Trainings against transformations."""

import numpy as np
import pandas as pd
import pytest
from figure_tables import under_several, variance

from rotvar import summary
from rotvar.errors import InputError
from rotvar.figures.transformations import transformations


def values(**partitions: object) -> pd.DataFrame:
    """Global values 1.2 (unrotated) and 0.6 (rotated) under rotation; 0.7, 0.5 and 1.2 times as much under others."""
    return under_several(summary.global_variance(variance(**partitions)))  # type: ignore[arg-type]


def test_a_row_for_each_training_and_a_column_for_each_transformation() -> None:
    axes = transformations(values(), "mean").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["unrotated", "rotated"]
    columns = ["rotation", "move_and_scale", "scale", "translation"]
    assert [label.get_text() for label in axes.get_xticklabels()] == columns
    expected = np.outer([1.2, 0.6], [1, 1.2, 0.5, 0.7])
    np.testing.assert_allclose(axes.get_images()[0].get_array(), expected)
    assert [text.get_text() for text in axes.texts][:4] == ["1.20", "1.44", "0.60", "0.84"]


def test_a_panel_for_each_data_set_and_model_on_one_scale() -> None:
    networks = [("cifar10", "resnet"), ("cifar10", "simple_conv"), ("mnist", "simple_conv"), ("mnist", "resnet")]
    table = pd.concat([values(dataset=dataset, model=model) for dataset, model in networks])
    axes = transformations(table, "mean").axes[:4]
    titles = ["MNIST\nSimpleConv", "CIFAR10\nSimpleConv", "MNIST\nResNet", "CIFAR10\nResNet"]
    assert [one.get_title() for one in axes] == titles
    assert len({one.get_images()[0].get_clim() for one in axes}) == 1


def test_the_marks_of_cells_stand_below_the_axis_and_also_name_those_that_were_not_measured() -> None:
    table = values()
    cell = (table["training"] == "rotated") & (table["transformation"] == "scale")
    for drawn in (table.assign(global_variance=table["global_variance"].mask(cell)), table[~cell]):
        figure = transformations(drawn, "mean")
        assert [text.get_text() for text in figure.legends[0].get_texts()] == ["missing"]
        figure.draw_without_rendering()
        marks = figure.legends[0].get_window_extent()
        assert not [axes for axes in figure.axes if axes.xaxis.label.get_window_extent().overlaps(marks)]
        assert not [text for text in figure.texts if text.get_window_extent().overlaps(marks)]


def test_a_cell_of_several_seeds_is_their_mean_with_its_spread() -> None:
    table = pd.concat([values(seed=0), values(seed=1).assign(global_variance=lambda t: t["global_variance"] + 1)])
    figure = transformations(table, "mean")
    assert figure.axes[0].texts[0].get_text() == "1.70\n±0.71"
    assert "mean ± std over 2 seeds" in figure.get_suptitle()


def test_an_aggregation_that_was_not_measured_is_refused() -> None:
    with pytest.raises(InputError, match="There is no aggregation 'max' in the table"):
        transformations(values(), "max")
