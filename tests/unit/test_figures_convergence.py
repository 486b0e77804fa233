"""Errors of layer means against the numbers of images and angles."""

import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from rotvar.errors import InputError
from rotvar.figures import theme
from rotvar.figures.convergence import convergence

INF, NAN = math.inf, math.nan


def table(values: dict[tuple[int, int, int], list[float]], **partitions: object) -> pd.DataFrame:
    """From (images, angles, draw) to the mean of each layer."""
    rows = [
        (f"conv{index}", index, "convolution", n, r, draw, value)
        for (n, r, draw), layers in values.items()
        for index, value in enumerate(layers)
    ]
    names = ["layer", "layer_index", "kind", "images", "angles", "draw", "normalized_variance"]
    frame = pd.DataFrame(rows, columns=names).assign(aggregation="mean")
    return frame.assign(**({"dataset": "mnist", "model": "vgg16", "training": "rotated", "seed": 0} | partitions))


# Two layers: 80 images at 8 angles are the whole.
VALUES = {
    (20, 8, 0): [1.4, 2.0], (20, 8, 1): [0.8, 2.6], (20, 8, 2): [1.1, 1.4], (20, 8, 3): [1.0, 2.0],
    (40, 8, 0): [1.1, 2.2], (40, 8, 1): [0.9, 1.8],
    (80, 8, 0): [1.0, 2.0],
    (80, 4, 0): [1.05, 2.2], (80, 2, 0): [1.5, 3.0],
}  # fmt: skip


def lines(axes) -> list[list[float]]:
    return [line.get_ydata().tolist() for line in axes.lines]


def test_the_line_is_the_median_of_the_relative_errors_over_layers_and_draws() -> None:
    left, right = convergence(table(VALUES)).axes
    assert left.lines[0].get_xdata().tolist() == [20, 40]
    # Of 0.4 0.2 0.1 0 and 0 0.3 0.3 0; of 0.1 four times
    np.testing.assert_allclose(lines(left)[0], [0.15, 0.1])
    assert right.lines[0].get_xdata().tolist() == [2, 4]
    np.testing.assert_allclose(lines(right)[0], [0.5, 0.075])
    assert to_hex(left.lines[0].get_color()).upper() == theme.TRAININGS["rotated"]
    assert left.get_title() == "fewer images, at 8 angles"
    assert right.get_title() == "fewer angles, with 80 images"
    assert left.get_ylabel() == "error of the layer means, relative\nto those of 80 images at 8 angles"


def test_the_band_reaches_from_the_10th_to_the_90th_percentile() -> None:
    left, _ = convergence(table(VALUES)).axes
    heights = left.collections[0].get_paths()[0].vertices[:, 1]
    errors = [0.4, 0.2, 0.1, 0, 0, 0.3, 0.3, 0]
    assert (heights.min(), heights.max()) == pytest.approx(tuple(np.quantile(errors, [0.1, 0.9])))


def test_the_law_goes_on_to_the_study_and_its_errors_are_written() -> None:
    left, right = convergence(table(VALUES), images=2000, angles=4).axes
    law = next(line for line in left.lines if line.get_xdata().tolist() == [20, 2000])
    # What the medians at 20 and 40 images, 0.15 and 0.1, come to for one image
    factor = np.median([0.15 / math.sqrt(1 / 20 - 1 / 80), 0.1 / math.sqrt(1 / 40 - 1 / 80)])
    np.testing.assert_allclose(law.get_ydata(), [factor / math.sqrt(20), factor / math.sqrt(2000)])
    assert [text.get_text() for text in left.texts] == ["this study", "about 1.9 %"]
    assert [text.get_text() for text in right.texts] == ["this study", "about 7.5 %"]
    assert left.get_xlim()[1] > 2000


def test_both_trainings_of_one_network() -> None:
    both = pd.concat([table(VALUES), table(VALUES, training="unrotated")])
    figure = convergence(both, 2000, 4)
    drawn = [to_hex(line.get_color()).upper() for line in figure.axes[0].lines if line.get_xdata()[-1] == 40]
    assert drawn == [theme.TRAININGS["unrotated"], theme.TRAININGS["rotated"]]
    assert figure.get_suptitle() == "MNIST  ·  VGG16  ·  how many samples are enough  ·  aggregation: mean"
    with pytest.raises(InputError, match="The figure shows one seed"):
        convergence(pd.concat([both, table(VALUES, seed=1)]))


@pytest.mark.parametrize("trainings", [1, 2, 5])
def test_what_is_written_stands_above_all_that_is_drawn(trainings) -> None:
    figure = convergence(pd.concat([table(VALUES, training=f"t{number}") for number in range(trainings)]), 30, 4)
    figure.draw_without_rendering()
    for axes in figure.axes:
        drawn = [one.get_paths()[0].vertices[:, 1].max() for one in axes.collections]
        drawn += [np.max(line.get_ydata()) for line in axes.lines if line.get_transform() == axes.transData]
        assert len(axes.texts) == 1 + trainings
        lowest = min(text.get_window_extent().y0 for text in axes.texts)
        assert lowest > axes.transData.transform((30, max(drawn)))[1]


def test_layers_without_a_finite_value_have_no_error() -> None:
    values = {place: [*layers, NAN] for place, layers in VALUES.items()}
    assert lines(convergence(table(values)).axes[0]) == lines(convergence(table(VALUES)).axes[0])


@pytest.mark.parametrize(
    "values",
    [
        {(20, 8, 0): [1.0]},  # so few images that there is one draw
        {(20, 3, 0): [1.0], (20, 3, 1): [2.0], (40, 3, 0): [1.5]},  # an odd number of angles
        {place: [NAN] for place in VALUES},  # all infinite
        {place: [0.0] for place in VALUES},  # nothing to be relative to
        {place: [1.0] for place in VALUES},  # no error at all
    ],
    ids=["one draw", "odd angles", "all infinite", "all 0", "no error"],
)
@pytest.mark.parametrize("study", [(None, None), (20, 2), (10_000, 16)])
def test_degenerate_tables_are_drawn(values, study) -> None:
    figure = convergence(table(values), *study)
    figure.draw_without_rendering()
    low, high = figure.axes[0].get_ylim()
    assert 0 < low < high < INF
