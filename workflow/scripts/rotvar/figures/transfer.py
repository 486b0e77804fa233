"""Whether invariance transfers: networks trained on one data set and measured on others."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rotvar.catalogue import DATASETS, MODELS
from rotvar.figures import layer_axis, scale, seeds, theme
from rotvar.summary import over_seeds

_CELL, _ROW = 0.85, 0.45  # inches
_HEIGHT = 3.0  # inches of a panel of layers
_OWN = "#000000"  # the line of the data set that a network was trained on


@theme.themed
def transfer(values: pd.DataFrame, aggregation: str, stratum: str = "all") -> Figure:
    """The global value of every network by the data set it was trained on (row) and measured on (column).

    `values` is what `summary.global_variance` gives, of all networks, with a column `measured_on`. A panel for each
    model (row of panels) and training, all on one scale, which ends at median + 3 interquartile ranges. With several
    seeds a cell is their mean with one standard deviation (n - 1).

    Raises InputError where the table holds no such stratum or aggregation.
    """
    shown = theme.choose(values, stratum=stratum, aggregation=aggregation)
    table = theme.named(over_seeds(shown, "global_variance"), "dataset", "model")
    models, trainings = theme.in_order(table["model"], MODELS), list(theme.trainings(table))
    rows, columns = (theme.in_order(table[name], DATASETS) for name in ("dataset", "measured_on"))
    row_names, column_names = ([theme.shorten(theme.dataset_title(name), 20) for name in x] for x in (rows, columns))
    end = scale.top(table["global_variance"])

    beside, below = (0.075 * max(map(len, names)) for names in (row_names, column_names))
    width = len(trainings) * max(_CELL * len(columns), 2.4) + beside + 1.7
    height = len(models) * (0.6 + _ROW * len(rows)) + below + 0.9
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(len(models), len(trainings), squeeze=False, sharex=True, sharey=True)
    drawn = []
    for (row, column), axes in np.ndenumerate(grid):
        network = theme.at(table, {"model": models[row], "training": trainings[column]})
        means, stds = (
            network.pivot(index="dataset", columns="measured_on", values=value)
            .reindex(index=rows, columns=columns)
            .to_numpy(np.float64)
            for value in ("global_variance", "std")
        )
        drawn.append(means)
        image = scale.matrix(axes, means, stds, end, row_names, column_names)
        names = (theme.shorten(theme.model_title(models[row]), theme.LETTERS), theme.trained(trainings[column], 20))
        axes.set_title("\n".join(filter(None, names)))
    figure.supylabel("trained on", fontsize=9)
    for axes in grid[-1]:
        axes.set_xlabel("measured on")
    scale.key(figure, list(grid.flat), image, drawn, "global value")
    theme.headline(
        figure,
        "Trained on one data set, measured on others",
        f"stratum: {stratum}",
        f"aggregation: {aggregation}",
        seeds.shown(shown),
    )
    return figure


@theme.themed
def transfer_by_layer(means: pd.DataFrame, aggregation: str, stratum: str = "all") -> Figure:
    """Mean normalized variance of each layer of one network (data set and model), on each data set it was measured on.

    `means` is what `summary.layer_means` gives, with a column `measured_on`. A panel for each training; the colour is
    the data set measured on, black the network's own. With several seeds the line is their mean and the band reaches
    one standard deviation (n - 1) to either side.

    Raises InputError where the table holds no such stratum or aggregation.
    """
    shown = theme.choose(means, stratum=stratum, aggregation=aggregation)
    theme.one(shown, "dataset", "model")
    table = theme.named(over_seeds(shown, "normalized_variance"), "dataset")
    layers = layer_axis.layers(table)
    trainings = theme.trainings(table)
    own = str(table["dataset"].iloc[0])
    measured = theme.in_order(table["measured_on"], dict.fromkeys([own, *DATASETS]))
    colours = theme.colours(theme.in_order(table["measured_on"], DATASETS), {}) | {own: _OWN}
    key = [
        Line2D([], [], color=colours[name], linewidth=3, label=f"on {theme.shorten(theme.dataset_title(name), 20)}")
        for name in measured
    ]
    title_colours = theme.of_trainings(trainings)
    page = layer_axis.panels(layers, len(trainings), _HEIGHT, left=0.65, legend=key, bar=False)
    look: dict[str, Any] = {"linewidth": 1.0} if len(layers) > layer_axis.FEW else {"marker": "o", "markersize": 3.5}
    for axes, (training, rows) in zip(page.axes, trainings.items(), strict=True):
        for name in measured:
            seeds.line(axes, rows[rows["measured_on"] == name], layers, colours[name], **look)
        axes.set_ylabel("mean normalized variance")
        axes.grid(axis="y")
        theme.name_training(axes, training, title_colours[training])
    theme.from_zero(page.axes, table["normalized_variance"] + table["std"].fillna(0))
    details = (f"stratum: {stratum}", f"aggregation: {aggregation}", seeds.shown(shown))
    theme.heading(page.figure, shown, *details)
    return page.figure
