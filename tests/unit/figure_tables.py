"""Small fixed tables that the tests of the figures draw."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from rotvar import summary, tables
from rotvar.catalogue import DATASETS
from rotvar.questions import differences

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


def network(layers: int, units: int, seed: int = 0, aggregations: Sequence[str] = ("mean", "spatial")) -> pd.DataFrame:
    """A network whose units look measured: the deeper the more variant under `mean`, the less under `spatial`; the
    rotated training less than the unrotated; some infinite, missing or far above the others. Strata `all`,
    `stratified` and the ten classes of MNIST."""
    kinds = ("conv", "bn", "relu")
    strata = ["all", "stratified", *DATASETS["mnist"].classes]
    parts = []
    for slope, aggregation in zip((1.0, -0.4), aggregations, strict=False):
        values = {}
        for step, training in enumerate(("unrotated", "rotated")):
            names = [*(f"{kinds[index % 3]}{index // 3 + 1}" for index in range(layers - 1)), "fc"]
            values[training] = {
                name: [
                    0.5 + (1 - 0.4 * step) * slope * index / layers + 0.4 * math.sin(7 * index + 3 * unit + seed) ** 2
                    for unit in range(10 if name == "fc" else units)
                ]
                for index, name in enumerate(names)
            }
        values["unrotated"]["relu1"][:3] = [math.inf, math.nan, 5.0]
        parts.append(variance(values, strata, [aggregation], seed=seed))
    return pd.concat(parts, ignore_index=True)


FIVE = ["unrotated", "rotated", "untrained", "rotated_and_mirrored", "slightly_rotated"]


def under(trainings: Sequence[str], table: pd.DataFrame, *values: str) -> pd.DataFrame:
    """The rows of the table's first training under each of these, and its values from one to the next 0.8 times."""
    rows = table[table["training"] == table["training"].iloc[0]]
    parts = [
        rows.assign(training=name, **{value: rows[value] * 0.8**step for value in values})
        for step, name in enumerate(trainings)
    ]
    return pd.concat(parts, ignore_index=True)


def accuracy(
    classes: Sequence[str] = DATASETS["mnist"].classes, seeds: int = 1, angles: int = 16, dataset: str = "mnist"
) -> pd.DataFrame:
    """Accuracies that fall with the angle in the unrotated training, differently for each class and seed."""
    rows = []
    every = [f"{-180 + 360 * step / angles:g}" for step in range(angles)]
    for training in ("unrotated", "rotated"):
        for seed in range(seeds):
            for place, name in enumerate(classes):
                for angle in [*every, "random"]:
                    turn = 60.0 if angle == "random" else abs(float(angle))
                    loss = 20 + turn / 2 if training == "unrotated" else 20
                    rows.append((angle, name, 100, round(110 - loss - 2 * place % 7 - 3 * seed), training, seed))
    table = pd.DataFrame(rows, columns=["angle", "class", "n", "correct", "training", "seed"])
    text = ["angle", "class", "training", "dataset", "model"]
    return table.assign(dataset=dataset, model="simple_conv").astype(dict.fromkeys(text, "category"))


def history(epochs: int = 6, seeds: int = 1) -> pd.DataFrame:
    """Losses that fall and accuracies that rise, the test set's a little behind."""
    rows = [
        (
            epoch,
            split,
            (2 + step + seed) * harder / epoch,
            1 - (0.4 + 0.1 * step + 0.05 * seed) * harder / epoch,
            training,
            seed,
        )
        for training, harder in (("unrotated", 0.8), ("rotated", 1.2))
        for seed in range(seeds)
        for epoch in range(1, epochs + 1)
        for step, split in enumerate(("train", "test"))
    ]
    table = pd.DataFrame(rows, columns=["epoch", "split", "loss", "accuracy", "training", "seed"])
    return table.assign(dataset="mnist", model="simple_conv")


def published(value: str, seeds: int = 1) -> pd.DataFrame:
    """A study of every network with published values, ours a little off: as `tables.accuracy` or `.global_variance`."""
    theirs = tables.published()[value]
    ours = pd.concat(
        theirs.assign(**{value: theirs[value] + 0.03 * np.sin(np.arange(len(theirs)) + seed), "seed": seed, "n": 1})
        for seed in range(seeds)
    )
    return getattr(tables, value)(ours)


def under_several(values: pd.DataFrame) -> pd.DataFrame:
    """Global values of rotation, and what they might be under a translation, a scale and both of these."""
    worth = {"rotation": 1.0, "translation": 0.7, "scale": 0.5, "move_and_scale": 1.2}
    parts = [
        values.assign(transformation=name, global_variance=factor * values["global_variance"])
        for name, factor in worth.items()
    ]
    return pd.concat(parts, ignore_index=True)


def with_measures(table: pd.DataFrame) -> pd.DataFrame:
    """A variance table with the other measures, and with maps turned back."""
    values = table["normalized_variance"]
    pooled = table["aggregation"] != "spatial"
    missing = ~pooled | (table["stratum"] == "stratified")
    more = table.assign(
        normalized_distance=1.1 * values,
        f_statistic=10 * values,
        p_value=(0.1 * (values - 0.4).clip(lower=0)).where(~missing),
        local_firing_rate=(0.9 - 0.3 * values).clip(lower=0.0625).where(pooled),
        global_firing_rate=pd.Series(0.01, index=table.index).where(pooled),
    )
    turned = more[table["aggregation"] == table["aggregation"].iloc[0]].assign(
        aggregation="same_equivariance", normalized_variance=0.6 * values, p_value=np.nan, local_firing_rate=np.nan
    )
    return pd.concat([more, turned], ignore_index=True)


def floor(table: pd.DataFrame) -> pd.DataFrame:
    """An interpolation floor that rises with the depth; the last layer has no maps."""
    layers = table[["layer", "layer_index", "kind"]].drop_duplicates("layer_index").iloc[:-1]
    return layers.assign(normalized_variance=0.1 + 0.2 * layers["layer_index"] / max(1, len(layers)))


def retrained(layers: Mapping[str, str], seeds: int = 1) -> pd.DataFrame:
    """Accuracies of networks retrained layer by layer (name -> kind): on the rotated test set they gain, in the middle
    the most, and on the unrotated one they lose a little."""
    rows = []
    schemes = [("none", "group"), *layers.items()]
    schemes += [(name, "group") for name in ("all convolutions", "all fully connected", "all", "from the start")]
    for seed in range(seeds):
        for place, (scheme, kind) in enumerate(schemes):
            gain = 0.0 if scheme == "none" else math.sin(math.pi * place / len(schemes))
            gain = {"all": 0.95, "from the start": 1.08}.get(scheme, gain)
            for test, start, worth in (("unrotated", 0.98, -0.06), ("rotated", 0.42, 0.5)):
                share = start + worth * gain + 0.02 * math.sin(5 * place + 3 * seed)
                rows.append((scheme, kind, 100 * (place + 1), test, 1000, min(share, 1.0), seed))
    table = pd.DataFrame(rows, columns=["scheme", "kind", "parameters", "test", "n", "accuracy", "seed"])
    return table.assign(dataset="mnist", model="resnet", training="unrotated", retrained="rotated")


def emerging(variance: pd.DataFrame, epochs: Sequence[int] = (0, 1, 2, 5, 10)) -> pd.DataFrame:
    """The layer means of a variance table of trainings, falling with the epochs in the rotated one."""
    means = summary.layer_means(variance)
    falls = (means["training"] == "rotated").astype(float) if "training" in means.columns else 1.0
    parts = [
        means.assign(epoch=epoch, normalized_variance=means["normalized_variance"] * 0.9 ** (epoch * falls))
        for epoch in epochs
    ]
    return pd.concat(parts, ignore_index=True)


def draws(variance: pd.DataFrame, images: int = 10_000, replicates: int = 40) -> pd.DataFrame:
    """What `stability.measure` might give of the networks of a variance table: their layer means, and draws around them
    that differ more in deeper layers, and more in the unrotated training."""
    means = summary.layer_means(variance[variance["stratum"] == "all"]).drop(columns="stratum")
    reach = 0.06 * (1 + means["layer_index"]) / (1 + means["layer_index"].max())
    if "training" in means.columns:
        reach /= 1 + 2 * (means["training"] == "rotated")
    parts = [
        means.assign(
            replicate=replicate,
            normalized_variance=means["normalized_variance"] + (replicate > 0) * reach * math.sin(5 * replicate),
        )
        for replicate in range(1 + replicates)
    ]
    return pd.concat(parts, ignore_index=True).assign(images=images)


WANTED = {"confidence": 0.95, "power": 0.8, "difference": 0.05}


def stable(variance: pd.DataFrame) -> pd.DataFrame:
    """The summary of such draws."""
    return differences.summarize(draws(variance), **WANTED)


def elsewhere(values: pd.DataFrame, value: str) -> pd.DataFrame:
    """Global values or layer means of networks on their own data set, and what they might be on others."""
    own = "mnist" if "dataset" not in values.columns else str(values["dataset"].iloc[0])
    worth = {"mnist": 0.7, "fashion_mnist": 1.3, "cifar10": 0.8, own: 1.0}
    parts = [values.assign(measured_on=name, **{value: factor * values[value]}) for name, factor in worth.items()]
    return pd.concat(parts, ignore_index=True)
