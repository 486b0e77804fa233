"""Ours against the published values."""

import numpy as np
import pandas as pd
import pytest
from figure_tables import published
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from rotvar import tables
from rotvar.figures import theme
from rotvar.figures.agreement import agreement

NOTHING = published("global_variance")[:0]


def study(*rows: tuple[str, str, str, str, float], seed: int = 0) -> pd.DataFrame:
    """Accuracies of a study beside the published ones."""
    columns = ["dataset", "model", "training", "test", "accuracy"]
    return pd.DataFrame(rows, columns=columns).assign(seed=seed, n=1)


def points(axes: Axes) -> list[tuple[str, str, str, float, float]]:
    """Colour, marker, fill and place."""
    return [
        (
            to_hex(mark.lines[0].get_color()).upper(),
            mark.lines[0].get_marker(),
            to_hex(mark.lines[0].get_markerfacecolor()).upper(),
            float(mark.lines[0].get_xdata()[0]),
            float(mark.lines[0].get_ydata()[0]),
        )
        for mark in axes.containers
    ]


def titles(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes]


def test_a_point_for_each_cell_that_both_have() -> None:
    values = study(
        ("cifar10", "simple_conv", "unrotated", "unrotated", 0.8),
        ("cifar10", "resnet", "rotated", "rotated", 0.7),
        ("cifar10", "vgg16", "rotated", "rotated", 0.7),  # not published
        ("digits", "resnet", "rotated", "rotated", 0.7),
    )
    figure = agreement(tables.accuracy(values), NOTHING)
    left = figure.axes[0]
    green, black = theme.MODEL_COLOURS["simple_conv"], theme.MODEL_COLOURS["resnet"]
    looks = [look for *look, _, _ in points(left)]
    assert looks == [[green, "o", green], [black, "s", "#FFFFFF"]]
    published = tables.published()["accuracy"].set_index(["dataset", "model", "training", "test"])["accuracy"]
    apart = [0.8 - 0.759, 0.7 - published["cifar10", "resnet", "rotated", "rotated"]]
    assert [x for *_, x, _ in points(left)] == pytest.approx([100 * difference for difference in apart])
    assert [round(y) for *_, y in points(left)] == [0, 1]
    assert [label.get_text() for label in left.get_yticklabels()] == ["SimpleConv", "ResNet"]
    assert titles(figure) == [
        f"CIFAR10: accuracy\n2 cells, mean distance {100 * np.abs(apart).mean():.1f} points",
        "CIFAR10: global value\nnone published",
    ]
    key = [text.get_text() for text in figure.legends[0].get_texts()]
    assert key[:4] == ["SimpleConv", "ResNet", "trained unrotated", "trained rotated"]


def test_no_mark_of_an_accuracy_hides_another() -> None:
    figure = agreement(published("accuracy"), published("global_variance"))
    figure.draw_without_rendering()
    for axes in figure.axes[::2]:
        marks = axes.transData.transform([(x, y) for *_, x, y in points(axes)]) / figure.dpi
        assert len(marks) == 16
        apart = np.linalg.norm(marks[:, None] - marks, axis=-1) + np.eye(len(marks))
        assert apart.min() > 5.5 / 72  # inches: the size of a mark
        assert axes.lines[0].get_xdata() == [0, 0]


def test_the_diagonal_is_where_both_are_the_same() -> None:
    figure = agreement(published("accuracy"), published("global_variance"))
    assert len(figure.axes) == 4  # two data sets
    for axes in figure.axes[1::2]:
        diagonal = axes.lines[0]
        assert tuple(diagonal.get_xdata()) == tuple(diagonal.get_ydata()) == axes.get_xlim() == axes.get_ylim()
        assert all(axes.get_xlim()[0] < value < axes.get_xlim()[1] for point in points(axes) for value in point[3:])


def test_seeds_are_a_mean_with_a_line_and_one_seed_has_none() -> None:
    cell = ("cifar10", "simple_conv", "unrotated", "unrotated")
    both = pd.concat([study((*cell, 0.7)), study((*cell, 0.9), seed=1)])
    (mark,) = agreement(tables.accuracy(both), NOTHING).axes[0].containers
    low, high = mark.lines[2][0].get_segments()[0][:, 0]
    assert (low, high) == pytest.approx((100 * (0.8 - 0.759 - 0.02**0.5), 100 * (0.8 - 0.759 + 0.02**0.5)))
    (mark,) = agreement(tables.accuracy(study((*cell, 0.7))), NOTHING).axes[0].containers
    assert mark.lines[2] == ()


def test_a_study_without_published_values_says_so() -> None:
    figure = agreement(tables.accuracy(study(("digits", "resnet", "rotated", "rotated", 0.7))), NOTHING)
    assert figure.axes == []
    assert [text.get_text() for text in figure.texts] == [
        "Agreement with the published values",
        "No value of this study has been published.",
    ]
