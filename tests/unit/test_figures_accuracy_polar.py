"""Accuracy on a circle."""

import numpy as np
import pytest
from figure_tables import accuracy
from matplotlib.colors import to_hex

from rotvar.figures import theme
from rotvar.figures.accuracy_polar import accuracy_polar

NINETY = np.radians([-180, -90, 0, 90, -180])


def test_a_closed_line_for_each_training_of_all_classes_and_of_each() -> None:
    table = accuracy(["cat", "dog"], angles=4, dataset="mine")
    figure = accuracy_polar(table)
    every, cat, dog = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["all classes", "cat", "dog"]
    shares = table[table["angle"] != "random"].assign(share=lambda rows: rows["correct"] / rows["n"])
    for axes, rows in (
        (every, shares),
        (cat, shares[shares["class"] == "cat"]),
        (dog, shares[shares["class"] == "dog"]),
    ):
        for line, training in zip(axes.lines, ["unrotated", "rotated"], strict=True):
            assert to_hex(line.get_color()).upper() == theme.TRAININGS[training]
            of = rows[rows["training"] == training].groupby("angle", observed=True)["share"].mean()
            np.testing.assert_allclose(line.get_xdata(), NINETY)
            np.testing.assert_allclose(line.get_ydata(), [of[angle] for angle in ("-180", "-90", "0", "90", "-180")])


@pytest.mark.parametrize(("count", "rows", "columns"), [(1, 1, 1), (10, 2, 5), (25, 5, 5), (100, 10, 10)])
def test_many_classes_are_in_a_square_that_a_screen_can_show(count, rows, columns) -> None:
    figure = accuracy_polar(accuracy([f"class {number}" for number in range(count)], angles=2, dataset="mine"))
    grid = figure.axes[1].get_gridspec()
    assert (grid.nrows, grid.ncols) == (rows, columns)
    assert max(figure.get_size_inches()) < 19


def test_0_degrees_is_on_top_and_angles_go_counter_clockwise_up_to_100_percent() -> None:
    axes = accuracy_polar(accuracy(["cat"], dataset="mine")).axes[0]
    assert axes.get_theta_offset() == pytest.approx(np.pi / 2)
    assert axes.get_theta_direction() == 1
    labels = ["0°", "45°", "90°", "135°", "−180°", "−135°", "−90°", "−45°"]
    assert [label.get_text() for label in axes.get_xticklabels()] == labels
    assert axes.get_ylim() == pytest.approx((0, 1), abs=0.01)


def test_seeds_are_a_mean_and_a_band_that_stays_inside_the_circle() -> None:
    table = accuracy(["cat"], seeds=2, angles=4, dataset="mine")
    table["correct"] = np.where(table["seed"] == 0, 100, 80)
    axes = accuracy_polar(table).axes[0]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), 0.9)
    heights = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((0.9 - 0.02**0.5, 1))
    assert not accuracy_polar(accuracy(["cat"], dataset="mine")).axes[0].collections
