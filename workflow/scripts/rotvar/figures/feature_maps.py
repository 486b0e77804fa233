"""What channels do when the image rotates: maps of the most and the least invariant, angle by angle."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from rotvar.figures import theme

# Inches: of a map with the gap after it, and of that gap; of the words to the left and to the right of a row; above a
# training's rows, and between its layers; above and below everything.
_CELL, _GAP, _LEFT, _RIGHT, _HEADING, _BETWEEN, _TOP, _BOTTOM = 0.6, 0.04, 2.3, 1.0, 0.32, 0.1, 0.55, 0.55
_GREY = "#555555"
_KEY = 4.5  # inches of the colour bar and its words
_COLOURS = "cividis"


@theme.themed
def feature_maps(maps: pd.DataFrame) -> Figure:
    """The maps of one image at each angle (column), of channels (row) chosen by `questions.feature_maps.record`.

    The image stands on top; below it, for each training, the most and the least invariant channel of every layer, with
    their normalized variance. A row has a scale of its own, from its lowest to its highest activation, which are
    written to its right. `maps` is what `record` gives, of one network, or of its trainings (`training`); its columns
    `image` (a number) and `class`, where it has them, go into the heading.
    """
    theme.one(maps, "dataset", "model", "seed", "image")
    trainings = theme.trainings(maps)
    colours = theme.of_trainings(trainings)
    angles = np.sort(maps["angle"].unique())
    rows = {name: _rows(table[table["layer_index"] >= 0]) for name, table in trainings.items()}
    height = _CELL + sum(_HEADING + sum(_CELL + gap for gap, _ in each) for each in rows.values())
    size = max(_LEFT + len(angles) * _CELL + _RIGHT, _LEFT + _KEY), _TOP + height + _BOTTOM
    figure = Figure(figsize=size)
    axes = _band(figure, 0, _TOP + _CELL)

    top = _TOP
    for column, angle in enumerate(angles):
        place = _LEFT + (column + 0.5) * _CELL - _GAP / 2
        axes.text(place, top - 0.04, f"{angle:g}°".replace("-", "−"), ha="center", va="bottom", fontsize=7)
    first = next(iter(trainings.values()))
    pictures = [_pictures(unit) for _, unit in first[first["layer_index"] < 0].groupby("unit")]
    _draw(axes, top, np.stack(pictures, -1) if len(pictures) == 3 else pictures[0], "gray")
    axes.text(_LEFT - 0.12, top + _CELL / 2, "input", ha="right", va="center", fontsize=8)
    top += _CELL
    for training, each in rows.items():
        axes = _band(figure, top, top + _HEADING + sum(_CELL + gap for gap, _ in each))
        theme.belongs(axes, training)
        words = theme.trained(training)
        axes.text(_LEFT, top + 0.27, words, color=colours[training], fontsize=9.5, fontweight="bold", va="bottom")
        if each:
            header: dict[str, Any] = {"ha": "right", "va": "bottom", "fontsize": 7.5, "color": _GREY}
            axes.text(_LEFT - 0.12, top + 0.27, "normalized variance", **header)
        top += _HEADING
        for gap, pixels in each:
            top += gap
            _draw_channel(axes, top, pixels)
            top += _CELL
    _draw_key(figure, size)
    about = [f"test image {maps['image'].iloc[0]}" if "image" in maps else ""]
    about += [f"class {theme.shorten(str(maps['class'].iloc[0]))}" if "class" in maps else ""]
    theme.heading(figure, maps, "feature maps", *about)
    return figure


def _band(figure: Figure, top: float, bottom: float) -> Axes:
    """A part of the figure, over its whole width: empty axes in inches from the figure's top left."""
    width, height = figure.get_size_inches()
    place = (0, 1 - bottom / height, 1, (bottom - top) / height)
    axes = figure.add_axes(place, xlim=(0, width), ylim=(bottom, top))
    axes.set_axis_off()
    return axes


def _rows(pixels: pd.DataFrame) -> list[tuple[float, pd.DataFrame]]:
    """The pixels of each channel that is shown, in execution order, with the gap above: layers stand apart."""
    rows: list[tuple[float, pd.DataFrame]] = []
    for _, layer in pixels.groupby("layer_index"):
        channels = [channel for _, channel in layer.groupby("choice", observed=True, sort=False)]
        rows += [(0.0 if place or not rows else _BETWEEN, channel) for place, channel in enumerate(channels)]
    return rows


def _pictures(pixels: pd.DataFrame) -> np.ndarray:
    """One channel's maps, R x H x W."""
    pixels = pixels.sort_values(["angle", "y", "x"])
    shape = [pixels[axis].nunique() for axis in ("angle", "y", "x")]
    return pixels["activation"].to_numpy(np.float64).reshape(shape)


def _draw(axes: Axes, top: float, pictures: np.ndarray, colours: str) -> None:
    """A row of pictures, R x H x W or R x H x W x 3, on one scale from the lowest to the highest."""
    side = _CELL - _GAP
    for column, picture in enumerate(pictures):
        left = _LEFT + column * _CELL
        extent = (left, left + side, top + side, top)
        limits = {"vmin": pictures.min(), "vmax": pictures.max()}
        axes.imshow(picture, cmap=colours, extent=extent, aspect="auto", interpolation="none", **limits)


def _draw_channel(axes: Axes, top: float, pixels: pd.DataFrame) -> None:
    about, maps = pixels.iloc[0], _pictures(pixels)
    _draw(axes, top, maps, _COLOURS)
    middle = top + (_CELL - _GAP) / 2
    words = f"{theme.shorten(str(about['layer']), 20)}, channel {about['unit']}"
    axes.text(_LEFT - 0.12, middle, words, ha="right", va="bottom", fontsize=8)
    words = f"{about['choice']}: {theme.number(about['normalized_variance'])}"
    axes.text(_LEFT - 0.12, middle, words, ha="right", va="top", fontsize=8, color=_GREY)
    words = f"{maps.min():.2g} to {maps.max():.2g}".replace("-", "−")
    axes.text(_LEFT + len(maps) * _CELL + 0.06, middle, words, va="center", fontsize=7.5)


def _draw_key(figure: Figure, size: tuple[float, float]) -> None:
    """A colour bar without numbers: they stand beside the rows."""
    place = figure.add_axes(((_LEFT + 0.5) / size[0], 0.25 / size[1], 1.5 / size[0], 0.1 / size[1]))
    bar = figure.colorbar(ScalarMappable(cmap=_COLOURS), cax=place, orientation="horizontal", ticks=[])
    bar.outline.set_linewidth(0.5)
    place.text(-0.04, 0.45, "lowest", transform=place.transAxes, ha="right", va="center", fontsize=8)
    words = "highest activation of the row (to its right)"
    place.text(1.04, 0.45, words, transform=place.transAxes, va="center", fontsize=8)
