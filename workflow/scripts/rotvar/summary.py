"""What a study comes to: means over units, accuracies over classes, spread over seeds.

Every function keeps whichever of the partition columns (`PARTITIONS`) its table has, rows where one is missing
included, and computes in float64. Tables of a whole study are large, so summarize file by file and concatenate the
summaries.
"""

from typing import Any

import numpy as np
import pandas as pd

from rotvar.columns import FROM_START, GROUP, TESTS

PARTITIONS = ("dataset", "model", "training", "transformation", "measured_on", "epoch", "seed")


def layer_means(variance: pd.DataFrame) -> pd.DataFrame:
    """Mean `normalized_variance` over the finite units of each layer, stratum and aggregation.

    Columns: the partitions, `layer_index`, `layer`, `kind`, `stratum`, `aggregation`, `units`, `finite` (how many of
    them count) and `normalized_variance` (missing where no unit is finite), in the order of the rows of `variance`.
    """
    return _finite_mean(variance, ["layer_index", "layer", "kind", "stratum", "aggregation"])


def last_layer(variance: pd.DataFrame) -> pd.DataFrame:
    """The rows of the last layer."""
    return variance[variance["layer_index"] == variance["layer_index"].max()]


def global_variance(variance: pd.DataFrame) -> pd.DataFrame:
    """The global value of a network: mean `normalized_variance` over all finite units of all layers (README, "The
    measure"), for each stratum and aggregation.

    Columns: the partitions, `stratum`, `aggregation`, `units`, `finite`, `global_variance`.
    """
    return _finite_mean(variance, ["stratum", "aggregation"]).rename(columns={"normalized_variance": "global_variance"})


def accuracy_by_test(accuracy: pd.DataFrame) -> pd.DataFrame:
    """The share of correct images of each test set (`test`: unrotated, rotated), all classes together.

    Columns: the partitions, `test`, `n` (images), `accuracy` (0 to 1).
    """
    test = accuracy["angle"].astype(str).map({angle: test for test, angle in TESTS.items()})
    table = accuracy.assign(test=test).dropna(subset="test")
    return _share_correct(table, "test")


def accuracy_by_angle(accuracy: pd.DataFrame, *by: str) -> pd.DataFrame:
    """The share of correct images at each angle (degrees), all classes together unless `by` names `class`.

    Columns: the partitions, `angle` (float), those of `by`, `n` (images), `accuracy` (0 to 1).
    """
    table = accuracy[accuracy["angle"].astype(str) != "random"]
    table = table.assign(angle=table["angle"].astype(str).astype(float))
    return _share_correct(table, "angle", *by)


def beside_from_start(retraining: pd.DataFrame, accuracy: pd.DataFrame) -> pd.DataFrame:
    """What one network gets right retrained by each scheme, and what one trained so from the start does.

    `retraining` is what `retraining.retrain` gives of it, with the name of the training it was `retrained` under;
    `accuracy` is of a network of that training. Columns: the partitions, `retrained`, `scheme`, `kind`, `parameters`
    (how many were trained), `test`, `n` (images), `accuracy` (0 to 1); the last scheme is FROM_START.
    """
    partitions = {name: retraining[name].iloc[0] for name in _partitions(retraining)}
    start = accuracy_by_test(accuracy).assign(
        **partitions,
        retrained=retraining["retrained"].iloc[0],
        scheme=FROM_START,
        kind=GROUP,
        parameters=retraining["parameters"].max(),
    )
    columns = [*partitions, "retrained", "scheme", "kind", "parameters", "test", "n", "accuracy"]
    text = dict.fromkeys(["retrained", "scheme", "kind", "test"], str)
    return pd.concat([retraining[columns].astype(text), start[columns].astype(text)])


def to_the_end(means: pd.DataFrame, finished: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame:
    """The layer means of networks after some epochs, those of the `finished` networks at the end if they are missing.

    `means` has the column `epoch`, `finished` has not (`layer_means` gives both); `history` (`training.train`), of the
    same networks, says which epoch is their last.
    """
    networks = ["dataset", "model", "training", "seed"]
    means, finished, history = (one.astype(dict.fromkeys(networks[:3], str)) for one in (means, finished, history))
    last = history.groupby(networks)["epoch"].max().reset_index()
    whole = pd.concat([means, finished.merge(last, on=networks)], ignore_index=True)
    return whole.drop_duplicates([*networks, "epoch", "layer_index", "stratum", "aggregation"])  # keeps the first


def own_named(values: pd.DataFrame) -> pd.DataFrame:
    """`values` with `rotation` and the network's own data set where `transformation` and `measured_on` are missing.

    A study's own measurements have neither in their paths. Read together with others, which have, they say so.
    """
    own: dict[str, Any] = {"transformation": "rotation", "measured_on": values["dataset"].astype(str)}
    there = [name for name in own if name in values.columns]
    return values.assign(**{name: values[name].astype(str).fillna(own[name]) for name in there})


def over_seeds(table: pd.DataFrame, value: str) -> pd.DataFrame:
    """Mean of `value` over the seeds that have one, `std` (n - 1; missing for one seed) and `seeds`, their number.

    Every other column but `seed` and the counts of units and images tells the rows apart.
    """
    keys = [name for name in table.columns if name not in ("seed", "units", "finite", "n", value)]
    groups = table.groupby(keys, observed=True, sort=False, dropna=False)[value]
    return groups.agg(["mean", "std", "count"]).rename(columns={"mean": value, "count": "seeds"}).reset_index()


def _finite_mean(variance: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    values = variance["normalized_variance"].astype("float64")
    finite = values.where(np.isfinite(values))
    by = [*_partitions(variance), *keys]
    groups = variance[by].assign(_finite=finite).groupby(by, observed=True, sort=False, dropna=False)["_finite"]
    means = groups.agg(["size", "count", "mean"])
    return means.rename(columns={"size": "units", "count": "finite", "mean": "normalized_variance"}).reset_index()


def _share_correct(table: pd.DataFrame, *keys: str) -> pd.DataFrame:
    by = [*_partitions(table), *keys]
    sums = table.groupby(by, observed=True, sort=False, dropna=False)[["n", "correct"]].sum()
    return sums.assign(accuracy=sums["correct"] / sums["n"]).drop(columns="correct").reset_index()


def _partitions(table: pd.DataFrame) -> list[str]:
    return [name for name in PARTITIONS if name in table.columns]
