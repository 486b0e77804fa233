"""How many images and angles are enough: the error of the layer means against their number."""

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from rotvar.figures import theme

_LAW: dict[str, Any] = {"linewidth": 1.0, "linestyle": (0, (3, 2))}
_STUDY: dict[str, Any] = {"linewidth": 0.8, "color": "#777777"}
_ROW = 0.065  # the share of the height of the panels that a row of words takes


@theme.themed
def convergence(values: pd.DataFrame, images: int | None = None, angles: int | None = None) -> Figure:
    """Error of the layer means on subsets of the images (left) and of the angles (right), of one data set and model.

    `values` is what `rotvar.questions.convergence.measure` gives. The error of a layer is that of its mean
    normalized variance on a subset against that on the whole, all images at all angles, as a share of the latter; a
    layer without finite units in one of the two has none. Lines are medians over layers and draws, bands reach from
    the 10th to the 90th percentile, the colour is the training. `images` and `angles` mark the N and R of a study.
    A part of n of all m images shares them with the whole, so it errs less against it than against infinitely many
    images, by sqrt(1 - n/m) where errors fall as 1/sqrt(n). The dashed line is that law, through the medians so
    corrected (the median of them); it is written where it meets `images`.
    """
    theme.one(values, "dataset", "model", "seed", "aggregation")
    trainings = theme.trainings(values)
    colours = theme.of_trainings(trainings)
    all_images, all_angles = int(values["images"].max()), int(values["angles"].max())
    figure = Figure(figsize=(8.4, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1.5, 1])
    at_study: dict[str, list[tuple[float, str]]] = {"images": [], "angles": []}
    drawn = []
    for training, rows in trainings.items():
        errors = _errors(rows, all_images, all_angles)
        by_images = _summary(errors[(errors["angles"] == all_angles) & (errors["images"] < all_images)], "images")
        by_angles = _summary(errors[(errors["images"] == all_images) & (errors["angles"] < all_angles)], "angles")
        _draw(left, by_images, colours[training])
        _draw(right, by_angles, colours[training])
        if images is not None and len(by_images):
            factor = float((by_images["median"] / np.sqrt(1 / by_images.index - 1 / all_images)).median())
            ends = np.array([by_images.index[0], max(images, all_images)])
            left.plot(ends, factor / np.sqrt(ends), color=colours[training], **_LAW)
            at_study["images"].append((factor / np.sqrt(images), colours[training]))
        if angles is not None and angles in by_angles.index:
            at_study["angles"].append((by_angles["median"][angles], colours[training]))
        drawn += [by_images, by_angles]
    words = 0 if images is angles is None else 1 + max(map(len, at_study.values()))
    _scale(left, pd.concat(drawn), [error for error, _ in at_study["images"]], words)
    _axis(left, sorted(values["images"].unique())[:-1], images, at_study["images"])
    _axis(right, sorted(values["angles"].unique())[:-1], angles, at_study["angles"])
    whole = f"{all_images:,} images at {all_angles} angles"
    left.set(xlabel="number of images, N", ylabel=f"error of the layer means, relative\nto those of {whole}")
    left.set_title(f"fewer images, at {all_angles} angles", pad=4)
    right.set(xlabel="number of angles, R")
    right.set_title(f"fewer angles, with {all_images:,} images", pad=4)
    key: list[Line2D | Patch] = [
        Line2D([], [], color=colours[name], marker="o", markersize=4, label=f"{theme.trained(name)}, median")
        for name in trainings
        if name
    ]
    key.append(Patch(color="#999999", alpha=0.3, linewidth=0, label="80 % of layers and draws"))
    if at_study["images"]:
        key.append(Line2D([], [], color="#333333", label="1/√N, against infinitely many", **_LAW))
    theme.legend(figure, key)
    theme.heading(figure, values, "how many samples are enough", f"aggregation: {values['aggregation'].iloc[0]}")
    return figure


def _errors(values: pd.DataFrame, images: int, angles: int) -> pd.DataFrame:
    """The table with a column `error`, of the rows where there is one."""
    whole = values[(values["images"] == images) & (values["angles"] == angles)]
    reference = values["layer_index"].map(whole.set_index("layer_index")["normalized_variance"]).astype("float64")
    error = (values["normalized_variance"].astype("float64") / reference.where(reference > 0) - 1).abs()
    return values.assign(error=error).dropna(subset="error")


def _summary(errors: pd.DataFrame, number: str) -> pd.DataFrame:
    """low, median and high of the error by the number of images or angles."""
    quantiles = errors.groupby(number)["error"].quantile(np.array([0.1, 0.5, 0.9])).unstack()
    return quantiles.reindex(columns=[0.1, 0.5, 0.9]).set_axis(["low", "median", "high"], axis=1)


def _draw(axes: Axes, by_number: pd.DataFrame, colour: str) -> None:
    axes.plot(by_number.index, by_number["median"], color=colour, marker="o", markersize=4)
    axes.fill_between(by_number.index, by_number["low"], by_number["high"], color=colour, alpha=0.15, linewidth=0)


def _scale(axes: Axes, drawn: pd.DataFrame, more: list[float], words: int) -> None:
    """A logarithmic axis of errors, from the lowest to the highest that is drawn, with so many rows of words above."""
    errors = np.concatenate([drawn.to_numpy().ravel(), more])
    errors = errors[errors > 1e-6]  # below are the roundings of stored values
    low, high = (errors.min(), errors.max()) if len(errors) else (0.001, 1.0)
    low, high = 0.8 * low, 1.2 * max(high, 2 * low)
    room = min(0.5, _ROW * words)
    axes.set_ylim(low, high * (high / low) ** (room / (1 - room)))
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: _percent(share)))


def _axis(axes: Axes, numbers: list[int], study: int | None, values: list[tuple[float, str]]) -> None:
    """A logarithmic axis of numbers of samples, with the study's number and the errors there."""
    axes.set_xscale("log")
    shown = sorted({*numbers, *([] if study is None else [study])})
    widest = max(pairwise(shown), key=lambda gap: gap[1] / gap[0], default=(1, 1))
    shown += [10**power for power in range(10) if 2.5 * widest[0] < 10**power < widest[1] / 2.5]
    if shown:
        axes.set_xlim(min(shown) / 1.2, max(shown) * 1.2)
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:,.0f}"))
    axes.grid()
    if not numbers:
        axes.text(0.5, 0.5, "too few to take subsets of", transform=axes.transAxes, ha="center", color="#777777")
    if study is None:
        return
    axes.axvline(study, zorder=1, **_STUDY)
    look: dict[str, Any] = {"textcoords": "offset points", "ha": "right", "va": "top", "fontsize": 8}
    words = [("this study", _STUDY["color"]), *((f"about {_percent(error)}", colour) for error, colour in values)]
    for line, (text, colour) in enumerate(words):
        offset = -4, -2 - 11 * line
        axes.annotate(text, (study, 1), offset, xycoords=axes.get_xaxis_transform(), color=colour, **look)
    for error, colour in values:
        axes.plot(study, error, marker="o", markersize=5, color="white", markeredgecolor=colour, zorder=3)


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 1 else f"{100 * share:.0f} %"
