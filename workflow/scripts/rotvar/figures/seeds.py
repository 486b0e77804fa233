"""What figures draw and say of several seeds: means and standard deviations (n - 1), and nothing for one seed."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from rotvar.figures import theme
from rotvar.summary import global_variance, over_seeds


def shown(table: pd.DataFrame, value: str = "") -> str:
    """What a figure shows of the seeds in its table, and of which value, for the heading."""
    seeds = table["seed"].nunique() if "seed" in table.columns else 1
    return f"{value}mean ± std over {seeds} seeds" if seeds > 1 else ""


def band(axes: Axes, x: ArrayLike, mean: ArrayLike, std: ArrayLike, colour: str) -> None:
    """One `std` to either side of a line, for a line of one point a bar; nothing where `std` is missing."""
    x, mean, std = (np.asarray(values, dtype=np.float64) for values in (x, mean, std))
    if not np.isfinite(std).any():
        return
    if len(x) == 1:
        axes.errorbar(x, mean, std, fmt="none", ecolor=colour, elinewidth=1, capsize=3)
    else:
        axes.fill_between(x, mean - std, mean + std, color=colour, alpha=0.2, linewidth=0)


def line(axes: Axes, means: pd.DataFrame, layers: pd.DataFrame, colour: str, **look: Any) -> None:
    """The means of layers (`over_seeds`) over their places among `layers`, and a band of one std to either side; a gap
    where a layer has none."""
    values = means.set_index("layer_index").reindex(layers["layer_index"])
    x, mean = np.arange(len(layers)), values["normalized_variance"].to_numpy()
    axes.plot(x, mean, color=colour, **look)
    band(axes, x, mean, values["std"], colour)


def global_values(variance: pd.DataFrame) -> dict[str, str]:
    """Stratum -> the mean ± std of the global values of one network (data set, model, training)."""
    values = over_seeds(global_variance(variance), "global_variance")
    texts = map(_plus_minus, values["global_variance"], values["std"])
    return dict(zip(values["stratum"].astype(str), texts, strict=True))


def _plus_minus(mean: float, std: float) -> str:
    """`0.530 ± 0.021`; without a spread where there is none, and a dash where there is no value."""
    if not np.isfinite(mean):
        return "–"
    text = theme.number(mean, 3)
    return f"{text} ± {theme.number(std, 3, like=max(mean, std))}" if np.isfinite(std) else text
