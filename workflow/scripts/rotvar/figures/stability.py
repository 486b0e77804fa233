"""Which differences between trainings are real: layer means with what chance does to them, and what it hides."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from rotvar.figures import layer_axis, seeds, theme

_HEIGHT = 3.0  # inches of a panel
_APART: dict[str, Any] = {"linestyle": "", "marker": "x", "markersize": 4}
_WANTED: dict[str, Any] = {"color": "#777777", "linewidth": 1.0, "linestyle": (0, (3, 2))}


@theme.themed
def stability(summary: pd.DataFrame, aggregation: str, confidence: float, power: float, difference: float) -> Figure:
    """Layer means of one data set and model with their intervals (left), and differences between them (right).

    `summary` is what `differences.summarize` gives for this `confidence`, `power` and `difference`. The colour is the
    training. Left: the dark band is the interval over draws of the images, the light one reaches one standard deviation
    over the seeds (n - 1) to either side. Right, on a logarithmic axis: the lines are the smallest differences that are
    visible with these seeds and images, crosses how far a training is from the first one, and the dashed line is the
    difference that is looked for. With one seed nothing is known of others, and the lines are of the images alone.
    """
    shown = theme.choose(summary, aggregation=aggregation)
    theme.one(shown, "dataset", "model")
    layers = layer_axis.layers(shown)
    trainings = {name: _by_layer(rows, layers) for name, rows in theme.trainings(shown).items()}
    colours = theme.of_trainings(trainings)
    several = bool(shown["std"].notna().any())
    first = next(iter(trainings))
    key: list[Artist] = [*theme.training_lines(colours)]
    key.append(Patch(color="#777777", alpha=0.5, linewidth=0, label=f"{_percent(confidence)} of draws of images"))
    if several:
        key.append(Patch(color="#777777", alpha=0.2, linewidth=0, label="± std over seeds"))
    key.append(Line2D([], [], color="#333333", linewidth=1, label="smallest visible"))
    if len(trainings) > 1:
        label = f"difference from {theme.shorten(first, 14)}"
        key.append(Line2D([], [], color="#333333", label=label, **_APART))
    key.append(Line2D([], [], label=f"looked for: {difference:g}", **_WANTED))
    page = layer_axis.panels(layers, 2, _HEIGHT, left=0.75, legend=key, bar=False, title=0.3)
    means, differences = page.axes
    look: dict[str, Any] = {"linewidth": 1.0} if len(layers) > layer_axis.FEW else {"marker": "o", "markersize": 3}
    drawn = [np.array([difference])]
    x = np.arange(len(layers))
    for name, rows in trainings.items():
        mean = rows["normalized_variance"].to_numpy()
        means.plot(x, mean, color=colours[name], **look)
        _interval(means, x, mean, rows["low"].to_numpy(), rows["high"].to_numpy(), colours[name])
        seeds.band(means, x, mean, rows["std"], colours[name])
        visible = rows["smallest_difference"].to_numpy()
        differences.plot(x, np.where(visible > 0, visible, np.nan), color=colours[name], **look)
        drawn.append(visible)
        if name != first:
            apart = np.abs(mean - trainings[first]["normalized_variance"].to_numpy())
            crosses = np.where(apart > 0, apart, np.nan)
            differences.plot(x, crosses, color=colours[name], **_APART)
            drawn.append(apart)
    tops = (
        shown[["normalized_variance", "high"]].max(axis=1).combine(shown["normalized_variance"] + shown["std"], np.fmax)
    )
    means.set_ylabel("mean normalized variance")
    theme.from_zero([means], tops)
    means.set_title("layer means", pad=4)
    differences.axhline(difference, zorder=1, **_WANTED)
    differences.set(ylabel="difference between trainings")
    _scale(differences, np.concatenate(drawn))
    count, images = shown["seeds"].max(), f"{shown['images'].max():,} images"
    differences.set_title(f"visible with {count} seeds, {images}" if several else f"visible with {images}", pad=4)
    for axes in page.axes:
        axes.grid(axis="y")
    odds = f"{_percent(confidence)} confidence, {_percent(power)} power"
    spread = f"mean ± std over {count} seeds" if several else "one seed: the images' part alone"
    theme.heading(page.figure, shown, f"aggregation: {aggregation}", odds, spread)
    return page.figure


def _by_layer(rows: pd.DataFrame, layers: pd.DataFrame) -> pd.DataFrame:
    numbers = ["normalized_variance", "low", "high", "std", "smallest_difference"]
    return rows.set_index("layer_index")[numbers].astype("float64").reindex(layers["layer_index"])


def _interval(axes: Axes, x: np.ndarray, mean: np.ndarray, low: np.ndarray, high: np.ndarray, colour: str) -> None:
    """The interval around each point of a line; around a single point, a bar."""
    if len(x) == 1:
        reach = np.clip([mean - low, high - mean], 0, None)
        axes.errorbar(x, mean, reach, fmt="none", ecolor=colour, elinewidth=2.5, alpha=0.5)
    else:
        axes.fill_between(x, low, high, color=colour, alpha=0.5, linewidth=0)


def _scale(axes: Axes, differences: np.ndarray) -> None:
    """A logarithmic axis of all differences above 0."""
    above = differences[np.isfinite(differences) & (differences > 0)]
    axes.set_ylim(0.7 * above.min(), 1.4 * above.max())
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5) if above.max() < 100 * above.min() else (1,)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda difference, _: f"{difference:g}"))


def _percent(share: float) -> str:
    return f"{100 * share:g} %"
