"""What was run: read from what every result says of itself, and from the benchmarks of the jobs."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from rotvar import results
from rotvar.catalogue import DATASETS, MODELS
from rotvar.errors import InputError


def networks(histories: Sequence[str | Path], variances: Sequence[str | Path]) -> pd.DataFrame:
    """A row per network: data set, model, training, seed; its options and recipe; where it was trained and measured,
    and how long that took (seconds; of a training that was interrupted, all its parts). Both lists are of the same
    networks, in the same order.
    """
    rows = []
    for history, variance in zip(histories, variances, strict=True):
        trained, measured = results.metadata(history), results.metadata(variance)
        try:
            configuration = measured["configuration"]
            rows.append(
                _partitions(variance)
                | {
                    "seed": measured["seed"],
                    "architecture": options(configuration["architecture"]),
                    "recipe": options(configuration["recipe"] | _file(configuration)),
                    "trained on": trained["device"],
                    "training time seconds": _training_time(history),
                    "measured on": measured["device"],
                    "measuring time seconds": measured["seconds"],
                }
            )
        except KeyError as error:
            remedy = "delete both, and the workflow makes them again"
            raise InputError(f"{variance} or {history} does not say its {error}: {remedy}.") from error
    return pd.DataFrame(rows)


def study(histories: Sequence[str | Path], variances: Sequence[str | Path]) -> list[tuple[str, list[str]]]:
    """What the landing page says of a study: a title and its values, each distinct value once."""
    trained, measured = [[results.metadata(file) for file in files] for files in (histories, variances)]
    places = [_partitions(file) for file in variances]
    images, trainings = {}, defaultdict[str, list[str]](list)
    for place, facts in zip(places, trained, strict=True):
        images[place["dataset"]] = (facts["train_images"], facts["test_images"])
        trainings[place["training"]].append(_training(facts["configuration"]))
    datasets = [
        f"{DATASETS[name].title if name in DATASETS else name}: {train:,} training and {test:,} test images"
        for name, (train, test) in images.items()
    ]
    return [
        ("Data sets", datasets),
        ("Models", _distinct(MODELS.get(place["model"], place["model"]) for place in places)),
        ("Trainings", [f"{name}: {' or '.join(_distinct(found))}" for name, found in trainings.items()]),
        ("Seeds", [", ".join(_distinct(str(facts["seed"]) for facts in measured))]),
        ("Angles", _distinct(f"{facts['R']}, every {360 / facts['R']:g}°" for facts in measured)),
        ("Aggregations", _distinct(", ".join(facts["configuration"]["aggregations"]) for facts in measured)),
        ("Trained on", _distinct(facts["device"] for facts in trained)),
        ("Measured on", _distinct(facts["device"] for facts in measured)),
        ("Versions", _distinct(_versions(facts["packages"]) for facts in trained + measured)),
        ("Commit", _distinct(facts["commit"] or "not a git checkout" for facts in trained + measured)),
    ]


def jobs(benchmarks: str | Path, rules: Sequence[str]) -> pd.DataFrame:
    """What the jobs of each of these rules took, from the benchmarks that Snakemake kept under a folder.

    Columns: rule, jobs (how many), seconds (of all together), "longest seconds" and "memory (MB)" (of one job).
    """
    rows = []
    for file in sorted(Path(benchmarks).rglob("*.tsv")):
        if not file.stat().st_size:  # its Snakemake was killed as it wrote
            continue
        measured = pd.read_csv(file, sep="\t", na_values="-")
        rule = file.relative_to(benchmarks).parts[0].removesuffix(".tsv")
        rows.append({"rule": rule, "seconds": measured["s"].sum(), "memory": measured["max_rss"].max()})
    table = pd.DataFrame(rows, columns=["rule", "seconds", "memory"])
    table = table[table["rule"].isin(rules)]
    table["rule"] = pd.Categorical(table["rule"], pd.Index(rules))  # in this order
    found = table.groupby("rule", observed=True).agg(
        jobs=("rule", "size"), seconds=("seconds", "sum"), longest=("seconds", "max"), memory=("memory", "max")
    )
    found["memory"] = found["memory"].fillna(0).round().astype("int64")  # a job of less than a second has none
    return found.reset_index().rename(columns={"longest": "longest seconds", "memory": "memory (MB)"})


def options(values: dict[str, Any]) -> str:
    """A part of the configuration in a line: "width 8, depth 18"."""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items())


def _file(configuration: dict[str, Any]) -> dict[str, str]:
    """The file of weights that a training began with, where it did."""
    return {"begins with": file} if (file := configuration.get("begin_with")) else {}


def _training_time(history: str | Path) -> float:
    """The seconds of all epochs; the metadata has those of the last process alone."""
    epochs = results.read(history, ["epoch", "seconds"]).drop_duplicates("epoch")  # the rows of both splits are alike
    return float(epochs["seconds"].sum())


def _training(configuration: dict[str, Any]) -> str:
    """How images are changed, "each image by its own rotation (within 180)"; of no epochs, which weights are left."""
    if not configuration["recipe"]["epochs"]:
        file = configuration.get("begin_with")
        return f"the weights of {file}" if file else "random weights"
    limits = configuration["augmentation"]
    changes = [f"{name.replace('_', ' ')} (within {limit:g})" for name, limit in limits.items() if limit]
    return "each image by its own " + " and ".join(changes) if changes else "images as they are"


def _partitions(file: str | Path) -> dict[str, str]:
    """The names in a partitioned path: dataset, model, training."""
    named = dict(part.split("=", 1) for part in Path(file).parts if "=" in part)
    return {name: named[name] for name in ("dataset", "model", "training")}


def _versions(packages: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in packages.items())


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))
