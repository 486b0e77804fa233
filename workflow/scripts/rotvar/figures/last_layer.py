"""What the network's outputs make of each class: the last layer, unit by class."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rotvar import summary
from rotvar.figures import layer_axis, scale, seeds, theme

_CELL = 0.42  # inches, up to ...
_WIDEST = 6.0  # ... inches of a panel
_LABEL = 0.13  # inches of a name of 8 points
_WRITTEN = 12  # classes up to which the values are written into the cells


@theme.themed
def last_layer(variance: pd.DataFrame, classes: Sequence[str] | None = None) -> Figure:
    """Normalized variance of each unit of the last layer (row) on the images of each class (column); one network.

    `classes` are the names in the order of the output units; by default the data set's. The trainings share one
    scale, which ends at median + 3 interquartile ranges. The last layer has no positions, so its values are the same
    under every aggregation. An output unit stands for the same class in every seed: with several, a cell is their mean
    (one infinity makes it infinite) with one standard deviation (n - 1), and above stands the same of all finite cells.
    A training that was not measured on this layer has a panel of missing values.

    Raises InputError where the table holds several networks, and where trainings differ in which layer is the last.
    """
    theme.one(variance, "dataset", "model")
    last = theme.of_classes(summary.last_layer(variance))
    last = last[last["aggregation"] == last["aggregation"].iloc[0]]
    names = list(classes) if classes is not None else theme.classes(last)
    layer = layer_axis.layers(last)["layer"].iloc[0]
    trainings = dict.fromkeys(theme.trainings(variance), last[:0]) | theme.trainings(last)
    numbers = np.sort(last["unit"].unique())
    tables = {training: _cells(rows, numbers, names, "mean") for training, rows in trainings.items()}
    colours = theme.of_trainings(trainings)
    over_seeds = seeds.shown(last)
    everything = np.concatenate(list(tables.values()))
    end = scale.top(everything)
    units = len(numbers)
    columns = [theme.shorten(name, 20) for name in names]
    outputs = columns if units == len(names) else [str(unit) for unit in range(units)]

    width, height = (min(_CELL * count, _WIDEST) for count in (len(names), units))
    every_class, every_unit = (math.ceil(count * _LABEL / _WIDEST) for count in (len(names), units))
    letters = 0.065 * max(map(len, columns))
    width, height = max(width, 2.0) + letters + 0.5, max(height, 1.2) + letters + 0.9
    in_row = theme.per_row(len(tables), width)
    rows_of_panels = math.ceil(len(tables) / in_row)
    figure = Figure(figsize=(in_row * width + 1.0, rows_of_panels * height + 0.5), layout="constrained")
    all_axes = list(figure.subplots(rows_of_panels, in_row, squeeze=False).flat)
    for axes in all_axes[len(tables) :]:
        axes.remove()
    all_axes = all_axes[: len(tables)]
    for axes, (training, values) in zip(all_axes, tables.items(), strict=True):
        image = scale.draw(axes, values, end, extent=(-0.5, len(names) - 0.5, units - 0.5, -0.5))
        axes.set_xticks(range(0, len(names), every_class), columns[::every_class], rotation=90)
        axes.set_yticks(range(0, units, every_unit), outputs[::every_unit])
        axes.set(xlabel=layer_axis.named("class of the images", every_class))
        axes.set(ylabel=layer_axis.named("output unit", every_unit))
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        rows = trainings[training]
        whole = seeds.global_values(rows.assign(stratum="classes")).get("classes", "–")
        theme.name_training(axes, training, colours[training], below=f"all cells: {whole}" if over_seeds else "")
        if max(units, len(names)) <= _WRITTEN:
            scale.write_values(axes, values, end, _cells(rows, numbers, names, "std"))
    scale.key(figure, all_axes, image, everything, "normalized variance")
    theme.heading(figure, last, f"last layer ({layer})", over_seeds)
    return figure


def _cells(rows: pd.DataFrame, units: np.ndarray, classes: list[str], statistic: str) -> np.ndarray:
    """The mean or std over the seeds of each unit (row) and class (column); missing where there is no such row."""
    groups = rows.astype({"normalized_variance": np.float64}).groupby(["unit", "stratum"], observed=True)
    cells = groups["normalized_variance"].agg(statistic).unstack("stratum")
    return cells.reindex(index=units, columns=classes).to_numpy()
