"""What a JSON schema, or YAML itself, finds wrong with a configuration, in sentences."""

import difflib
import json
import math
import re
from collections.abc import Iterator
from datetime import date
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import yaml
from jsonschema.exceptions import ValidationError  # type: ignore[import-untyped]

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


def problems(config: Any, schema: dict[str, Any]) -> list[str]:
    """A sentence for each problem that the schema finds: the key, what was found and what is allowed.

    `schema`: JSON Schema, draft 2020-12; numbers must be finite, too.
    """
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
        found = list(validator.iter_errors(config))
    except RecursionError:  # YAML can say that
        return ["the configuration contains itself: write out what an alias (*name) stands for."]
    errors: dict[str, ValidationError] = {}
    for error in sorted(found, key=lambda error: (_dotted(error), error.validator != "type")):
        key = _dotted(error)
        if "propertyNames" in error.absolute_schema_path:
            key += f"/{error.instance!r}"
        elif error.validator in ("additionalProperties", "required"):
            key += f"/{error.validator}"
        errors.setdefault(key, error)  # of several about one value, that about its type
    sentences = (sentence for error in errors.values() for sentence in _sentences(error, schema))
    return list(dict.fromkeys(sentences))


def of_text(text: str) -> list[str]:
    """A sentence for what YAML takes in silence in the text of a configuration: of a key that stands twice in the same
    mapping the last one, and a number for another one (010 for 8, 1:30 for 90)."""
    try:
        return list(_of_node(yaml.compose(text, Loader=yaml.SafeLoader)))
    except (yaml.YAMLError, RecursionError):  # JSON with tabs; what contains itself, which `problems` says
        return []


def show(value: Any) -> str:
    """A value as it may stand in a sentence."""
    try:
        text = f"'{value}'" if isinstance(value, str) else json.dumps(value, default=str)
    except (TypeError, ValueError):  # a mapping whose keys are dates
        text = str(value)
    return _short(text)


def did_you_mean(value: Any, allowed: list[Any]) -> str:
    """The hint that the nearest of the allowed names was meant, if one is near."""
    names = [name for name in allowed if isinstance(name, str)]
    nearest = difflib.get_close_matches(value.lower(), names, n=1, cutoff=0.7) if isinstance(value, str) else []
    return f" (did you mean '{_short(nearest[0])}'?)" if nearest else ""


def listed(names: list[Any]) -> str:
    """Names as they may stand in a sentence."""
    return ", ".join(_short(str(name)) for name in names)


def _of_node(node: yaml.Node | None) -> Iterator[str]:
    """The sentences of a node and those below it."""
    if isinstance(node, yaml.ScalarNode):
        yield from _other_number(node)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in lines:
                places = f"lines {lines[key.value] + 1} and {key.start_mark.line + 1}"
                yield f"{key.value} stands twice in the same mapping, in {places}: keep one."
            elif isinstance(key, yaml.ScalarNode):
                lines[key.value] = key.start_mark.line
            yield from _of_node(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _of_node(value)


def _other_number(node: yaml.ScalarNode) -> Iterator[str]:
    """The sentence for a number that YAML reads with base 8 or 60."""
    if node.tag not in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float"):
        return
    read, written = yaml.safe_load(node.value), node.value.replace("_", "")
    if ":" in written or (re.fullmatch("[-+]?[0-9]+", written) and int(written) != read):
        where = f"{node.value} in line {node.start_mark.line + 1}"
        yield f"YAML reads {where} as {read}: write it without leading zeros and colons, or in quotes."


def _sentences(error: ValidationError, schema: dict[str, Any]) -> Iterator[str]:
    """One sentence for an error, or several where jsonschema reports several faults as one."""
    where, value, allowed = _dotted(error), error.instance, error.validator_value
    if "propertyNames" in error.absolute_schema_path:
        if error.validator == "enum":
            yield _unknown_key(where, value, allowed, error.schema.get("description"))
        else:
            hint = _misread(value, ["string"]) if isinstance(value, bool) else ""
            yield f"{where} has the key {show(value)}: {error.schema.get('description', NAMES)}{hint}."
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
        yield f"{where} lists {show(twice)} twice: each entry may stand there once."
    else:
        hint = did_you_mean(value, allowed) if error.validator == "enum" else ""
        yield f"{where} is {show(value)}{hint}: {_rule(error)}."


def _rule(error: ValidationError) -> str:
    """What a value must be."""
    limit = error.validator_value
    match error.validator:
        case "enum":
            return f"choose from {listed(limit)}"
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
        if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value):
            return " (in quotes, and in the lists and mappings of --config, numbers are text: use a --configfile)"
        return f" (YAML reads this spelling as text: write {_number(value)})"
    if "string" in allowed and isinstance(value, bool | int | float | date):
        kind = "true or false" if isinstance(value, bool) else "a date" if isinstance(value, date) else "a number"
        return f" (YAML reads this spelling as {kind}: put it in quotes)"
    return ""


def _unknown_key(where: str, key: Any, keys: list[str], description: str | None = None, hint: str = "") -> str:
    return (
        f"{where} has no key {show(key)}{did_you_mean(key, keys) or hint}: its keys are {description or listed(keys)}."
    )


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


def _dotted(error: ValidationError) -> str:
    """architectures.resnet.default.depth, models[1]"""
    steps = (f"[{part}]" if isinstance(part, int) else f".{_short(str(part))}" for part in error.absolute_path)
    return "".join(steps).removeprefix(".") or "the configuration"


def _short(text: str) -> str:
    """A text on one line, and not too long."""
    text = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
    return text if len(text) <= 100 else f"{text[:60]}… ({len(text)} letters)"


def _number(text: Any) -> str | None:
    """A number that was read as text, in a spelling that YAML reads as a number."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return repr(int(value) if value.is_integer() and text.strip().isdigit() else value)
