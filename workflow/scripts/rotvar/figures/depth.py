"""Variance by relative depth, all the networks of a study in one figure."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rotvar.catalogue import DATASETS, MODELS
from rotvar.figures import seeds, theme
from rotvar.summary import over_seeds

_BINS = 10  # parts of the depth whose layers are averaged into the line
_LAYER, _TENTH, _PALE = 3.0, 4.5, 0.4  # the sizes of the marks of a layer and of such a part; the former's opacity


@theme.themed
def by_depth(means: pd.DataFrame, aggregation: str, stratum: str = "all") -> Figure:
    """Mean normalized variance of the layers by relative depth (0: first layer, 1: last), every model in one panel.

    `means` is what `summary.layer_means` gives, of all networks. Points are layers (means over the seeds); the line
    joins the means of the layers in each tenth of the depth, and with several seeds the band reaches one standard
    deviation (n - 1) to either side. A column of panels per data set, a row per training.
    """
    table = theme.named(theme.choose(means, aggregation=aggregation, stratum=stratum), "dataset", "model")
    points = over_seeds(table, "normalized_variance")
    datasets, models = theme.in_order(table["dataset"], DATASETS), theme.in_order(table["model"], MODELS)
    trainings = list(theme.trainings(table))
    colours, title_colours = theme.colours(models, theme.MODEL_COLOURS), theme.of_trainings(trainings)
    markers = theme.markers(models)
    figure = Figure(figsize=(max(5.0, 3.6 * len(datasets) + 0.8), 2.3 * len(trainings) + 1.3), layout="constrained")
    grid = figure.subplots(len(trainings), len(datasets), squeeze=False, sharex=True, sharey=True)
    for (row, column), axes in np.ndenumerate(grid):
        for model in models:
            place = {"dataset": datasets[column], "training": trainings[row], "model": model}
            layers = theme.at(points, place)
            look = {"color": colours[model], "marker": markers[model]}
            axes.scatter(_depth(layers), layers["normalized_variance"], s=_LAYER**2, alpha=_PALE, linewidths=0, **look)
            line = _tenths(theme.at(table, place))
            axes.plot(line.index, line["mean"], markersize=_TENTH, **look)
            seeds.band(axes, line.index, line["mean"], line["std"], colours[model])
        axes.set_xlim(-0.02, 1.02)
        axes.grid()
        axes.set_title(theme.shorten(theme.dataset_title(datasets[column]), 16), loc="left")
        if row == len(trainings) - 1:
            axes.set_xlabel("relative depth (0: first layer, 1: last layer)")
        if column == 0:
            axes.set_ylabel("mean normalized variance")
        if trainings[row]:
            title = {"color": title_colours[trainings[row]], "fontweight": "bold"}
            axes.set_title(theme.trained(trainings[row], 16), loc="right", **title)
    theme.from_zero(grid.flat, points["normalized_variance"] + points["std"].fillna(0))
    key = [
        Line2D([], [], color=colours[model], marker=markers[model], label=theme.model_title(model))
        for model in models
        if model
    ]
    disc: dict[str, Any] = {"color": "#777777", "marker": "o"}  # for the marks of all models
    key.append(Line2D([], [], label="mean of a tenth of the depth", markersize=_TENTH, **disc))
    pale: dict[str, Any] = {"linestyle": "", "markersize": _LAYER, "markeredgewidth": 0, "alpha": _PALE}
    key.append(Line2D([], [], label="one layer", **pale, **disc))
    theme.legend(figure, key)
    theme.headline(
        figure, "Normalized variance by depth", f"stratum: {stratum}", f"aggregation: {aggregation}", seeds.shown(means)
    )
    return figure


def _depth(layers: pd.DataFrame) -> pd.Series:
    return layers["layer_index"] / max(1, layers["layer_index"].max())


def _tenths(layers: pd.DataFrame) -> pd.DataFrame:
    """Mean and std over the seeds of one network's mean over the layers in each tenth of the depth, by its middle."""
    middle = (np.minimum((_depth(layers) * _BINS).astype(int), _BINS - 1) + 0.5) / _BINS
    by = [*(name for name in ["seed"] if name in layers.columns), "depth"]
    means = layers.assign(depth=middle).groupby(by)["normalized_variance"].mean()
    return means.groupby("depth").agg(["mean", "std"])
