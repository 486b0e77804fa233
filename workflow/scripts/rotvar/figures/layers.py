"""Where in the network the invariance lives: mean normalized variance by layer."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rotvar.columns import SUMMARY_STRATA
from rotvar.figures import layer_axis, seeds, theme
from rotvar.summary import layer_means, over_seeds

_HEIGHT = 3.0  # inches of a panel


@theme.themed
def by_layer(variance: pd.DataFrame, aggregation: str) -> Figure:
    """Mean normalized variance of the finite units of each layer of one network (data set and model).

    The colour is the training, the line the stratum (`all` solid, `stratified` dashed). With several seeds the line
    is their mean and the band reaches one standard deviation (n - 1) to either side. A layer without finite units
    is a gap.
    """
    shown = theme.of_summaries(theme.choose(variance, aggregation=aggregation))
    theme.one(shown, "dataset", "model")
    means = over_seeds(layer_means(shown), "normalized_variance")
    layers = layer_axis.layers(means)
    trainings = theme.trainings(means)
    colours = theme.of_trainings(trainings)
    strata = [stratum for stratum in SUMMARY_STRATA if (means["stratum"] == stratum).any()]
    key = theme.training_lines(colours)
    key += [Line2D([], [], color="#333333", linestyle=theme.STRATUM_LINES[name], label=name) for name in strata]
    # A deep network's four zigzags would hide each other: there each stratum has a panel.
    split = len(layers) > layer_axis.FEW
    groups = [[stratum] for stratum in strata] if split else [strata]
    page = layer_axis.panels(
        layers, len(groups), _HEIGHT, left=0.65, legend=key, bar=False, title=0.3 if split else 0.1
    )
    look: dict[str, Any] = {"linewidth": 1.0} if split else {"marker": "o", "markersize": 3.5}
    for axes, group in zip(page.axes, groups, strict=True):
        for training, rows in trainings.items():
            for stratum in group:
                of_stratum = rows[rows["stratum"] == stratum]
                seeds.line(axes, of_stratum, layers, colours[training], linestyle=theme.STRATUM_LINES[stratum], **look)
        axes.set_ylabel("mean normalized variance")
        axes.grid(axis="y")
        if split:
            axes.set_title(f"stratum: {group[0]}", pad=4)
    theme.from_zero(page.axes, means["normalized_variance"] + means["std"].fillna(0))
    theme.heading(page.figure, shown, f"aggregation: {aggregation}", seeds.shown(shown))
    return page.figure
