"""When invariance appears: layers against epochs."""

import numpy as np
import pandas as pd
import pytest
from figure_tables import emerging, history, variance

from rotvar.errors import InputError
from rotvar.figures.emergence import emergence


def test_a_panel_for_each_training_with_a_row_for_each_epoch() -> None:
    panels = emergence(emerging(variance(), [10, 0, 2]), history(2), "mean").axes[:2]
    assert [axes.get_title() for axes in panels] == ["trained unrotated", "trained rotated"]
    before, after = (axes.get_images()[0].get_array() for axes in panels)
    np.testing.assert_allclose(before, [[1, 1.5]] * 3)  # layers conv and fc
    np.testing.assert_allclose(after, np.outer([1, 0.9**2, 0.9**10], [0.5, 0.75]))
    assert len({axes.get_images()[0].get_clim() for axes in panels}) == 1


def test_the_accuracy_stands_beside_the_epochs_that_have_one() -> None:
    figure = emergence(emerging(variance(), [0, 1, 2]), history(2), "mean")
    labels = [[label.get_text() for label in axes.get_yticklabels()] for axes in figure.axes[:2]]
    assert labels == [["0", "1 (60.0%)", "2 (80.0%)"], ["0", "1 (40.0%)", "2 (70.0%)"]]


def test_trainings_of_different_lengths_have_rows_of_their_own() -> None:
    table = emerging(variance(), [0, 2, 5])
    table = table[(table["training"] != "rotated") | (table["epoch"] < 5)]
    sizes = [axes.get_images()[0].get_array().shape for axes in emergence(table, history(5), "mean").axes[:2]]
    assert sizes == [(3, 2), (2, 2)]


def test_a_value_that_is_missing_is_marked() -> None:
    table = emerging(variance({"rotated": {"conv": [np.inf], "fc": [1.0]}}), [0, 1])
    figure = emergence(table, history(1), "mean")
    assert figure.axes[0].get_images()[0].get_array().mask[:, 0].all()
    assert "missing" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_layer_that_one_training_lacks_is_marked_as_missing() -> None:
    table = emerging(variance())
    figure = emergence(table[(table["training"] != "rotated") | (table["layer"] != "fc")], history(), "mean")
    assert figure.axes[1].get_images()[0].get_array().mask[:, 1].all()
    assert "missing" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_one_network_of_one_seed_at_a_time() -> None:
    table = pd.concat([emerging(variance(seed=seed)) for seed in (0, 1)])
    with pytest.raises(InputError, match="The figure shows one seed"):
        emergence(table, history(), "mean")
    with pytest.raises(InputError, match="There is no aggregation 'max'"):
        emergence(table, history(), "max")
