"""What each measure says of the layers of a network, one under the other."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rotvar.columns import TURNED
from rotvar.figures import layer_axis, seeds, theme
from rotvar.summary import layer_means, over_seeds

SIGNIFICANT = 0.05  # corrected p-values below it count
_HEIGHT = 1.5  # inches of a panel
_TURNED_BACK, _MEAN, _SHARE = "Maps turned back: normalized variance", "mean over units", "share of units"
_FLOOR: dict[str, Any] = {"color": "#333333", "linestyle": ":", "linewidth": 1.2}


@dataclass(frozen=True)
class _Panel:
    title: str
    aggregation: str
    label: str
    means: pd.DataFrame  # as `_means` gives them


@theme.themed
def measures(variance: pd.DataFrame, aggregation: str, floor: pd.DataFrame | None = None) -> Figure:
    """By layer of one network (data set and model), all images together, a panel for each measure that was taken.

    Normalized variance and distance of `aggregation`; the share of units that rotation moves significantly, and local /
    global firing rate, of it or of the first aggregation that has them; the normalized variance of maps turned back,
    with `floor`: what a layer would have that only averages the images down to its maps' size (`interpolation_floor`).
    As these have a panel of their own, the first two show another aggregation, if there is one, where `aggregation` is
    theirs. Each is the mean over the finite units; the colour is the training. With several seeds a line is their mean
    and the band reaches one standard deviation (n - 1) to either side.
    """
    everything = theme.choose(variance, stratum="all")
    theme.one(everything, "dataset", "model")
    shown = _panels(everything, aggregation)
    layers = layer_axis.layers(everything)
    trainings = list(theme.trainings(everything))
    colours = theme.of_trainings(trainings)
    key = theme.training_lines(colours)
    if floor is not None and not floor.empty:
        key.append(Line2D([], [], label="interpolation floor", **_FLOOR))
    page = layer_axis.panels(layers, len(shown), _HEIGHT, left=0.65, legend=key, bar=False, stacked=True)
    marks: dict[str, Any] = {"marker": "o", "markersize": 3} if len(layers) <= layer_axis.FEW else {"linewidth": 1.0}
    for axes, panel in zip(page.axes, shown, strict=True):
        highest = panel.means["normalized_variance"] + panel.means["std"].fillna(0)
        for name, rows in theme.trainings(panel.means).items():
            seeds.line(axes, rows, layers, colours[name], **marks)
        if floor is not None and panel.title == _TURNED_BACK:
            heights = floor.set_index("layer_index")["normalized_variance"].reindex(layers["layer_index"])
            axes.plot(np.arange(len(layers)), heights, **_FLOOR)
            highest = pd.concat([highest, heights])
        axes.set_ylabel(panel.label)
        if panel.label == _SHARE:
            highest = highest.clip(upper=1)
        theme.from_zero([axes], highest)
        axes.set_title(panel.title, loc="left", fontsize=9, pad=4)
        axes.set_title(f"aggregation: {panel.aggregation}", loc="right", fontsize=7.5, color="#555555", pad=4)
        axes.grid(axis="y")
    theme.heading(page.figure, everything, "stratum: all", seeds.shown(everything))
    return page.figure


def _panels(table: pd.DataFrame, aggregation: str) -> list[_Panel]:
    """The measures that the table has, or had when it was written."""
    if aggregation == TURNED:  # which has a panel of its own
        aggregation = next((str(name) for name in table["aggregation"].unique() if name != TURNED), TURNED)
    chosen = theme.choose(table, aggregation=aggregation)
    found = [_Panel("Normalized variance", aggregation, _MEAN, _means(chosen, chosen["normalized_variance"]))]
    if "normalized_distance" in table:
        values = chosen["normalized_distance"]
        found.append(_Panel("Normalized distance", aggregation, _MEAN, _means(chosen, values)))
    if (tested := _having(table, "p_value", aggregation)) is not None:
        significant = (tested["p_value"] < SIGNIFICANT).astype(float).where(tested["p_value"].notna())
        title = f"Units whose mean rotation moves, p < {SIGNIFICANT:g}"
        found.append(_Panel(title, tested["aggregation"].iloc[0], _SHARE, _means(tested, significant)))
    if (fired := _having(table, "local_firing_rate", aggregation)) is not None:
        score = fired["local_firing_rate"] / fired["global_firing_rate"]
        found.append(_Panel("Local / global firing rate", fired["aggregation"].iloc[0], _MEAN, _means(fired, score)))
    if (table["aggregation"] == TURNED).any():
        turned = table[table["aggregation"] == TURNED]
        found.append(_Panel(_TURNED_BACK, TURNED, _MEAN, _means(turned, turned["normalized_variance"])))
    return found


def _having(table: pd.DataFrame, column: str, aggregation: str) -> pd.DataFrame | None:
    """The rows of `aggregation`, or of the first other one, in which some unit has this value; None where none has."""
    if column not in table:
        return None
    there = table[table[column].notna()]
    names = [str(name) for name in there["aggregation"].unique()]
    for name in [aggregation, *names]:
        if name in names:
            return table[table["aggregation"] == name]
    return None


def _means(table: pd.DataFrame, values: pd.Series) -> pd.DataFrame:
    """The means of these values, in the place of the normalized variance, over the finite units of each layer, and over
    the seeds with their std."""
    return over_seeds(layer_means(table.assign(normalized_variance=values)), "normalized_variance")
