"""Do our values agree with the published ones? A point for each cell of the tables that has both."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from rotvar.catalogue import DATASETS, MODELS
from rotvar.figures import theme

_PANEL = 3.0  # inches
_MARKERS = {"unrotated": "o", "rotated": "s"}  # by training
# What a full mark says, and a hollow one.
_FILLS = {"#333333": "unrotated test set,\nstratum all", "white": "rotated test set,\nstratum stratified"}
_SAME: dict[str, Any] = {"color": "#999999", "linewidth": 0.8, "zorder": 1}


@theme.themed
def agreement(accuracy: pd.DataFrame, global_variance: pd.DataFrame) -> Figure:
    """Ours (mean over the seeds, and one standard deviation to either side) against the published values.

    The tables are those of `tables.accuracy` and `tables.global_variance`. A row of panels for each data set: on the
    left how far our accuracies are from the published ones, model by model; on the right our global values of every
    stratum and aggregation over the published ones. A line is where ours are theirs. The colour is the model, the shape
    the training; a full mark is the unrotated test set or stratum `all`. What only one side has is not drawn, and where
    that is everything, the figure says so.
    """
    both = (
        accuracy.dropna(subset=["accuracy", "published"]),
        global_variance.dropna(subset=["global_variance", "published"]),
    )
    shown = pd.concat(table[["dataset", "model", "training"]].astype(str) for table in both)
    datasets = theme.in_order(shown["dataset"], DATASETS)
    if not datasets:
        return _nothing()
    models = theme.in_order(shown["model"], MODELS)
    colours = theme.colours(models, theme.MODEL_COLOURS)
    figure = Figure(figsize=(2 * _PANEL + 3.4, _PANEL * len(datasets) + 0.6), layout="constrained")
    grid = figure.subplots(len(datasets), 2, squeeze=False)
    for (left, right), dataset in zip(grid, datasets, strict=True):
        accuracies, values = (table[table["dataset"] == dataset] for table in both)
        _differences(left, accuracies, colours)
        left.set_title(f"{theme.dataset_title(dataset)}: accuracy\n{_distance(accuracies, 'points')}", fontsize=9)
        _scatter(right, values, colours)
        right.set_title(f"{theme.dataset_title(dataset)}: global value\n{_distance(values)}", fontsize=9)
    figure.legend(handles=_key(colours, theme.in_order(shown["training"], theme.TRAININGS)), loc="outside right center")
    theme.headline(figure, "Agreement with the published values")
    return figure


def _differences(axes: Axes, cells: pd.DataFrame, colours: dict[str, str]) -> None:
    """Ours minus the published accuracies, a row for each model: most accuracies are too close to 1 for a diagonal."""
    models = [name for name in colours if (cells["model"] == name).any()]
    trainings = theme.in_order(cells["training"], theme.TRAININGS)
    slots = 2 * len(trainings)
    axes.axvline(0, **_SAME)
    for _, cell in cells.iterrows():
        full = cell["test"] == "unrotated"
        slot = 2 * trainings.index(str(cell["training"])) + (not full)
        y = models.index(str(cell["model"])) + (slot - (slots - 1) / 2) * 0.8 / slots
        _mark(axes, (100 * cell["difference"], y), cell, full, colours, xerr=100 * cell["std"])
    for edge in np.arange(1, len(models)) - 0.5:
        axes.axhline(edge, color="#E3E3E3", linewidth=0.6, zorder=0)
    axes.set_yticks(range(len(models)), [theme.model_title(name) for name in models])
    axes.set(xlabel="our accuracy − published (percentage points)", ylim=(max(1, len(models)) - 0.5, -0.5))
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.08)
    axes.grid(axis="x")


def _scatter(axes: Axes, cells: pd.DataFrame, colours: dict[str, str]) -> None:
    """Our global values over the published ones; the diagonal is where both are the same."""
    low, high = 0.0, 1.0
    if len(cells):
        ours, spread = cells["global_variance"], cells["std"].fillna(0)
        low = min(cells["published"].min(), (ours - spread).min())
        high = max(cells["published"].max(), (ours + spread).max())
    room = 0.06 * (high - low) or 0.05
    ends = low - room, high + room
    axes.plot(ends, ends, **_SAME)
    for _, cell in cells.iterrows():
        place = cell["published"], cell["global_variance"]
        _mark(axes, place, cell, cell["stratum"] == "all", colours, yerr=cell["std"])
    axes.set(xlim=ends, ylim=ends, aspect="equal", xlabel="published global value", ylabel="our global value")
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.grid()


def _mark(
    axes: Axes, place: tuple[float, float], cell: pd.Series, full: bool, colours: dict[str, str], **std: Any
) -> None:
    """A cell's mark, with `xerr` or `yerr` to either side unless it is missing."""
    colour = colours[str(cell["model"])]
    spread = {name: reach for name, reach in std.items() if not np.isnan(reach)}
    axes.errorbar(
        *place, elinewidth=1, fmt=_MARKERS.get(str(cell["training"]), "^"), markersize=5.5, color=colour, ecolor=colour,
        markerfacecolor=colour if full else "white", markeredgewidth=1.2, alpha=0.85, **spread,
    )  # fmt: skip


def _distance(cells: pd.DataFrame, unit: str = "") -> str:
    if cells.empty:
        return "none published"
    count = "1 cell" if len(cells) == 1 else f"{len(cells)} cells"
    mean = cells["difference"].abs().mean()
    return f"{count}, mean distance {f'{100 * mean:.1f} {unit}' if unit else f'{mean:.3f}'}"


def _key(colours: dict[str, str], trainings: list[str]) -> list[Artist]:
    look: dict[str, Any] = {"linestyle": "", "color": "#333333", "markersize": 5.5, "markeredgewidth": 1.2}
    key: list[Artist] = [Patch(color=colour, label=theme.model_title(name)) for name, colour in colours.items()]
    key += [Line2D([], [], marker=_MARKERS.get(name, "^"), label=theme.trained(name), **look) for name in trainings]
    key += [Line2D([], [], marker="D", markerfacecolor=fill, label=label, **look) for fill, label in _FILLS.items()]
    return [*key, Line2D([], [], label="ours = published", **_SAME)]


def _nothing() -> Figure:
    figure = Figure(figsize=(5, 1.2))
    theme.headline(figure, "Agreement with the published values")
    figure.text(0.5, 0.4, "No value of this study has been published.", ha="center", va="center")
    return figure
