"""Configurations made up from the schema: good ones, and good ones with one thing wrong."""

import copy
import json
import math
from dataclasses import dataclass
from datetime import date
from typing import Any

import yaml
from copies import ROOT
from hypothesis import strategies as st

from rotvar.catalogue import DATASETS
from rotvar.study import configuration

SCHEMA: dict[str, Any] = configuration.named(
    yaml.safe_load((ROOT / "workflow" / "schemas" / "config.schema.yaml").read_text()), {}
)

# What matches the patterns of the schema, by the key that has one
TEXTS = {
    "results": st.sampled_from(["results", "results/a", "../out", "a b", "ü", "it's", 'say "no"', "$(touch x)", "-n"]),
    "mirror": st.just("mirror"),
    "trainings": st.from_regex(r"[a-z][a-z0-9_]{0,49}", fullmatch=True),
    "transformations": st.from_regex(r"(?!rotation$)[a-z][a-z0-9_]{0,49}", fullmatch=True),
    "own_models": st.from_regex(r"own_[a-z0-9_]{0,46}", fullmatch=True),
    "factory": st.sampled_from(["torchvision.models:resnet18", "my_networks:Small"]),
    "options": st.sampled_from(["num_classes", "width"]) | st.just("text"),
    "weights": st.just("config.yaml"),  # any file that is there, as it is looked at where it is needed
    "from": st.sampled_from(["unrotated", "a"]),
    "to": st.sampled_from(["rotated", "b"]),
    "layers": st.sampled_from(["conv1*", "conv[12]*"]),  # of every model, and few enough to show
}


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """A part of the schema together with what it refers to."""
    if "$ref" not in part:
        return part
    shared = resolved(SCHEMA["$defs"][part["$ref"].rpartition("/")[2]])
    properties = shared.get("properties", {}) | part.get("properties", {})
    merged = {name: shared.get("properties", {}).get(name, {}) | value for name, value in properties.items()}
    return shared | part | ({"properties": merged} if merged else {})


def valid(part: dict[str, Any], key: str = "") -> st.SearchStrategy[Any]:
    """What a part of the schema allows: its limits, and what lies between."""
    part = resolved(part)
    if "enum" in part:
        return st.sampled_from(part["enum"])
    types = [part["type"]] if isinstance(part["type"], str) else part["type"]
    return st.one_of(*(_of_type(name, part, key) for name in types))


def _of_type(name: str, part: dict[str, Any], key: str) -> st.SearchStrategy[Any]:
    match name:
        case "null":
            return st.none()
        case "boolean":
            return st.booleans()
        case "string":
            return TEXTS[key]
        case "integer":
            low, high = part["minimum"], part.get("maximum", part["minimum"] + 400)
            return st.one_of(st.sampled_from([low, high]), st.integers(low, min(high, low + 400)))
        case "number":
            low = part.get("exclusiveMinimum", part.get("minimum", -1))
            high = part.get("exclusiveMaximum", part.get("maximum", 1))
            excluded = {"exclude_min": "exclusiveMinimum" in part, "exclude_max": "exclusiveMaximum" in part}
            numbers = st.floats(low, high, **excluded)
            least, most = math.ceil(low), math.floor(high)
            if least > most:  # no whole number lies between
                return numbers
            return numbers | st.integers(least, most).filter(
                lambda n: (n > low or not excluded["exclude_min"]) and (n < high or not excluded["exclude_max"])
            )
        case "array":
            entries = valid(part["items"], key)
            return st.lists(entries, min_size=part.get("minItems", 0), max_size=4, unique=True)
    assert name == "object"
    known = {name: valid(value, name) for name, value in part.get("properties", {}).items()}
    required = {name: known.pop(name) for name in part.get("required", [])}
    fixed = st.fixed_dictionaries(required, optional=known)
    if part.get("additionalProperties", False) is False:
        return fixed
    names = resolved(part["propertyNames"])
    others = st.sampled_from(names["enum"]) if "enum" in names else TEXTS[key]
    more = st.dictionaries(
        others, valid(part["additionalProperties"], key), min_size=part.get("minProperties", 0), max_size=3
    )
    return st.tuples(fixed, more).map(lambda both: {**both[1], **both[0]})


def _consistent(config: dict[str, Any]) -> dict[str, Any]:
    """With what the schema cannot say: figures of what is measured, and of test images that there are, units
    that fire, transformations that change something, and questions that the study can answer."""
    figures = config.get("figures", {})
    measured = config.get("measurement", {}).get("aggregations", ["mean", "max", "sum", "spatial"])
    drawn = [name for name in figures.get("aggregations", ["mean", "spatial"]) if name in measured] or measured[:1]
    config = config | {"figures": figures | {"aggregations": drawn}}
    limit = config.get("data", {}).get("test_images") or 10**6
    there = min(limit, *(DATASETS[name].test for name in config["datasets"]))
    if images := figures.get("feature_maps", {}).get("images"):
        chosen = list(dict.fromkeys(image % there for image in images))
        config["figures"]["feature_maps"] = figures["feature_maps"] | {"images": chosen}
    if rate := config.get("measurement", {}).get("firing_rate"):
        config["measurement"] = config["measurement"] | {"firing_rate": max(rate, 0.05)}  # of 20 images at 2 angles
    impossible = {"stability"} if set(drawn) == {"spatial"} else set()
    impossible |= {"transfer"} if len(config["datasets"]) < 2 else set()
    if questions := config.get("questions"):
        config["questions"] = [name for name in questions if name not in impossible]
    if transformations := config.get("transformations"):
        few = {"samples": 2}  # of ten parameters
        config["transformations"] = {name: {"rotation": 90} | one | few for name, one in transformations.items()}
        for one in config["transformations"].values():
            one["rotation"] = one["rotation"] or 90
    return config | _answerable(config)


def _answerable(config: dict[str, Any]) -> dict[str, Any]:
    """Without the questions that this study cannot answer."""
    whole = configuration.with_defaults(config, SCHEMA)
    asked = [name for name in whole["questions"] if not configuration.unanswerable(name, whole)]
    return {"questions": asked} if "questions" in config else {}


# Folders of images are tried in test_own.py
_WITHOUT_FOLDERS = SCHEMA | {
    "properties": {name: SCHEMA["properties"][name] for name in SCHEMA["properties"] if name != "own_data"}
}
configurations = valid(_WITHOUT_FOLDERS).map(_consistent)

NOTHING_ALLOWS = st.sampled_from([
    float("nan"), float("inf"), -1, 10**30, 3.5, -0.5, date(2024, 5, 17), b"bytes", "no such name", "1e-3", "",
    "two\nlines", [[]], [None], {1: 2}, {None: {}}, {"no such key": 1}, True, None,
])  # fmt: skip


@dataclass
class Spoilt:
    """A configuration with one thing wrong, and where that is."""

    config: dict[str, Any]
    key: str

    def __repr__(self) -> str:
        return f"{self.key} in {self.config}"


def places(part: dict[str, Any], config: Any, key: str = "") -> list[tuple[list[Any], dict[str, Any]]]:
    """Every value of a configuration: the way to it, and what the schema says of it."""
    part = resolved(part)
    found: list[tuple[list[Any], dict[str, Any]]] = [([], part)]
    if isinstance(config, dict):
        for name, value in config.items():
            below = part.get("properties", {}).get(name) or part["additionalProperties"]
            found += [([name, *way], each) for way, each in places(below, value)]
    if isinstance(config, list):
        for position, value in enumerate(config):
            found += [([position, *way], each) for way, each in places(part["items"], value)]
    return found


@st.composite
def spoilt(draw: st.DrawFn) -> Spoilt:
    """A good configuration in which one value is replaced by one that its place does not allow, or one key is added,
    misspelt or left out."""
    config = copy.deepcopy(draw(configurations))
    fault = draw(st.sampled_from(["value", "value", "value", "key", "missing", "twice"]))
    if fault == "missing":
        name = draw(st.sampled_from(SCHEMA["required"]))
        del config[name]
        return Spoilt(config, name)
    found = places(SCHEMA, config)
    if fault == "key":
        closed = [
            way for way, part in found if part.get("type") == "object" and part.get("additionalProperties") is False
        ]
        way = draw(st.sampled_from(closed))
        name = draw(st.sampled_from(["no such key", "epoch ", "Seeds", 1, None, True, "$(touch x)"]))
        _at(config, way)[name] = draw(NOTHING_ALLOWS)
        return Spoilt(config, name if isinstance(name, str) else json.dumps(name))
    if fault == "twice" and (lists := [way for way, part in found if part.get("uniqueItems") and _at(config, way)]):
        way = draw(st.sampled_from(lists))
        _at(config, way).append(_at(config, way)[0])
        return Spoilt(config, str(way[-1]))
    way, part = draw(st.sampled_from(found[1:]))
    named = len(way) == 2 and way[0] in ("trainings", "transformations")  # where null leaves out
    value = draw(NOTHING_ALLOWS.filter(lambda one: not (_allowed(part, one) or (named and one is None))))
    _at(config, way[:-1])[way[-1]] = value
    return Spoilt(config, next(str(name) for name in reversed(way) if isinstance(name, str)))


def _at(config: Any, way: list[Any]) -> Any:
    for step in way:
        config = config[step]
    return config


def _allowed(part: dict[str, Any], value: Any) -> bool:
    """Whether a value from NOTHING_ALLOWS happens to be good in its place after all."""
    if "enum" in part:
        return value in part["enum"] and not isinstance(value, bool)
    types = [part["type"]] if isinstance(part["type"], str) else part["type"]
    if value is None or isinstance(value, bool):
        return ("null" if value is None else "boolean") in types
    if isinstance(value, str):
        return "string" in types and ("pattern" not in part or value not in ("", "two\nlines"))
    if isinstance(value, int | float) and "number" in types:
        if not part.keys() & {"minimum", "exclusiveMinimum"}:
            return math.isfinite(value)
        return part.get("minimum", 0) <= value <= part["maximum"] if "maximum" in part else 0 <= value < 1
    return False


# Anything that YAML can say
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.dates() | st.binary(max_size=5),
    lambda below: (
        st.lists(below, max_size=4)
        | st.dictionaries(
            st.text(max_size=10) | st.integers() | st.booleans() | st.none() | st.dates(), below, max_size=4
        )
        | st.dictionaries(
            st.sampled_from([*SCHEMA["properties"], "default", "rotated", "angles", "images"]), below, max_size=6
        )
    ),
    max_leaves=30,
)
