"""What is wrong with a configuration, in sentences."""

import copy
import difflib
import json
import math
from collections.abc import Iterator
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import yaml
from jsonschema.exceptions import ValidationError  # type: ignore[import-untyped]

from rotvar.catalogue import DATASETS, MODELS, Info
from rotvar.data import image_folder
from rotvar.errors import InputError

TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "a mapping of keys to values",
    "string": "text",
}


NAMES = "use lower-case letters, digits and _, beginning with a letter, 50 of them at most"
MOST_COMBINATIONS = 3600  # of the values of a transformation's parameters, as many as a rotation has angles


def problems(config: Any, schema: dict[str, Any]) -> list[str]:
    """A sentence for each problem of `config`: the key, what was found and what is allowed.

    `schema`: JSON Schema, draft 2020-12. Beyond what the schema can say, numbers are finite, figures ask only for what
    is measured and for test images that there are, transformations change something, the data sets have as many classes
    as each other, and no fewer than there are shards, what is one's own has names and files of its own, and questions
    can be answered.
    """
    schema = named(schema, config)
    # JSON Schema takes 10.0 for an integer, Python's range() does not; and NaN lies within all limits
    types = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: isinstance(value, int) and not isinstance(value, bool),
            "number": lambda _, value: (
                isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            ),
        }
    )
    validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=types)(schema)
    try:
        listed = list(validator.iter_errors(config))
    except RecursionError:  # YAML can say that
        return ["the configuration contains itself: write out what an alias (*name) stands for."]
    errors: dict[str, ValidationError] = {}
    for error in sorted(listed, key=lambda error: (_dotted(error), error.validator != "type")):
        key = _dotted(error)
        if "propertyNames" in error.absolute_schema_path:
            key += f"/{error.instance!r}"
        elif error.validator in ("additionalProperties", "required"):
            key += f"/{error.validator}"
        errors.setdefault(key, error)  # of several about one value, that about its type
    found = [sentence for error in errors.values() for sentence in _sentences(error, schema)]
    found = list(dict.fromkeys(found)) or [*_own(config)]
    if found:
        return found
    infos = known(config)
    return [
        *_classes(config, infos),
        *_transformations(config),
        *_unmeasured(config, schema),
        *_missing_images(config, infos),
        *(sentence for question in config.get("questions", []) for sentence in unanswerable(question, config, schema)),
    ]


def named(schema: dict[str, Any], config: Any) -> dict[str, Any]:
    """The schema with the names that data sets and models may have: the catalogue's, and the configuration's own."""
    own = [
        list(section) if isinstance(section, dict) else [] for section in _sections(config, "own_data", "own_models")
    ]
    datasets, models = [*DATASETS, *own[0]], [*MODELS, *own[1]]
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
    own = config.get("own_data", {})
    return {
        name: image_folder.info(name, **own[name]) if name in own else DATASETS[name] for name in config["datasets"]
    }


def unanswerable(question: str, config: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    """A sentence for each reason why a study cannot answer one of the `questions`, whether it asks it or not."""
    described = schema["properties"].get(question, {}).get("properties", {})
    parameters = {key: value["default"] for key, value in described.items()} | config.get(question, {})
    if question == "retraining":
        return [*_retraining(parameters, list(config["trainings"]))]
    if question == "emergence":
        return [*_emergence(parameters["epochs"], config, schema)]
    if question == "stability" and set(_aggregations("figures", config, schema)) == {"spatial"}:
        return [
            "stability has no answer for spatial, the only one of figures.aggregations: add mean, max or sum there."
        ]
    if question == "transfer" and len(config["datasets"]) < 2:
        alone = config["datasets"][0]
        return [f"transfer measures networks on other data sets, but datasets has {alone} alone: name another one."]
    return []


def repeated(text: str) -> list[str]:
    """A sentence for each key that stands twice in the same mapping of a YAML text, where YAML takes the last one."""
    try:
        found = list(_repeated(yaml.compose(text, Loader=yaml.SafeLoader)))
    except (yaml.YAMLError, RecursionError):  # JSON with tabs; what contains itself, which `problems` says
        return []
    return [
        f"{key.value} stands twice in the same mapping, in lines {first + 1} and {key.start_mark.line + 1}: keep one."
        for key, first in found
    ]


def _repeated(node: yaml.Node | None) -> Iterator[tuple[yaml.ScalarNode, int]]:
    """The keys that stand twice below a node, each with the line of the first one."""
    if isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in lines:
                yield key, lines[key.value]
            elif isinstance(key, yaml.ScalarNode):
                lines[key.value] = key.start_mark.line
            yield from _repeated(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _repeated(value)


def _sections(config: Any, *names: str) -> list[Any]:
    return [config.get(name) if isinstance(config, dict) else None for name in names]


def _own(config: dict[str, Any]) -> Iterator[str]:
    """Names that something else has, folders without images and missing weights, in what is one's own."""
    taken = {"default", *DATASETS, *MODELS}
    for section in ("own_data", "own_models"):
        for name in config.get(section, {}):
            if name in taken:
                yield f"{section}.{name}: the name '{name}' has another use: choose another."
            taken.add(name)
    for name, own in config.get("own_data", {}).items():
        try:
            image_folder.files(own["folder"])
        except (InputError, OSError) as error:
            yield f"own_data.{name}.folder: {error}."
    for name, own in config.get("own_models", {}).items():
        if (weights := own.get("weights")) is not None and not Path(weights).is_file():
            yield f"own_models.{name}.weights is {_show(weights)}, which is no file: correct the path, or leave it out."


def _classes(config: dict[str, Any], infos: dict[str, Info]) -> Iterator[str]:
    counts = {name: len(info.classes) for name, info in infos.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} has {count}" for name, count in counts.items())
        yield f"datasets have different numbers of classes ({listed}): study them one by one."
    shards, fewest = config.get("measurement", {}).get("shards", 1), min(counts.values())
    if shards > fewest:
        yield f"measurement.shards is {shards}, but there are {fewest} classes: it must be at most {fewest}."


def _transformations(config: dict[str, Any]) -> Iterator[str]:
    for name, transformation in config.get("transformations", {}).items():
        changes = [family for family, limit in transformation.items() if family != "samples" and limit]
        if not changes:
            yield f"transformations.{name} changes nothing: give one of its limits a value above 0."
        parameters = len(changes) + ("translation" in changes)  # which has two
        if (combinations := transformation["samples"] ** parameters) > MOST_COMBINATIONS:
            yield (
                f"transformations.{name} has {parameters} parameters of {transformation['samples']} values each, "
                f"{combinations:,} combinations: {MOST_COMBINATIONS:,} are allowed, lower samples."
            )


def _aggregations(section: str, config: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    default = schema["properties"][section]["properties"]["aggregations"]["default"]
    return config.get(section, {}).get("aggregations", default)


def _unmeasured(config: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    measured = _aggregations("measurement", config, schema)
    for position, name in enumerate(_aggregations("figures", config, schema)):
        if name not in measured:
            yield (
                f"figures.aggregations[{position}] is {_show(name)}, which measurement.aggregations does not list: "
                f"choose from {_list(measured)}, or measure it."
            )


def _missing_images(config: dict[str, Any], infos: dict[str, Info]) -> Iterator[str]:
    limit = config.get("data", {}).get("test_images")
    for name, info in infos.items():
        there = min(limit or info.test, info.test)
        for position, image in enumerate(config.get("figures", {}).get("feature_maps", {}).get("images", [])):
            if image >= there:
                yield (
                    f"figures.feature_maps.images[{position}] is {image}, but there are {there} test images of {name}: "
                    f"choose from 0 to {there - 1}."
                )


def _retraining(parameters: dict[str, Any], trainings: list[str]) -> Iterator[str]:
    for key in ("from", "to"):
        if (name := parameters[key]) not in trainings:
            known = f"trainings does not have: choose from {_list(trainings)}"
            yield f"retraining.{key} is {_show(name)}{_hint(name, trainings)}, which {known}."
    if parameters["from"] == parameters["to"]:
        yield f"retraining.from and retraining.to are both {_show(parameters['to'])}: name two trainings."


def _emergence(epochs: list[int], config: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    fewest = min(_trained(config, schema), key=lambda network: network[0], default=None)
    if fewest is None:
        yield "emergence asks when in a training invariance appears, but all trainings have 0 epochs: train one."
        return
    last, network = fewest
    for position, epoch in enumerate(epochs):
        if epoch > last:
            yield f"emergence.epochs[{position}] is {epoch}, but {network} has {last} epochs: choose from 0 to {last}."


def _trained(config: dict[str, Any], schema: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """The epochs of each network that is trained, and what to call it."""
    recipes = config.get("training", {})
    default = schema["properties"]["training"]["properties"]["default"]["properties"]["epochs"]["default"]
    for dataset, model, (name, training) in product(config["datasets"], config["models"], config["trainings"].items()):
        said = [recipes.get(key, {}) for key in ("default", dataset, model, f"{dataset}/{model}")]
        epochs = [one["epochs"] for one in [{"epochs": default}, *said] if "epochs" in one][-1]
        if own := training.get("epochs"):
            epochs = own
        if own != 0:
            yield epochs, f"{model} on {dataset}, {name},"


def _sentences(error: ValidationError, schema: dict[str, Any]) -> Iterator[str]:
    """One sentence for an error, or several where jsonschema reports several faults as one."""
    where, value, allowed = _dotted(error), error.instance, error.validator_value
    if "propertyNames" in error.absolute_schema_path:
        if error.validator == "enum":
            yield _unknown_key(where, value, allowed, error.schema.get("description"))
        else:
            yield f"{where} has the key {_show(value)}: {error.schema.get('description', NAMES)}."
    elif error.validator == "additionalProperties":
        keys = list(error.schema["properties"])
        for key in [key for key in value if key not in keys]:
            hint = _elsewhere(key, schema) if not error.absolute_path else ""
            yield _unknown_key(where, key, keys, hint=hint)
    elif error.validator == "required":
        for key in allowed:
            if key not in value:
                yield f"{where} lacks the key '{key}'."
    elif error.validator == "uniqueItems":
        twice = next((item for position, item in enumerate(value) if item in value[:position]), value[-1])
        yield f"{where} lists {_show(twice)} twice: each entry may stand there once."
    else:
        hint = _hint(value, allowed) if error.validator == "enum" else ""
        yield f"{where} is {_show(value)}{hint}: {_rule(error)}."


def _rule(error: ValidationError) -> str:
    """What a value must be."""
    limit = error.validator_value
    match error.validator:
        case "enum":
            return f"choose from {_list(limit)}"
        case "type":
            allowed = [limit] if isinstance(limit, str) else limit
            return f"it must be {' or '.join(TYPES[name] for name in allowed)}{_misread(error.instance, allowed)}"
        case "minimum":
            return f"it must be at least {limit}"
        case "maximum":
            return f"it must be at most {limit}"
        case "exclusiveMinimum":
            return f"it must be more than {limit}"
        case "exclusiveMaximum":
            return f"it must be less than {limit}"
        case "minItems" | "minProperties":
            return "name at least one"
        case "minLength":
            return "it may not be empty"
        case "pattern" if "examples" in error.schema:
            return f"write it as {error.schema['examples'][0]}"
        case "pattern":
            signs = "< > { } or " if "<" in limit else ""
            return f"it may not be empty or contain {signs}line breaks, tabs and the like"
    return error.message


def _misread(value: Any, allowed: list[str]) -> str:
    """What YAML made of a value that was meant as one of the allowed types."""
    if isinstance(value, str) and {"integer", "number"} & set(allowed) and _number(value):
        return f" (YAML reads this spelling as text: write {_number(value)})"
    if "string" in allowed and isinstance(value, bool | int | float | date):
        kind = "true or false" if isinstance(value, bool) else "a date" if isinstance(value, date) else "a number"
        return f" (YAML reads this spelling as {kind}: put it in quotes)"
    return ""


def _unknown_key(where: str, key: Any, keys: list[str], description: str | None = None, hint: str = "") -> str:
    return f"{where} has no key {_show(key)}{_hint(key, keys) or hint}: its keys are {description or _list(keys)}."


def _elsewhere(key: Any, schema: dict[str, Any]) -> str:
    """The hint for a key that belongs into another mapping."""
    places = [".".join(path) for path in _paths(schema, schema) if path[-1] == key]
    return f" (did you mean {places[0]}?)" if places else ""


def _paths(part: dict[str, Any], schema: dict[str, Any]) -> Iterator[list[str]]:
    """Every key that the schema names, with those above it."""
    shared = schema["$defs"][part["$ref"].rpartition("/")[2]] if "$ref" in part else {}
    for key, value in (shared.get("properties", {}) | part.get("properties", {})).items():
        yield [key]
        yield from ([key, *path] for path in _paths(value, schema))


def _hint(value: Any, allowed: list[Any]) -> str:
    names = [name for name in allowed if isinstance(name, str)]
    nearest = difflib.get_close_matches(value.lower(), names, n=1, cutoff=0.7) if isinstance(value, str) else []
    return f" (did you mean '{nearest[0]}'?)" if nearest else ""


def _dotted(error: ValidationError) -> str:
    """architectures.resnet.default.depth, models[1]"""
    steps = (f"[{part}]" if isinstance(part, int) else f".{_short(str(part))}" for part in error.absolute_path)
    return "".join(steps).removeprefix(".") or "the configuration"


def _show(value: Any) -> str:
    """A value as it may stand in a sentence."""
    try:
        text = f"'{value}'" if isinstance(value, str) else json.dumps(value, default=str)
    except (TypeError, ValueError):  # a mapping whose keys are dates
        text = str(value)
    return _short(text)


def _short(text: str) -> str:
    """A text on one line, and not too long."""
    text = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
    return text if len(text) <= 100 else f"{text[:60]}… ({len(text)} letters)"


def _list(names: list[Any]) -> str:
    return ", ".join(map(str, names))


def _number(text: Any) -> str | None:
    """A number that was read as text, in a spelling that YAML reads as a number."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return repr(int(value) if value.is_integer() and text.strip().isdigit() else value)
