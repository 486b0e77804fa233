"""What the networks get right: on the two test sets, and at every angle."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from rotvar.figures import seeds, theme
from rotvar.summary import TESTS, accuracy_by_test, over_seeds

_BAR = 0.36  # of the distance of the groups


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
    colours = theme.colours(trainings, theme.TRAININGS)
    theirs = _of_this_network(published, accuracy)
    figure = Figure(figsize=(4.6, 3.6), layout="constrained")
    axes = figure.subplots()
    for position, (training, rows) in enumerate(trainings.items()):
        x = np.arange(len(TESTS)) + (position - (len(trainings) - 1) / 2) * _BAR
        ours = rows.set_index("test").reindex(list(TESTS))
        axes.bar(x, ours["accuracy"], _BAR * 0.94, color=colours[training])
        if ours["std"].notna().any():
            axes.errorbar(x, ours["accuracy"], ours["std"], fmt="none", ecolor="black", elinewidth=1, capsize=3)
        for place, share in zip(x, ours["accuracy"], strict=True):
            if np.isfinite(share):
                look: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": 8}
                axes.text(place, 0.02, f"{share:.1%}", color="white" if share > 0.08 else "black", **look)
        if theirs is not None:
            points = theirs[theirs["training"] == training].set_index("test").reindex(list(TESTS))["accuracy"]
            axes.plot(x, points, markersize=6, **theme.PUBLISHED)
    axes.set_xticks(range(len(TESTS)), [f"{test} test set" for test in TESTS])
    axes.set(ylabel="accuracy", ylim=(0, 1.04), yticks=np.arange(0, 1.01, 0.2), xlim=(-0.6, len(TESTS) - 0.4))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y")
    key: list[Patch | Line2D] = [Patch(color=colours[name], label=f"trained {name}") for name in trainings if name]
    if theirs is not None:
        key.append(Line2D([], [], label="published", markersize=6, **theme.PUBLISHED))
    figure.legend(handles=key, loc="outside lower center", ncols=3)
    theme.heading(figure, accuracy, "accuracy", seeds.shown(accuracy))
    return figure


@theme.themed
def accuracy_by_angle(accuracy: pd.DataFrame) -> Figure:
    """Accuracy on the test set rotated by each angle, of one data set and model: all classes above, each below.

    The lower panels share one scale, from 0 to 1. With several seeds a point or cell is their mean, and the band
    reaches one standard deviation (n - 1) to either side.
    """
    theme.one(accuracy, "dataset", "model")
    table = accuracy[accuracy["angle"].astype(str) != "random"]
    table = table.assign(angle=table["angle"].astype(str).astype(float), share=table["correct"] / table["n"])
    angles = np.sort(table["angle"].unique())
    classes = theme.classes(table.rename(columns={"class": "stratum"}))
    names = [theme.shorten(name, 24) for name in classes]
    trainings = theme.trainings(table)
    colours = theme.colours(trainings, theme.TRAININGS)
    height = max(1.2, 0.24 * len(classes))
    width = len(trainings) * (3.2 + 0.068 * max(map(len, names))) + 1.0
    figure = Figure(figsize=(width, height + 2.9), layout="constrained")
    grid = figure.subplots(2, len(trainings), squeeze=False, sharex=True, sharey="row", height_ratios=[1.5, height])
    for position, (training, rows) in enumerate(trainings.items()):
        above, below = grid[:, position]
        shares = over_seeds(_all_classes(rows), "share").set_index("angle").reindex(angles)
        x = np.arange(len(angles))
        above.plot(x, shares["share"], marker="o", markersize=3.5, color=colours[training])
        seeds.band(above, x, shares["share"], shares["std"], colours[training])
        above.set(ylim=(0, 1.03))
        above.grid()
        above.yaxis.set_major_formatter(PercentFormatter(1))
        theme.name_training(above, training)
        cells = rows.pivot_table(index="class", columns="angle", values="share", observed=True)
        image = below.imshow(
            cells.reindex(index=classes, columns=angles).to_numpy(),
            cmap=colormaps["cividis"].with_extremes(bad="#C8C8C8"),
            vmin=0,
            vmax=1,
            aspect="auto",
            interpolation="none",
        )
        below.spines[:].set_visible(False)
        below.tick_params(length=0)
        ticks = [place for place, angle in enumerate(angles) if len(angles) <= 9 or angle % 45 == 0]
        below.set_xticks(ticks, [f"{angles[place]:g}".replace("-", "−") for place in ticks])
        below.set_xlabel("angle (degrees, counter-clockwise)")
    grid[0, 0].set_ylabel("accuracy,\nall classes")
    grid[1, 0].set_yticks(range(len(classes)), names)
    grid[1, 0].set_ylabel("class")
    bar = figure.colorbar(image, ax=list(grid[1]), aspect=20, pad=0.02)
    bar.set_label("accuracy")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1))
    theme.heading(figure, accuracy, "accuracy by angle", seeds.shown(accuracy))
    return figure


def _all_classes(rows: pd.DataFrame) -> pd.DataFrame:
    """The share of correct images at each angle, and for each seed."""
    by = ["angle", *(name for name in ["seed"] if name in rows.columns)]
    sums = rows.groupby(by)[["correct", "n"]].sum()
    return (sums["correct"] / sums["n"]).rename("share").reset_index()


def _of_this_network(published: pd.DataFrame | None, table: pd.DataFrame) -> pd.DataFrame | None:
    """The published values of the network that the table is of; None where there are none."""
    if published is None:
        return None
    for name in ("dataset", "model"):
        if name in published.columns and name in table.columns:
            published = published[published[name] == table[name].iloc[0]]
    return published if len(published) else None
