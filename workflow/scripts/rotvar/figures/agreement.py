"""Do our values agree with the published ones? A point for each cell of the tables that has both."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter

from rotvar.catalogue import DATASETS, MODELS
from rotvar.figures import theme

_PANEL = 3.0  # inches
_MARKERS = {"unrotated": "o", "rotated": "s"}  # by training
# By the column that tells a network's cells apart: which of its values has a full mark; the other's is hollow.
_FULL = {"test": "unrotated", "stratum": "all"}
_WORDS = {
    "test": {True: "unrotated test set", False: "rotated test set"},
    "stratum": {True: "stratum all", False: "stratum stratified"},
}


@theme.themed
def agreement(accuracy: pd.DataFrame, global_variance: pd.DataFrame) -> Figure:
    """Ours (mean over the seeds, and one standard deviation to either side) against the published values.

    The tables are those of `tables.accuracy` and `tables.global_variance`. A row of panels for each data set: accuracy
    on the left, global value of every stratum and aggregation on the right; the diagonal is where ours are theirs. The
    colour is the model, the shape the training; a full mark is the unrotated test set or stratum `all`. What only one
    side has is not drawn, and where that is everything, the figure says so.
    """
    both = {
        ("accuracy", "test"): accuracy.dropna(subset=["accuracy", "published"]),
        ("global_variance", "stratum"): global_variance.dropna(subset=["global_variance", "published"]),
    }
    shown = pd.concat(table[["dataset", "model", "training"]].astype(str) for table in both.values())
    datasets = theme.in_order(shown["dataset"], DATASETS)
    if not datasets:
        return _nothing()
    models = theme.in_order(shown["model"], MODELS)
    colours = theme.colours(models, theme.MODEL_COLOURS)
    figure = Figure(figsize=(2 * _PANEL + 2.6, _PANEL * len(datasets) + 0.6), layout="constrained")
    grid = figure.subplots(len(datasets), 2, squeeze=False)
    for row, dataset in enumerate(datasets):
        for axes, ((value, kind), table) in zip(grid[row], both.items(), strict=True):
            cells = table[table["dataset"] == dataset]
            _scatter(axes, cells, value, cells[kind] == _FULL[kind], colours)
            of = "accuracy" if kind == "test" else "global value"
            axes.set(xlabel=f"published {of}", ylabel=f"our {of}")
            axes.set_title(f"{theme.dataset_title(dataset)}: {of}\n{_distance(cells)}", fontsize=9)
            if kind == "test":
                axes.xaxis.set_major_formatter(PercentFormatter(1))
                axes.yaxis.set_major_formatter(PercentFormatter(1))
    figure.legend(handles=_key(colours, theme.in_order(shown["training"], theme.TRAININGS)), loc="outside right center")
    theme.headline(figure, "Agreement with the published values")
    return figure


def _scatter(axes: Axes, cells: pd.DataFrame, value: str, full: pd.Series, colours: dict[str, str]) -> None:
    low, high = 0.0, 1.0
    if len(cells):
        spread = cells["std"].fillna(0)
        low = min(cells["published"].min(), (cells[value] - spread).min())
        high = max(cells["published"].max(), (cells[value] + spread).max())
    room = 0.06 * (high - low) or 0.05
    ends = low - room, high + room
    axes.plot(ends, ends, color="#999999", linewidth=0.8, zorder=1)
    for (_, cell), solid in zip(cells.iterrows(), full, strict=True):
        colour = colours[str(cell["model"])]
        axes.errorbar(
            cell["published"], cell[value], None if np.isnan(cell["std"]) else cell["std"], elinewidth=1,
            fmt=_MARKERS.get(str(cell["training"]), "^"), markersize=5.5, color=colour, ecolor=colour,
            markerfacecolor=colour if solid else "white", markeredgewidth=1.2, alpha=0.85,
        )  # fmt: skip
    axes.set(xlim=ends, ylim=ends, aspect="equal")
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.grid()


def _distance(cells: pd.DataFrame) -> str:
    if cells.empty:
        return "none published"
    count = "1 cell" if len(cells) == 1 else f"{len(cells)} cells"
    return f"{count}, mean distance {cells['difference'].abs().mean():.3f}"


def _key(colours: dict[str, str], trainings: list[str]) -> list[Artist]:
    look: dict[str, Any] = {"linestyle": "", "color": "#333333", "markersize": 5.5, "markeredgewidth": 1.2}
    key: list[Artist] = [Patch(color=colour, label=theme.model_title(name)) for name, colour in colours.items()]
    key += [Line2D([], [], marker=_MARKERS.get(name, "^"), label=theme.trained(name), **look) for name in trainings]
    for solid, face in ((True, "#333333"), (False, "white")):
        label = ",\n".join(words[solid] for words in _WORDS.values())
        key.append(Line2D([], [], marker="D", markerfacecolor=face, label=label, **look))
    return [*key, Line2D([], [], color="#999999", linewidth=0.8, label="ours = published")]


def _nothing() -> Figure:
    figure = Figure(figsize=(5, 1.2))
    theme.headline(figure, "Agreement with the published values")
    figure.text(0.5, 0.4, "No value of this study has been published.", ha="center", va="center")
    return figure
