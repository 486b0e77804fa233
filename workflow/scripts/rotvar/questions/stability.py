"""How stable layer means are: a bootstrap over the images of one measurement, in one pass over them.

A replicate is as many images as there are, drawn from them with replacement (Efron 1979, "Bootstrap methods: another
look at the jackknife", doi 10.1214/aos/1176344552). Its measure needs no second look at them: with c(i) the number of
times that image i was drawn, N images, R rotations j and activations a(i, j),

    transformation_std = sum over i of c(i) std over j of a(i, j) / N
    sample_std = mean over j of sqrt((sum over i of c(i) a(i, j)^2 - (sum over i of c(i) a(i, j))^2 / N) / (N - 1))

so that a batch of images is added to all replicates by three matrix products, counts times values. The values are
taken relative to the means of the first batch, in float64, which keeps the subtraction from cancelling.
"""

import logging
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from rotvar import devices
from rotvar.activations import Layer, Recorder
from rotvar.columns import POOLED
from rotvar.errors import InputError
from rotvar.modes import evaluating
from rotvar.rotation import seeing
from rotvar.statistics import operations
from rotvar.statistics.measures import quotient
from rotvar.statistics.moments import Moments, as_array
from rotvar.statistics.sweep import by_image, kept_series, reduced
from rotvar.system import memory
from rotvar.variance import BATCH_SIZE

log = logging.getLogger("rotvar")

AGGREGATIONS = POOLED  # "spatial" would keep the sums of every position in every replicate
COLUMNS = [
    "layer", "layer_index", "kind", "aggregation", "replicate", "images", "units", "finite", "normalized_variance",
]  # fmt: skip

# A sum of squared deviations that is at or below this share of the two sums that it is the difference of is their
# rounding: where no drawn image moves a unit, as the images of the first batch did, it is 0
CANCELLED = 1e-12

# How much memory the sums of the layers of one pass take at most. What does not fit waits for another pass.
PASS_BYTES = 4_000_000_000


@torch.no_grad()
def measure(
    model: nn.Module,
    images: Tensor,
    angles: Tensor,
    *,
    replicates: int = 200,
    aggregations: Iterable[str] = ("mean",),
    mean: Tensor | None = None,
    std: Tensor | None = None,
    precision: str = "float32",
    seed: int = 0,
    batch_size: int | None = None,
    pass_bytes: int = PASS_BYTES,
) -> pd.DataFrame:
    """Mean normalized variance of the finite units of each layer, all images together, of the images as they are and
    of each of `replicates` draws of as many of them (`counts` says which).

    images (N x C x H x W), angles, mean, std (tensors), precision and batch_size: as in `variance.measure`.
    aggregations: "mean", "max" or "sum". seed: of the draws; networks that are measured on the same images with the
    same seed share them, so that their replicates can be compared one by one. pass_bytes: how much memory the sums take
    at most (`state_bytes`); layers that do not fit together are measured in several passes over the images, to the same
    result.

    Returns a row for each layer, aggregation and replicate: layer, layer_index, kind, aggregation, replicate (0: the
    images as they are; 1, 2, ...: the draws), images (N), units, finite (how many count), normalized_variance (missing
    where none does).

    Raises InputError for fewer than two images or angles, for images that the network does not take, for no replicate,
    for an unknown aggregation, for a layer whose sums do not fit in the free memory, and for activations that are not
    finite.
    """
    aggregations = [aggregations] if isinstance(aggregations, str) else list(aggregations)
    if unknown := set(aggregations) - set(AGGREGATIONS):
        raise InputError(f"unknown aggregation '{min(unknown)}': choose one of {', '.join(AGGREGATIONS)}")
    for name, given in (("image", len(images)), ("angle", len(angles))):
        if given < 2:
            raise InputError(f"{given} {name} given, but a standard deviation needs at least 2")
    device, seen = seeing(model, images, mean, std)
    times = counts(len(images), replicates, seed)
    recorder = Recorder(model)
    chosen: set[Layer] = set()  # the layers of the pass that is going on
    sums: dict[tuple[Layer, str], _Sums] = {}  # of each of them, and series
    found: dict[tuple[Layer, str], list[tuple[int, int, float]]] = {}

    def update(layer: Layer, output: Tensor) -> None:
        if layer not in chosen:
            return
        values = by_image(output, len(angles))
        for name, each in reduced(values, kept_series(values.shape[3], aggregations), operations):
            sums.setdefault((layer, name), _Sums()).update(each.flatten(2).double(), drawn)

    with evaluating(model), devices.computing(device, precision):
        outputs = recorder.measurable(seen(images[:1], angles[:2]))
        free = memory.free(device)
        groups = _passes(outputs, aggregations, len(angles), replicates, min(pass_bytes, free // 2))
        if len(groups) > 1:
            log.info("the sums of %d replicates take %d passes over the images", replicates, len(groups))
        image = len(angles) * memory.of_image(outputs.values())
        at_once = max(1, min((batch_size or BATCH_SIZE[device.type]) // len(angles), free // 4 // image))
        with tqdm(total=len(groups) * len(images), unit=" images", disable=None) as bar:
            for group in groups:
                chosen = set(group)
                for batch, part in zip(images.split(at_once), times.split(at_once, dim=1), strict=True):
                    drawn = part.to(device, torch.float64)
                    recorder.run(seen(batch, angles), update)
                    bar.update(len(batch))
                for layer, name in list(sums):
                    found[layer, name] = sums.pop((layer, name)).layer_means(layer.name, len(images))
    rows = []
    for index, (layer, output) in enumerate(outputs.items()):
        for aggregation in aggregations:
            (name,) = kept_series(output[0, 0].numel(), [aggregation])
            for replicate, values in enumerate(found[layer, name]):
                rows.append((layer.name, index, layer.kind, aggregation, replicate, len(images), *values))
    return pd.DataFrame(rows, columns=COLUMNS)


def counts(images: int, replicates: int, seed: int = 0) -> Tensor:
    """How often each image is in each replicate: (1 + replicates) x images, int16. Row 0 has every image once, the
    others as many images drawn with replacement. Raises InputError for no replicate."""
    if replicates < 1:
        raise InputError(f"replicates: {replicates} given, but a bootstrap needs at least 1")
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.ones(1 + replicates, images, dtype=torch.int16)
    for row in drawn[1:]:
        row.copy_(torch.randint(images, (images,), generator=generator).bincount(minlength=images))
    return drawn


def state_bytes(units: int, rotations: int, replicates: int) -> int:
    """The bytes of the sums of a layer: for each unit and aggregation, and the images as they are as well as each
    replicate, the weighted sums of the activations and of their squares for each rotation and one of stds, in
    float64."""
    return (1 + replicates) * units * (2 * rotations + 1) * 8


class _Sums:
    """The weighted sums of one layer under one aggregation, for every replicate."""

    def __init__(self) -> None:
        self.shift: Tensor | None = None  # R x units, what the activations are taken relative to

    def update(self, values: Tensor, weights: Tensor) -> None:
        """Take in the activations of some images, images x R x units, with their weights, replicates x images; both
        float64."""
        if self.shift is None:
            self.shift = values.mean(0)
            self.total, self.squares = (values.new_zeros(len(weights), self.shift.numel()) for _ in range(2))
            self.std_sum = values.new_zeros(len(weights), values.shape[2])
        self.std_sum.addmm_(weights, values.std(1))
        relative = (values - self.shift).flatten(1)  # images x (R * units)
        self.total.addmm_(weights, relative)
        self.squares.addmm_(weights, relative.square_())

    def layer_means(self, layer: str, images: int) -> list[tuple[int, int, float]]:
        """The units of the layer, how many of them are finite, and the mean over these, for each replicate of so many
        images. Raises InputError where a unit is not a number."""
        assert self.shift is not None
        means = []
        for total, squares, std_sum in zip(self.total, self.squares, self.std_sum, strict=True):
            moments = Moments(self.shift.shape[0], self.shift.shape[1], self.shift.device)
            moments.n, moments.std_sum = images, std_sum
            average, squares = (total / images).view_as(self.shift), squares.view_as(self.shift)
            moments.mean = average + self.shift
            m2 = squares - images * average.square()
            moments.m2 = torch.where(m2 <= CANCELLED * squares, 0, m2)
            transformation_std, sample_std = map(as_array, moments.spread()[:2])
            values = quotient(transformation_std, sample_std, of_zeros=1)
            if np.isnan(values).any():
                raise InputError(
                    f"layer {layer}, unit {np.flatnonzero(np.isnan(values))[0]}: its activations are NaN or infinite "
                    "for some image: check the images and the network's weights"
                )
            finite = values[np.isfinite(values)]
            means.append((len(values), len(finite), float(finite.mean()) if len(finite) else np.nan))
        return means


def _passes(
    outputs: dict[Layer, Tensor], aggregations: Sequence[str], rotations: int, replicates: int, room: int
) -> list[list[Layer]]:
    """The layers of each pass over the images: as many, in execution order, as have their sums in `room` bytes. Raises
    InputError where those of one layer do not."""
    groups: list[list[Layer]] = []
    taken = room + 1
    for layer, output in outputs.items():
        units = output.shape[1] * len(kept_series(output[0, 0].numel(), aggregations))
        needed = state_bytes(units, rotations, replicates)
        if needed > room:
            raise InputError(
                f"the sums of {replicates} replicates of the {units:,} units of layer {layer.name} at {rotations} "
                f"angles take {needed / 1e6:,.0f} MB, but there is room for {room / 1e6:,.0f} MB: ask for fewer "
                "replicates, or give the job more memory"
            )
        if taken + needed > room:
            groups.append([])
            taken = 0
        groups[-1].append(layer)
        taken += needed
    return groups
