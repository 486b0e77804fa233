"""How the units of each layer are distributed: are the lower layers the most invariant, and not only on average?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from rotvar.figures import layer_axis, scale, theme

_HEIGHT, _LAYER = 2.6, 0.3  # inches of a panel and, where there is room, of a layer's column
_LINE = 0.15  # inches of a line of text above it
_RHO = "ρ: rank correlation of layer order and median"
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_ALPHAS = {"5% to 95% of the units": 0.3, "25% to 75%": 0.75}
_LOST: dict[str, tuple[np.ufunc, str]] = {"infinite": (np.isinf, scale.INFINITE), "missing": (np.isnan, "#888888")}


@theme.themed
def distribution(variance: pd.DataFrame, aggregations: Sequence[str], stratum: str = "all") -> Figure:
    """Quantiles of the normalized variance of the finite units of each layer of one network (data set and model).

    A panel for each aggregation, all on one scale; in a panel, each layer has a bar for each training: pale from the
    5th to the 95th percentile of its units, dark from the 25th to the 75th, and a line at the median. In deep networks
    each training has a panel of its own. The scale ends at the highest 95th percentile, or at twice the highest 75th
    where that is lower: a few extreme layers are cut, for the sake of the others. Above each panel stands ρ, the rank
    correlation of the layers' order and their medians (positive where the lower layers are the more invariant), and
    how many units are infinite and missing; the layers that have some are marked. The units of several seeds are taken
    together. `sum` is not drawn beside `mean`, whose normalized variance it has.

    Raises InputError where the table holds several networks, or no such stratum or aggregation.
    """
    theme.one(variance, "dataset", "model")
    shown = theme.choose(variance, stratum=stratum)
    drawn = theme.distinct(aggregations)
    layers = layer_axis.layers(shown)
    tables = {name: theme.trainings(theme.choose(shown, aggregation=name)) for name in drawn}
    cells = [(name, training) for name, by_training in tables.items() for training in by_training]
    deep = len(layers) > layer_axis.FEW
    panels = [[cell] for cell in cells] if deep else [[cell for cell in cells if cell[0] == name] for name in drawn]
    quantiles = {cell: _quantiles(tables[cell[0]][cell[1]], layers) for cell in cells}
    colours = theme.of_trainings(training for _, training in cells)
    lost = [name for name, (test, _) in _LOST.items() if test(shown["normalized_variance"]).any()]

    title = 0.3 + _LINE * max(map(len, panels))
    page = layer_axis.panels(
        layers, len(panels), _HEIGHT, left=0.65, title=title, legend=_key(colours, lost), bar=False, layer=_LAYER
    )
    highest = pd.concat(quantiles).max()
    end = theme.headroom(pd.Series([min(highest[0.95], 2 * highest[0.75])]))
    for axes, panel in zip(page.axes, panels, strict=True):
        width = 0.86 / len(panel)
        for place, (aggregation, training) in enumerate(panel):
            x = np.arange(len(layers)) + (place - (len(panel) - 1) / 2) * width
            rows = tables[aggregation][training]
            _bars(axes, x, width if deep else width * 0.9, quantiles[aggregation, training], colours[training])
            _mark_lost(axes, x, rows, layers, lost)
            facts = _facts(rows, quantiles[aggregation, training])
            text = f"{theme.shorten(training, 16)}: {facts}" if training else facts
            _note(axes, len(panel) - 1 - place, text, colours[training])
        axes.set(ylabel="normalized variance", ylim=(0, end))
        if deep:
            theme.belongs(axes, panel[0][1])
        alone = f", {theme.trained(panel[0][1])}" if deep and panel[0][1] else ""
        axes.set_title(f"aggregation: {panel[0][0]}{alone}", pad=4 + 72 * _LINE * len(panel))
        axes.grid(axis="y")
    seeds = shown["seed"].nunique() if "seed" in shown.columns else 1
    together = f"units of {seeds} seeds together" if seeds > 1 else ""
    theme.heading(page.figure, shown, "units by layer", f"stratum: {stratum}", _RHO, together)
    return page.figure


def _quantiles(rows: pd.DataFrame, layers: pd.DataFrame) -> pd.DataFrame:
    """The quantiles (columns) of the finite units of each layer (rows, all layers, in order)."""
    finite = rows[np.isfinite(rows["normalized_variance"])]
    table = finite.groupby("layer_index")["normalized_variance"].quantile(list(_QUANTILES)).unstack()
    return table.reindex(index=layers["layer_index"], columns=list(_QUANTILES)).astype("float64")


def _bars(axes: Axes, x: np.ndarray, width: float, quantiles: pd.DataFrame, colour: str) -> None:
    finite = quantiles[0.5].notna().to_numpy()
    x, quantiles = x[finite], quantiles[finite]
    for (low, high), alpha in zip([(0.05, 0.95), (0.25, 0.75)], _ALPHAS.values(), strict=True):
        height = quantiles[high] - quantiles[low]
        axes.bar(x, height, width, bottom=quantiles[low], color=colour, alpha=alpha, linewidth=0)
    dark = tuple(0.5 * part for part in to_rgb(colour))
    axes.hlines(quantiles[0.5], x - width / 2, x + width / 2, color=dark, linewidth=1.3)


def _mark_lost(axes: Axes, x: np.ndarray, rows: pd.DataFrame, layers: pd.DataFrame, lost: list[str]) -> None:
    """A mark on the upper edge for each layer that has infinite units, and one below it for missing ones."""
    for height, name in enumerate(lost):
        test, colour = _LOST[name]
        here = test(rows["normalized_variance"]).groupby(rows["layer_index"]).any()
        places = x[here.reindex(layers["layer_index"], fill_value=False).to_numpy()]
        look: dict[str, Any] = {"linestyle": "", "marker": "v", "markersize": 3.5, "color": colour}
        axes.plot(places, np.full(len(places), 0.985 - 0.04 * height), transform=axes.get_xaxis_transform(), **look)


def _facts(rows: pd.DataFrame, quantiles: pd.DataFrame) -> str:
    medians = quantiles[0.5].reset_index(drop=True).dropna()
    rank = medians.rank().corr(pd.Series(medians.index, index=medians.index, dtype="float64"))
    counts = ", ".join(f"{test(rows['normalized_variance']).sum():,} {name}" for name, (test, _) in _LOST.items())
    depth = "–" if np.isnan(rank) else f"{rank:+.2f}".replace("-", "−")
    return f"ρ = {depth}; {len(rows):,} units, {counts}"


def _note(axes: Axes, line: int, text: str, colour: str) -> None:
    place: dict[str, Any] = {
        "xytext": (0, 3 + 72 * _LINE * line),
        "textcoords": "offset points",
        "xycoords": "axes fraction",
    }
    axes.annotate(text, (0.5, 1), ha="center", fontsize=7, color=colour, **place)


def _key(colours: dict[str, str], lost: list[str]) -> list[Artist]:
    key: list[Artist] = [Patch(color=colour, label=theme.trained(name)) for name, colour in colours.items() if name]
    key += [Patch(facecolor="#333333", alpha=alpha, label=label) for label, alpha in _ALPHAS.items()]
    key.append(Line2D([], [], color="black", linewidth=1.2, label="median"))
    look: dict[str, Any] = {"linestyle": "", "marker": "v", "markersize": 3.5}
    return key + [Line2D([], [], color=_LOST[name][1], label=f"some {name}", **look) for name in lost]
