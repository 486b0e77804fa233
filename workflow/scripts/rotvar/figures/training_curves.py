"""How training went: loss and accuracy by epoch."""

from typing import Any

import pandas as pd
import seaborn
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from rotvar.figures import seeds, theme

_SPLIT_LINES: dict[str, Any] = {"train": (0, (3, 1.5)), "test": "-"}


@theme.themed
def training_curves(history: pd.DataFrame) -> Figure:
    """Loss (negative log-likelihood) and accuracy by epoch, of one data set and model.

    The colour is the training, the line the split: test solid, training set dashed. A training of one epoch is two
    points, that of the training set hollow. With several seeds the line is their mean and the band (a bar, where there
    is one epoch) reaches one standard deviation (n - 1) to either side.
    """
    theme.one(history, "dataset", "model")
    trainings = theme.trainings(history)
    colours = theme.of_trainings(trainings)
    over_seeds = seeds.shown(history)
    # a line of one point would not show, nor would its band
    points = {
        (training, split)
        for training, rows in trainings.items()
        for split, those in rows.groupby("split", observed=True)
        if those["epoch"].nunique() == 1
    }
    figure = Figure(figsize=(8.0, 3.4), layout="constrained")
    for axes, column in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for training, rows in trainings.items():
            for split, line in _SPLIT_LINES.items():
                look: dict[str, Any] = {"err_kws": {"linewidth": 0}}
                if (training, split) in points:
                    look = {"err_style": "bars", **_point(split, colours[training])}
                seaborn.lineplot(
                    rows[rows["split"] == split], x="epoch", y=column, errorbar="sd" if over_seeds else None, ax=axes,
                    color=colours[training], linestyle=line, **look,
                )  # fmt: skip
        axes.set(xlabel="epoch", ylabel=column)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid()
        if column == "accuracy":
            axes.set_ylim(0, 1.03)  # a line at 1 is not cut in half
            axes.yaxis.set_major_formatter(PercentFormatter(1))
        else:
            axes.set_ylim(0, 1.03 * axes.get_ylim()[1])
    key = theme.training_lines(colours)
    labels = {"train": "training set", "test": "test set"}
    for split, line in _SPLIT_LINES.items():
        look = _point(split, "#333333") if any(split == one for _, one in points) else {}
        key.append(Line2D([], [], color="#333333", linestyle=line, label=labels[split], **look))
    theme.legend(figure, key)
    theme.heading(figure, history, "training", over_seeds)
    return figure


def _point(split: str, colour: str) -> dict[str, Any]:
    """A full disc of the test set, a hollow one of the training set."""
    return {"marker": "o", "markeredgecolor": colour, "markerfacecolor": colour if split == "test" else "white"}
