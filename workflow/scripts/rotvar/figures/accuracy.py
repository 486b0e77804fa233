"""What the networks get right on the two test sets."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from rotvar.columns import TESTS
from rotvar.figures import seeds, theme
from rotvar.summary import accuracy_by_test, over_seeds

_GROUP, _BAR = 0.86, 0.36  # shares of the distance of the groups: of a group, and of the widest bar
_WRITTEN = 0.46  # inches of a bar that its accuracy can be written on
_LOW = 0.1  # a bar below this accuracy has it above itself


@theme.themed
def accuracy_bars(accuracy: pd.DataFrame, published: pd.DataFrame | None = None) -> Figure:
    """The four accuracies of one data set and model: each training on the unrotated and on the rotated test set.

    The colour is the training, the group the test set; with several seeds a bar is their mean and its line one
    standard deviation (n - 1). `published` (columns `training`, `test`, `accuracy`, and the network's `dataset` and
    `model`) adds the published values as diamonds.
    """
    theme.one(accuracy, "dataset", "model")
    values = over_seeds(accuracy_by_test(accuracy), "accuracy")
    trainings = theme.trainings(values)
    colours = theme.of_trainings(trainings)
    theirs = _of_this_network(published, accuracy)
    bar = min(_BAR, _GROUP / len(trainings))
    width = max(4.6, 0.7 + (len(TESTS) + 0.2) * _WRITTEN / bar)
    figure = Figure(figsize=(width, 3.6), layout="constrained")
    axes = figure.subplots()
    for position, (training, rows) in enumerate(trainings.items()):
        x = np.arange(len(TESTS)) + (position - (len(trainings) - 1) / 2) * bar
        ours = rows.set_index("test").reindex(list(TESTS))
        axes.bar(x, ours["accuracy"], bar * 0.94, color=colours[training])
        if ours["std"].notna().any():
            axes.errorbar(x, ours["accuracy"], ours["std"], fmt="none", ecolor="black", elinewidth=1, capsize=3)
        for place, share, std in zip(x, ours["accuracy"], ours["std"].fillna(0), strict=True):
            if np.isfinite(share):
                look: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": 8}
                low = share < _LOW
                colour = "black" if low else theme.on(colours[training])
                axes.text(place, share + std + 0.01 if low else 0.02, f"{share:.1%}", color=colour, **look)
        if theirs is not None:
            points = theirs[theirs["training"] == training].set_index("test").reindex(list(TESTS))["accuracy"]
            axes.plot(x, points, markersize=6, **theme.PUBLISHED)
    axes.set_xticks(range(len(TESTS)), [f"{test} test set" for test in TESTS])
    axes.set(ylabel="accuracy", ylim=(0, 1.04), yticks=np.arange(0, 1.01, 0.2), xlim=(-0.6, len(TESTS) - 0.4))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y")
    key: list[Patch | Line2D] = [Patch(color=colours[name], label=theme.trained(name)) for name in trainings if name]
    if theirs is not None:
        key.append(Line2D([], [], label="published", markersize=6, **theme.PUBLISHED))
    theme.legend(figure, key)
    theme.heading(figure, accuracy, "accuracy", seeds.shown(accuracy))
    return figure


def _of_this_network(published: pd.DataFrame | None, table: pd.DataFrame) -> pd.DataFrame | None:
    """The published values of the trainings and the network that the table is of; None where there are none."""
    if published is None:
        return None
    for name in ("dataset", "model"):
        if name in published.columns and name in table.columns:
            published = published[published[name] == table[name].iloc[0]]
    published = published[published["training"].isin(theme.trainings(table))]
    return published if len(published) else None
