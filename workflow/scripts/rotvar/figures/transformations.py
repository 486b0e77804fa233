"""What each training makes a network invariant to: trainings against transformations."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rotvar.catalogue import DATASETS, MODELS
from rotvar.figures import scale, seeds, theme
from rotvar.summary import over_seeds

_CELL, _ROW = 0.75, 0.42  # inches


@theme.themed
def transformations(values: pd.DataFrame, aggregation: str, stratum: str = "all") -> Figure:
    """The global value of every network (row: a training) under every transformation (column), rotation first.

    `values` is what `summary.global_variance` gives, of all networks, with a column `transformation`. A panel for each
    data set (column of panels) and model, all on one scale, which ends at median + 3 interquartile ranges. With several
    seeds a cell is their mean with one standard deviation (n - 1).

    Raises InputError where the table holds no such stratum or aggregation.
    """
    shown = theme.choose(values, stratum=stratum, aggregation=aggregation)
    table = theme.named(over_seeds(shown, "global_variance"), "dataset", "model", "training")
    datasets, models = theme.in_order(table["dataset"], DATASETS), theme.in_order(table["model"], MODELS)
    columns = theme.in_order(table["transformation"], ["rotation"])
    rows = list(theme.trainings(table))
    row_names = [theme.shorten(name, theme.LETTERS) for name in rows]
    column_names = [theme.shorten(name, 20) for name in columns]
    end = scale.top(table["global_variance"])

    left, above = 0.2 + 0.075 * max(map(len, row_names)), 0.6
    below = 0.15 + 0.075 * max(map(len, column_names))
    width = len(datasets) * (left + max(_CELL * len(columns), 1.6)) + 1.0
    height = len(models) * (above + _ROW * len(rows)) + below + 0.8
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(len(models), len(datasets), squeeze=False, sharex=True, sharey=True)
    drawn = []
    for (row, column), axes in np.ndenumerate(grid):
        network = theme.at(table, {"dataset": datasets[column], "model": models[row]})
        means, stds = (_cells(network, value, rows, columns) for value in ("global_variance", "std"))
        drawn.append(means)
        image = scale.matrix(axes, means, stds, end, row_names, column_names)
        names = (theme.dataset_title(datasets[column]), theme.model_title(models[row]))
        axes.set_title("\n".join(theme.shorten(name, theme.LETTERS) for name in names if name))
    figure.supylabel("trained", fontsize=9)
    for axes in grid[-1]:
        axes.set_xlabel("measured under")
    scale.key(figure, list(grid.flat), image, drawn, "global value")
    theme.headline(
        figure,
        "Trainings against transformations",
        f"stratum: {stratum}",
        f"aggregation: {aggregation}",
        seeds.shown(shown),
    )
    return figure


def _cells(network: pd.DataFrame, value: str, trainings: list[str], transformations: list[str]) -> np.ndarray:
    cells = network.pivot(index="training", columns="transformation", values=value)
    return cells.reindex(index=trainings, columns=transformations).to_numpy(np.float64)
