"""The state of a sweep over the images: what has been seen of every layer, merged, saved and turned into a table."""

import itertools
import json
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from rotvar.activations import Layer
from rotvar.activations.fusions import Fusion
from rotvar.columns import MEASURES, POOLED, SUMMARY_STRATA, TURNED
from rotvar.errors import InputError, damaged
from rotvar.statistics import firing, operations
from rotvar.statistics.equivariance import Inverse
from rotvar.statistics.firing import Largest
from rotvar.statistics.measures import Statistics, holm
from rotvar.statistics.moments import TINY, Arithmetic, Compiled, Computed, Moments, Series, at_least_float32
from rotvar.system import checksum
from rotvar.system.files import atomic

log = logging.getLogger("rotvar")

AGGREGATIONS = (*POOLED, "spatial")
KNOWN_AGGREGATIONS = (*AGGREGATIONS, TURNED)
COLUMNS = [
    "layer", "layer_index", "kind", "unit", "stratum", "aggregation",
    *(name for name in MEASURES if name not in firing.RATES),
]  # fmt: skip

BY_POSITION = frozenset({"unit", "spatial", TURNED})  # the series whose statistics are taken at each position

Done = set[tuple[Layer, str]]  # the series that have taken in a batch
Pooled = tuple[Tensor, Tensor]  # means and maxima over the positions: (images * R) x channels each


class Layerwise:
    """What has been seen of one layer: a series for each aggregation that does not follow from another."""

    def __init__(self, positions: int) -> None:
        self.positions = positions
        self.series: dict[str, Series] = {}

    def of(self, aggregation: str) -> Series | None:
        """The series that an aggregation follows from; none of maps that cannot be turned back."""
        return self.series.get(kept_series(self.positions, [aggregation])[0])


class Sweep(Computed):
    """Every layer's statistics, class after class. It grows with layers, rotations and classes, and with images only
    where there is a firing rate.

    layers: how many positions each has, in execution order, also those that are not measured; fused layers are taken in
    before others that run earlier.
    by: what computes them. inverse: turns maps back, for "same_equivariance". firing_rate, keep: as of a `Series`.
    settings: what else the parts of a measurement have in common, by what it is called; JSON values.
    """

    def __init__(
        self,
        classes: Iterable[str],
        aggregations: Iterable[str],
        layers: Mapping[Layer, int],
        by: Arithmetic = operations,
        inverse: Inverse | None = None,
        firing_rate: float | None = None,
        keep: int = 0,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.classes = tuple(classes)
        self.aggregations = tuple(aggregations)
        self.by = by
        self.inverse = inverse
        self.firing_rate = firing_rate
        self.keep = keep
        self.settings = dict(settings or {})
        self.layers = {layer: Layerwise(positions) for layer, positions in layers.items()}
        # Batch normalizations whose statistics at each position are those of the layer before, scaled and shifted
        self.normalized: dict[Layer, tuple[Layer, Tensor, Tensor]] = {}

    @property
    def images(self) -> int:
        """How many images of the finished classes have been seen."""
        return next((series.everything.n for series in self._series() if series.everything), 0)

    def update(self, layer: Layer, output: Tensor, rotations: int, done: Done, pooled: Pooled | None = None) -> None:
        """Take in a layer's output for some images of one class: (images * R) x channels [x positions...].

        Leaves out the series in `done`, which have taken in these images already, and adds the others to it. pooled:
        the means and maxima over the positions, where they are known.
        """
        self._take(layer, output, rotations, done, BY_POSITION)
        self._take(layer, output, rotations, done, POOLED, pooled)

    def fuse(
        self, layers: Sequence[Layer], fusion: Fusion, output: Tensor, rotations: int, done: Done
    ) -> Tensor | None:
        """Take in a layer's output and those of the layers fused with it, which are computed here.

        Returns the output of the last of `layers`, which takes the place of the first one's in memory; or None, with
        nothing done, where layers go one by one: other types and layouts, and what is not compiled.
        """
        if not isinstance(self.by, Compiled):
            return None
        if output.dtype != torch.float32 or not output.is_contiguous(memory_format=torch.channels_last):
            return None
        first, *following = layers
        self._take(first, output, rotations, done, BY_POSITION)
        normalization = fusion.scale_and_shift()
        outputs = [output for _ in layers]
        if normalization:
            positions = output[0, 0].numel()
            kept = BY_POSITION.intersection(kept_series(positions, self.aggregations))
            if "spatial" in kept:
                self._series_of(following[0], "spatial")
                self.normalized[following[0]] = first, *normalization
                done.add((following[0], "spatial"))
            if kept - {"spatial"}:
                outputs[1] = torch.empty_like(output)
        normalized = outputs[1] if outputs[1] is not output else None
        pooled = self.by.fuse(output, normalization, fusion.alpha, normalized)
        for layer, values, means_and_maxima in zip(layers, outputs, pooled, strict=True):
            self.update(layer, values, rotations, done, means_and_maxima)
        return output

    def finish_class(self, label: int) -> None:
        """Close the class whose images have gone by."""
        for layer, (before, scale, shift) in self.normalized.items():
            self.layers[layer].series["spatial"].follow(self.layers[before].series["spatial"], scale, shift)
        for series in self._series():
            series.finish_class(label)

    def merge(self, other: "Sweep") -> None:
        """Take in a sweep of other classes. Raises InputError unless it went through the same network, just so."""
        plan, others = self._plan(), other._plan()
        if differ := [name for name in plan if plan[name] != others[name]]:
            raise InputError(f"the parts of a measurement differ in {', '.join(differ)}: measure them again, alike")
        for mine, theirs in zip(self._series(), other._series(), strict=True):
            for label in mine.by_class.keys() & theirs.by_class.keys():
                raise InputError(f"class '{self.classes[label]}' is in two parts of a measurement: merge each once")
            mine.merge(theirs)

    def table(self) -> pd.DataFrame:
        """A row for each layer, aggregation, stratum and unit, with the columns COLUMNS, and `firing.RATES` if there is
        a firing rate.

        Raises InputError where a unit is not finite, where a class has not been measured, and where no layer has maps
        that can be turned back and nothing else is asked for.
        """
        measured = {
            (layer, aggregation): self._measured(layer, layerwise, series, aggregation)
            for layer, layerwise in self.layers.items()
            for aggregation in self.aggregations
            if (series := layerwise.of(aggregation))
        }
        if not measured:
            raise InputError(f"no layer has maps that can be turned back ('{TURNED}'): name another aggregation")
        for aggregation in self.aggregations:
            self._correct([values for (_, name), values in measured.items() if name == aggregation], aggregation)
        names = [name for name in MEASURES if self.firing_rate is not None or name not in firing.RATES]
        strata = [*SUMMARY_STRATA, *self.classes]
        places = {layer: place for place, layer in enumerate(self.layers)}
        channels = [each.shape[2] for each in measured.values()]
        rows = [len(strata) * count for count in channels]
        columns = {
            "layer": repeated([layer.name for layer, _ in measured], rows),
            "layer_index": np.repeat([places[layer] for layer, _ in measured], rows),
            "kind": repeated([layer.kind for layer, _ in measured], rows),
            "unit": np.concatenate([np.tile(np.arange(count), len(strata)) for count in channels]),
            "stratum": repeated(strata * len(channels), np.repeat(channels, len(strata))),
            "aggregation": repeated([aggregation for _, aggregation in measured], rows),
        }
        for name in names:
            columns[name] = np.concatenate([each[MEASURES.index(name)].ravel() for each in measured.values()])
        return pd.DataFrame(columns)

    def save(self, path: str | Path, facts: dict[str, Any]) -> None:
        """Write the state as safetensors, for `load`, with `facts` (JSON values) about where it comes from; atomic."""
        tensors: dict[str, Tensor] = {}
        layers = []
        for layer, layerwise in self.layers.items():
            series = {}
            for source, one in layerwise.series.items():
                moments, key = one.laid_out(channels_last=False), f"{layer.name}/{source}"
                tensors |= {f"{key}/{name}": getattr(moments, name).cpu() for name in Moments.TENSORS}
                if one.largest:
                    tensors |= {f"{key}/{name}": getattr(one.largest, name).cpu() for name in Largest.TENSORS}
                tensors[f"{key}/by_class"] = torch.from_numpy(np.array([*one.by_class.values()]))
                series[source] = {
                    "n": moments.n, "channels": one.channels, "positions": one.positions, "labels": [*one.by_class],
                }  # fmt: skip
            layers.append({"name": layer.name, "kind": layer.kind, "positions": layerwise.positions, "series": series})
        description: dict[str, Any] = {
            "classes": self.classes, "aggregations": self.aggregations, "firing_rate": self.firing_rate,
            "keep": self.keep, "settings": self.settings, "layers": layers, "facts": facts,
        }  # fmt: skip
        description["checksum"] = checksum.BLANK
        with atomic(path) as part:
            # One key: safetensors writes several in random order
            save_file(tensors, part, metadata={"sweep": json.dumps(description)})
            checksum.stamp(part)

    @staticmethod
    def load(path: str | Path) -> tuple["Sweep", dict[str, Any]]:
        """Read what `save` wrote: the state and the facts. Raises InputError where the file is damaged."""
        try:
            checksum.verify(path)
            with safe_open(path, framework="pt") as file:
                description = json.loads((file.metadata() or {})["sweep"])
                names = ("classes", "aggregations", "firing_rate", "keep", "settings")
                options = {name: description[name] for name in names}
                layers = {Layer(each["name"], each["kind"]): each["positions"] for each in description["layers"]}
                sweep = Sweep(layers=layers, **options)
                for layer, each in zip(layers, description["layers"], strict=True):
                    for source, facts in each["series"].items():
                        _restore(sweep._series_of(layer, source), facts, file, f"{layer.name}/{source}")
        except (OSError, SafetensorError, LookupError, AttributeError, TypeError, ValueError) as error:
            raise damaged(path, "is not a part of a measurement", error) from error
        return sweep, description["facts"]

    def _take(
        self,
        layer: Layer,
        output: Tensor,
        rotations: int,
        done: Done,
        names: Collection[str],
        pooled: Pooled | None = None,
    ) -> None:
        """`update`, for the series among `names`."""
        positions = output[0, 0].numel()
        kept = kept_series(positions, self.aggregations)
        waiting = [name for name in kept if name in names and (layer, name) not in done]
        if not waiting:
            return
        values = by_image(output, rotations)
        turned = self._turned(output.unflatten(0, (-1, rotations)), waiting)
        for name, each in itertools.chain(reduced(values, waiting, self.by, pooled), turned):
            self._series_of(layer, name).update(each)
            done.add((layer, name))

    def _series_of(self, layer: Layer, name: str) -> Series:
        """The series of this name of a layer; a new one where there is none yet."""
        return self.layers[layer].series.setdefault(name, Series(self.by, self.firing_rate, self.keep))

    def _turned(self, maps: Tensor, waiting: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        """The maps of a layer turned back, images x R x channels x positions, if it has maps and they can be."""
        if self.inverse and TURNED in waiting and maps.dim() == 5 and self.inverse.positions(*maps.shape[3:]):
            yield TURNED, self.inverse(maps)

    def _measured(self, layer: Layer, layerwise: Layerwise, series: Series, aggregation: str) -> np.ndarray:
        """MEASURES x strata x channels; p-values are not corrected."""
        everything = series.finish()
        check_finite(layer, everything)
        if series.loses(everything):
            log.warning(
                "layer %s (%s): a unit's activations are all below %g, where float32 loses their squares, so its "
                "measures may be inexact, or those of a constant: make the network float64 (model.double())",
                layer.name, aggregation, TINY,
            )  # fmt: skip
        for label, name in enumerate(self.classes):
            if label not in series.by_class:
                raise InputError(f"class '{name}' has not been measured: merge the part of the measurement it is in")
        by_class = [series.by_class[label] for label in range(len(self.classes))]
        # The sum is the mean times the number of positions: both stds scale, their ratio stays
        factor = layerwise.positions if aggregation == "sum" else 1
        strata = [one.scaled(factor) for one in (everything, Statistics.average(by_class), *by_class)]
        return np.stack(strata, axis=1)

    @staticmethod
    def _correct(measured: Sequence[np.ndarray], aggregation: str) -> None:
        """Correct the p-values of all units of the network, in place; and leave out what only a unit of one value has,
        where other units of the network have several."""
        p = MEASURES.index("p_value")
        if aggregation not in POOLED:
            for each in measured:
                each[[p, *map(MEASURES.index, firing.RATES)]] = np.nan
            return
        corrected = holm(np.concatenate([each[p] for each in measured], axis=1))
        edges = np.cumsum([each.shape[2] for each in measured])[:-1]
        for each, values in zip(measured, np.split(corrected, edges, axis=1), strict=True):
            each[p] = values

    def _series(self) -> Iterator[Series]:
        return (series for layerwise in self.layers.values() for series in layerwise.series.values())

    def _plan(self) -> dict[str, object]:
        """What two parts of one measurement have in common, by what it is called."""
        layers = [
            (layer, each.positions, [(source, one.channels) for source, one in each.series.items()])
            for layer, each in self.layers.items()
        ]
        plan = {"classes": self.classes, "aggregations": self.aggregations, "firing rate": self.firing_rate}
        return plan | {"layers": layers} | self.settings | {"images": self.keep}  # a share of all of which is kept


def check_finite(layer: Layer, statistics: Statistics) -> None:
    """Raise InputError for a unit of which a std is not finite."""
    broken = np.flatnonzero(~np.isfinite(statistics.sample_std + statistics.transformation_std))
    if len(broken):
        raise InputError(
            f"layer {layer.name}, unit {broken[0]}: its activations are NaN, infinite or beyond 1e18 for some image: "
            "check the images and the network's weights; if it adds a mask of -inf, let "
            "torch.nn.functional.scaled_dot_product_attention take the mask or, in a notebook, leave the layer out by "
            "patterns of the others (layers=)"
        )


def repeated(values: Sequence[str], counts: Sequence[int] | np.ndarray) -> "pd.Categorical[str]":
    """Each of the values so many times, one after the other: a column of text, of which each is kept once."""
    codes = {value: code for code, value in enumerate(dict.fromkeys(values))}
    return pd.Categorical.from_codes(np.repeat([codes[value] for value in values], counts), pd.Index([*codes]))


def kept_series(positions: int, aggregations: Sequence[str]) -> list[str]:
    """The series that are kept of a layer. Without positions all aggregations are one; the sum is the mean times the
    number of positions."""
    if positions == 1:
        return ["unit"]
    return list(dict.fromkeys("mean" if aggregation == "sum" else aggregation for aggregation in aggregations))


def passes(positions: int, aggregations: Sequence[str]) -> int:
    """How often the activations of a layer are read: for mean and maximum over the positions, for each position, and
    for each position turned back."""
    kept = set(kept_series(positions, aggregations))
    return bool(kept & {"mean", "max"}) + bool(kept & {"unit", "spatial"}) + (TURNED in kept)


def by_image(output: Tensor, rotations: int) -> Tensor:
    """A layer's output, (images * R) x channels [x positions...], as images x R x channels x positions."""
    maps = output.unflatten(0, (-1, rotations))
    return maps.flatten(3) if maps.dim() > 3 else maps.unsqueeze(3)


def reduced(
    values: Tensor, kept: Sequence[str], by: Arithmetic, pooled: Pooled | None = None
) -> Iterator[tuple[str, Tensor]]:
    """The values of each series of images x R x channels x positions, with one position for all but "spatial".

    pooled: their means and maxima, where they are known.
    """
    if {"mean", "max"} & set(kept):
        means_and_maxima = pooled or by.mean_and_max(at_least_float32(values.flatten(0, 1)))
        for name, each in zip(("mean", "max"), means_and_maxima, strict=True):
            if name in kept:
                yield name, each.view(*values.shape[:3], 1)
    for name in {"unit", "spatial"} & set(kept):
        yield name, values


def _restore(series: Series, facts: dict[str, Any], file: Any, key: str) -> None:
    """Give a new series what `Sweep.save` has kept of one, in an open file of safetensors under this key."""
    mean, m2, std_sum, variance_sum = (file.get_tensor(f"{key}/{name}") for name in Moments.TENSORS)
    moments = series.everything = Moments(mean.shape[0], mean.shape[1], mean.device)
    moments.n, moments.mean, moments.m2 = facts["n"], mean, m2
    moments.std_sum, moments.variance_sum = std_sum, variance_sum
    series.channels, series.positions = facts["channels"], facts["positions"]
    if series.firing_rate is not None and series.positions == 1:
        largest = (file.get_tensor(f"{key}/{name}") for name in Largest.TENSORS)
        series.largest = Largest(series.keep, facts["n"], *largest)
    by_class = file.get_tensor(f"{key}/by_class").numpy()
    series.by_class = {label: Statistics(*each) for label, each in zip(facts["labels"], by_class, strict=True)}
