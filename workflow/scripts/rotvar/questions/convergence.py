"""How many images and angles are enough: the layer means of a measurement, on subsets of its images and of its angles.

One pass over the images gives them all. The images are dealt at random into small blocks, each with the classes in
equal parts. A block is a draw; every two draws of a size are merged into one of twice that size, until one draw holds
all images. Subsets of the angles are every second, fourth, ... of a regular grid: what a coarser grid would be. Each
value is the measure of that subset by itself, rounding and 0/0 as in `variance.measure`.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from rotvar import devices
from rotvar.activations import Layer, Recorder
from rotvar.errors import InputError
from rotvar.modes import evaluating
from rotvar.rotation import seeing
from rotvar.statistics.moments import Arithmetic, Series, Statistics, arithmetic
from rotvar.statistics.sweep import by_image, check_finite, kept_series, reduced
from rotvar.variance import BATCH_SIZE, worth_compiling

# Those with one value a map: "spatial" would keep the statistics of every position, of several subsets at a time
AGGREGATIONS = ("mean", "max")
COLUMNS = [
    "layer", "layer_index", "kind", "aggregation", "images", "angles", "draw", "units", "finite", "normalized_variance",
]  # fmt: skip


@torch.no_grad()
def measure(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    angles: Tensor,
    *,
    aggregation: str = "mean",
    mean: Tensor | None = None,
    std: Tensor | None = None,
    precision: str = "float32",
    seed: int = 0,
) -> pd.DataFrame:
    """Mean normalized variance of the finite units of each layer, all images together, for subsets of one measurement.

    images, labels, mean, std (tensors), precision: as in `variance.measure`. angles: R, a regular grid
    (`rotation.angles`); halved as long as it is even. aggregation: "mean" or "max". seed: of the random order of the
    images.

    Returns a row for each layer and subset: layer, layer_index, kind, aggregation, images and angles (how many),
    draw (subsets of as many images are numbered from 0; `blocks` gives their images), units, finite (how many count),
    normalized_variance. Subsets of the images are at all angles, subsets of the angles with all images.

    Memory grows with R, the number of channels and the logarithm of the number of images. Raises InputError for an
    unknown aggregation, more or fewer labels than images, fewer than two angles, images that the network does not take,
    a class with fewer than two images, and activations that are not finite.
    """
    if aggregation not in AGGREGATIONS:
        raise InputError(f"unknown aggregation '{aggregation}': choose one of {', '.join(AGGREGATIONS)}")
    if len(labels) != len(images):
        raise InputError(f"{len(labels)} labels given for {len(images)} images: one for each is needed")
    if len(angles) < 2:
        raise InputError(f"{len(angles)} angle given, but a standard deviation over rotations needs at least 2")
    device, seen = seeing(model, images, mean, std)
    recorder = Recorder(model)
    layers: dict[Layer, _Subsets] = {}
    rows = []

    def update(layer: Layer, output: Tensor) -> None:
        values = by_image(output, len(angles))
        ((_, pooled),) = reduced(values, kept_series(values.shape[3], [aggregation]), by)
        layers.setdefault(layer, _Subsets(len(angles), by)).update(pooled)

    def close(finish: Callable[["_Subsets"], Iterable[tuple[int, int, Statistics]]]) -> None:
        for index, (layer, subsets) in enumerate(layers.items()):
            for n, r, statistics in finish(subsets):
                check_finite(layer, statistics)
                values = statistics.normalized_variance
                finite = values[np.isfinite(values)]
                average = finite.mean() if len(finite) else np.nan
                rows.append((layer.name, index, layer.kind, aggregation, n, r, len(values), len(finite), average))

    with evaluating(model), devices.computing(device, precision):
        outputs = recorder.measurable(seen(images[:1], angles[:2]))
        by = arithmetic(worth_compiling(outputs, [aggregation], len(images) * len(angles), device), device)
        for block in tqdm(blocks(labels, seed), unit=" blocks", disable=None):
            for batch in images[block].split(max(1, BATCH_SIZE[device.type] // len(angles))):
                recorder.run(seen(batch, angles), update)
            close(_Subsets.finish_block)
    close(_Subsets.finish)
    table = pd.DataFrame(rows, columns=[name for name in COLUMNS if name != "draw"])
    return table.assign(draw=table.groupby(["layer_index", "images", "angles"]).cumcount())[COLUMNS]


def blocks(labels: Tensor, seed: int = 0) -> list[Tensor]:
    """The images of each block, as indices: disjoint, in random order, with as many of every class that occurs.

    Their number is the largest power of two that leaves each block two images of every class; images beyond that are
    left out. Draw d of the subsets of k blocks is the blocks dk to dk + k - 1. Raises InputError where a class has
    fewer than two images.
    """
    generator, labels = torch.Generator().manual_seed(seed), labels.cpu()
    by_class = [torch.nonzero(labels == label).flatten() for label in labels.unique()]
    each = min(map(len, by_class), default=0)
    if each < 2:
        raise InputError(f"a class has {each} image(s), but a sample std needs at least 2: add images")
    count = 2 ** ((each // 2).bit_length() - 1)
    size = each // count
    dealt = [indices[torch.randperm(len(indices), generator=generator)][: count * size] for indices in by_class]
    return list(torch.stack(dealt).view(len(dealt), count, size).transpose(0, 1).flatten(1))


class _Subsets:
    """The statistics of one layer on every subset."""

    def __init__(self, rotations: int, by: Arithmetic) -> None:
        self.rotations = rotations
        self.by = by
        self.block = Series(by)  # the block that is going by
        self.draws: list[Series] = []  # those that wait for another of their size, the largest first
        halvings = (rotations & -rotations).bit_length() - 1
        steps = [2**power for power in range(1, halvings + 1) if rotations // 2**power >= 2]
        self.grids = {step: Series(by) for step in steps}  # every 2nd, 4th, ... angle

    def update(self, values: Tensor) -> None:
        """Take in some images of the block: images x R x channels x 1."""
        self.block.update(values)
        for step, grid in self.grids.items():
            grid.update(values[:, ::step])

    def finish_block(self) -> Iterator[tuple[int, int, Statistics]]:
        """Close the block, and give the measure of every draw that it completes, with its images and angles."""
        draw, self.block = self.block, Series(self.by)
        draw.finish_class(0)
        yield self._images(draw), self.rotations, draw.finish()
        while self.draws and self._images(self.draws[-1]) == self._images(draw):
            earlier = self.draws.pop()
            earlier.merge(draw)
            draw = earlier
            yield self._images(draw), self.rotations, draw.finish()
        self.draws.append(draw)

    def finish(self) -> Iterator[tuple[int, int, Statistics]]:
        """The measure of all images on each coarser grid of angles."""
        for step, grid in self.grids.items():
            grid.finish_class(0)
            yield self._images(grid), self.rotations // step, grid.finish()

    @staticmethod
    def _images(series: Series) -> int:
        assert series.everything is not None
        return series.everything.n
