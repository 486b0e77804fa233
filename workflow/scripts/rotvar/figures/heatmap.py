"""The map of a network: a column per layer, a cell per unit, coloured by normalized variance."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rotvar.errors import InputError
from rotvar.figures import layer_axis, scale, seeds, theme

# Rows of a panel's picture: about this many, so that cells of layers of different width come out even, and few enough
# that a panel of this height (inches) shows each of them at 200 dpi. Wider layers fill their column in several passes,
# from left to right.
_ROWS, _HEIGHT = 512, 3.4


@theme.themed
def heatmap(variance: pd.DataFrame, stratum: str, aggregation: str, *, sort: bool = False) -> Figure:
    """Normalized variance of every unit of one network (one data set and model), trainings on one scale.

    A column is a layer, in execution order; its units fill the column's height from the top, in their own order, or
    from the least to the most variant with `sort`; more than 512 do so in several passes, left to right. The number
    of units stands above each column. The scale ends at median + 3 interquartile ranges of the finite values of all
    trainings; what is above, infinite or missing has its own colour, and so has a layer that was measured of another
    training only. The units of different seeds do not correspond to
    one another: of several seeds, the map is the first in the table, and above it stands the mean of the global values
    of all of them (of this stratum and aggregation) with one standard deviation (n - 1).

    Raises InputError where the table holds several networks, several values of a unit, or no such stratum or
    aggregation, and where trainings were measured on layers that do not go together.
    """
    shown = theme.choose(variance, stratum=stratum, aggregation=aggregation)
    theme.one(shown, "dataset", "model")
    layers = layer_axis.layers(shown)
    trainings = theme.trainings(shown)
    colours = theme.of_trainings(trainings)
    over_seeds = seeds.shown(shown, "global: ")
    titles = {training: _of_seeds(rows) if over_seeds else [] for training, rows in trainings.items()}
    maps = {training: _first_seed(rows) for training, rows in trainings.items()}
    for training, rows in maps.items():
        if rows.duplicated(["layer_index", "unit"]).any():
            raise InputError(
                f"The table has several values of a unit of {training or 'the network'}: select one of each."
            )
    panels = {training: _columns(rows, layers["layer_index"]) for training, rows in maps.items()}
    end = scale.top(np.concatenate([column for columns in panels.values() for column in columns]))

    page = layer_axis.panels(
        layers, len(panels), _HEIGHT, left=0.4, title=0.7 if over_seeds else 0.5, legend=scale.marks(), bar=True
    )
    for axes, (training, columns) in zip(page.axes, panels.items(), strict=True):
        cells = [column if len(column) else np.array([np.nan]) for column in columns]  # not measured: missing
        picture = _picture([np.sort(column) for column in cells] if sort else cells)
        image = scale.draw(axes, picture, end, extent=(-0.5, len(columns) - 0.5, 1, 0))
        if len(columns) <= layer_axis.FEW:
            axes.vlines(np.arange(1, len(columns)) - 0.5, 0, 1, color="white", linewidth=0.8)
        axes.set(yticks=[], ylim=(1, 0), ylabel="units, least to most variant" if sort else "units, the first on top")
        axes.spines[:].set_visible(False)
        theme.name_training(axes, training, colours[training], *titles[training])
        _count_units(axes, page.ticks, [len(column) for column in columns])
    scale.bar(page.figure, image, page.bar)
    details = (f"stratum: {theme.shorten(stratum)}", f"aggregation: {aggregation}", "sorted units" if sort else "")
    theme.heading(page.figure, shown, *details, over_seeds)
    return page.figure


def _first_seed(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["seed"] == rows["seed"].iloc[0]] if "seed" in rows.columns else rows


def _of_seeds(rows: pd.DataFrame) -> list[str]:
    """The seed that a panel shows, and the global value over all of them, for its title."""
    (value,) = seeds.global_values(rows).values()
    return [f"seed {rows['seed'].iloc[0]}", f"global: {value}"]


def _columns(rows: pd.DataFrame, layers: pd.Series) -> list[np.ndarray]:
    """The values of each of the layers (their `layer_index`), in unit order; none of a layer that was not measured."""
    units = dict(list(rows.sort_values("unit").groupby("layer_index")["normalized_variance"]))
    return [units[layer].to_numpy(np.float64) if layer in units else np.empty(0) for layer in layers]


def _picture(columns: list[np.ndarray]) -> np.ndarray:
    """The columns side by side, every unit at least one pixel: rows x (layers * the most passes of any)."""
    passes = [math.ceil(len(column) / _ROWS) for column in columns]
    longest = max(math.ceil(len(column) / count) for column, count in zip(columns, passes, strict=True))
    rows = longest * round(_ROWS / longest)
    pictures = []
    for column, count in zip(columns, passes, strict=True):
        parts = [_stretch(part, rows) for part in np.array_split(column, count)]
        pictures.append(_stretch(np.array(parts), max(passes)).T)
    return np.concatenate(pictures, axis=1)


def _stretch(values: np.ndarray, length: int) -> np.ndarray:
    """The values repeated along the first axis to fill `length`, which is not less than their number."""
    return values[np.arange(length) * len(values) // length]


def _count_units(axes: Axes, positions: list[int], units: list[int]) -> None:
    above = axes.secondary_xaxis("top")
    turn = 90 if len(units) > 30 else 0
    above.set_xticks(positions, [f"{units[position]}" for position in positions], rotation=turn, fontsize=6.5)
    above.tick_params(length=0, pad=1.5, colors="#555555")
    above.spines[:].set_visible(False)
