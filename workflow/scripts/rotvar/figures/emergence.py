"""When invariance appears: layer by layer, in the course of the trainings."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rotvar.figures import layer_axis, scale, theme

_ROW, _LOWEST = 0.26, 1.5  # inches: of an epoch, and of a panel of few epochs


@theme.themed
def emergence(
    means: pd.DataFrame,
    history: pd.DataFrame,
    aggregation: str,
    stratum: str = "all",
    study: Sequence[str] = (),
) -> Figure:
    """Mean normalized variance of each layer (column) of a data set and model after some epochs (row) of its trainings.

    `means` is what `summary.layer_means` gives of one seed, with the column `epoch`; 0 is before the training. All
    panels, one a training, are on one scale, which ends at median + 3 interquartile ranges. `history` is that of the
    trainings (`training.train`): beside each epoch that it has stands the accuracy on its test set. `study` names all
    trainings of the study, if there are others, so that these have the colours that they have beside them.

    Raises InputError where the table holds several networks, or no such stratum or aggregation.
    """
    shown = theme.choose(means, stratum=stratum, aggregation=aggregation)
    theme.one(shown, "dataset", "model", "seed")
    layers = layer_axis.layers(shown)
    trainings = theme.trainings(shown)
    colours = theme.of_trainings([*trainings, *study])
    end = scale.top(shown["normalized_variance"])
    panels = {
        training: rows.pivot(index="epoch", columns="layer_index", values="normalized_variance")
        .reindex(columns=layers["layer_index"])
        .sort_index()
        .astype("float64")
        for training, rows in trainings.items()
    }
    marks = scale.marks(np.concatenate(list(panels.values())), end)
    height = max(_ROW * max(map(len, panels.values())), _LOWEST)
    page = layer_axis.panels(layers, len(panels), height, left=1.15, title=0.3, legend=marks, bar=True)
    for axes, (training, cells) in zip(page.axes, panels.items(), strict=True):
        image = scale.draw(axes, cells.to_numpy(), end, extent=(-0.5, len(layers) - 0.5, len(cells) - 0.5, -0.5))
        axes.set_yticks(range(len(cells)), _labels(cells.index, theme.at(history, {"training": training})))
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
