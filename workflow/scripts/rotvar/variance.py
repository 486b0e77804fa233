"""The measures of every unit of a network under rotation, in one pass over the images: the normalized variance and what
else `measures`, `firing` and `equivariance` define.
"""

import hashlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from tqdm import tqdm

from rotvar import devices
from rotvar.activations import Layer, Recorder, matches
from rotvar.activations.fusions import Fusion
from rotvar.columns import SUMMARY_STRATA, TURNED
from rotvar.errors import InputError, out_of_memory, reason
from rotvar.modes import evaluating
from rotvar.rotation import rotate, seeing
from rotvar.statistics.equivariance import Inverse
from rotvar.statistics.firing import firing
from rotvar.statistics.moments import arithmetic
from rotvar.statistics.sweep import AGGREGATIONS, KNOWN_AGGREGATIONS, Done, Sweep, kept_series, passes
from rotvar.system import memory
from rotvar.transformations import Transformation

log = logging.getLogger("rotvar")

# How many rotated images go through a network at once where memory allows. On a CPU few, so that a layer's output is
# still in its caches when the statistics and the next layer read it; on a GPU many, so that every layer keeps it busy.
BATCH_SIZE = {"cpu": 256, "cuda": 2048}

# The fewest activations (those that are read twice count twice) for which the statistics are compiled: from there on
# that saves more than it takes (`benchmarks/measure.py --parts compiled`). On one core of an Intel Xeon (Emerald
# Rapids) importing numba and compiling `kernels` takes 8 s, and for three networks of config.yaml it saves 3 ns an
# activation against PyTorch's operations with `spatial`, 1.5 ns without: it pays from 2.5e9 to 3.3e9 and from 5e9 to
# 6e9 on. For a GPU nothing was measured, only calculated: compiling `gpu_kernels` takes some 5 s, and they save 24
# bytes an activation, 7 ps at the 3.35 TB/s of an H100's memory. Compiled code that is on disk already does not count:
# what was measured before would then change the last digits of what is measured next.
WORTH_COMPILING = {"cpu": 3e9, "cuda": 1e12}


def measure(
    model: nn.Module,
    images: Tensor | ArrayLike,
    labels: Tensor | ArrayLike,
    classes: Sequence[str],
    angles: Tensor | ArrayLike,
    *,
    transform: Callable[[Tensor, Tensor], Tensor] = rotate,
    mean: Tensor | ArrayLike | None = None,
    std: Tensor | ArrayLike | None = None,
    aggregations: Iterable[str] = AGGREGATIONS,
    firing_rate: float | None = None,
    layers: Iterable[str] = ("*",),
    channel_axes: Mapping[str, int] | None = None,
    batch_size: int | None = None,
    precision: str = "float32",
) -> pd.DataFrame:
    """Measure every activation of `model` (in evaluation mode, on its own device) under the rotations.

    Numbers are tensors, or what NumPy makes an array of. images: N x C x H x W, uint8 (scaled to [0, 1]) or float;
    rotated, then normalized with `mean` and `std` (C each) if given. labels: N, indexing `classes`. angles: R, degrees,
    counter-clockwise. transform: another transformation than rotation, a `transformations.Transformation`; `angles` is
    then its `grid`, R x P. aggregations: how the positions of a map are reduced to one value per channel: "mean", "max"
    or "sum" before the statistics; "spatial", which takes the statistics at each position and then averages the two
    stds over the positions; "same_equivariance", which does so with maps that are turned back (`equivariance`).
    firing_rate: the share of all rotated images for which a unit fires (`firing`), such as 0.01; firing rates are
    measured only where it is given. layers: patterns of the names of the layers to measure ("layer4.*"). channel_axes:
    for patterns of names, the axis of their channels, where the rules of `channels` err. batch_size: how many rotated
    images go through the network at once (a multiple of R is made of it); by default as many as are fast and fit in
    memory, and fewer where they turn out not to fit. precision: "float32", "tf32" (on GPUs, in convolutions and matrix
    products) or "bfloat16" (autocast).

    Returns a row for each layer, unit, stratum ("all", "stratified" and every class) and aggregation: layer,
    layer_index, kind, unit, stratum, aggregation, transformation_std, sample_std, normalized_variance,
    normalized_distance, f_statistic, p_value and, with a firing rate, local_firing_rate, global_firing_rate. The last
    three are missing for "spatial" and "same_equivariance", and p_value for "stratified". layer_index counts all layers
    of the network, from 0, also those that are not measured. A layer whose positions are one axis (tokens), or lie
    outside of the image in some version, has no rows for "same_equivariance"; any two axes are taken for height and
    width, those of an attention between tokens too. A layer with activations so small that float32 loses their squares
    is warned of in the log.

    Raises InputError for images of another shape or type, or with pixels that are not finite; for images that the
    network does not take; labels that index no class; class names that are not text or not told apart; a class with
    fewer than two images; fewer than two angles; an unknown aggregation or precision; a firing rate that is not
    between 0 and 1; a pattern that no layer matches; activations that are not finite; "same_equivariance" under a
    transformation whose inverse is not known; and statistics that do not fit in memory (`memory.of_state` says what
    they take).
    """
    return sweep(
        model, images, labels, classes, angles, transform=transform, mean=mean, std=std, aggregations=aggregations,
        firing_rate=firing_rate, layers=layers, channel_axes=channel_axes, batch_size=batch_size, precision=precision,
    ).table()  # fmt: skip


_TURNS = threading.RLock()


@contextmanager
def _in_turn() -> Iterator[None]:
    """One measurement at a time in a process: a trace changes for all threads how PyTorch calls modules."""
    with _TURNS:
        yield


@_in_turn()
@torch.no_grad()
def sweep(
    model: nn.Module,
    images: Tensor | ArrayLike,
    labels: Tensor | ArrayLike,
    classes: Sequence[str],
    angles: Tensor | ArrayLike,
    *,
    transform: Callable[[Tensor, Tensor], Tensor] = rotate,
    part: Iterable[int] | int | None = None,
    mean: Tensor | ArrayLike | None = None,
    std: Tensor | ArrayLike | None = None,
    aggregations: Iterable[str] = AGGREGATIONS,
    firing_rate: float | None = None,
    layers: Iterable[str] = ("*",),
    channel_axes: Mapping[str, int] | None = None,
    batch_size: int | None = None,
    precision: str = "float32",
) -> Sweep:
    """What `measure` makes its table of, for the classes in `part` (indices; all of them by default).

    The sweeps of several parts can be merged: `one.merge(other)`, then `one.table()`, is the measure of them together.
    Everything else as in `measure`.
    """
    aggregations = [aggregations] if isinstance(aggregations, str) else aggregations
    aggregations = tuple(dict.fromkeys(aggregations))  # each once
    layers = [layers] if isinstance(layers, str) else list(layers)
    part = [part] if isinstance(part, int) else part
    images, labels, angles = _tensor(images, "images"), _tensor(labels, "labels"), _tensor(angles, "angles")
    mean, std = (None if one is None else _tensor(one, name) for name, one in (("mean", mean), ("std", std)))
    _check_images(images, labels, classes, mean, std)
    _check(angles, aggregations, firing_rate, layers, batch_size)
    labels, part = labels.long().cpu(), _checked_part(part, classes)
    inverse = Inverse(transform, angles, *images.shape[2:]) if TURNED in aggregations else None
    device, seen = seeing(model, images, mean, std, transform)
    if device.type not in BATCH_SIZE:
        raise InputError(f"the network is on '{device}': move it to one of {', '.join(BATCH_SIZE)}")
    recorder = Recorder(model, channel_axes=channel_axes)
    measured = int(torch.isin(labels, torch.tensor(part, device="cpu")).sum())  # images
    keep = 0 if firing_rate is None else firing(firing_rate, len(images) * len(angles)) + 1

    def run(numbers: Tensor, done: Done) -> None:
        batch = images[numbers.to(images.device, non_blocking=True)]

        def record(layer: Layer, output: Tensor) -> None:
            state.update(layer, output, len(angles), done)

        def fuse(layers: list[Layer], fusion: Fusion, output: Tensor) -> Tensor | None:
            return state.fuse(layers, fusion, output, len(angles), done)

        recorder.run(seen(batch, angles), record, fuse)

    with evaluating(model), devices.computing(device, precision):
        every = _probe(recorder, seen(images[:1], angles[:2]), layers, channel_axes)
        outputs = {layer: output for layer, output in every.items() if matches(layer.name, layers)}
        recorder.layers = layers  # the probe has shown all of them
        _check_table(outputs, aggregations, len(classes))
        image = len(angles) * memory.of_image(every.values(), inverse is not None)
        per_batch = _images_per_batch(outputs, aggregations, inverse, len(angles), keep, image, device, batch_size)
        compiled = worth_compiling(outputs, aggregations, measured * len(angles), device)
        positions = {layer: output[0, 0].numel() for layer, output in every.items()}
        by, settings = arithmetic(compiled, device), _settings(model, angles, transform, mean, std, precision)
        state = Sweep(classes, aggregations, positions, by, inverse, firing_rate, keep, settings)
        with tqdm(total=measured, unit=" images", disable=None) as bar:
            for label in part:
                waiting = (labels == label).nonzero().squeeze(1)
                while len(waiting):
                    batch, waiting = waiting[:per_batch], waiting[per_batch:]
                    at_once = _run_in_parts(run, batch, set())
                    per_batch = at_once if at_once < len(batch) else per_batch
                    bar.update(len(batch))
                state.finish_class(label)
    return state


def _settings(
    model: nn.Module,
    angles: Tensor,
    transform: Callable[[Tensor, Tensor], Tensor],
    mean: Tensor | None,
    std: Tensor | None,
    precision: str,
) -> dict[str, Any]:
    """What the parts of a measurement have in common, beside their layers and strata."""
    weights = hashlib.sha256()
    for each in model.state_dict().values():  # the running statistics of normalizations, too
        if type(each) is Tensor and each.layout is torch.strided and not each.is_meta:  # others have no bytes
            weights.update(each.cpu().flatten().view(torch.uint8).numpy().data)
    name = getattr(transform, "__qualname__", type(transform).__qualname__)
    does = transform.parameters if isinstance(transform, Transformation) else name
    numbers = {"angles": angles, "mean": mean, "std": std}
    # In single precision: machines differ in the last digit of a double
    known = {name: None if each is None else each.flatten().float().tolist() for name, each in numbers.items()}
    return known | {"transformation": does, "precision": precision, "weights": weights.hexdigest()}


def _probe(
    recorder: Recorder, images: Tensor, layers: Sequence[str], channel_axes: Mapping[str, int] | None
) -> dict[Layer, Tensor]:
    """The output of each layer, measured or not, for two images; empty tensors, of which the shape matters."""
    outputs = recorder.measurable(images)
    for pattern in [*layers, *(channel_axes or {})]:
        if not any(matches(layer.name, [pattern]) for layer in outputs):
            names = ", ".join(layer.name for layer in outputs)
            raise InputError(f"no layer matches '{pattern}': the layers are {names}")
    return outputs


def _check_table(outputs: Mapping[Layer, Tensor], aggregations: Sequence[str], classes: int) -> None:
    """Raise InputError where the table, of so many classes, does not fit in the free memory."""
    channels = sum(output.shape[1] for output in outputs.values())
    rows = channels * len(aggregations) * (classes + len(SUMMARY_STRATA))
    taken, free = memory.of_table(rows), memory.free(torch.device("cpu"))
    if taken > free:
        raise InputError(
            f"the table of {channels:,} channels in {classes:,} classes has {rows:,} rows and takes "
            f"{taken / 1e6:,.0f} MB, but {free / 1e6:,.0f} MB are free: measure fewer layers or aggregations at a time"
        )


def _images_per_batch(
    outputs: Mapping[Layer, Tensor],
    aggregations: Sequence[str],
    inverse: Inverse | None,
    rotations: int,
    keep: int,
    image: int,
    device: torch.device,
    batch_size: int | None,
) -> int:
    """How many images, each at all rotations, go through the network at once; `image`: the bytes that one takes. Raises
    InputError where the state of the sweep and a single image do not fit in the free memory."""
    units = firing_units = 0
    for output in outputs.values():
        channels, positions = output.shape[1], output[0, 0].numel()
        for series in kept_series(positions, aggregations):
            if series == TURNED:
                units += channels * inverse.positions(*output.shape[2:]) if inverse and output.dim() == 4 else 0
            else:
                units += channels * (positions if series == "spatial" else 1)
                firing_units += channels if series != "spatial" else 0
    state = memory.of_state(units, rotations) + memory.of_largest(firing_units, keep)
    free = memory.free(device)
    if state + image > free:
        asked = [("the aggregation 'spatial'", True), (f"'{TURNED}'", inverse), ("the firing rate", keep)]
        costly = [words for words, there in asked if there]
        raise InputError(
            f"the statistics of {units:,} units at {rotations} angles take {state / 1e6:,.0f} MB and one image "
            f"{image / 1e6:,.0f} MB, but {free / 1e6:,.0f} MB are free on the {device.type}: leave out "
            f"{' or '.join(costly)}, use fewer angles, or measure fewer layers at a time"
        )
    batch_size = batch_size or BATCH_SIZE[device.type]
    return max(1, min(batch_size // rotations, (free - state) // image))


def worth_compiling(
    outputs: Mapping[Layer, Tensor], aggregations: Sequence[str], rotated_images: int, device: torch.device
) -> bool:
    """Whether the table is finished sooner if the statistics are compiled first."""
    return activations_read(outputs.values(), aggregations, rotated_images) >= WORTH_COMPILING[device.type]


def activations_read(outputs: Iterable[Tensor], aggregations: Sequence[str], rotated_images: int) -> int:
    """How many activations the statistics read, of layers with such outputs; those that are read twice count twice."""
    return rotated_images * sum(output[0].numel() * passes(output[0, 0].numel(), aggregations) for output in outputs)


def _run_in_parts(run: Callable[[Tensor, Done], None], batch: Tensor, done: Done) -> int:
    """Run a batch, in halves where memory runs out; returns how many images went through at once.

    batch: the numbers of its images. What the statistics have taken in before memory ran out stands in `done`, and the
    halves leave it out.
    """
    try:
        run(batch, done)
        return len(batch)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        if len(batch) == 1:
            raise InputError(
                f"memory ran out with a single image at all rotations ({reason(error)}): use fewer angles "
                "or layers, or a device with more memory"
            ) from error
    # Here, and not in the except block, whose traceback keeps the failed batch in memory
    log.info("memory ran out with %d images at a time: going on with half of them", len(batch))
    torch.cuda.empty_cache()  # does nothing where no GPU is in use
    return min([_run_in_parts(run, half, set(done)) for half in batch.tensor_split(2)])


def _checked_part(part: Iterable[int] | None, classes: Sequence[str]) -> list[int]:
    """The classes of a part, each once, in order."""
    labels = sorted(set(range(len(classes)) if part is None else _tensor([*part], "part").tolist()))
    if not labels:
        raise InputError("part has no class: name some by their numbers, or leave it out to measure all")
    if not set(labels) <= set(range(len(classes))):
        raise InputError(f"part has the classes {labels}, but they are numbered from 0 to {len(classes) - 1}")
    return labels


def _tensor(values: Tensor | ArrayLike, name: str) -> Tensor:
    """The values as a tensor, where an array or a list is given. Raises InputError for what is no numbers."""
    if isinstance(values, Tensor):
        return values
    try:
        return torch.as_tensor(np.asarray(values, order="C"), device="cpu")
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} cannot be made a tensor ({reason(error)}): give numbers") from error


def _check(
    angles: Tensor,
    aggregations: Sequence[str],
    firing_rate: float | None,
    layers: Sequence[str],
    batch_size: int | None,
) -> None:
    if angles.dim() not in (1, 2) or len(angles) < 2:
        shape = " x ".join(map(str, angles.shape)) or "one number"
        raise InputError(
            f"angles are {shape}, but a standard deviation over rotations needs at least 2, in a row: "
            "rotation.angles(16) are 16"
        )
    if not angles.isfinite().all():
        raise InputError("an angle is NaN or infinite: give degrees")
    if not layers:
        raise InputError("layers has no pattern: name some, or leave it out to measure all")
    if not aggregations:
        raise InputError(f"no aggregation is named: choose among {', '.join(KNOWN_AGGREGATIONS)}")
    if unknown := set(aggregations) - set(KNOWN_AGGREGATIONS):
        raise InputError(f"unknown aggregation '{min(unknown)}': choose among {', '.join(KNOWN_AGGREGATIONS)}")
    if firing_rate is not None and not 0 < firing_rate < 1:
        raise InputError(f"firing_rate is {firing_rate}: a share of the images, more than 0 and less than 1")
    if batch_size is not None and batch_size < 1:
        raise InputError(f"batch_size is {batch_size}: so many rotated images go through the network, at least 1")


def _check_images(
    images: Tensor, labels: Tensor, classes: Sequence[str], mean: Tensor | None, std: Tensor | None
) -> None:
    if images.dim() != 4 or labels.shape != images.shape[:1]:
        raise InputError(
            f"images are {tuple(images.shape)} and labels {tuple(labels.shape)}: N x C x H x W and N are needed"
        )
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise InputError(f"labels are {labels.dtype}: whole numbers that index the classes are needed")
    for number, image in enumerate(images if images.is_floating_point() else []):
        if not image.isfinite().all():
            raise InputError(f"images: image {number} has pixels that are NaN or infinite: mend it, or leave it out")
    if isinstance(classes, str | Set | Mapping) or not hasattr(classes, "__len__"):  # a set has no order
        raise InputError(f"classes is {classes}: give a name for each in a list, such as [str(n) for n in range(10)]")
    if not len(classes):
        raise InputError("classes has no name: name those that the labels index")
    for name in classes:
        if not isinstance(name, str):
            raise InputError(f"classes: {name} is not text: give names, such as '{name}'")
    for name, values in (("mean", mean), ("std", std)):
        if values is None:
            continue
        if values.numel() not in (1, images.shape[1]) or not values.isfinite().all():
            raise InputError(f"{name} is {values.tolist()}: a finite number for each of {images.shape[1]} channels")
        if name == "std" and not (values > 0).all():
            raise InputError(f"std is {values.tolist()}: images are divided by it, so it must be more than 0")
    labels = labels.long()  # other types have no minimum
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < len(classes):
        raise InputError(f"labels go from {labels.min()} to {labels.max()}, but there are {len(classes)} classes")
    names = [*SUMMARY_STRATA, *classes]
    if twice := [name for name in classes if names.count(name) > 1]:
        raise InputError(f"a class may not be called '{twice[0]}', as another stratum is: rename it")
    for name, count in zip(classes, torch.bincount(labels, minlength=len(classes)).tolist(), strict=True):
        if count < 2:
            raise InputError(
                f"class '{name}' has {count} image(s), but its sample std needs at least 2: "
                "add images or leave the class out"
            )
