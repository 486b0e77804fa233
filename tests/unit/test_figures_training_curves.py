"""Loss and accuracy by epoch."""

import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from rotvar.figures import theme
from rotvar.figures.training_curves import training_curves

HISTORY = pd.DataFrame(
    [
        (epoch, split, loss / epoch, 1 - 0.5 / epoch, training, seed)
        for training in ["unrotated", "rotated"]
        for seed, loss in [(0, 1.0), (1, 3.0)]
        for epoch in [1, 2]
        for split in ["train", "test"]
    ],
    columns=["epoch", "split", "loss", "accuracy", "training", "seed"],
)


def lines(figure: Figure, panel: int) -> list[tuple[str, str, list[float], list[float]]]:
    return [
        (to_hex(line.get_color()).upper(), line.get_linestyle(), line.get_xdata().tolist(), line.get_ydata().tolist())
        for line in figure.axes[panel].lines
    ]


def test_a_line_for_each_training_and_split() -> None:
    figure = training_curves(HISTORY[HISTORY["seed"] == 0])
    assert lines(figure, 0) == [
        (theme.TRAININGS["unrotated"], "--", [1, 2], [1.0, 0.5]),
        (theme.TRAININGS["unrotated"], "-", [1, 2], [1.0, 0.5]),
        (theme.TRAININGS["rotated"], "--", [1, 2], [1.0, 0.5]),
        (theme.TRAININGS["rotated"], "-", [1, 2], [1.0, 0.5]),
    ]
    assert lines(figure, 1)[0][3] == [0.5, 0.75]
    assert [(axes.get_xlabel(), axes.get_ylabel()) for axes in figure.axes] == [
        ("epoch", "loss"),
        ("epoch", "accuracy"),
    ]
    key = [text.get_text() for text in figure.legends[0].get_texts()]
    assert key == ["trained unrotated", "trained rotated", "training set", "test set"]
    assert not figure.axes[0].collections


def test_seeds_are_a_mean_and_a_band() -> None:
    figure = training_curves(HISTORY)
    assert lines(figure, 0)[0][3] == [2.0, 1.0]
    heights = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert heights.max() == pytest.approx(2 + 2**0.5)
    assert figure.get_suptitle() == "training  ·  mean ± std over 2 seeds"


def test_one_epoch_is_a_point_and_its_spread_a_bar() -> None:
    first = HISTORY[HISTORY["epoch"] == 1]
    figure = training_curves(first[first["seed"] == 0])
    assert {line.get_marker() for line in figure.axes[0].lines} == {"o"}
    assert not figure.axes[0].collections
    bars = training_curves(first).axes[0].collections[0].get_segments()
    assert bars[0][:, 1].tolist() == pytest.approx([2 - 2**0.5, 2 + 2**0.5])


def test_of_one_epoch_the_axis_has_that_epoch_and_the_training_sets_point_is_hollow() -> None:
    figure = training_curves(HISTORY[(HISTORY["epoch"] == 1) & (HISTORY["seed"] == 0)])
    for axes in figure.axes:
        assert [tick for tick in axes.get_xticks() if axes.get_xlim()[0] <= tick <= axes.get_xlim()[1]] == [1]
        assert [to_hex(line.get_markerfacecolor()).upper() for line in axes.lines] == [
            "#FFFFFF",
            theme.TRAININGS["unrotated"],
            "#FFFFFF",
            theme.TRAININGS["rotated"],
        ]
    key = [handle.get_markerfacecolor() for handle in figure.legends[0].legend_handles[2:]]
    assert key == ["white", "#333333"]


def test_the_key_has_a_disc_of_a_split_only_where_one_is_drawn() -> None:
    untrained = pd.DataFrame([(0, "test", 2.3, 0.1, "untrained", 0)], columns=HISTORY.columns)
    key = training_curves(pd.concat([HISTORY, untrained])).legends[0].legend_handles
    assert [handle.get_marker() for handle in key[-2:]] == ["None", "o"]  # training set, test set


def test_a_line_at_an_accuracy_of_1_is_inside_the_panel() -> None:
    assert training_curves(HISTORY.assign(accuracy=1.0)).axes[1].get_ylim() == (0, 1.03)
