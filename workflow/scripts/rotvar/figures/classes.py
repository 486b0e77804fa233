"""Where in the network the invariance lives, class by class: mean normalized variance by layer and class."""

import unicodedata

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rotvar.figures import layer_axis, scale, seeds, theme
from rotvar.summary import layer_means, over_seeds

_ROW = 0.24  # inches of a class


@theme.themed
def by_class(variance: pd.DataFrame, aggregation: str) -> Figure:
    """Mean normalized variance of the finite units of each layer (column) for each class (row) of one network.

    The trainings share one scale, which ends at median + 3 interquartile ranges of all the means. With several seeds
    a cell is their mean, and beside each class stands its global value with one standard deviation (n - 1).
    """
    shown = theme.of_classes(theme.choose(variance, aggregation=aggregation))
    theme.one(shown, "dataset", "model")
    means = over_seeds(layer_means(shown), "normalized_variance")
    layers = layer_axis.layers(means)
    classes = theme.classes(shown)
    tables = {
        training: rows.pivot(index="stratum", columns="layer_index", values="normalized_variance")
        .reindex(index=classes, columns=layers["layer_index"])
        .to_numpy(np.float64)
        for training, rows in theme.trainings(means).items()
    }
    colours = theme.of_trainings(tables)
    everything = np.stack(list(tables.values()))
    end = scale.top(everything)
    names = [theme.shorten(name) for name in classes]
    labels, axis = dict.fromkeys(tables, names), "class of the images"
    if seeds.shown(shown):
        axis = "class and global value"
        for training, rows in theme.trainings(shown).items():
            ours = seeds.global_values(rows)
            labels[training] = [
                f"{_left_to_right(name)}   {ours.get(each, '–')}" for name, each in zip(names, classes, strict=True)
            ]
    left = 0.45 + theme.width({label for panel in labels.values() for label in panel}, 8)
    marks = scale.marks(everything, end)
    page = layer_axis.panels(layers, len(tables), max(1.5, _ROW * len(classes)), left=left, legend=marks, bar=True)
    for axes, (training, values) in zip(page.axes, tables.items(), strict=True):
        image = scale.draw(axes, values, end, extent=(-0.5, len(layers) - 0.5, len(classes) - 0.5, -0.5))
        axes.set_yticks(range(len(classes)), labels[training])
        axes.tick_params(axis="y", length=0)
        axes.set_ylabel(axis)
        axes.spines[:].set_visible(False)
        theme.name_training(axes, training, colours[training])
    scale.bar(page.figure, image, page.bar, "mean normalized variance")
    theme.heading(page.figure, shown, "each class by itself", f"aggregation: {aggregation}", seeds.shown(shown))
    return page.figure


def _left_to_right(name: str) -> str:
    """The name between marks that keep what stands beside it from left to right: after letters that go from right to
    left, as Arabic and Hebrew do, mean ± std would be written std ± mean."""
    turns = any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in name)
    return f"\u200e{name}\u200e" if turns else name
