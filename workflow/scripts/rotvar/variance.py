"""The normalized variance of every unit of a network under rotation, in one pass over the images.

For unit u, images i = 1..N and rotations j = 1..R, with the activation a(i, j) and n - 1 in every denominator:

    transformation_std = mean over i of std over j of a(i, j)
    sample_std = mean over j of std over i of a(i, j)
    normalized_variance = transformation_std / sample_std      (0/0 = 1)

as in Quiroga et al. 2019, "Measuring (in)variances in Convolutional Networks", doi 10.1007/978-3-030-27713-0_9.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from rotvar.activations import Layer, Recorder, matches
from rotvar.errors import InputError
from rotvar.moments import Series, Statistics, mean_over_positions
from rotvar.rotation import present

AGGREGATIONS = ("mean", "max", "sum", "spatial")
COLUMNS = [
    "layer", "layer_index", "kind", "unit", "stratum", "aggregation",
    "transformation_std", "sample_std", "normalized_variance",
]  # fmt: skip


@torch.inference_mode()
def measure(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    classes: Sequence[str],
    angles: Tensor,
    *,
    mean: Tensor | None = None,
    std: Tensor | None = None,
    aggregations: Iterable[str] = AGGREGATIONS,
    layers: Sequence[str] = ("*",),
    channel_axes: Mapping[str, int] | None = None,
    batch_size: int | None = None,
) -> pd.DataFrame:
    """Measure every activation of `model` (in evaluation mode, on its own device) under the rotations.

    images: N x C x H x W, uint8 (scaled to [0, 1]) or float; rotated, then normalized with `mean` and `std` (C each)
    if given. labels: N, indexing `classes`. angles: R, degrees, counter-clockwise. aggregations: how the positions
    of a map are reduced to one value per channel: "mean", "max" or "sum" before the statistics, or "spatial", which
    takes the statistics at each position and then averages the two stds over the positions. layers: patterns of the
    names of the layers to measure ("layer4.*"). channel_axes: for patterns of names, the axis of a layer's channels,
    where `activations.own_channel_axis` errs. batch_size: how many rotated images go through the network at once (a
    multiple of R is made of it).

    Returns a row for each layer, unit, stratum ("all", "stratified" and every class) and aggregation: layer,
    layer_index, kind, unit, stratum, aggregation, transformation_std, sample_std, normalized_variance.

    Raises InputError for fewer than two angles, a class with fewer than two images, labels that index no class, an
    unknown aggregation, a pattern that no layer matches, and activations that are not finite.
    """
    aggregations = tuple(aggregations)
    _check(images, labels, classes, angles, aggregations)
    device = next(model.parameters(), images).device
    batch_size = batch_size or (256 if device.type == "cpu" else 2048)
    per_batch = max(1, batch_size // len(angles))
    mean, std = (None if values is None else torch.as_tensor(values, device=device) for values in (mean, std))
    training = model.training
    model.eval()

    recorder = Recorder(model, layers, channel_axes)
    measured: dict[Layer, Layerwise] = {}
    bar = tqdm(total=len(images), unit=" images", disable=None)
    for label in range(len(classes)):
        chosen = images[labels == label]
        for start in range(0, len(chosen), per_batch):
            batch = chosen[start : start + per_batch].to(device).repeat_interleave(len(angles), 0)
            degrees = angles.repeat(len(batch) // len(angles))

            def record(layer: Layer, output: Tensor) -> None:
                measured.setdefault(layer, Layerwise(aggregations)).update(output.unflatten(0, (-1, len(angles))))

            recorder.run(present(batch, degrees, mean, std), record)
            bar.update(len(batch) // len(angles))
        for layerwise in measured.values():
            layerwise.finish_class()
    bar.close()
    model.train(training)
    for pattern in [*layers, *(channel_axes or {})]:
        if not any(matches(layer.name, [pattern]) for layer in measured):
            names = ", ".join(layer.name for layer in measured) or "others"
            raise InputError(f"no layer matches '{pattern}': the layers are {names}")
    blocks = [
        block.assign(layer=layer.name, layer_index=index, kind=layer.kind)
        for index, (layer, layerwise) in enumerate(measured.items())
        for block in layerwise.frames(layer.name, classes)
    ]
    return pd.concat(blocks, ignore_index=True)[COLUMNS]


class Layerwise:
    """The statistics of one layer: a series for each aggregation that does not follow from another."""

    def __init__(self, aggregations: Sequence[str]) -> None:
        self.aggregations = aggregations
        self.series: dict[str, Series] = {}
        self.by_class: dict[str, list[Statistics]] = {}
        self.positions = 1

    def update(self, values: Tensor) -> None:
        """Take in a layer's output for some images of one class: images x R x channels [x positions...]."""
        values = values.flatten(3) if values.dim() > 3 else values.unsqueeze(3)  # images x R x channels x positions
        self.positions = values.shape[3]
        for name, reduced in self._reduced(values):
            self.series.setdefault(name, Series()).update(reduced)

    def _reduced(self, values: Tensor) -> Iterable[tuple[str, Tensor]]:
        """Each series that is kept of images x R x channels x positions. Without positions all aggregations are one."""
        if self.positions == 1:
            yield "unit", values
            return
        if {"mean", "sum"} & set(self.aggregations):  # the sum is the mean times the number of positions
            yield "mean", mean_over_positions(values.flatten(0, 1)).view(*values.shape[:3], 1)
        if "max" in self.aggregations:
            yield "max", values.amax(3, keepdim=True)
        if "spatial" in self.aggregations:
            yield "spatial", values

    def finish_class(self) -> None:
        """Close the class whose images have gone by."""
        for name, series in self.series.items():
            self.by_class.setdefault(name, []).append(series.finish_class())

    def frames(self, name: str, classes: Sequence[str]) -> Iterable[pd.DataFrame]:
        """A table for each aggregation and stratum. Raises InputError where a unit of layer `name` is not finite."""
        finished = {source: series.finish() for source, series in self.series.items()}
        for statistics in finished.values():
            broken = np.flatnonzero(~np.isfinite(statistics.sample_std + statistics.transformation_std))
            if len(broken):
                raise InputError(
                    f"layer {name}, unit {broken[0]}: its activations are NaN or infinite for some image: "
                    "check the images and the network's weights"
                )
        for aggregation in self.aggregations:
            source = "unit" if "unit" in finished else "mean" if aggregation == "sum" else aggregation
            by_class = self.by_class[source]
            strata = {"all": finished[source], "stratified": Statistics.average(by_class)}
            strata |= dict(zip(classes, by_class, strict=True))
            for stratum, statistics in strata.items():
                scaled = statistics.scaled(self.positions if aggregation == "sum" else 1)
                yield scaled.frame().assign(stratum=stratum, aggregation=aggregation)


def global_value(normalized_variance: Iterable[float]) -> float:
    """The mean of all finite values: one number for a network."""
    values = np.asarray(normalized_variance)
    return float(values[np.isfinite(values)].mean())


def _check(images: Tensor, labels: Tensor, classes: Sequence[str], angles: Tensor, aggregations: Sequence[str]) -> None:
    if images.dim() != 4 or len(images) != len(labels):
        raise InputError(
            f"images are {tuple(images.shape)} and labels {tuple(labels.shape)}: N x C x H x W and N are needed"
        )
    if len(angles) < 2:
        raise InputError(f"{len(angles)} angle given, but a standard deviation over rotations needs at least 2")
    if unknown := set(aggregations) - set(AGGREGATIONS):
        raise InputError(f"unknown aggregation '{min(unknown)}': choose among {', '.join(AGGREGATIONS)}")
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < len(classes):
        raise InputError(f"labels go from {labels.min()} to {labels.max()}, but there are {len(classes)} classes")
    for name, count in zip(classes, torch.bincount(labels, minlength=len(classes)).tolist(), strict=True):
        if count < 2:
            raise InputError(
                f"class '{name}' has {count} image(s), but its sample std needs at least 2: "
                "add images or leave the class out"
            )
