"""What a perfectly equivariant layer would get: the same-equivariance that pixels allow.

Rotating an image and turning a map back both interpolate, so the normalized variance of maps turned back is above 0
even for a layer that adds nothing of its own. How far above depends on the size of the maps and on the images. It is
measured with layers that only average the images down to that size, under the same transformation, by the same
statistic. It is a line to compare with, not a bound: what is smoother than the images can lie below it. At quarter
turns it is 0.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from rotvar import variance
from rotvar.activations import Recorder
from rotvar.columns import TURNED
from rotvar.modes import evaluating
from rotvar.rotation import rotate

COLUMNS = ["layer", "layer_index", "kind", "height", "width", "normalized_variance"]


class Averages(nn.Module):
    """The images averaged down to maps of several sizes, a layer each."""

    def __init__(self, sizes: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        self.sizes = nn.ModuleDict({name(size): nn.AdaptiveAvgPool2d(size) for size in sizes})

    def forward(self, images: Tensor) -> list[Tensor]:
        return [average(images) for average in self.sizes.values()]


def measure(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    classes: Sequence[str],
    angles: Tensor,
    *,
    transform: Callable[[Tensor, Tensor], Tensor] = rotate,
) -> pd.DataFrame:
    """The interpolation floor of each layer of `model` that has maps; only the shapes of its layers matter, and it may
    be on the device "meta". The rest as of `variance.measure`.

    Returns a row for each such layer: layer, layer_index, kind, height, width, normalized_variance (the mean over the
    finite channels of the images, in the stratum "all"; missing where no position counts).
    """
    device = next(model.parameters(), images).device
    with torch.no_grad(), evaluating(model):
        outputs = Recorder(model).outputs(torch.zeros(2, *images.shape[1:], device=device))
    sizes = {
        index: (output.shape[2], output.shape[3])
        for index, output in enumerate(outputs.values())
        if output.dim() == 4 and output[0, 0].numel() > 1
    }
    if not sizes:
        return pd.DataFrame(columns=COLUMNS)
    averages = Averages(list(dict.fromkeys(sizes.values())))
    # "mean" besides, because maps of which no position counts have no rows
    asked = ["mean", TURNED]
    table = variance.measure(averages, images, labels, classes, angles, transform=transform, aggregations=asked)
    table = table[(table["stratum"] == "all") & (table["aggregation"] == TURNED)]
    table = table[np.isfinite(table["normalized_variance"])]
    floors = table.groupby("layer")["normalized_variance"].mean()
    layers = list(outputs)
    rows = [
        (layers[index].name, index, layers[index].kind, *size, floors.get(f"sizes.{name(size)}", np.nan))
        for index, size in sizes.items()
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def name(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
