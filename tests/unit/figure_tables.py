"""Small fixed tables that the tests of the figures draw."""

from collections.abc import Mapping, Sequence

import pandas as pd

KINDS = {"conv": "convolution", "relu": "non-linearity", "fc": "fully connected", "bn": "normalization"}

# What a unit is worth in layer conv (three units) and fc (two), by training.
UNROTATED = {"conv": [0.5, 1.0, 1.5], "fc": [1.0, 2.0]}
ROTATED = {"conv": [0.25, 0.5, 0.75], "fc": [0.5, 1.0]}


def seeds(*values: Mapping[str, Sequence[float]], strata: Sequence[str] = ("all",)) -> pd.DataFrame:
    """A variance table of one training, rotated, whose seeds 0, 1, ... are worth these layers' values."""
    return pd.concat(variance({"rotated": network}, strata, seed=seed) for seed, network in enumerate(values))


def variance(
    values: Mapping[str, Mapping[str, Sequence[float]]] | None = None,
    strata: Sequence[str] = ("all",),
    aggregations: Sequence[str] = ("mean",),
    **partitions: object,
) -> pd.DataFrame:
    """A variance table from training -> layer -> values of its units; every further stratum adds 0.25 to them all."""
    rows = []
    for training, network in (values or {"unrotated": UNROTATED, "rotated": ROTATED}).items():
        for aggregation in aggregations:
            for step, stratum in enumerate(strata):
                for index, (layer, units) in enumerate(network.items()):
                    kind = KINDS.get(layer.rstrip("0123456789."), "pooling")
                    for unit, value in enumerate(units):
                        rows.append((layer, index, kind, unit, stratum, aggregation, value + 0.25 * step, training))
    names = ["layer", "layer_index", "kind", "unit", "stratum", "aggregation", "normalized_variance", "training"]
    table = pd.DataFrame(rows, columns=names).assign(**({"dataset": "mnist", "model": "vgg16", "seed": 0} | partitions))
    text = ["layer", "kind", "stratum", "aggregation", "training", "dataset", "model"]
    return table.astype(dict.fromkeys(text, "category"))
