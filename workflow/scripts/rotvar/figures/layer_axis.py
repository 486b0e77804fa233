"""The horizontal axis that layer figures share: names that can be read, and a strip that shows the layers' kinds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from rotvar.errors import InputError
from rotvar.figures import theme

# The kinds that `activations` tells apart, mostly in Tol's light scheme: fills that colour-blind readers tell apart,
# paler than the colours of lines.
KINDS = {
    "convolution": "#77AADD",
    "normalization": "#EEDD88",
    "non-linearity": "#EE8866",
    "pooling": "#44BB99",
    "sum": "#FFAABB",
    "fully connected": "#AAAA00",
    "log-softmax": "#555555",
    "softmax": "#888888",
    "attention": "#99DDFF",
    "product": "#BB99CC",
    "concatenation": "#BBCC33",
}
_OTHER = "#DDDDDD"

_SIDE_BY_SIDE = 20  # layers; the panels of deeper networks stand one above the other, layer below layer
FEW = 60  # layers up to which there is room for lines between them

# Inches: of a layer's column where there is room, of the widest panel, of a rotated label of 7 points, and of the strip
# with the gap above it.
LAYER, _WIDEST, _LABEL, _STRIP = 0.24, 11.0, 0.115, 0.15


def layers(table: pd.DataFrame) -> pd.DataFrame:
    """The layers of one network in execution order: `layer_index`, `layer`, `kind`.

    Raises InputError where an index means two layers, since it counts those of two networks.
    """
    names = table[["layer_index", "layer", "kind"]].drop_duplicates(["layer_index", "layer"])
    names = names.astype({"layer": str, "kind": str}).sort_values("layer_index", kind="stable", ignore_index=True)
    if (twice := names[names["layer_index"].duplicated(keep=False)]).size:
        one, other = twice["layer"].iloc[:2]
        raise InputError(
            f"Not all of the table is measured on the same layers (number {twice['layer_index'].iloc[0]} is {one} and "
            f"{other}): measure the same layers, or select one measurement."
        )
    return names


def shorten(name: str, most: int = 32) -> str:
    """A layer's name that fits: a long one loses the outermost modules, since the innermost tell layers apart."""
    while len(name) > most and "." in name:
        name = "…" + name.partition(".")[2]
    return theme.shorten(name, most)


def named(axis: str, every: int) -> str:
    """The label of an axis on which every second, third, ... name is written."""
    return axis + (f" (one name in {every})" if every > 1 else "")


@dataclass(frozen=True)
class Panels:
    """A figure of panels whose x axes are layers, and what stands around them."""

    figure: Figure
    axes: list[Axes]
    bar: Axes | None  # for the colour bar
    ticks: list[int]  # positions of the layers whose names are written


def panels(
    layers: pd.DataFrame,
    count: int,
    height: float,
    *,
    left: float,
    legend: Sequence[Artist],
    bar: bool,
    title: float = 0.3,
    layer: float = LAYER,
    stacked: bool = False,
    axis: str = "layer, in execution order",
) -> Panels:
    """A figure of `count` panels of `height` inches with the layers 0, 1, ... on x: side by side for few layers, in
    rows as wide as a page, and one above the other for many, or if `stacked`.

    Under each panel is a strip of the layers' kinds, and under the lowest of a column their names; where there is no
    room for every name, every second, third, ... is written. `left` and `title` are the inches beside and above each
    panel. `layer` is the width of a layer's column where there is room, `axis` what is written under them. The legend
    has the kinds, then `legend`. Everything is placed by inches and not by a layout engine: a panel has the size that
    was asked for, and a figure of 170 layers is drawn in a second.
    """
    stacked = stacked or len(layers) > _SIDE_BY_SIDE
    width = min(max(layer * len(layers), 4.5 if stacked or count == 1 else 2.8), _WIDEST)
    columns = 1 if stacked else theme.per_row(count, left + width)
    rows = math.ceil(count / columns)
    every = max(1, math.ceil(len(layers) * _LABEL / width))
    names = [shorten(name) for name in layers["layer"]]
    entries = [*_kind_marks(layers), *legend]
    right = 0.95 if bar else 0.15
    total = columns * (left + width) + right
    per_row = theme.legend_columns(entries, total)
    legend_height = theme.LEGEND_ROW * math.ceil(len(entries) / per_row) + 0.1
    bottom = _STRIP + 0.055 * max(len(name) for name in names[::every]) + 0.3 + legend_height
    row = height + title
    size = total, bottom + rows * row + (rows - 1) * (_STRIP + 0.1) + 0.3

    figure = Figure(figsize=size)
    all_axes = []
    for index in range(count):
        x = left + index % columns * (left + width)
        y = bottom + (rows - 1 - index // columns) * (row + _STRIP + 0.1)
        axes = figure.add_axes((x / size[0], y / size[1], width / size[0], height / size[1]))
        axes.set_xlim(-0.5, len(layers) - 0.5)
        strip = _draw_strip(axes, layers, height)
        if index + columns >= count:  # nothing is below it
            _write_names(strip, names, every, axis)
        all_axes.append(axes)
    figure.legend(handles=entries, loc="lower center", ncols=per_row, handlelength=1.2, borderaxespad=0.2)
    bar_axes = None
    if bar:
        span = all_axes[0].get_position().y1 - bottom / size[1]
        bar_axes = figure.add_axes(((total - 0.8) / size[0], bottom / size[1], 0.15 / size[0], span))
    return Panels(figure, all_axes, bar_axes, list(range(0, len(layers), every)))


def _kind_marks(layers: pd.DataFrame) -> list[Patch]:
    """Legend entries for the kinds that occur, in the order of `KINDS`, then others."""
    kinds = theme.in_order(layers["kind"], KINDS)
    return [Patch(facecolor=KINDS.get(kind, _OTHER), label=kind) for kind in kinds]


def _draw_strip(axes: Axes, layers: pd.DataFrame, height: float) -> Axes:
    strip = axes.inset_axes((0, -_STRIP / height, 1, (_STRIP - 0.04) / height), sharex=axes)
    kinds = list(dict.fromkeys(layers["kind"]))
    codes = [[kinds.index(kind) for kind in layers["kind"]]]
    palette = ListedColormap([KINDS.get(kind, _OTHER) for kind in kinds])
    edges = np.arange(len(layers) + 1) - 0.5
    lines: dict[str, Any] = {"edgecolors": "white", "linewidth": 0.6} if len(layers) <= FEW else {}
    strip.pcolormesh(edges, [0, 1], codes, cmap=palette, vmin=-0.5, vmax=len(kinds) - 0.5, **lines)
    strip.set(yticks=[], xticks=[])
    strip.spines[:].set_visible(False)
    axes.tick_params(axis="x", which="both", length=0, labelbottom=False)
    return strip


def _write_names(strip: Axes, names: list[str], every: int, axis: str) -> None:
    strip.set_xticks(range(0, len(names), every), names[::every], rotation=90, fontsize=7)
    strip.tick_params(axis="x", length=2, pad=1.5)
    strip.set_xlabel(named(axis, every))
