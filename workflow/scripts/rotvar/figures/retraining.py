"""Which layers must be retrained: what networks get right of which one layer, or a group of them, was."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from rotvar.columns import ALL, FROM_START, GROUP, NONE, TESTS
from rotvar.figures import layer_axis, seeds, theme
from rotvar.summary import over_seeds

_HEIGHT = 2.4  # inches of a panel
_DOT: dict[str, Any] = {"color": "#333333", "marker": "o", "markersize": 4.5, "linestyle": ""}


@theme.themed
def retraining(values: pd.DataFrame, study: Sequence[str] = ()) -> Figure:
    """The accuracy of the networks of one data set and model, retrained by each scheme: the layers in execution order,
    then groups of them.

    `values` is what `summary.beside_from_start` gives. A panel for each test set, the rotated one first. A dot is a
    scheme, and its stem what the retraining changed; lines are networks of which nothing or everything was retrained,
    and those that were trained so from the start. With several seeds a dot is their mean and its error bar one standard
    deviation (n - 1). `study` names all trainings of the study, if there are others, so that these have the colours
    that they have beside them.

    Raises InputError where the table holds several networks.
    """
    theme.one(values, "dataset", "model", "training", "retrained")
    table = over_seeds(values, "accuracy")
    before, after = (str(values[name].iloc[0]) for name in ("training", "retrained"))
    schemes = table[~(table["kind"].eq(GROUP) & table["scheme"].isin([NONE, FROM_START]))]
    named = schemes[["scheme", "kind"]].drop_duplicates()
    places = named.rename(columns={"scheme": "layer"}).assign(layer_index=range(len(named)))
    colours = theme.of_trainings([before, after, *study])
    lines: dict[str, tuple[str, dict[str, Any]]] = {
        NONE: ("nothing retrained", {"color": colours[before], "linestyle": "-"}),
        ALL: ("everything retrained", {"color": "#333333", "linestyle": (0, (1, 1.5))}),
        FROM_START: (f"{theme.trained(after)} from the start", {"color": colours[after], "linestyle": (0, (4, 2))}),
    }
    key = [Line2D([], [], linewidth=1.4, label=label, **look) for label, look in lines.values()]
    tests = theme.in_order(table["test"], reversed(TESTS))
    page = layer_axis.panels(
        places,
        len(tests),
        _HEIGHT,
        left=0.65,
        legend=[Line2D([], [], label="retrained", **_DOT), *key],
        bar=False,
        axis="what is retrained, in execution order",
    )
    for axes, test in zip(page.axes, tests, strict=True):
        rows = table[table["test"] == test]
        groups = rows[rows["kind"] == GROUP].set_index("scheme")["accuracy"]
        for scheme, (_, look) in lines.items():
            axes.axhline(groups.get(scheme, np.nan), linewidth=1.4, zorder=1, **look)
        shown = schemes[schemes["test"] == test].set_index(["scheme", "kind"])
        _dots(axes, shown.reindex(pd.MultiIndex.from_frame(named)), groups.get(NONE, np.nan))
        axes.axvline((named["kind"] != GROUP).sum() - 0.5, color="#AAAAAA", linewidth=0.8)
        axes.set(ylabel="accuracy", ylim=(0, 1.03), yticks=np.arange(0, 1.01, 0.2))
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.grid(axis="y")
        axes.set_title(f"{test} test set", pad=4)
    theme.heading(
        page.figure,
        values,
        f"{theme.trained(before)}, retrained {theme.shorten(after, theme.LETTERS)}",
        seeds.shown(values),
    )
    return page.figure


def _dots(axes: Axes, shown: pd.DataFrame, base: float) -> None:
    """Accuracies in the order of the schemes, stems from `base`, and error bars where there is a spread."""
    x, mean = np.arange(len(shown)), shown["accuracy"].to_numpy()
    axes.vlines(x, base, mean, color="#999999", linewidth=1.2, zorder=2)
    axes.plot(x, mean, zorder=3, **_DOT)
    if shown["std"].notna().any():
        axes.errorbar(x, mean, shown["std"], fmt="none", ecolor="black", elinewidth=1, capsize=2, zorder=3)
