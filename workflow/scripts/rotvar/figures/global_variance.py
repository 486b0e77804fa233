"""The global value of every network of a study."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rotvar.catalogue import DATASETS, MODELS
from rotvar.columns import SUMMARY_STRATA
from rotvar.figures import seeds, theme
from rotvar.summary import over_seeds

_MODEL, _MARK = 0.85, 0.13  # inches that a model and one of its marks have at least
_MARKS, _APART = 0.86, 0.215  # shares of a model's place: all of its marks, and from one mark to the next at most
# Drawn behind ours, and larger: where both agree, our mark lies inside the diamond.
_PUBLISHED: dict[str, Any] = {"markersize": 7.5, "markeredgewidth": 0.8, "zorder": 1} | theme.PUBLISHED


@theme.themed
def global_variance(values: pd.DataFrame, published: pd.DataFrame | None = None) -> Figure:
    """The global value of every network: a column of panels per data set, a row per aggregation.

    `values` is what `summary.global_variance` gives, of all networks; `published` (`tables.published()`) adds the
    published values. The colour is the training; discs are stratum `all`, squares `stratified`; with several
    seeds a mark is their mean and its line one standard deviation (n - 1). `sum` is not drawn beside `mean`: it equals
    `mean`.
    """
    table = over_seeds(theme.of_summaries(values), "global_variance")
    table = theme.named(table, "dataset", "model")
    datasets, models = theme.in_order(table["dataset"], DATASETS), theme.in_order(table["model"], MODELS)
    aggregations = theme.distinct(table["aggregation"].unique())
    trainings = list(theme.trainings(table))
    if published is not None:
        here = {"dataset": datasets, "model": models, "training": trainings, "aggregation": aggregations}
        published = published[published[list(here)].isin(here).all(axis=1)]
        published = None if published.empty else published
    colours = theme.of_trainings(trainings)
    slots = [(training, stratum) for training in trainings for stratum in SUMMARY_STRATA]
    step = min(_APART, _MARKS / len(slots))
    panel = max(3.2, max(_MODEL, _MARK / step) * len(models))
    width = max(5.0, panel * len(datasets) + 0.8)
    size = width, 2.0 * len(aggregations) + 1.5
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(aggregations), len(datasets), squeeze=False, sharex=True, sharey=True)
    for (row, column), axes in np.ndenumerate(grid):
        for slot, (training, stratum) in enumerate(slots):
            place = {"dataset": datasets[column], "aggregation": aggregations[row]}
            place |= {"training": training, "stratum": stratum}
            x = np.arange(len(models)) + (slot - (len(slots) - 1) / 2) * step
            ours = theme.at(table, place).set_index("model").reindex(models)
            look = {"color": colours[training], "fmt": "o" if stratum == "all" else "s", "markersize": 5}
            axes.errorbar(x, ours["global_variance"], ours["std"], elinewidth=1, **look)
            if published is not None:
                theirs = theme.at(published, place).set_index("model").reindex(models)["global_variance"]
                axes.plot(x, theirs, **_PUBLISHED)
        axes.set_xlim(-0.5, len(models) - 0.5)
        names = [theme.shorten(theme.model_title(name), theme.LETTERS) for name in models]
        axes.set_xticks(range(len(models)), names, rotation=30, ha="right")
        axes.tick_params(axis="x", length=0)
        axes.grid(axis="y")
        for edge in np.arange(1, len(models)) - 0.5:
            axes.axvline(edge, color="#E3E3E3", linewidth=0.6)
        if row == 0:
            axes.set_title(theme.shorten(theme.dataset_title(datasets[column]), theme.LETTERS))
        if column == 0:
            axes.set_ylabel(f"aggregation: {aggregations[row]}")
    highest = table["global_variance"] + table["std"].fillna(0)
    if published is not None:
        highest = pd.concat([highest, published["global_variance"]])
    theme.from_zero(grid.flat, highest)
    key = theme.training_lines(colours)
    shapes = {"all": "o", "stratified": "s"}
    key += [Line2D([], [], color="#333333", linestyle="", marker=shapes[name], label=name) for name in SUMMARY_STRATA]
    if published is not None:
        key.append(Line2D([], [], label="published", **_PUBLISHED))
    theme.legend(figure, key)
    theme.headline(figure, "Global normalized variance: mean over all finite units", seeds.shown(values))
    return figure
