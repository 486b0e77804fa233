"""What is wrong with a configuration, in sentences."""

import difflib
import json
from collections.abc import Iterator
from typing import Any

import jsonschema  # type: ignore[import-untyped]
from jsonschema.exceptions import ValidationError  # type: ignore[import-untyped]

from rotvar.catalogue import DATASETS

TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "a mapping of keys to values",
    "string": "text",
}


def problems(config: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    """A sentence for each problem of `config`: the key, what was found and what is allowed.

    `schema`: JSON Schema, draft 2020-12. Beyond what the schema can say, figures ask only for what is measured, and for
    test images that there are.
    """
    # JSON Schema takes 10.0 for an integer, Python's range() does not.
    types = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    )
    validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=types)(schema)
    errors = sorted(validator.iter_errors(config), key=lambda error: [str(part) for part in error.absolute_path])
    found = [sentence for error in errors for sentence in _sentences(error)]
    return list(dict.fromkeys(found)) or [*_unmeasured(config, schema), *_missing_images(config)]


def _unmeasured(config: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    def aggregations(section: str) -> list[str]:
        default = schema["properties"][section]["properties"]["aggregations"]["default"]
        return config.get(section, {}).get("aggregations", default)

    measured = aggregations("measurement")
    for position, name in enumerate(aggregations("figures")):
        if name not in measured:
            yield (
                f"figures.aggregations[{position}] is {_show(name)}, which measurement.aggregations does not list: "
                f"choose from {_list(measured)}, or measure it."
            )


def _missing_images(config: dict[str, Any]) -> Iterator[str]:
    limit = config.get("data", {}).get("test_images")
    for name in config["datasets"]:
        there = min(limit or DATASETS[name].test, DATASETS[name].test)
        for position, image in enumerate(config.get("figures", {}).get("feature_maps", {}).get("images", [])):
            if image >= there:
                yield (
                    f"figures.feature_maps.images[{position}] is {image}, but there are {there} test images of {name}: "
                    f"choose from 0 to {there - 1}."
                )


def _sentences(error: ValidationError) -> Iterator[str]:
    """One sentence for an error, or several where jsonschema reports several faults as one."""
    where, value, allowed = _dotted(error), error.instance, error.validator_value
    if "propertyNames" in error.absolute_schema_path:
        if error.validator == "enum":
            yield _unknown_key(where, value, allowed, error.schema.get("description"))
        else:
            yield f"{where} has the key {_show(value)}: use lower-case letters, digits and _, beginning with a letter."
    elif error.validator == "additionalProperties":
        keys = list(error.schema["properties"])
        for key in value.keys() - set(keys):
            yield _unknown_key(where, key, keys)
    elif error.validator == "required":
        for key in allowed:
            if key not in value:
                yield f"{where} lacks the key '{key}'."
    elif error.validator == "uniqueItems":
        twice = next(item for position, item in enumerate(value) if item in value[:position])
        yield f"{where} lists {_show(twice)} twice: each entry may stand there once."
    else:
        yield f"{where} is {_show(value)}{_hint(value, allowed)}: {_rule(error)}."


def _rule(error: ValidationError) -> str:
    """What a value must be."""
    limit = error.validator_value
    match error.validator:
        case "enum":
            return f"choose from {_list(limit)}"
        case "type":
            wanted = " or ".join(TYPES[name] for name in ([limit] if isinstance(limit, str) else limit))
            if (
                isinstance(error.instance, str)
                and ("integer" in limit or "number" in limit)
                and _number(error.instance)
            ):
                wanted += f" (YAML reads this spelling as text: write {_number(error.instance)})"
            return f"it must be {wanted}"
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
        case "pattern":
            return "it may not be empty or contain < > { }"
    return error.message


def _unknown_key(where: str, key: Any, keys: list[str], description: str | None = None) -> str:
    return f"{where} has no key {_show(key)}{_hint(key, keys)}: its keys are {description or _list(keys)}."


def _hint(value: Any, allowed: Any) -> str:
    names = [name for name in allowed if isinstance(name, str)] if isinstance(allowed, list) else []
    nearest = difflib.get_close_matches(value, names, n=1, cutoff=0.7) if isinstance(value, str) else []
    return f" (did you mean '{nearest[0]}'?)" if nearest else ""


def _dotted(error: ValidationError) -> str:
    """architectures.resnet.default.depth, models[1]"""
    steps = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    return "".join(steps).removeprefix(".") or "the configuration"


def _show(value: Any) -> str:
    return f"'{value}'" if isinstance(value, str) else json.dumps(value, default=str)


def _list(names: list[Any]) -> str:
    return ", ".join(map(str, names))


def _number(text: Any) -> str | None:
    """A number that was read as text, in a spelling that YAML reads as a number."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return repr(int(value) if value.is_integer() and text.strip().isdigit() else value)
