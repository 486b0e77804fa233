"""The maps of the channels that rotation moves least and most, for one image at every angle."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from rotvar.activations import Layer, Recorder, matches
from rotvar.errors import InputError
from rotvar.modes import evaluating
from rotvar.rotation import present, sight

# A channel responds where its sample std is at least this share of the mean of its layer
RESPONDS = 0.1
MOST_LAYERS = 12  # two rows of maps each, for each training
INPUT, MOST, LEAST = "input", "most invariant", "least invariant"
COLUMNS = ["layer", "layer_index", "kind", "unit", "choice", "normalized_variance", "angle", "y", "x", "activation"]


@torch.no_grad()
def record(
    model: nn.Module,
    image: Tensor,
    angles: Tensor,
    variance: pd.DataFrame,
    *,
    layers: Sequence[str] = (),
    mean: Tensor | None = None,
    std: Tensor | None = None,
    channel_axes: Mapping[str, int] | None = None,
) -> pd.DataFrame:
    """The maps of the most and the least invariant channel of some layers of `model`, for one image at each angle.

    image: C x H x W, uint8 or float, on any device; mean, std, channel_axes: as in `variance.measure`. variance: what
    that gave of this network in one stratum, with one aggregation. layers: patterns of names; by default the first, the
    middle and the last convolution. Only layers with maps, which have more than one position, are chosen.

    Returns a row for each pixel: layer, layer_index, kind, unit, choice, normalized_variance, angle, y, x, activation.
    The first rows are the image itself, rotated but not normalized (`INPUT`, layer_index -1, unit: its C channels);
    then comes each layer, in execution order, with its channels `MOST` and `LEAST` as `extremes` finds them.

    Raises InputError for a pattern that no layer with maps matches, for patterns that match too many, where no
    convolution has maps, and for several strata or aggregations at a time.
    """
    if variance.duplicated(["layer", "unit"]).any():
        raise InputError("variance has several rows of a unit: choose those of one stratum and one aggregation")
    device, seen_as, mean, std = sight(model, image, mean, std)
    batch = image.to(device).repeat(len(angles), 1, 1, 1)
    shown, seen = present(batch, angles), present(batch, angles, mean, std).to(seen_as)
    recorder = Recorder(model, channel_axes=channel_axes)
    maps: dict[str, Tensor] = {}  # R x C x H x W, of the chosen layers
    with evaluating(model):
        recorder.layers = choose_layers(_with_maps(recorder, seen[:2]), layers)
        recorder.run(seen, lambda layer, output: maps.update({layer.name: output.float().cpu().clone()}))
    parts = [_pixels(shown[:, unit], angles, layer=INPUT, layer_index=-1, kind=INPUT, unit=unit, choice=INPUT)
             for unit in range(shown.shape[1])]  # fmt: skip
    for name, each in maps.items():
        units = variance[variance["layer"] == name]
        for choice, row in extremes(units).items():
            about = {key: row[key] for key in ("layer", "layer_index", "kind", "unit", "normalized_variance")}
            parts.append(_pixels(each[:, int(row["unit"])], angles, choice=choice, **about))
    return pd.concat(parts, ignore_index=True).reindex(columns=COLUMNS)


def choose_layers(layers: Sequence[Layer], patterns: Sequence[str] = ()) -> list[str]:
    """The names of the layers that match a pattern; without patterns the first, middle and last convolution.

    Raises InputError, with the names there are, for a pattern that none matches, and where there is none to choose;
    also for more than `MOST_LAYERS`, and where there are no layers.
    """
    if not layers:
        raise InputError("the network has no layer with maps: set figures.feature_maps.images to []")
    names = ", ".join(layer.name for layer in layers)
    for pattern in patterns:
        if not any(matches(layer.name, [pattern]) for layer in layers):
            raise InputError(f"no layer with maps matches '{pattern}': the layers with maps are {names}")
    if patterns:
        chosen = [layer.name for layer in layers if matches(layer.name, patterns)]
        if len(chosen) > MOST_LAYERS:
            found = f"{len(chosen)} layers match {', '.join(patterns)}"
            raise InputError(f"{found}, but a figure shows {MOST_LAYERS} at most: name fewer")
        return chosen
    convolutions = [layer.name for layer in layers if layer.kind == "convolution"]
    if not convolutions:
        raise InputError(f"the network has no convolution with maps: name some of its layers with maps ({names})")
    return list(dict.fromkeys(convolutions[place] for place in (0, (len(convolutions) - 1) // 2, -1)))


def unknown_layers(model: nn.Module, image: Tensor, patterns: Sequence[str]) -> list[str]:
    """What `record` would say against these patterns for a network and an image, which `models.sketch` gives."""
    try:
        choose_layers(_with_maps(Recorder(model), image.repeat(2, 1, 1, 1)), patterns)
    except InputError as error:
        return [str(error)]
    return []


def extremes(units: pd.DataFrame) -> dict[str, pd.Series]:
    """The rows of the most and of the least invariant channel of one layer, among those that are worth a look.

    These are the channels that respond to the images (a sample std of at least a tenth of the layer's mean) and have a
    finite normalized variance: a dead channel is invariant to everything. Where only one is left it is the most
    invariant, and where none is there is no row.
    """
    std = units["sample_std"].astype("float64")
    responds = (std > 0) & (std >= RESPONDS * std.mean()) & np.isfinite(units["normalized_variance"])
    order = units[responds].sort_values(["normalized_variance", "unit"])
    places = {MOST: 0, LEAST: -1} if len(order) > 1 else dict.fromkeys([MOST][: len(order)], 0)
    return {choice: order.iloc[place] for choice, place in places.items()}


def _with_maps(recorder: Recorder, images: Tensor) -> list[Layer]:
    """The layers that give one image more than one position. images: two, since of one a parameter may look like its
    output."""
    outputs = recorder.outputs(images)
    return [layer for layer, output in outputs.items() if output.dim() == 4 and output[0, 0].numel() > 1]


def _pixels(maps: Tensor, angles: Tensor, **about: Any) -> pd.DataFrame:
    """A row for each pixel of one channel's maps, R x H x W."""
    values = maps.float().cpu().numpy()  # NumPy has no bfloat16
    angle, y, x = (grid.ravel() for grid in np.indices(values.shape, dtype=np.int32))
    return pd.DataFrame({"angle": angles.cpu().numpy()[angle], "y": y, "x": x, "activation": values.ravel()}).assign(
        **about
    )
