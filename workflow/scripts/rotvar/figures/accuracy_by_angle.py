"""What the networks get right at every angle."""

import math

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from rotvar import summary
from rotvar.figures import seeds, theme


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
    few = len(angles) <= 9 and not (angles % 1).any()
    named = angles if few else np.arange(-180, angles[-1] + 1, 45)  # whether or not it was measured there
    classes = theme.classes(table, "class")
    names = [theme.shorten(name, 24) for name in classes]
    x = np.arange(len(angles))
    trainings = theme.trainings(table)
    colours = theme.of_trainings(trainings)
    height = max(1.2, 0.24 * len(classes))
    width = 3.2 + 0.068 * max(map(len, names))
    columns = theme.per_row(len(trainings), width)
    pairs = math.ceil(len(trainings) / columns)  # of rows
    figure = Figure(figsize=(columns * width + 1.0, pairs * (height + 2.4) + 0.5), layout="constrained")
    ratios = [1.5, height] * pairs
    grid = figure.subplots(2 * pairs, columns, squeeze=False, sharex=True, sharey="row", height_ratios=ratios)
    for position, (training, rows) in enumerate(trainings.items()):
        pair, column = divmod(position, columns)
        above, below = grid[2 * pair : 2 * pair + 2, column]
        shares = summary.over_seeds(summary.accuracy_by_angle(rows), "accuracy").set_index("angle").reindex(angles)
        above.plot(x, shares["accuracy"], marker="o", markersize=3.5, color=colours[training])
        seeds.band(above, x, shares["accuracy"], shares["std"], colours[training])
        above.set(ylim=(0, 1.03))
        above.grid()
        above.yaxis.set_major_formatter(PercentFormatter(1))
        theme.name_training(above, training, colours[training])
        theme.belongs(below, training)
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
        below.tick_params(length=0, labelbottom=True)  # in every row of pairs
        below.set_xticks(np.interp(named, angles, x), [f"{angle:g}".replace("-", "−") for angle in named])
        below.set_xlabel("angle (degrees, counter-clockwise)")
        if column == 0:
            above.set_ylabel("accuracy,\nall classes")
            below.set_yticks(range(len(classes)), names)
            below.set_ylabel("class")
    for axes in grid[-2:, column + 1 :].flat:  # after the last training
        axes.remove()
    bar = figure.colorbar(image, ax=list(grid[1]), aspect=20, pad=0.02)
    bar.set_label("accuracy")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1))
    theme.heading(figure, accuracy, "accuracy by angle", seeds.shown(accuracy))
    return figure
