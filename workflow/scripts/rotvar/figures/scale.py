"""The colour scale of normalized variance, and the marks of what is not on it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from rotvar.figures import theme

# Not in viridis, nor near it for colour-blind readers.
ABOVE = "#EE2222"
INFINITE = "#000000"
MISSING = "#C8C8C8"

_INFINITE = -1.0  # stands for infinity in a drawn array: below the scale, since no normalized variance is negative


def top(values: ArrayLike) -> float:
    """Where the scale ends: median + 3 interquartile ranges of the finite values; 1 when that is nothing."""
    values = np.asarray(values, dtype=np.float64)
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return 1.0
    low, median, high = np.quantile(finite, [0.25, 0.5, 0.75])
    return float(median + 3 * (high - low)) or 1.0


def draw(axes: Axes, values: np.ndarray, end: float, extent: tuple[float, float, float, float]) -> AxesImage:
    """Draw `values` (rows x columns; may hold infinities and missing values) on the scale from 0 to `end`.

    The image's array holds the values, -1 for infinity, and a mask where they are missing. It is embedded in vector
    formats as it is, one pixel a value, and shown without interpolation.
    """
    shown = np.ma.masked_invalid(np.where(np.isposinf(values), _INFINITE, values))
    return axes.imshow(shown, cmap=_map(), vmin=0, vmax=end, extent=extent, aspect="auto", interpolation="none")


def matrix(
    axes: Axes, values: np.ndarray, stds: np.ndarray, end: float, rows: Sequence[str], columns: Sequence[str]
) -> AxesImage:
    """Draw a small matrix as `draw` does, every value and its std written into its cell, with the names of its rows
    and columns."""
    height, width = values.shape
    image = draw(axes, values, end, extent=(-0.5, width - 0.5, height - 0.5, -0.5))
    write_values(axes, values, end, stds)
    axes.set_xticks(range(width), columns, rotation=90)
    axes.set_yticks(range(height), rows)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image


def write_values(axes: Axes, values: np.ndarray, end: float, stds: np.ndarray) -> None:
    """Write each value, and its std where it has one, into its cell, in black or white, whichever can be read."""
    for (row, column), value in np.ndenumerate(values):
        dark = value < 0.55 * end or np.isposinf(value)
        text = "∞" if np.isposinf(value) else "" if np.isnan(value) else theme.number(value)
        if np.isfinite(std := float(stds[row, column])):
            text += f"\n±{theme.number(std, like=max(value, std))}"
        axes.text(
            column, row, text, ha="center", va="center", fontsize=6.5, color="white" if dark else "black"
        ).set_in_layout(False)


def bar(figure: Figure, image: AxesImage, axes: Axes | None, label: str = "normalized variance") -> None:
    """Draw the colour bar of `image` into `axes`; its tip is the colour of what is above the scale."""
    drawn = figure.colorbar(image, cax=axes, extend="max", extendfrac=0.03, label=label)
    drawn.outline.set_linewidth(0.5)


def key(figure: Figure, axes: Sequence[Axes], image: AxesImage, values: ArrayLike, label: str) -> None:
    """The colour bar of panels on one scale beside them, and below them the marks that occur in their values."""
    height = figure.get_figheight()  # whatever it is, the bar is about 0.15 inches wide, and its tip as high
    look: dict[str, Any] = {"extendfrac": 0.2 / height, "aspect": 5.5 * height, "pad": 0.02}
    figure.colorbar(image, ax=axes, extend="max", label=label, **look)
    theme.legend(figure, marks(values, image.get_clim()[1]), handlelength=1.2)


def marks(values: ArrayLike | None = None, end: float = np.inf) -> list[Patch]:
    """Legend entries of the three marks; with `values`, only of those that occur in it."""
    entries = {"above the scale": ABOVE, "infinite": INFINITE, "missing": MISSING}
    if values is not None:
        values = np.asarray(values)
        occur = [(np.isfinite(values) & (values > end)).any(), np.isinf(values).any(), np.isnan(values).any()]
        entries = {name: colour for (name, colour), here in zip(entries.items(), occur, strict=True) if here}
    return [Patch(facecolor=colour, label=name) for name, colour in entries.items()]


def _map() -> Colormap:
    # Without viridis's darkest tenth, which is too near to the black of infinity; 32 steps keep the files small.
    steps = colormaps["viridis"](np.linspace(0.1, 1, 32))
    return ListedColormap(steps, name="normalized variance").with_extremes(over=ABOVE, under=INFINITE, bad=MISSING)
