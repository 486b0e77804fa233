"""Accuracy against angle on a circle, as one sees rotation."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rotvar.figures import seeds, theme
from rotvar.summary import accuracy_by_angle, over_seeds

_ALL, _CLASS = 3.3, 1.45  # inches of the place of all classes, and of that of one class
_PER_ROW = 5  # classes beside each other; of more than 25, as many as below each other


@theme.themed
def accuracy_polar(accuracy: pd.DataFrame) -> Figure:
    """Accuracy on the test set rotated by each angle, of one data set and model: the distance from the centre.

    0 degrees is on top, and angles go counter-clockwise as the images do. All classes together on the left, each
    class on the right; every circle is an accuracy of 1. The colour is the training. With several seeds a line is
    their mean, and the band reaches one standard deviation (n - 1) to either side.
    """
    theme.one(accuracy, "dataset", "model")
    classes = theme.classes(accuracy, "class")
    colours = theme.of_trainings(theme.trainings(accuracy))
    columns = min(max(_PER_ROW, math.ceil(math.sqrt(len(classes)))), len(classes))
    rows = math.ceil(len(classes) / columns)
    size = _ALL + _CLASS * columns + 0.2, max(_ALL, _CLASS * rows) + 0.6
    figure = Figure(figsize=size, layout="constrained")
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[_ALL, _CLASS * columns])[0]
    axes = left.subplots(subplot_kw={"projection": "polar"})
    _draw(axes, over_seeds(accuracy_by_angle(accuracy), "accuracy"), colours, marker="o", markersize=3.5)
    axes.set_title("all classes", pad=8)
    axes.set_thetagrids(range(0, 360, 45), [f"{_signed(angle)}°" for angle in range(0, 360, 45)])
    axes.tick_params(axis="x", pad=0)
    behind = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
    axes.set_rgrids([0.25, 0.5, 0.75, 1], ["", "50%", "", "100%"], angle=22.5, fontsize=7, ha="center", bbox=behind)
    grid = right.subplots(rows, columns, squeeze=False, subplot_kw={"projection": "polar"})
    each = over_seeds(accuracy_by_angle(accuracy, "class"), "accuracy")
    for axes, name in zip(grid.flat, classes, strict=False):
        _draw(axes, each[each["class"] == name], colours, linewidth=1.2)
        axes.set_title(theme.shorten(name, 18), fontsize=8, pad=3)
        axes.set_thetagrids(range(0, 360, 90))
        axes.set_rgrids([0.5, 1])
        axes.tick_params(labelbottom=False, labelleft=False)
    for axes in grid.flat[len(classes) :]:
        axes.remove()
    theme.legend(figure, theme.training_lines(colours))
    theme.heading(figure, accuracy, "accuracy by angle", seeds.shown(accuracy))
    return figure


def _draw(axes: Axes, means: pd.DataFrame, colours: dict[str, str], **look: Any) -> None:
    axes.set_theta_zero_location("N")  # type: ignore[attr-defined]
    axes.set(ylim=(0, 1.001))  # so that a line at 1 is not cut in half
    axes.spines["polar"].set_color("#BBBBBB")
    for training, rows in theme.trainings(means).items():
        shares = rows.sort_values("angle")
        if len(shares) > 2:
            shares = pd.concat([shares, shares[:1]])  # close the line
        angle = np.radians(shares["angle"])
        axes.plot(angle, shares["accuracy"], color=colours[training], clip_on=False, **look)
        if shares["std"].notna().any():
            low, high = shares["accuracy"] - shares["std"], shares["accuracy"] + shares["std"]
            axes.fill_between(angle, low.clip(0), high.clip(upper=1), color=colours[training], alpha=0.2, linewidth=0)


def _signed(angle: int) -> str:
    return f"{angle if angle < 180 else angle - 360}".replace("-", "−")
