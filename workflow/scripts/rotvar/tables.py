"""The tables of a study: means over seeds with the published values beside ours, as CSV, Markdown and LaTeX."""

import hashlib
import io
import json
from importlib.resources import files as package_files
from pathlib import Path

import numpy as np
import pandas as pd

from rotvar.catalogue import DATASETS, MODELS
from rotvar.columns import POOLED, SUMMARY_STRATA
from rotvar.errors import InputError, damaged
from rotvar.summary import over_seeds
from rotvar.system.files import atomic

# The columns that tell rows apart, and the order of their values.
_ORDER = {
    "dataset": tuple(DATASETS),
    "model": tuple(MODELS),
    "training": ("unrotated", "rotated"),
    "retrained": ("unrotated", "rotated"),
    "transformation": ("rotation",),
    "measured_on": tuple(DATASETS),
    "test": ("unrotated", "rotated"),
    "stratum": SUMMARY_STRATA,
    "aggregation": (*POOLED, "spatial"),
}
_COUNTS = ("seeds_needed", "images_needed")  # whole numbers that may be missing
_NAMES = (*_ORDER, "layer", "scheme")  # text, also where a layer is called 0.10, or a model null
_TITLES = {
    "dataset": "data set",
    "global_variance": "global value",
    "high": "to",
    "image_std": "std over draws",
    "images_needed": "images needed",
    "layer_index": "position",
    "low": "from",
    "measured_on": "measured on",
    "normalized_variance": "mean normalized variance",
    "seeds_needed": "seeds needed",
    "smallest_difference": "smallest visible difference",
    "std": "std over seeds",
}


def published() -> dict[str, pd.DataFrame]:
    """The values published in 2019 (doi 10.1007/978-3-030-27713-0_9), with their source in `.attrs["source"]`.

    `accuracy`: dataset, model, training, test, accuracy. `global_variance`: dataset, model, training, aggregation,
    stratum, global_variance.
    """
    data = json.loads(package_files("rotvar").joinpath("published.json").read_text(encoding="utf-8"))
    tables = {name: pd.DataFrame(data[name]) for name in ("accuracy", "global_variance")}
    for table in tables.values():
        table.attrs["source"] = data["source"]
    return tables


def global_variance(values: pd.DataFrame) -> pd.DataFrame:
    """The global values of a study: mean over seeds, published value and difference (ours - published).

    `values` is what `summary.global_variance` gives, of all networks. Columns: dataset, model, training, stratum
    (`all`, `stratified`), aggregation, seeds, global_variance, std, published, difference.
    """
    return _beside_published(values[values["stratum"].isin(SUMMARY_STRATA)], "global_variance")


def accuracy(values: pd.DataFrame) -> pd.DataFrame:
    """The accuracies of a study: mean over seeds, published value and difference (ours - published).

    `values` is what `summary.accuracy_by_test` gives, of all networks. Columns: dataset, model, training, test,
    seeds, accuracy, std, published, difference.
    """
    return _beside_published(values, "accuracy")


def layers(values: pd.DataFrame) -> pd.DataFrame:
    """The layer means of a study, in execution order: mean over seeds. Nothing was published of them.

    `values` is what `summary.layer_means` gives, of all networks. Columns: dataset, model, training, stratum (`all`,
    `stratified`), aggregation, layer_index, layer, kind, seeds, normalized_variance, std.
    """
    ours = over_seeds(values[values["stratum"].isin(SUMMARY_STRATA)], "normalized_variance")
    return _in_order(ours, ["layer_index"], ["layer", "kind", "seeds", "normalized_variance", "std"])


def transformations(values: pd.DataFrame) -> pd.DataFrame:
    """The global values of a study under each transformation: mean over seeds. Nothing was published but rotation's.

    `values` is what `summary.global_variance` gives, of all networks, with a column `transformation`. Columns: dataset,
    model, training, transformation, stratum (`all`, `stratified`), aggregation, seeds, global_variance, std.
    """
    return _global_values(values)


def stability(values: pd.DataFrame) -> pd.DataFrame:
    """How stable the layer means of a study are, in execution order. Nothing was published of it.

    `values` is what `differences.summarize` gives, of all networks; its columns, in the order of the other tables.
    """
    first = [*_ORDER, "layer_index", "layer", "kind"]
    others = [name for name in values.columns if name not in first]
    return _in_order(values, ["layer_index"], ["layer", "kind", *others])


def transfer(values: pd.DataFrame) -> pd.DataFrame:
    """The global values of a study on each of its data sets: mean over seeds. Nothing was published of other data sets
    than a network's own.

    `values` is what `summary.global_variance` gives, of all networks, with a column `measured_on`. Columns: dataset
    (which the network was trained on), model, training, measured_on, stratum (`all`, `stratified`), aggregation, seeds,
    global_variance, std.
    """
    return _global_values(values)


def retraining(values: pd.DataFrame) -> pd.DataFrame:
    """The accuracies of the networks of a study retrained by each scheme: mean over seeds. Nothing was published.

    `values` is what `summary.beside_from_start` gives, of all networks. Columns: dataset, model, training, retrained
    (under which training), scheme (layers in execution order), kind, parameters, test, seeds, accuracy, std.
    """
    networks = ["dataset", "model", "training", "retrained"]
    ours = over_seeds(values, "accuracy").sort_values(networks, key=_rank, ignore_index=True, kind="stable")
    return ours[[*networks, "scheme", "kind", "parameters", "test", "seeds", "accuracy", "std"]]


def emergence(values: pd.DataFrame) -> pd.DataFrame:
    """The layer means of the networks of a study after some epochs, in execution order. Nothing was published of them.

    `values` is what `summary.layer_means` gives, of all networks, one seed and the stratum `all`. Columns: dataset,
    model, training, aggregation, epoch, layer_index, layer, kind, normalized_variance.
    """
    return _in_order(values.drop(columns="stratum"), ["epoch", "layer_index"], ["layer", "kind", "normalized_variance"])


def write(table: pd.DataFrame, *paths: str | Path, caption: str = "") -> None:
    """Write the table to each path in the format of its suffix: .csv (every digit), .md, .tex (booktabs, longtable),
    and .sha256: the checksums of those before it, for `read` and for `sha256sum --check`.

    Markdown and LaTeX show what `presentable` gives; LaTeX has the caption. Raises InputError for another suffix.
    """
    sums = ""
    for path in map(Path, paths):
        if path.suffix == ".csv":
            text = table.to_csv(index=False)
        elif path.suffix == ".md":
            text = presentable(table).to_markdown(index=False, disable_numparse=True, colalign=_align(table)) + "\n"
        elif path.suffix == ".tex":
            letters = "".join(side[0] for side in _align(table))
            text = presentable(table).to_latex(
                index=False, escape=True, longtable=True, column_format=letters, caption=caption or None
            )
        elif path.suffix == ".sha256":
            text = sums
        else:
            raise InputError(f"A table cannot be written as {path.name}: end the name in .csv, .md, .tex or .sha256.")
        sums += f"{hashlib.sha256(text.encode()).hexdigest()}  {path.name}\n"
        with atomic(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def read(path: str | Path) -> pd.DataFrame:
    """Read a table that was written as .csv, with its .sha256 beside it. Raises InputError where it is damaged."""
    path = Path(path)
    try:
        content = path.read_bytes()
        line = f"{hashlib.sha256(content).hexdigest()}  {path.name}"
        if line not in path.with_suffix(".sha256").read_text(encoding="utf-8").splitlines():
            raise ValueError(f"its checksum is not the one in {path.stem}.sha256")
        types = dict.fromkeys(_NAMES, str) | dict.fromkeys(_COUNTS, "Int64")
        return pd.read_csv(io.BytesIO(content), dtype=types, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise damaged(path, "cannot be read as a table", error) from error


def _global_values(values: pd.DataFrame) -> pd.DataFrame:
    ours = over_seeds(values[values["stratum"].isin(SUMMARY_STRATA)], "global_variance")
    return _in_order(ours, [], ["seeds", "global_variance", "std"])


def _beside_published(values: pd.DataFrame, value: str) -> pd.DataFrame:
    theirs = published()[value].rename(columns={value: "published"})
    for name in ("dataset", "model", "training"):
        if name not in values.columns:
            raise InputError(f"The table has no column {name}, by which values are published: add one with its name.")
    table = over_seeds(values, value).merge(theirs, how="left")
    table["difference"] = table[value] - table["published"]
    return _in_order(table, [], ["seeds", value, "std", "published", "difference"])


def _in_order(table: pd.DataFrame, within: list[str], others: list[str]) -> pd.DataFrame:
    """The columns that tell networks, strata and aggregations apart, `within` and `others`; rows sorted by all but the
    others."""
    keys = [name for name in _ORDER if name in table.columns] + within
    return table.sort_values(keys, key=_rank, ignore_index=True)[[*keys, *others]]


def _rank(column: pd.Series) -> pd.Series:
    """Sorts names in the project's order; those it does not know come last, by name."""
    known = _ORDER.get(str(column.name))
    if known is None:  # a number
        return column
    return column.astype(str).map(lambda name: (known.index(name) if name in known else len(known), name))


def presentable(table: pd.DataFrame) -> pd.DataFrame:
    """All text: titles for names, three decimals or the first digit below, a dash where there is no value."""
    shown = pd.DataFrame(index=table.index)
    for name in table.columns:
        column = table[name]
        if pd.api.types.is_float_dtype(column):
            text = column.map(lambda number, signed=name == "difference": _decimals(number, signed))
        else:
            datasets = {key: info.title for key, info in DATASETS.items()}
            titles = {"dataset": datasets, "measured_on": datasets, "model": MODELS}.get(name, {})
            text = column.astype(str).map(lambda entry, titles=titles: titles.get(entry, entry))
            text = text.where(column.notna(), "–")  # a whole number that may be missing
        shown[_TITLES.get(name, name)] = text
    return shown


def _decimals(number: float, signed: bool) -> str:
    """Three decimals; of what they show as 0 the first digit that is not, down to a millionth: below it is rounding."""
    if pd.isna(number):
        return "–"
    if 1e-6 <= abs(number) < 5e-4:
        return np.format_float_positional(number, precision=1, fractional=False, sign=signed)
    return f"{number:{'+' if signed else ''}.3f}"


def _align(table: pd.DataFrame) -> list[str]:
    return ["right" if pd.api.types.is_numeric_dtype(table[name]) else "left" for name in table.columns]
