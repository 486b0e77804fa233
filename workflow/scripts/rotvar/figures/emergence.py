"""When invariance appears: layer by layer, in the course of the trainings."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rotvar.figures import layer_axis, scale, theme

_ROW, _LOWEST = 0.26, 1.5  # inches: of an epoch, and of a panel of few epochs


@theme.themed
def emergence(means: pd.DataFrame, history: pd.DataFrame, aggregation: str, stratum: str = "all") -> Figure:
    """Mean normalized variance of each layer (column) of a data set and model after some epochs (row) of its trainings.

    `means` is what `summary.layer_means` gives of one seed, with the column `epoch`; 0 is before the training. All
    panels, one a training, are on one scale, which ends at median + 3 interquartile ranges. `history` is that of the
    trainings (`training.train`): beside each epoch that it has stands the accuracy on its test set.

    Raises InputError where the table holds several networks, or no such stratum or aggregation.
    """
    shown = theme.choose(means, stratum=stratum, aggregation=aggregation)
    theme.one(shown, "dataset", "model", "seed")
    layers = layer_axis.layers(shown)
    trainings = theme.trainings(shown)
    colours = theme.colours(trainings, theme.TRAININGS)
    end = scale.top(shown["normalized_variance"])
    marks = scale.marks(shown["normalized_variance"], end)
    height = max(_ROW * max(rows["epoch"].nunique() for rows in trainings.values()), _LOWEST)
    page = layer_axis.panels(layers, len(trainings), height, left=1.15, title=0.3, legend=marks, bar=True)
    for axes, (training, rows) in zip(page.axes, trainings.items(), strict=True):
        cells = rows.pivot(index="epoch", columns="layer_index", values="normalized_variance").sort_index()
        values = cells.reindex(columns=layers["layer_index"]).to_numpy(np.float64)
        image = scale.draw(axes, values, end, extent=(-0.5, len(layers) - 0.5, len(values) - 0.5, -0.5))
        axes.set_yticks(range(len(values)), _labels(cells.index, theme.at(history, {"training": training})))
        axes.set_ylabel("epoch (accuracy)")
        axes.tick_params(axis="y", length=0)
        axes.spines[:].set_visible(False)
        theme.name_training(axes, training, colours[training])
    scale.bar(page.figure, image, page.bar, "mean normalized variance")
    theme.heading(page.figure, shown, f"stratum: {stratum}", f"aggregation: {aggregation}")
    return page.figure


def _labels(epochs: pd.Index, history: pd.DataFrame) -> list[str]:
    tests = history[history["split"] == "test"]
    accuracies = dict(zip(tests["epoch"], tests["accuracy"], strict=True))
    return [f"{epoch} ({accuracies[epoch]:.1%})" if epoch in accuracies else str(epoch) for epoch in epochs]
