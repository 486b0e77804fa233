"""Networks trained on one data set and measured on others."""

import numpy as np
import pandas as pd
import pytest
from figure_tables import elsewhere, variance

from rotvar import summary
from rotvar.errors import InputError
from rotvar.figures.transfer import transfer, transfer_by_layer


def values(dataset: str = "mnist", **partitions: object) -> pd.DataFrame:
    """Global values 1.2 (unrotated) and 0.6 (rotated) on the own data set; 0.7, 1.3 and 0.8 times as much on others."""
    return elsewhere(summary.global_variance(variance(dataset=dataset, **partitions)), "global_variance")  # type: ignore[arg-type]


def means(**partitions: object) -> pd.DataFrame:
    return elsewhere(summary.layer_means(variance(**partitions)), "normalized_variance")  # type: ignore[arg-type]


def test_a_row_for_each_data_set_trained_on_and_a_column_for_each_measured_on() -> None:
    axes = transfer(pd.concat([values("cifar10"), values("mnist")]), "mean").axes
    assert [one.get_title() for one in axes[:2]] == ["VGG16\ntrained unrotated", "VGG16\ntrained rotated"]
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["MNIST", "CIFAR10"]
    assert [label.get_text() for label in axes[0].get_xticklabels()] == ["MNIST", "Fashion-MNIST", "CIFAR10"]
    expected = np.array([[1.0, 1.3, 0.8], [0.7, 1.3, 1.0]])
    np.testing.assert_allclose(axes[0].get_images()[0].get_array(), 1.2 * expected)
    np.testing.assert_allclose(axes[1].get_images()[0].get_array(), 0.6 * expected)
    assert [text.get_text() for text in axes[0].texts] == ["1.20", "1.56", "0.96", "0.84", "1.56", "1.20"]


def test_a_panel_for_each_model_and_training_on_one_scale() -> None:
    axes = transfer(pd.concat([values(model="resnet"), values(model="simple_conv")]), "mean").axes[:4]
    titles = [
        f"{model}\ntrained {training}" for model in ("SimpleConv", "ResNet") for training in ("unrotated", "rotated")
    ]
    assert [one.get_title() for one in axes] == titles
    assert len({one.get_images()[0].get_clim() for one in axes}) == 1


def test_a_cell_of_several_seeds_is_their_mean_with_its_spread() -> None:
    more = values(seed=1).assign(global_variance=lambda table: table["global_variance"] + 1)
    figure = transfer(pd.concat([values(seed=0), more]), "mean")
    assert figure.axes[0].texts[0].get_text() == "1.70\n±0.71"
    assert "mean ± std over 2 seeds" in figure.get_suptitle()


def test_layers_have_a_line_for_each_data_set_and_the_own_one_is_black() -> None:
    figure = transfer_by_layer(means(), "mean")
    assert [axes.get_title() for axes in figure.axes[:2]] == ["trained unrotated", "trained rotated"]
    lines = figure.axes[0].lines
    np.testing.assert_allclose([line.get_ydata() for line in lines], np.outer([1.0, 1.3, 0.8], [1.0, 1.5]))
    assert lines[0].get_color() == "#000000"
    assert len({line.get_color() for line in lines}) == 3
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[-3:] == ["on MNIST", "on Fashion-MNIST", "on CIFAR10"]


def test_a_data_set_has_one_colour_in_the_figures_of_all_networks_but_its_own() -> None:
    colours: dict[str, set[str]] = {}
    for own in ("mnist", "fashion_mnist", "cifar10"):
        figure = transfer_by_layer(means(dataset=own), "mean")
        for text, handle in zip(figure.legends[0].get_texts(), figure.legends[0].legend_handles, strict=True):
            if text.get_text().startswith("on "):
                colours.setdefault(text.get_text(), set()).add(handle.get_color())  # type: ignore[union-attr]
    assert [len(found) for found in colours.values()] == [2, 2, 2]  # black, and the other
    assert len(set.union(*colours.values())) == 4


@pytest.mark.parametrize("unknown", [np.nan, 100.0])
def test_the_marks_of_cells_stand_below_the_axis_and_also_name_those_that_were_not_measured(unknown: float) -> None:
    table = pd.concat([values("cifar10"), values("mnist")])
    cell = (table["dataset"] == "mnist") & (table["measured_on"] == "cifar10")
    table["global_variance"] = table["global_variance"].mask(cell, unknown)
    for drawn, entry in [(table, "above the scale" if unknown == 100 else "missing"), (table[~cell], "missing")]:
        figure = transfer(drawn, "mean")
        assert [text.get_text() for text in figure.legends[0].get_texts()] == [entry]
        figure.draw_without_rendering()
        marks = figure.legends[0].get_window_extent()
        assert not [axes for axes in figure.axes if axes.xaxis.label.get_window_extent().overlaps(marks)]
        assert not [text for text in figure.texts if text.get_window_extent().overlaps(marks)]


def test_an_aggregation_that_was_not_measured_is_refused() -> None:
    with pytest.raises(InputError, match="There is no aggregation 'max' in the table"):
        transfer(values(), "max")
    with pytest.raises(InputError, match="There is no aggregation 'max' in the table"):
        transfer_by_layer(means(), "max")


def test_layers_are_of_one_network_at_a_time() -> None:
    with pytest.raises(InputError, match="The figure shows one dataset, the table holds mnist, cifar10"):
        transfer_by_layer(pd.concat([means(), means(dataset="cifar10")]), "mean")
