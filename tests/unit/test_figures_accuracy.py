"""Accuracy on the two test sets, and by angle."""

import numpy as np
import pandas as pd
import pytest
from figure_tables import FIVE, under
from matplotlib.colors import to_hex

from rotvar.figures import theme
from rotvar.figures.accuracy import accuracy_bars
from rotvar.figures.accuracy_by_angle import accuracy_by_angle

COLUMNS = ["angle", "class", "n", "correct", "training", "seed", "dataset", "model"]


def table(rows: list[tuple]) -> pd.DataFrame:
    """Rows of angle, class, n, correct, training, seed."""
    full = pd.DataFrame([(*row, "mnist", "simple_conv") for row in rows], columns=COLUMNS)
    return full.astype(dict.fromkeys(["angle", "class", "training", "dataset", "model"], "category"))


TWO = table(
    [
        (angle, name, 10, correct, training, 0)
        for training, by_angle in {
            "rotated": {"-180": [6, 8], "0": [7, 8], "90": [7, 7], "random": [6, 6]},
            "unrotated": {"-180": [1, 2], "0": [9, 10], "90": [0, 1], "random": [2, 4]},
        }.items()
        for angle, both in by_angle.items()
        for name, correct in zip(["1 - one", "0 - zero"], both, strict=True)
    ]
)


def test_four_bars_the_colour_is_the_training_the_group_the_test_set() -> None:
    figure = accuracy_bars(TWO)
    (axes,) = figure.axes
    bars = [(to_hex(bar.get_facecolor()).upper(), bar.get_height()) for bar in axes.patches]
    unrotated, rotated = theme.TRAININGS["unrotated"], theme.TRAININGS["rotated"]
    assert bars == [(unrotated, 0.95), (unrotated, 0.3), (rotated, 0.75), (rotated, 0.6)]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["unrotated test set", "rotated test set"]
    centres = [round(bar.get_x() + bar.get_width() / 2) for bar in axes.patches]
    assert centres == [0, 1, 0, 1]
    assert [text.get_text() for text in axes.texts] == ["95.0%", "30.0%", "75.0%", "60.0%"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["trained unrotated", "trained rotated"]


def test_published_values_of_this_network_are_diamonds() -> None:
    published = pd.DataFrame(
        [
            ("mnist", "simple_conv", "unrotated", "unrotated", 0.99),
            ("mnist", "simple_conv", "unrotated", "rotated", 0.4),
            ("mnist", "resnet", "unrotated", "rotated", 0.1),
        ],
        columns=["dataset", "model", "training", "test", "accuracy"],
    )
    figure = accuracy_bars(TWO, published)
    diamonds = [line for line in figure.axes[0].lines if line.get_marker() == "D"]
    np.testing.assert_array_equal([line.get_ydata() for line in diamonds], [[0.99, 0.4], [np.nan, np.nan]])
    assert "published" in [text.get_text() for text in figure.legends[0].get_texts()]
    other = accuracy_bars(TWO, published[published["model"] == "resnet"])
    assert "published" not in [text.get_text() for text in other.legends[0].get_texts()]
    untrained = accuracy_bars(under(["untrained"], TWO), published)
    assert [text.get_text() for text in untrained.legends[0].get_texts()] == ["untrained"]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_bars_of_several_trainings_are_all_shown_and_hide_neither_each_other_nor_their_accuracies(count: int) -> None:
    (axes,) = (figure := accuracy_bars(under(FIVE[:count], TWO, "correct"))).axes
    figure.draw_without_rendering()
    bars = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches)
    ends = np.array([axes.get_xlim()[0], *np.ravel(bars), axes.get_xlim()[1]])
    assert (np.diff(ends) > 0).all()
    written = sorted((text.get_window_extent().x0, text.get_window_extent().x1) for text in axes.texts)
    assert (np.diff(np.ravel(written)) > 0).all()
    assert [round(sum(bar) / 2) for bar in bars] == [0] * count + [1] * count


TWO_SEEDS = table([("0", "a", 10, 5, "rotated", 0), ("0", "a", 10, 7, "rotated", 1)])


def test_accuracies_are_written_in_black_on_pale_bars() -> None:
    (axes,) = accuracy_bars(under(["unrotated", *"abcde"], TWO, "correct")).axes
    assert [text.get_color() for text in axes.texts[::2]] == ["white", "white", "black", "black", "white", "black"]


def test_the_accuracy_of_a_low_bar_stands_above_it_and_above_its_std() -> None:
    """Below, the bar would end in the middle of the figures, and its line go through them."""
    rows = [("0", "a", 100, correct, "rotated", seed) for seed, correct in enumerate((4, 8))]
    (axes,) = (figure := accuracy_bars(table(rows))).axes
    figure.draw_without_rendering()
    (text,) = axes.texts
    _, end = axes.collections[0].get_segments()[0]  # of the unrotated test set; there is no other
    assert text.get_color() == "black"
    assert text.get_window_extent().y0 > axes.transData.transform(end)[1]


def test_seeds_are_a_mean_and_a_standard_deviation() -> None:
    (axes,) = (figure := accuracy_bars(TWO_SEEDS)).axes
    assert axes.patches[0].get_height() == pytest.approx(0.6)
    low, high = axes.collections[0].get_segments()[0][:, 1]
    assert (low, high) == pytest.approx((0.6 - 0.02**0.5, 0.6 + 0.02**0.5))
    assert figure.get_suptitle() == "MNIST  ·  SimpleConv  ·  accuracy  ·  mean ± std over 2 seeds"


def test_a_training_of_one_seed_beside_one_of_two_has_no_spread() -> None:
    (axes,) = accuracy_bars(pd.concat([TWO_SEEDS, table([("0", "a", 10, 9, "unrotated", 0)])])).axes
    bars = [segment for line in axes.collections for segment in line.get_segments() if len(segment)]
    assert [bar[:, 1].mean() for bar in bars] == pytest.approx([0.6])
    assert not accuracy_bars(TWO).axes[0].collections


def test_by_angle_seeds_are_a_mean_and_a_band() -> None:
    rows = [("0", 4, 0), ("0", 8, 1), ("90", 5, 0), ("90", 5, 1)]
    figure = accuracy_by_angle(table([(angle, "a", 10, correct, "rotated", seed) for angle, correct, seed in rows]))
    above, below = figure.axes[:2]
    assert above.lines[0].get_ydata().tolist() == pytest.approx([0.6, 0.5])
    heights = above.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((0.6 - 0.08**0.5, 0.6 + 0.08**0.5))
    np.testing.assert_allclose(below.get_images()[0].get_array(), [[0.6, 0.5]])
    assert figure.get_suptitle() == "MNIST  ·  SimpleConv  ·  accuracy by angle  ·  mean ± std over 2 seeds"
    assert not accuracy_by_angle(TWO).axes[0].collections


def test_by_angle_all_classes_above_each_below() -> None:
    figure = accuracy_by_angle(TWO)
    above, below = figure.axes[:2], figure.axes[2:4]
    assert [axes.get_title() for axes in above] == ["trained unrotated", "trained rotated"]
    assert above[0].lines[0].get_ydata().tolist() == pytest.approx([0.15, 0.95, 0.05])
    assert above[1].lines[0].get_ydata().tolist() == pytest.approx([0.7, 0.75, 0.7])
    cells = below[0].get_images()[0].get_array()
    np.testing.assert_allclose(cells, [[0.2, 1.0, 0.1], [0.1, 0.9, 0.0]])  # 0 - zero is the first class
    assert [label.get_text() for label in below[0].get_yticklabels()] == ["0 - zero", "1 - one"]
    assert [label.get_text() for label in below[0].get_xticklabels()] == ["−180", "0", "90"]
    assert {axes.get_xlabel() for axes in below} == {"angle (degrees, counter-clockwise)"}
    assert {axes.get_images()[0].get_clim() for axes in below} == {(0.0, 1.0)}


def test_sixteen_angles_are_named_every_45_degrees() -> None:
    angles = [f"{angle:g}" for angle in np.arange(-180, 180, 22.5)]
    figure = accuracy_by_angle(table([(angle, "a", 10, 5, "rotated", 0) for angle in [*angles, "random"]]))
    labels = [label.get_text() for label in figure.axes[1].get_xticklabels()]
    assert labels == ["−180", "−135", "−90", "−45", "0", "45", "90", "135"]
    assert figure.axes[1].get_images()[0].get_array().shape == (1, 16)


@pytest.mark.parametrize("number", [7, 10, 11, 13, 360])
def test_angles_that_are_no_multiples_of_45_degrees_are_on_an_axis_that_has_those(number: int) -> None:
    step = 360 / number
    angles = [f"{-180 + step * place:g}" for place in range(number)]
    below = accuracy_by_angle(table([(angle, "a", 10, 5, "rotated", 0) for angle in angles])).axes[1]
    named = np.arange(-180, 180 - step + 1, 45)
    assert [label.get_text() for label in below.get_xticklabels()] == [f"{n:g}".replace("-", "−") for n in named]
    np.testing.assert_allclose(below.get_xticks(), (named + 180) / step, atol=1e-5)  # columns, from 0


def test_one_class_with_a_name_of_40_characters() -> None:
    figure = accuracy_by_angle(table([("0", "x" * 40, 10, 5, "rotated", 0)]))
    figure.draw_without_rendering()
    (label,) = figure.axes[1].get_yticklabels()
    assert len(label.get_text()) == 24
    assert label.get_window_extent().x0 > 0
