"""What is wrong with the configuration of a study, in sentences."""

import copy
import math
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

from rotvar.catalogue import DATASETS, MODELS, SMALLEST, Info
from rotvar.columns import POOLED, SUMMARY_STRATA
from rotvar.data import image_folder
from rotvar.errors import InputError
from rotvar.study import demands, sentences
from rotvar.study.sentences import did_you_mean, listed, show

MOST_COMBINATIONS = 3600  # of the values of a transformation's parameters, as many as a rotation has angles


def problems(config: Any, schema: dict[str, Any]) -> list[str]:
    """A sentence for each problem of `config`: the key, what was found and what is allowed.

    `schema`: JSON Schema, draft 2020-12. Beyond what the schema can say, figures ask only for what is measured and for
    test images that there are, units fire for an image or more, transformations change something, the data sets have as
    many classes as each other, no fewer than there are shards, with images of each, which are large enough for the
    models, what is one's own has names and files of its own, and questions can be answered.
    """
    schema = named(schema, config)
    if found := sentences.problems(config, schema):
        return found
    config = with_defaults(config, schema)
    if found := [*_own(config)]:
        return found
    infos = known(config)
    return [
        *_classes(config, infos),
        *_too_few(config, infos),
        *_too_small(config["models"], infos),
        *_same_targets(config),
        *_transformations(config),
        *_unmeasured(config),
        *_never_firing(config, infos),
        *_missing_images(config, infos),
        *(sentence for question in config["questions"] for sentence in unanswerable(question, config)),
    ]


def leave_out(config: dict[str, Any]) -> list[str]:
    """Take the trainings and transformations that are null out of `config`; the keys of these.

    The configuration files of a study are merged, and so one of them leaves out what another has.
    """
    left = [
        (section, name)
        for section in ("trainings", "transformations")
        if isinstance(config.get(section), dict)
        for name, one in config[section].items()
        if one is None
    ]
    for section, name in left:
        del config[section][name]
    return [f"{section}.{name}" for section, name in left]


def plain(value: Any) -> Any:
    """The configuration with whole numbers written without a point: 180 for 180.0.

    They say the same, but Snakemake compares parameters by their text. What goes to a factory of one's own stays as it
    is written: to Python the two differ.
    """
    if isinstance(value, dict):
        return {key: one if key == "own_models" else plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def with_defaults(part: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """A mapping of the configuration, and those in it, with what the schema says where a key is missing."""
    described = schema.get("properties", {})
    whole = {key: one["default"] for key, one in described.items() if "default" in one} | part
    return {
        key: with_defaults(one, described.get(key, {})) if isinstance(one, dict) else one for key, one in whole.items()
    }


def named(schema: dict[str, Any], config: Any) -> dict[str, Any]:
    """The schema with the names that data sets and models may have: the catalogue's, and the configuration's own."""
    sections = [config.get(name) if isinstance(config, dict) else None for name in ("own_data", "own_models")]
    own_data, own_models = (section if isinstance(section, dict) else {} for section in sections)
    datasets, models = [*DATASETS, *own_data], [*MODELS, *own_models]
    pairs = [f"{dataset}/{model}" for dataset in datasets for model in models]
    names = {
        "dataset": datasets,
        "model": models,
        "default_or_dataset": ["default", *datasets],
        "recipe_name": ["default", *datasets, *models, *pairs],
    }
    schema = copy.deepcopy(schema)
    for name, allowed in names.items():
        shared = {key: value for key, value in schema["$defs"][name].items() if key != "type"}
        schema["$defs"][name] = shared | {"enum": list(dict.fromkeys(allowed))}
    return schema


def known(config: dict[str, Any]) -> dict[str, Info]:
    """What is known of each data set that a configuration names. Raises InputError as `image_folder.files` does."""
    own = config["own_data"]
    return {
        name: image_folder.info(name, **own[name]) if name in own else DATASETS[name] for name in config["datasets"]
    }


def test_images(config: dict[str, Any], info: Info) -> int:
    """N, how many test images of a data set a study measures."""
    return min(config["data"]["test_images"] or info.test, info.test)


def unanswerable(question: str, config: dict[str, Any]) -> list[str]:
    """A sentence for each reason why a study cannot answer one of the `questions`, whether it asks it or not."""
    if question == "retraining":
        return [*_retraining(config["retraining"], list(config["trainings"]))]
    if question == "emergence":
        return [*_emergence(config)]
    if question == "stability" and not set(POOLED).intersection(asked := config["figures"]["aggregations"]):
        return [
            f"stability has no answer for {' and '.join(asked)} of figures.aggregations: add mean, max or sum there."
        ]
    if question == "transfer" and len(config["datasets"]) < 2:
        alone = config["datasets"][0]
        return [f"transfer measures networks on other data sets, but datasets has {alone} alone: name another one."]
    return []


def _own(config: dict[str, Any]) -> Iterator[str]:
    """Names that something else has, folders without images and missing weights, in what is one's own."""
    taken = {"default", *DATASETS, *MODELS}
    for section in ("own_data", "own_models"):
        for name in config[section]:
            if name in taken:
                yield f"{section}.{name}: the name '{name}' has another use: choose another."
            taken.add(name)
    for name, own in config["own_data"].items():
        try:
            classes = image_folder.files(own["folder"])["train"]
        except (InputError, OSError) as error:
            yield f"own_data.{name}.folder: {error}."
            continue
        for stratum in (each for each in SUMMARY_STRATA if each in classes):
            yield f"own_data.{name} has a class '{stratum}', as another stratum is called: rename its folder."
    for name, own in config["own_models"].items():
        if (weights := own.get("weights")) is not None and not Path(weights).is_file():
            yield f"own_models.{name}.weights is {show(weights)}, which is no file: correct the path, or leave it out."


def _classes(config: dict[str, Any], infos: dict[str, Info]) -> Iterator[str]:
    counts = {name: len(info.classes) for name, info in infos.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} has {count}" for name, count in counts.items())
        yield f"datasets have different numbers of classes ({listed}): study them one by one."
    shards, fewest = config["measurement"]["shards"], min(counts.values())
    if shards > fewest:
        yield f"measurement.shards is {shards}, but there are {fewest} classes: it must be at most {fewest}."


def _too_few(config: dict[str, Any], infos: dict[str, Info]) -> Iterator[str]:
    images = {
        "data.train_images": (config["data"]["train_images"], 1),
        "data.test_images": (config["data"]["test_images"], 2),
        "figures.convergence.images": (config["figures"]["convergence"]["images"], 2),
    }
    for (name, info), (key, (limit, each)) in product(infos.items(), images.items()):
        fewest = each * len(info.classes)
        if limit is not None and limit < fewest:
            yield f"{key} is {limit}, but {name} has {len(info.classes)} classes: it must be at least {fewest}."


def _same_targets(config: dict[str, Any]) -> Iterator[str]:
    pairs: dict[str, list[str]] = {}
    for dataset, model in product(config["datasets"], config["models"]):
        pairs.setdefault(f"{dataset}_{model}", []).append(f"{model} on {dataset}")
    for target, of in pairs.items():
        if len(of) > 1:
            yield f"the target {target} would be both {' and '.join(of)}: rename what is your own."


def _too_small(models: list[str], infos: dict[str, Info]) -> Iterator[str]:
    for (dataset, info), model in product(infos.items(), models):
        if info.image_size < (smallest := SMALLEST.get(model, 1)):
            yield (
                f"own_data.{dataset}.image_size is {info.image_size}, but {model} needs {smallest} pixels or more: "
                "raise it, or leave the model out."
            )


def _transformations(config: dict[str, Any]) -> Iterator[str]:
    for name, transformation in config["transformations"].items():
        if not any(limit for family, limit in transformation.items() if family != "samples"):
            yield f"transformations.{name} changes nothing: give one of its limits a value above 0."
        if (combinations := demands.combinations(**transformation)) > MOST_COMBINATIONS:
            yield (
                f"transformations.{name} has {combinations:,} combinations of the values of its parameters: "
                f"{MOST_COMBINATIONS:,} are allowed, lower samples."
            )


def _unmeasured(config: dict[str, Any]) -> Iterator[str]:
    measured = config["measurement"]["aggregations"]
    for position, name in enumerate(config["figures"]["aggregations"]):
        if name not in measured:
            yield (
                f"figures.aggregations[{position}] is {show(name)}, which measurement.aggregations does not list: "
                f"choose from {listed(measured)}, or measure it."
            )


def _never_firing(config: dict[str, Any], infos: dict[str, Info]) -> Iterator[str]:
    rate, angles = config["measurement"]["firing_rate"], config["measurement"]["angles"]
    for name, info in infos.items():
        images = test_images(config, info)
        if rate is not None and rate < 1 / (images * angles):
            lowest = math.ceil(1e6 / (images * angles)) / 1e6
            yield (
                f"measurement.firing_rate is {show(rate)}, which is less than one of {images} test images of {name} at "
                f"{angles} angles, so that no unit fires: it must be at least {lowest:g}."
            )


def _missing_images(config: dict[str, Any], infos: dict[str, Info]) -> Iterator[str]:
    for name, info in infos.items():
        there = test_images(config, info)
        for position, image in enumerate(config["figures"]["feature_maps"]["images"]):
            if image >= there:
                yield (
                    f"figures.feature_maps.images[{position}] is {image}, but there are {there} test images of {name}: "
                    f"choose from 0 to {there - 1}."
                )


def _retraining(parameters: dict[str, Any], trainings: list[str]) -> Iterator[str]:
    for key in ("from", "to"):
        if (name := parameters[key]) not in trainings:
            known = f"trainings does not have: choose from {listed(trainings)}"
            yield f"retraining.{key} is {show(name)}{did_you_mean(name, trainings)}, which {known}."
    if parameters["from"] == parameters["to"]:
        yield f"retraining.from and retraining.to are both {show(parameters['to'])}: name two trainings."


def _emergence(config: dict[str, Any]) -> Iterator[str]:
    fewest = min(_trained(config), key=lambda network: network[0], default=None)
    if fewest is None:
        yield "emergence asks when in a training invariance appears, but all trainings have 0 epochs: train one."
        return
    last, network = fewest
    for position, epoch in enumerate(config["emergence"]["epochs"]):
        if epoch > last:
            yield f"emergence.epochs[{position}] is {epoch}, but {network} has {last} epochs: choose from 0 to {last}."


def _trained(config: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """The epochs of each network that is trained, and what to call it."""
    for dataset, model, (name, training) in product(config["datasets"], config["models"], config["trainings"].items()):
        recipes = [config["training"].get(key, {}) for key in ("default", dataset, model, f"{dataset}/{model}")]
        epochs = [recipe["epochs"] for recipe in recipes if "epochs" in recipe][-1]
        if own := training.get("epochs"):
            epochs = own
        if own != 0:
            yield epochs, f"{model} on {dataset}, {name},"
