"""All the networks of a study beside each other."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rotvar.catalogue import DATASETS, MODELS
from rotvar.figures import seeds, theme
from rotvar.summary import SUMMARY_STRATA, over_seeds

_BINS = 10  # parts of the depth whose layers are averaged into the line of `by_depth`


@theme.themed
def global_variance(values: pd.DataFrame, published: pd.DataFrame | None = None) -> Figure:
    """The global value of every network: a column of panels per data set, a row per aggregation.

    `values` is what `summary.global_variance` gives, of all networks; `published` (`tables.published()`) adds the
    published values. The colour is the training; discs are stratum `all`, squares `stratified`; with several
    seeds a mark is their mean and its line one standard deviation (n - 1). `sum` is not drawn: it equals `mean`.
    """
    table = over_seeds(values[values["stratum"].isin(SUMMARY_STRATA)], "global_variance")
    datasets, models = _in_order(table["dataset"], DATASETS), _in_order(table["model"], MODELS)
    if published is not None:
        published = published[published["dataset"].isin(datasets) & published["model"].isin(models)]
        published = None if published.empty else published
    aggregations = [str(name) for name in table["aggregation"].unique() if name != "sum"]
    trainings = list(theme.trainings(table))
    colours = theme.colours(trainings, theme.TRAININGS)
    width = max(5.0, max(3.2, 0.85 * len(models)) * len(datasets) + 0.8)
    size = width, 2.0 * len(aggregations) + 1.5
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(aggregations), len(datasets), squeeze=False, sharex=True, sharey=True)
    slots = [(training, stratum) for training in trainings for stratum in SUMMARY_STRATA]
    for (row, column), axes in np.ndenumerate(grid):
        for slot, (training, stratum) in enumerate(slots):
            place = {"dataset": datasets[column], "aggregation": aggregations[row]}
            place |= {"training": training, "stratum": stratum}
            x = np.arange(len(models)) + (slot - (len(slots) - 1) / 2) * 0.17
            ours = _at(table, place).set_index("model").reindex(models)
            look = {"color": colours[training], "fmt": "o" if stratum == "all" else "s", "markersize": 5}
            axes.errorbar(x, ours["global_variance"], ours["std"], elinewidth=1, **look)
            if published is not None:
                theirs = _at(published, place).set_index("model").reindex(models)["global_variance"]
                axes.plot(x, theirs, markersize=4, zorder=3, **theme.PUBLISHED)
        axes.set_xlim(-0.5, len(models) - 0.5)
        axes.set_xticks(range(len(models)), [theme.model_title(name) for name in models], rotation=30, ha="right")
        axes.tick_params(axis="x", length=0)
        axes.grid(axis="y")
        for edge in np.arange(1, len(models)) - 0.5:
            axes.axvline(edge, color="#E3E3E3", linewidth=0.6)
        if row == 0:
            axes.set_title(theme.dataset_title(datasets[column]))
        if column == 0:
            axes.set_ylabel(f"aggregation: {aggregations[row]}")
    highest = table["global_variance"] + table["std"].fillna(0)
    _set_height(grid, highest if published is None else pd.concat([highest, published["global_variance"]]))
    key = [Line2D([], [], color=colours[name], linewidth=3, label=f"trained {name}") for name in trainings if name]
    shapes = {"all": "o", "stratified": "s"}
    key += [Line2D([], [], color="#333333", linestyle="", marker=shapes[name], label=name) for name in SUMMARY_STRATA]
    if published is not None:
        key.append(Line2D([], [], label="published", markersize=4, **theme.PUBLISHED))
    figure.legend(handles=key, loc="outside lower center", ncols=3 if len(datasets) == 1 else len(key))
    theme.headline(figure, "Global normalized variance: mean over all finite units", seeds.shown(values))
    return figure


@theme.themed
def by_depth(means: pd.DataFrame, aggregation: str, stratum: str = "all") -> Figure:
    """Mean normalized variance of the layers by relative depth (0: first layer, 1: last), every model in one panel.

    `means` is what `summary.layer_means` gives, of all networks. Points are layers (means over the seeds); the line
    joins the means of the layers in each tenth of the depth, and with several seeds the band reaches one standard
    deviation (n - 1) to either side. A column of panels per data set, a row per training.
    """
    table = theme.choose(means, aggregation=aggregation, stratum=stratum)
    points = over_seeds(table, "normalized_variance")
    datasets, models = _in_order(table["dataset"], DATASETS), _in_order(table["model"], MODELS)
    trainings = list(theme.trainings(table))
    colours = theme.colours(models, theme.MODEL_COLOURS)
    figure = Figure(figsize=(max(5.0, 3.6 * len(datasets) + 0.8), 2.3 * len(trainings) + 1.3), layout="constrained")
    grid = figure.subplots(len(trainings), len(datasets), squeeze=False, sharex=True, sharey=True)
    for (row, column), axes in np.ndenumerate(grid):
        for model in models:
            place = {"dataset": datasets[column], "training": trainings[row], "model": model}
            layers = _at(points, place)
            look = {"color": colours[model], "marker": theme.MODEL_MARKERS.get(model, "P")}
            axes.scatter(_depth(layers), layers["normalized_variance"], s=7, alpha=0.3, linewidths=0, **look)
            line = _tenths(_at(table, place))
            axes.plot(line.index, line["mean"], markersize=4.5, **look)
            seeds.band(axes, line.index, line["mean"], line["std"], colours[model])
        axes.set_xlim(-0.02, 1.02)
        axes.grid()
        axes.set_title(theme.dataset_title(datasets[column]), loc="left")
        if row == len(trainings) - 1:
            axes.set_xlabel("relative depth (0: first layer, 1: last layer)")
        if column == 0:
            axes.set_ylabel("mean normalized variance")
        if trainings[row]:
            colour = theme.colours(trainings, theme.TRAININGS)[trainings[row]]
            axes.set_title(f"trained {trainings[row]}", loc="right", color=colour, fontweight="bold")
    _set_height(grid, points["normalized_variance"] + points["std"].fillna(0))
    key = [
        Line2D([], [], color=colours[model], marker=theme.MODEL_MARKERS.get(model, "P"), label=theme.model_title(model))
        for model in models
    ]
    figure.legend(handles=key, loc="outside lower center", ncols=min(len(key), 2 + len(datasets)))
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


def _set_height(grid: np.ndarray, values: pd.Series) -> None:
    """All panels from 0 to a little above the highest value."""
    for axes in grid.flat:
        axes.set_ylim(0, theme.headroom(values))


def _in_order(column: pd.Series, known: dict) -> list[str]:
    """The names in the column: the known ones in the catalogue's order, then the others."""
    present = [str(name) for name in column.unique()]
    return [name for name in known if name in present] + sorted(set(present) - set(known))


def _at(table: pd.DataFrame, place: dict[str, str]) -> pd.DataFrame:
    for name, value in place.items():
        if name in table.columns:
            table = table[table[name] == value]
    return table
