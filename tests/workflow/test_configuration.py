"""A bad configuration is one clear sentence, before anything runs."""

import dataclasses
import json
import re
from collections.abc import Iterator
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from copies import ROOT, copy_workflow, edit, run_snakemake

from rotvar.catalogue import DATASETS, MODELS
from rotvar.study import configuration, folders, sentences
from rotvar.transformations import FAMILIES

SCHEMA = yaml.safe_load((ROOT / "workflow" / "schemas" / "config.schema.yaml").read_text())


def study(**changes: Any) -> dict[str, Any]:
    """The configuration of the repository with some of its top-level keys replaced."""
    return yaml.safe_load((ROOT / "config.yaml").read_text()) | changes


def changed(key: str, value: Any) -> dict[str, Any]:
    """The configuration of the repository with one key, at any depth, set to a value: "training.default.epochs"."""
    config = study()
    *above, last = key.split(".")
    place = config
    for name in above:
        place = place.setdefault(name, {})
    place[last] = value
    return config


def test_the_studies_of_the_repository_are_good() -> None:
    assert configuration.problems(study(), SCHEMA) == []
    demo = yaml.safe_load((ROOT / "profiles" / "demo" / "study.yaml").read_text())
    assert configuration.problems(study(**demo), SCHEMA) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"models": ["simple_con"]},
            "models[0] is 'simple_con' (did you mean 'simple_conv'?): choose from simple_conv, all_convolutional, "
            "vgg16, vgg_like, resnet.",
        ),
        (
            {"datasets": ["digits", "minst"]},
            "datasets[1] is 'minst' (did you mean 'mnist'?): choose from digits, mnist, fashion_mnist, cifar10.",
        ),
        ({"datasets": []}, "datasets is []: name at least one."),
        ({"datasets": "mnist"}, "datasets is 'mnist': it must be a list."),
        ({"datasets": None}, "datasets is null: it must be a list."),
        ({"measurement": {"angles": 1}}, "measurement.angles is 1: it must be at least 2."),
        ({"measurement": {"angles": 16.0}}, "measurement.angles is 16.0: it must be a whole number."),
        ({"measurement": {"shards": 0}}, "measurement.shards is 0: it must be at least 1."),
        ({"measurement": {"shards": 11}}, "measurement.shards is 11: it must be at most 10."),
        (
            {"measurement": {"shards": "4"}},
            "measurement.shards is '4': it must be a whole number (in quotes, and in the lists and mappings of "
            "--config, numbers are text: use a --configfile).",
        ),
        (
            {"measurement": {"precision": "half"}},
            "measurement.precision is 'half': choose from float32, tf32, bfloat16.",
        ),
        (
            {"architectures": {"simple_conv": {"default": {"width": -32}}}},
            "architectures.simple_conv.default.width is -32: it must be at least 1.",
        ),
        (
            {"architectures": {"resnet": {"mnist": {"depth": 19}}}},
            "architectures.resnet.mnist.depth is 19: choose from 18, 34, 50, 101, 152.",
        ),
        (
            {"architectures": {"simple_conv": {"default": {"depth": 18}}}},
            "architectures.simple_conv.default has no key 'depth': its keys are width, hidden.",
        ),
        (
            {"architectures": {"vgg16": {"minst": {"width": 8}}}},
            "architectures.vgg16 has no key 'minst' (did you mean 'mnist'?): its keys are default, digits, mnist, "
            "fashion_mnist, cifar10.",
        ),
        (
            {"training": {"default": {"epoch": 3}}},
            "training.default has no key 'epoch' (did you mean 'epochs'?): its keys are epochs, batch_size, "
            "learning_rate, warmup, weight_decay, flips_and_crops, precision, deterministic.",
        ),
        (
            {"training": {"mnist/simple_con": {"epochs": 3}}},
            "training has no key 'mnist/simple_con' (did you mean 'mnist/simple_conv'?): its keys are default, a data "
            'set, a model or "data set/model".',
        ),
        (
            {"training": {"default": {"learning_rate": "1e-3"}}},
            "training.default.learning_rate is '1e-3': it must be a number (YAML reads this spelling as text: write "
            "0.001).",
        ),
        (
            {"training": {"default": {"learning_rate": 0}}},
            "training.default.learning_rate is 0: it must be more than 0.",
        ),
        (
            {"training": {"default": {"flips_and_crops": "often"}}},
            "training.default.flips_and_crops is 'often': it must be true or false.",
        ),
        ({"training": {"default": {"warmup": 1}}}, "training.default.warmup is 1: it must be less than 1."),
        ({"seeds": [0, 1, 0]}, "seeds lists 0 twice: each entry may stand there once."),
        ({"seeds": [True]}, "seeds[0] is true: it must be a whole number."),
        ({"data": {"train_images": 3}}, "data.train_images is 3: it must be at least 10."),
        (
            {"data": {"mirror": 3}},
            "data.mirror is 3: it must be text or null (YAML reads this spelling as a number: put it in quotes).",
        ),
        ({"trainings": {"rotated": {"rotation": 360}}}, "trainings.rotated.rotation is 360: it must be at most 180."),
        (
            {"trainings": {"rotated": {"rotaton": 180}}},  # which would be one on images as they are
            "trainings.rotated has no key 'rotaton' (did you mean 'rotation'?): its keys are epochs, rotation, "
            "translation, scale, shear, horizontal_flip, vertical_flip, blur, brightness, contrast.",
        ),
        (
            {"trainings": {"Rotated!": {}}},
            "trainings has the key 'Rotated!': use lower-case letters, digits and _, beginning with a letter, 50 of "
            "them at most.",
        ),
        (
            {"figures": {"aggregations": ["mean", "max"]}, "measurement": {"aggregations": ["mean"]}},
            "figures.aggregations[1] is 'max', which measurement.aggregations does not list: choose from mean, or "
            "measure it.",
        ),
        (
            {"datasets": ["mnist"], "figures": {"feature_maps": {"images": [0, 10_000]}}},
            "figures.feature_maps.images[1] is 10000, but there are 10000 test images of mnist: choose from 0 to 9999.",
        ),
        (
            {"datasets": ["digits"], "data": {"test_images": 20}, "figures": {"feature_maps": {"images": [20]}}},
            "figures.feature_maps.images[0] is 20, but there are 20 test images of digits: choose from 0 to 19.",
        ),
        (
            {"datasets": ["digits"], "data": {"test_images": 24}, "measurement": {"angles": 4, "firing_rate": 0.01}},
            "measurement.firing_rate is 0.01, which is less than one of 24 test images of digits at 4 angles, so that "
            "no unit fires: it must be at least 0.010417.",
        ),
        (
            {"figures": {"feature_maps": {"layers": {"resnt": ["conv1"]}}}},
            "figures.feature_maps.layers has no key 'resnt' (did you mean 'resnet'?): its keys are simple_conv, "
            "all_convolutional, vgg16, vgg_like, resnet.",
        ),
        (
            {"figures": {"feature_maps": {"layers": {"resnet": []}}}},
            "figures.feature_maps.layers.resnet is []: name at least one.",
        ),
        (
            {"figures": {"convergence": {"aggregation": "spatial"}}},
            "figures.convergence.aggregation is 'spatial': choose from mean, max.",
        ),
        (
            {"own_data": {"flowers": {"folder": "x", "image_size": 8, "channels": 2}}},
            "own_data.flowers.channels is 2: choose from 3, 1.",
        ),
        (
            {"own_data": {"flowers": {"folder": 3, "image_size": 8}}},
            "own_data.flowers.folder is 3: it must be text (YAML reads this spelling as a number: put it in quotes).",
        ),
        ({"own_data": {"flowers": {"folder": "x"}}}, "own_data.flowers lacks the key 'image_size'."),
        (
            {"own_data": {"flowers": {"folder": "x", "image_size": 8, "channel": 1}}},
            "own_data.flowers has no key 'channel' (did you mean 'channels'?): its keys are folder, image_size, "
            "channels.",
        ),
        (
            {"own_data": {"flowers": {"folder": "x", "image_size": 0}}},
            "own_data.flowers.image_size is 0: it must be at least 1.",
        ),
        (
            {"own_data": {"flowers": {"folder": "no/such", "image_size": 8}}},
            "own_data.flowers.folder: no/such is not a folder: it must hold a folder of images for each class.",
        ),
        (
            {"own_data": {"Flowers": {"folder": "x", "image_size": 8}}},
            "own_data has the key 'Flowers': use lower-case letters, digits and _, beginning with a letter, 50 of "
            "them at most.",
        ),
        ({"own_models": {"mine": {}}}, "own_models.mine lacks the key 'factory'."),
        (
            {"own_models": {"mine": {"factory": "a:b", "weigths": "x"}}},
            "own_models.mine has no key 'weigths' (did you mean 'weights'?): its keys are factory, options, weights.",
        ),
        (
            {"own_models": {"my-net": {"factory": "a:b"}}},
            "own_models has the key 'my-net': use lower-case letters, digits and _, beginning with a letter, 50 of "
            "them at most.",
        ),
        (
            {"own_models": {"mine": {"factory": "a.b"}}},
            "own_models.mine.factory is 'a.b': write it as package.module:function.",
        ),
        (
            {"own_models": {"mine": {"factory": "a:b", "options": {"classes": 1}}}},
            "own_models.mine.options has the key 'classes': use a name that Python takes, and not factory, channels, "
            "image_size or classes.",
        ),
        (
            {"own_models": {"mine": {"factory": "a:b", "options": {"widths": [1]}}}},
            "own_models.mine.options.widths is [1]: it must be text or a number or true or false or null.",
        ),
        (
            {"own_models": {"mine": {"factory": "a:b", "weights": "no/such"}}},
            "own_models.mine.weights is 'no/such', which is no file: correct the path, or leave it out.",
        ),
        (
            {"own_models": {"mine": {"factory": "a:b", "weights": "{seed}.safetensors"}}},
            "own_models.mine.weights is '{seed}.safetensors': it may not be empty or contain < > { } or line breaks, "
            "tabs and the like.",
        ),
        (
            {"own_models": {"mine": {"factory": "a:b", "weights": "workflow"}}},
            "own_models.mine.weights is 'workflow', which is no file: correct the path, or leave it out.",
        ),
        (
            {"own_models": {"resnet": {"factory": "a:b"}}},
            "own_models.resnet: the name 'resnet' has another use: choose another.",
        ),
        (
            {"sedes": [0]},
            "the configuration has no key 'sedes' (did you mean 'seeds'?): its keys are results, datasets, models, "
            "trainings, transformations, seeds, data, own_data, own_models, architectures, training, "
            "measurement, figures, questions, retraining, emergence, stability, jobs_per_gpu, conda.",
        ),
    ],
)
def test_a_problem_is_a_sentence(changes: dict[str, Any], sentence: str) -> None:
    assert configuration.problems(study(**changes), SCHEMA) == [sentence]


NAN, INFINITE = float("nan"), float("inf")
LIST, MAPPING, WHOLE, NUMBER, TEXT = (
    "it must be a list",
    "it must be a mapping of keys to values",
    "it must be a whole number",
    "it must be a number",
    "it must be text",
)
NAME = "use lower-case letters, digits and _, beginning with a letter, 50 of them at most"
QUOTED = "(in quotes, and in the lists and mappings of --config, numbers are text: use a --configfile)"
PRECISION = "choose from auto, bfloat16, float32"
RESULTS = "it may not be empty or contain < > { } or line breaks, tabs and the like"
AGGREGATIONS = "choose from mean, max, sum, spatial, same_equivariance"
DATASET = "choose from digits, mnist, fashion_mnist, cifar10"
MODEL = "choose from simple_conv, all_convolutional, vgg16, vgg_like, resnet"

# Each key with a value of the wrong type, one out of range, and those that YAML makes of what somebody may write:
# key, value as YAML gives it, value as the sentence shows it, what is allowed
VALUES = [
    ("results", "", "''", RESULTS),
    ("results", "a<b>", "'a<b>'", RESULTS),
    ("results", "{dataset}", "'{dataset}'", RESULTS),
    ("results", "two\nlines", "'two\\nlines'", RESULTS),
    ("results", "results\n", "'results\\n'", RESULTS),
    ("results", "a\0b", "'a\\x00b'", RESULTS),
    ("results", None, "null", TEXT),
    ("results", ["results"], '["results"]', TEXT),
    ("results", 2024, "2024", f"{TEXT} (YAML reads this spelling as a number: put it in quotes)"),
    ("results", date(2024, 5, 17), '"2024-05-17"', f"{TEXT} (YAML reads this spelling as a date: put it in quotes)"),
    ("results", True, "true", f"{TEXT} (YAML reads this spelling as true or false: put it in quotes)"),
    ("datasets", {"mnist": None}, '{"mnist": null}', LIST),
    ("datasets", [None], "null", DATASET),
    ("datasets", [["mnist"]], '["mnist"]', DATASET),
    ("datasets", ["MNIST"], "'MNIST' (did you mean 'mnist'?)", DATASET),
    ("datasets", ["CIFAR-10"], "'CIFAR-10' (did you mean 'cifar10'?)", DATASET),
    ("datasets", ["../../etc/passwd"], "'../../etc/passwd'", DATASET),
    ("datasets", ["$(touch x)"], "'$(touch x)'", DATASET),
    ("datasets", [".*"], "'.*'", DATASET),
    ("models", "resnet", "'resnet'", LIST),
    ("models", [], "[]", "name at least one"),
    ("models", [18], "18", MODEL),
    ("models", ["ResNet50"], "'ResNet50' (did you mean 'resnet'?)", MODEL),
    ("models", ["../../etc/passwd"], "'../../etc/passwd'", MODEL),
    ("models", ["$(touch x)"], "'$(touch x)'", MODEL),
    ("trainings", ["rotated"], '["rotated"]', MAPPING),
    ("trainings", {}, "{}", "name at least one"),
    ("trainings", None, "null", MAPPING),
    ("trainings.rotated", 180, "180", MAPPING),
    ("trainings.rotated.epochs", -1, "-1", "it must be at least 0"),
    ("trainings.rotated.epochs", 0.5, "0.5", "it must be a whole number or null"),
    ("trainings.rotated.epochs", 10**9, "1000000000", "it must be at most 1000000"),
    ("trainings.rotated.rotation", "180°", "'180°'", NUMBER),
    ("trainings.rotated.rotation", -10, "-10", "it must be at least 0"),
    ("trainings.rotated.rotation", 180.5, "180.5", "it must be at most 180"),
    ("trainings.rotated.rotation", NAN, "NaN", NUMBER),
    ("trainings.rotated.rotation", True, "true", NUMBER),
    ("trainings.rotated.translation", 1.5, "1.5", "it must be at most 1"),
    ("trainings.rotated.scale", -1, "-1", "it must be at least 0"),
    ("trainings.rotated.shear", 90, "90", "it must be at most 89"),
    ("trainings.rotated.horizontal_flip", True, "true", NUMBER),
    ("trainings.rotated.vertical_flip", "always", "'always'", NUMBER),
    ("trainings.rotated.blur", [0, 2], "[0, 2]", NUMBER),
    ("trainings.rotated.blur", "0.50", "'0.50'", f"{NUMBER} {QUOTED}"),
    ("trainings.rotated.brightness", 2, "2", "it must be at most 1"),
    ("trainings.rotated.contrast", INFINITE, "Infinity", NUMBER),
    ("transformations", ["shear"], '["shear"]', MAPPING),
    ("transformations.shift", 0.1, "0.1", MAPPING),
    ("seeds", 0, "0", LIST),
    ("seeds", [], "[]", "name at least one"),
    ("seeds", [-1], "-1", "it must be at least 0"),
    ("seeds", [2**32], "4294967296", "it must be at most 4294967295"),
    ("seeds", [1.5], "1.5", WHOLE),
    ("seeds", ["0"], "'0'", f"{WHOLE} {QUOTED}"),
    ("seeds", [None], "null", WHOLE),
    ("data", "/data", "'/data'", MAPPING),
    ("data.mirror", ["/data"], '["/data"]', "it must be text or null"),
    ("data.mirror", "", "''", "it may not be empty or contain line breaks, tabs and the like"),
    ("data.train_images", 9, "9", "it must be at least 10"),
    ("data.train_images", 10**30, str(10**30), "it must be at most 1000000"),
    ("data.train_images", "all", "'all'", "it must be a whole number or null"),
    ("data.train_images", 1e3, "1000.0", "it must be a whole number or null"),
    ("data.test_images", 19, "19", "it must be at least 20"),
    ("data.test_images", 2**63, str(2**63), "it must be at most 1000000"),
    ("data.test_images", False, "false", "it must be a whole number or null"),
    ("architectures", [], "[]", MAPPING),
    ("architectures.simple_conv", None, "null", MAPPING),
    ("architectures.simple_conv.default", 32, "32", MAPPING),
    ("architectures.simple_conv.default.width", 0, "0", "it must be at least 1"),
    ("architectures.simple_conv.default.width", 10**6, "1000000", "it must be at most 65536"),
    ("architectures.simple_conv.default.width", True, "true", WHOLE),
    ("architectures.simple_conv.cifar10.hidden", "64", "'64'", f"{WHOLE} {QUOTED}"),
    ("architectures.all_convolutional.default.width", 16.5, "16.5", WHOLE),
    ("architectures.vgg16.default.hidden", -1, "-1", "it must be at least 1"),
    ("architectures.vgg_like.mnist.width", None, "null", WHOLE),
    ("architectures.resnet.default.depth", 18.0, "18.0", WHOLE),
    ("architectures.resnet.default.depth", "18", "'18'", f"{WHOLE} {QUOTED}"),
    ("architectures.resnet.default.width", [64], "[64]", WHOLE),
    ("training", None, "null", MAPPING),
    ("training.default", "fast", "'fast'", MAPPING),
    ("training.default.epochs", 0, "0", "it must be at least 1"),
    ("training.default.epochs", -3, "-3", "it must be at least 1"),
    ("training.default.epochs", NAN, "NaN", WHOLE),
    ("training.default.epochs", INFINITE, "Infinity", WHOLE),
    ("training.default.epochs", 10**100, f"{str(10**100)[:60]}… (101 letters)", "it must be at most 1000000"),
    ("training.default.epochs", True, "true", WHOLE),
    ("training.default.epochs", 2.5, "2.5", WHOLE),
    ("training.default.batch_size", 1, "1", "it must be at least 2"),
    ("training.default.batch_size", "128x", "'128x'", WHOLE),
    ("training.default.batch_size", 10**9, str(10**9), "it must be at most 1000000"),
    ("training.default.learning_rate", -0.1, "-0.1", "it must be more than 0"),
    ("training.default.learning_rate", NAN, "NaN", NUMBER),
    ("training.default.learning_rate", INFINITE, "Infinity", NUMBER),
    ("training.default.learning_rate", 1000, "1000", "it must be at most 10"),
    ("training.default.learning_rate", None, "null", NUMBER),
    ("training.default.warmup", -0.1, "-0.1", "it must be at least 0"),
    ("training.default.warmup", 20, "20", "it must be less than 1"),
    ("training.default.warmup", "20%", "'20%'", NUMBER),
    ("training.default.weight_decay", -1, "-1", "it must be at least 0"),
    ("training.default.weight_decay", 50, "50", "it must be at most 10"),
    ("training.default.weight_decay", "5e-2", "'5e-2'", f"{NUMBER} (YAML reads this spelling as text: write 0.05)"),
    ("training.default.flips_and_crops", 1, "1", "it must be true or false"),
    ("training.default.deterministic", None, "null", "it must be true or false"),
    ("training.default.precision", 16, "16", PRECISION),
    ("training.default.precision", "float16", "'float16' (did you mean 'bfloat16'?)", PRECISION),
    ("training.cifar10.epochs", "30", "'30'", f"{WHOLE} {QUOTED}"),
    ("training.mnist/resnet.warmup", 1, "1", "it must be less than 1"),
    ("measurement", [16], "[16]", MAPPING),
    ("measurement.angles", 1, "1", "it must be at least 2"),
    ("measurement.angles", 10**7, "10000000", "it must be at most 3600"),
    ("measurement.angles", [0, 90], "[0, 90]", WHOLE),
    ("measurement.angles", "16", "'16'", f"{WHOLE} {QUOTED}"),
    ("measurement.aggregations", "mean", "'mean'", LIST),
    ("measurement.aggregations", [], "[]", "name at least one"),
    ("measurement.aggregations", ["min"], "'min'", AGGREGATIONS),
    ("measurement.firing_rate", 0, "0", "it must be more than 0"),
    ("measurement.firing_rate", 1, "1", "it must be at most 0.5"),
    (
        "measurement.firing_rate",
        "1e-2",
        "'1e-2'",
        "it must be a number or null (YAML reads this spelling as text: write 0.01)",
    ),
    ("measurement.precision", None, "null", "choose from float32, tf32, bfloat16"),
    ("measurement.precision", "auto", "'auto'", "choose from float32, tf32, bfloat16"),
    ("measurement.shards", -1, "-1", "it must be at least 1"),
    ("measurement.shards", 2.0, "2.0", WHOLE),
    ("figures", "all", "'all'", MAPPING),
    ("figures.aggregations", [], "[]", "name at least one"),
    ("figures.aggregations", ["spacial"], "'spacial' (did you mean 'spatial'?)", AGGREGATIONS),
    ("figures.feature_maps", [0], "[0]", MAPPING),
    ("figures.feature_maps.images", 0, "0", LIST),
    ("figures.feature_maps.images", [-1], "-1", "it must be at least 0"),
    ("figures.feature_maps.images", [0.5], "0.5", WHOLE),
    ("figures.feature_maps.images", [True], "true", WHOLE),
    ("figures.feature_maps.layers", ["conv1"], '["conv1"]', MAPPING),
    ("figures.feature_maps.layers.resnet", "conv1", "'conv1'", LIST),
    ("figures.feature_maps.layers.resnet", [None], "null", TEXT),
    ("figures.feature_maps.layers.resnet", [""], "''", "it may not be empty"),
    ("figures.convergence", 320, "320", MAPPING),
    ("figures.convergence.images", 10, "10", "it must be at least 20"),
    ("figures.convergence.images", 10**12, str(10**12), "it must be at most 1000000"),
    ("figures.convergence.images", None, "null", WHOLE),
    ("figures.convergence.aggregation", ["mean"], '["mean"]', "choose from mean, max"),
    ("questions", "transfer", "'transfer'", LIST),
    ("questions", ["stable"], "'stable'", "choose from retraining, emergence, stability, transfer"),
    ("questions", ["transfers"], "'transfers' (did you mean 'transfer'?)",
     "choose from retraining, emergence, stability, transfer"),
    ("stability", 200, "200", MAPPING),
    ("stability.replicates", 19, "19", "it must be at least 20"),
    ("stability.replicates", 10**6, "1000000", "it must be at most 5000"),
    ("stability.replicates", 2e2, "200.0", WHOLE),
    ("stability.confidence", 95, "95", "it must be at most 0.9999"),
    ("stability.confidence", 0.05, "0.05", "it must be at least 0.5"),
    ("stability.power", 0.2, "0.2", "it must be at least 0.5"),
    ("stability.power", 1, "1", "it must be at most 0.9999"),
    ("stability.difference", 0, "0", "it must be at least 1e-06"),
    ("stability.difference", NAN, "NaN", NUMBER),
    ("own_data", ["flowers"], '["flowers"]', MAPPING),
    ("own_data.flowers", "flowers", "'flowers'", MAPPING),
    ("own_models", "resnet18", "'resnet18'", MAPPING),
    ("own_models.mine", ["a:b"], '["a:b"]', MAPPING),
    ("questions", "emergence", "'emergence'", LIST),
    ("questions", ["stable"], "'stable'", "choose from retraining, emergence, stability, transfer"),
    ("questions", [None], "null", "choose from retraining, emergence, stability, transfer"),
    ("retraining", "rotated", "'rotated'", MAPPING),
    ("retraining.from", 0, "0", f"{TEXT} (YAML reads this spelling as a number: put it in quotes)"),
    ("retraining.from", "", "''", "it may not be empty"),
    ("retraining.to", "", "''", "it may not be empty"),
    ("retraining.epochs", 0, "0", "it must be at least 1"),
    ("retraining.epochs", 10**9, "1000000000", "it must be at most 1000000"),
    ("emergence", [0, 1], "[0, 1]", MAPPING),
    ("emergence.epochs", 5, "5", LIST),
    ("emergence.epochs", [], "[]", "name at least one"),
    ("emergence.epochs", [-1], "-1", "it must be at least 0"),
    ("emergence.epochs", [0.5], "0.5", WHOLE),
    ("emergence.epochs", [10**9], "1000000000", "it must be at most 1000000"),
    ("jobs_per_gpu", 0, "0", "it must be at least 1"),
    ("jobs_per_gpu", 100, "100", "it must be at most 64"),
    ("jobs_per_gpu", None, "null", WHOLE),
    ("conda", "cpu", "'cpu'", MAPPING),
    ("conda.torch", "gpu", "'gpu'", "choose from cpu, cuda"),
    ("conda.torch", None, "null", "choose from cpu, cuda"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value", "shown", "allowed"), VALUES)
def test_a_value_that_cannot_be_is_a_sentence(key: str, value: Any, shown: str, allowed: str) -> None:
    """It has the key, what was found, and what is allowed; a list's key, where an entry is wrong, has its place."""
    found = configuration.problems(changed(key, value), SCHEMA)
    assert found in ([f"{key} is {shown}: {allowed}."], [f"{key}[0] is {shown}: {allowed}."])


def keys(part: dict[str, Any] = SCHEMA, above: str = "") -> Iterator[str]:
    """Every key that the schema names, dotted."""
    shared = SCHEMA["$defs"][part["$ref"].rpartition("/")[2]] if "$ref" in part else {}
    for key, value in (shared.get("properties", {}) | part.get("properties", {})).items():
        yield f"{above}{key}"
        yield from keys(value, f"{above}{key}.")


def test_every_key_is_in_the_table() -> None:
    """Models and data sets share theirs."""

    def plain(key: str) -> str:
        return re.sub(rf"\b({'|'.join([*MODELS, *DATASETS])})\b", "default", key)

    assert {plain(key) for key in keys()} <= {plain(key) for key, *_ in VALUES}
    assert len(VALUES) >= 60


LIMITS = {"rotation": 180, "translation": 1, "scale": 100, "shear": 89, "horizontal_flip": 1, "vertical_flip": 1,
          "blur": 100, "brightness": 1, "contrast": 1}  # fmt: skip


@pytest.mark.parametrize("section", ["trainings", "transformations"])
@pytest.mark.parametrize(("name", "limit"), [(name, LIMITS[name]) for name in FAMILIES])
def test_a_change_goes_from_nothing_to_its_limit(name: str, limit: int, section: str) -> None:
    def said(value: float) -> list[str]:
        samples = {"samples": 2} if section == "transformations" else {}
        return configuration.problems(study(**{section: {"changed": {name: value, **samples}}}), SCHEMA)

    assert said(limit) == []
    assert said(limit + 0.5) == [f"{section}.changed.{name} is {limit + 0.5}: it must be at most {limit}."]
    assert said(-0.5) == [f"{section}.changed.{name} is -0.5: it must be at least 0."]


def test_every_family_of_changes_can_be_trained_with_and_measured_under() -> None:
    for section, other in (("trainings", "epochs"), ("transformations", "samples")):
        assert SCHEMA["properties"][section]["additionalProperties"]["properties"].keys() == {*FAMILIES, other}


@pytest.mark.parametrize("key", [*keys()])
def test_a_misspelt_key_suggests_the_right_one(key: str) -> None:
    above, _, last = key.rpartition(".")
    for misspelt in (last[1:] + last[0], last[:-1], last.upper(), f"{last}s", last.replace("_", "-") + "_"):
        whole = f"{above}.{misspelt}".removeprefix(".")
        if whole in keys():  # training and trainings
            continue
        (found,) = configuration.problems(changed(whole, {}), SCHEMA)
        hint = f" (did you mean '{last}'?)" if len(last) > 4 else ""  # of shorter words a letter is too much
        assert found.startswith(f"{above or 'the configuration'} has no key '{misspelt}'{hint}")


@pytest.mark.parametrize("key", ["datasets", "models", "trainings"])
def test_a_key_that_must_be_there(key: str) -> None:
    config = study()
    del config[key]
    assert configuration.problems(config, SCHEMA) == [f"the configuration lacks the key '{key}'."]


@pytest.mark.parametrize(
    ("key", "place"),
    [("epochs", "training.default.epochs"), ("angles", "measurement.angles"), ("mirror", "data.mirror"),
     ("width", "architectures.simple_conv.default.width"), ("depth", "architectures.resnet.default.depth")],
)  # fmt: skip
def test_a_key_in_the_wrong_place_is_told_where_it_belongs(key: str, place: str) -> None:
    """As in snakemake --config epochs=3"""
    (found,) = configuration.problems(study(**{key: 3}), SCHEMA)
    assert found.startswith(f"the configuration has no key '{key}' (did you mean {place}?): its keys are results, ")


@pytest.mark.parametrize(
    ("name", "shown"),
    [(1, "1"), (None, "null"), ("../x", "'../x'"), ("$(touch x)", "'$(touch x)'"), ("", "''"),
     ("rotated\n", "'rotated\\n'"), ("a|b", "'a|b'"), ("a" * 51, f"'{'a' * 51}'"), (date(2024, 5, 17), '"2024-05-17"')],
)  # fmt: skip
def test_a_training_is_named_by_a_plain_word(name: Any, shown: str) -> None:
    assert configuration.problems(study(trainings={name: {}}), SCHEMA) == [f"trainings has the key {shown}: {NAME}."]


def test_a_name_that_yaml_reads_as_true_or_false_belongs_in_quotes() -> None:
    found = configuration.problems(study(trainings=yaml.safe_load("{no: {}}")), SCHEMA)
    hint = "(YAML reads this spelling as true or false: put it in quotes)"
    assert found == [f"trainings has the key false: {NAME} {hint}."]
    assert configuration.problems(study(trainings=yaml.safe_load("{'no': {}}")), SCHEMA) == []


def test_what_is_null_is_left_out() -> None:
    """Files of a study are merged: one has no other way to leave out what another has."""
    config = study(trainings={"rotated": None, "half": {"rotation": 90}}, transformations={"shift": None})
    assert configuration.leave_out(config) == ["trainings.rotated", "transformations.shift"]
    assert config == study(trainings={"half": {"rotation": 90}}, transformations={})
    assert configuration.leave_out(config) == []
    assert configuration.leave_out({"trainings": None, "transformations": ["shift"], "seeds": None}) == []


def test_numbers_are_written_plainly_but_for_factories() -> None:
    config = study(
        trainings={"rotated": {"rotation": 180.0}, "half": {"rotation": 0.5}},
        seeds=[0, 1],
        training={"default": {"deterministic": False}},
        own_models={"mine": {"factory": "nets:make", "options": {"scale": 2.0}}},
    )
    found = json.dumps(configuration.plain(config))
    assert found == json.dumps(config).replace("180.0", "180")


def test_a_study_keeps_one_training(tmp_path: Path) -> None:
    folder = copy_workflow(tmp_path / "rotvar")
    (folder / "none.yaml").write_text("trainings: {unrotated: null, rotated: null}")
    run = run_snakemake(folder, "-n", "--configfile", "none.yaml")
    assert run.returncode != 0
    (error,) = [line for line in run.stderr.splitlines() if "rror" in line]
    assert error == "Error in the configuration: trainings is {}: name at least one."


@pytest.mark.parametrize(
    ("shift", "sentence"),
    [
        ({"shear": 9}, " lacks the key 'samples'."),
        ({"shear": 9, "samples": 1}, ".samples is 1: it must be at least 2."),
        ({"shear": 9, "samples": 3601}, ".samples is 3601: it must be at most 3600."),
        ({"sheer": 9, "samples": 2}, " has no key 'sheer' (did you mean 'shear'?): its keys are rotation, "),
        ({"samples": 2}, " changes nothing: give one of its limits a value above 0."),
        ({"blur": 0, "samples": 2}, " changes nothing: give one of its limits a value above 0."),
        (
            {"translation": 0.1, "scale": 0.2, "samples": 16},
            " has 4,096 combinations of the values of its parameters: 3,600 are allowed, lower samples.",
        ),
        (
            {"translation": 0.1, "vertical_flip": 0.5, "samples": 43},
            " has 3,698 combinations of the values of its parameters: 3,600 are allowed, lower samples.",
        ),
    ],
)
def test_what_cannot_be_measured_under_is_a_sentence(shift: dict[str, Any], sentence: str) -> None:
    (found,) = configuration.problems(study(transformations={"shift": shift}), SCHEMA)
    assert found.startswith(f"transformations.shift{sentence}")


def test_a_flip_has_two_values_however_many_others_have() -> None:
    mirrored = {"rotation": 180, "horizontal_flip": 0.5, "vertical_flip": 0.5, "samples": 900}
    assert configuration.problems(study(transformations={"mirrored": mirrored}), SCHEMA) == []


@pytest.mark.parametrize(
    ("aggregations", "refused"),
    [
        (["spatial"], "spatial"),
        (["spatial", "same_equivariance"], "spatial and same_equivariance"),
        (["same_equivariance", "max"], None),
        (None, None),
    ],
)
def test_stability_is_asked_of_one_value_a_map(aggregations: list[str] | None, refused: str | None) -> None:
    figures = {} if aggregations is None else {"aggregations": aggregations}
    measurement = {"aggregations": ["max", "spatial", "same_equivariance"]} if aggregations else {}
    asked = study(questions=["stability"], figures=figures, measurement=measurement)
    assert configuration.problems(asked, SCHEMA) == [
        f"stability has no answer for {refused} of figures.aggregations: add mean, max or sum there."
    ] * (refused is not None)


def test_transfer_is_asked_of_several_data_sets() -> None:
    assert configuration.problems(study(questions=["transfer"]), SCHEMA) == []
    assert configuration.problems(study(questions=["transfer"], datasets=["digits"]), SCHEMA) == [
        "transfer measures networks on other data sets, but datasets has digits alone: name another one."
    ]


def test_rotation_is_no_name_for_another_transformation() -> None:
    (found,) = configuration.problems(study(transformations={"rotation": {"rotation": 30, "samples": 5}}), SCHEMA)
    assert found == f"transformations has the key 'rotation': {NAME}, and not rotation."


SHORT = {"quick": {"epochs": 4}, "rotated": {"rotation": 180}, "untrained": {"epochs": 0}}


@pytest.mark.parametrize(
    ("question", "changes", "sentence"),
    [
        (
            "retraining",
            {"retraining": {"from": "unrotatd"}},
            "retraining.from is 'unrotatd' (did you mean 'unrotated'?), which trainings does not have: choose from "
            "unrotated, rotated.",
        ),
        (
            "retraining",
            {"trainings": SHORT, "retraining": {"from": "quick", "to": "turned"}},
            "retraining.to is 'turned', which trainings does not have: choose from quick, rotated, untrained.",
        ),
        (
            "retraining",
            {"retraining": {"from": "rotated"}},
            "retraining.from and retraining.to are both 'rotated': name two trainings.",
        ),
        (
            "emergence",
            {"emergence": {"epochs": [0, 11, 3]}},
            "emergence.epochs[1] is 11, but simple_conv on mnist, unrotated, has 10 epochs: choose from 0 to 10.",
        ),
        (
            "emergence",
            {"trainings": SHORT},
            "emergence.epochs[3] is 5, but simple_conv on mnist, quick, has 4 epochs: choose from 0 to 4.",
        ),
        (
            "emergence",
            {"emergence": {"epochs": [9]}, "training": {"default": {"epochs": 9}, "cifar10/vgg16": {"epochs": 8}}},
            "emergence.epochs[0] is 9, but vgg16 on cifar10, unrotated, has 8 epochs: choose from 0 to 8.",
        ),
        (
            "emergence",
            {"emergence": {"epochs": [9]}, "training": {"mnist": {"epochs": 20}, "vgg16": {"epochs": 8}}},
            "emergence.epochs[0] is 9, but vgg16 on mnist, unrotated, has 8 epochs: choose from 0 to 8.",
        ),
        (
            "emergence",
            {"trainings": {"untrained": {"epochs": 0}}},
            "emergence asks when in a training invariance appears, but all trainings have 0 epochs: train one.",
        ),
    ],
)
def test_a_question_that_cannot_be_answered_is_a_sentence_if_it_is_asked(
    question: str, changes: dict[str, Any], sentence: str
) -> None:
    found = configuration.problems(study(questions=[question], **changes), SCHEMA)
    assert sentence in found
    assert configuration.unanswerable(question, configuration.with_defaults(study(**changes), SCHEMA)) == found
    assert configuration.problems(study(**changes), SCHEMA) == []


def test_questions_of_the_studies_of_the_repository_can_be_answered() -> None:
    demo = yaml.safe_load((ROOT / "profiles" / "demo" / "study.yaml").read_text())
    for question, one in product(("retraining", "emergence"), (study(), study(**demo))):
        assert configuration.unanswerable(question, configuration.with_defaults(one, SCHEMA)) == []


@pytest.mark.parametrize(
    ("key", "twice"),
    [("datasets", "mnist"), ("models", "resnet"), ("seeds", 3), ("measurement.aggregations", "max"),
     ("figures.feature_maps.images", 2), ("figures.feature_maps.layers.resnet", "conv1"), ("questions", "retraining"),
     ("emergence.epochs", 1)],
)  # fmt: skip
def test_nothing_is_listed_twice(key: str, twice: Any) -> None:
    shown = f"'{twice}'" if isinstance(twice, str) else twice
    assert configuration.problems(changed(key, [twice, twice]), SCHEMA) == [
        f"{key} lists {shown} twice: each entry may stand there once."
    ]


def test_of_many_entries_the_one_that_is_listed_twice_is_named() -> None:
    (sentence,) = configuration.problems(changed("seeds", [5, 3, 4, 3]), SCHEMA)
    assert sentence.startswith("seeds lists 3 twice")


def test_a_key_that_stands_twice_is_no_key_to_overlook() -> None:
    """YAML would take the last one in silence."""
    text = "training:\n  mnist: {epochs: 3}\n  cifar10: {epochs: 5}\n  mnist: {batch_size: 9}\nseeds: [{a: 1, a: 2}]\n"
    assert sentences.of_text(text) == [
        "mnist stands twice in the same mapping, in lines 2 and 4: keep one.",
        "a stands twice in the same mapping, in lines 5 and 5: keep one.",
    ]
    assert sentences.of_text((ROOT / "config.yaml").read_text()) == []
    assert sentences.of_text('{"a":\t[1]}') == []
    assert sentences.of_text("a: &a [*a]") == []


@pytest.mark.parametrize(
    ("written", "read"), [("010", "8"), ("-0_10", "-8"), ("1:30", "90"), ("1:30.5", "90.5"), ("!!int 010", "8")]
)
def test_a_number_that_yaml_reads_as_another_is_not_taken_for_that(written: str, read: str) -> None:
    assert sentences.of_text(f"seeds:\n- {written}") == [
        f"YAML reads {written.removeprefix('!!int ')} in line 2 as {read}: write it without leading zeros and colons, "
        "or in quotes."
    ]


@pytest.mark.parametrize(
    "written", ["10", "0", "-0", "007", "1_000", "0x1f", "1.50", "00.5", "1e3", ".inf", "'010'", "08"]
)
def test_other_numbers_are_left_to_yaml_and_the_schema(written: str) -> None:
    assert sentences.of_text(f"seeds: [{written}]") == []


def test_data_sets_of_one_study_have_as_many_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    few = dataclasses.replace(DATASETS["digits"], classes=("0", "1", "2"))
    monkeypatch.setitem(DATASETS, "digits", few)
    assert configuration.problems(study(datasets=["mnist", "digits"]), SCHEMA) == [
        "datasets have different numbers of classes (mnist has 10, digits has 3): study them one by one."
    ]
    assert configuration.problems(study(datasets=["digits"], measurement={"shards": 4}), SCHEMA) == [
        "measurement.shards is 4, but there are 3 classes: it must be at most 3."
    ]
    assert configuration.problems(study(datasets=["digits"], measurement={"shards": 3}), SCHEMA) == []


def test_each_class_has_images(monkeypatch: pytest.MonkeyPatch) -> None:
    many = dataclasses.replace(DATASETS["digits"], classes=tuple("0123456789abcde"))
    monkeypatch.setitem(DATASETS, "digits", many)
    assert configuration.problems(study(datasets=["digits"], data={"train_images": 14, "test_images": 29}), SCHEMA) == [
        "data.train_images is 14, but digits has 15 classes: it must be at least 15.",
        "data.test_images is 29, but digits has 15 classes: it must be at least 30.",
    ]
    enough = {"train_images": 15, "test_images": 30}
    assert configuration.problems(study(datasets=["digits"], data=enough), SCHEMA) == []


@pytest.mark.parametrize(
    ("classes", "figures", "sentence"),
    [
        (160, {}, None),
        (
            161,
            {},
            "figures.convergence.images is 320, but digits has 161 classes: it must be at least 322.",
        ),
        (161, {"convergence": {"images": 322}}, None),
        (
            15,
            {"convergence": {"images": 29}},
            "figures.convergence.images is 29, but digits has 15 classes: it must be at least 30.",
        ),
    ],
)
def test_subsets_of_images_have_two_of_each_class(
    classes: int, figures: dict[str, Any], sentence: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = dataclasses.replace(DATASETS["digits"], classes=tuple(map(str, range(classes))))
    monkeypatch.setitem(DATASETS, "digits", many)
    config = study(datasets=["digits"], figures=figures)
    assert configuration.problems(config, SCHEMA) == ([sentence] if sentence else [])


def test_a_target_names_one_data_set_and_model() -> None:
    config = study(datasets=["mnist", "cells", "cells_small"], models=["small_net", "net"])
    assert [*configuration._same_targets(config)] == [
        "the target cells_small_net would be both small_net on cells and net on cells_small: rename what is your own."
    ]


def test_nothing_of_ones_own_is_called_as_something_else_of_ones_own() -> None:
    own = {"own_data": {"flowers": {"folder": "x"}}, "own_models": {"flowers": {"factory": "x:y"}}}
    sentences = [*configuration._own(own)]
    assert "own_models.flowers: the name 'flowers' has another use: choose another." in sentences


def test_no_class_is_called_as_another_stratum_is(tmp_path: Path) -> None:
    for name, number in product(("all", "rose"), range(10)):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / f"{number}.png").touch()
    own = {"flowers": {"folder": str(tmp_path), "image_size": 16}}
    assert configuration.problems(study(datasets=["flowers"], own_data=own), SCHEMA) == [
        "own_data.flowers has a class 'all', as another stratum is called: rename its folder."
    ]


def test_images_must_be_large_enough_for_the_models(tmp_path: Path) -> None:
    for name, number in product(("daisy", "rose"), range(10)):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / f"{number}.png").touch()

    def of(image_size: int) -> list[str]:
        own = {"flowers": {"folder": str(tmp_path), "image_size": image_size}}
        config = study(datasets=["flowers"], own_data=own, models=[*MODELS, "mine"])
        return configuration.problems(config | {"own_models": {"mine": {"factory": "a:b"}}}, SCHEMA)

    vgg_like = "but vgg_like needs 16 pixels or more: raise it, or leave the model out."
    simple_conv = "but simple_conv needs 4 pixels or more: raise it, or leave the model out."
    assert of(16) == []
    assert of(15) == [f"own_data.flowers.image_size is 15, {vgg_like}"]
    assert of(3) == [f"own_data.flowers.image_size is 3, {one}" for one in (simple_conv, vgg_like)]


@pytest.mark.parametrize("config", [None, 3, "text", [], [{"datasets": ["mnist"]}]])
def test_a_configuration_is_a_mapping(config: Any) -> None:
    (found,) = configuration.problems(config, SCHEMA)
    assert found.startswith("the configuration is ") and found.endswith(f": {MAPPING}.")


def test_a_configuration_that_contains_itself() -> None:
    config = study()
    config["data"]["mirror"] = {"a": config}
    assert configuration.problems(config, SCHEMA) != []
    loop: dict[str, Any] = yaml.safe_load("&a {datasets: *a}")
    assert len(configuration.problems(study(seeds=loop), SCHEMA)) == 1


# folders


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the program, which is the working directory, with a file and links in it."""
    folder = tmp_path / "above" / "rotvar"
    (folder / "workflow" / "rules").mkdir(parents=True)
    (folder / "README.md").write_text("")
    (folder / "to_workflow").symlink_to("workflow")
    (folder / "circle").symlink_to("circle")
    (tmp_path / "mirror").mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(
    "results",
    ["results", "results/demo", "../results", "../../study", "a b/ü'\"$(touch x)", "res*[1]?"],
)
def test_a_folder_for_results(results: str, program: Path) -> None:
    outside = {"flowers": {"folder": str(program.parents[1] / "flowers")}}
    assert list(folders.problems(results, None, {}, program)) == []
    whole = str((program / results).resolve())
    assert list(folders.problems(whole, str(program.parents[1] / "mirror"), outside, program)) == []


@pytest.mark.parametrize(
    ("results", "sentence"),
    [
        (".", "results is '.', which holds the program itself: name a folder of its own, such as results."),
        ("..", "results is '..', which holds the program itself"),
        ("../..", "results is '../..', which holds the program itself"),
        ("/", "results is '/', which holds the program itself"),
        ("workflow", "results is 'workflow', but workflow is a part of the program: name a folder of its own"),
        ("workflow/rules/new", "results is 'workflow/rules/new', but workflow is a part of the program"),
        ("to_workflow/x", "results is 'to_workflow/x', but workflow is a part of the program"),
        ("../rotvar/tests", "results is '../rotvar/tests', but tests is a part of the program"),
        (".git", "results is '.git', but .git is a part of the program"),
        (".snakemake/x", "results is '.snakemake/x', but .snakemake is a part of the program"),
        ("config.yaml", "results is 'config.yaml', but config.yaml is a part of the program"),
        ("README.md", "README.md is a file: name a folder of its own"),
        ("README.md/results", "README.md is a file: name a folder of its own"),
        ("results/", "results is 'results/': write it as results."),
        ("./results", "results is './results': write it as results."),
        ("a//b/../c", "results is 'a//b/../c': write it as a/c."),
        ("~/results", "results is '~/results', but ~ means nothing in a configuration: write the whole path."),
        ("circle/x", "where files cannot be (Too many levels of symbolic links"),
        ("x" * 300, "where files cannot be (File name too long): name another place."),
        ("../../mirror/x", "results is '../../mirror/x', which lies in data.mirror"),
        ("flowers", "results is 'flowers', which lies in own_data.plants.folder ('flowers'): name a folder"),
        ("../rotvar/flowers/x", "which lies in own_data.plants.folder ('flowers'): name a folder outside it."),
    ],
)
def test_a_folder_that_is_none_for_results(results: str, sentence: str, program: Path) -> None:
    own_data = {"plants": {"folder": "flowers"}}
    (found,) = folders.problems(results, str(program.parents[1] / "mirror"), own_data, program)
    assert sentence in found and "\n" not in found


@pytest.mark.parametrize(
    ("mirror", "found"), [("nowhere", "does not exist"), ("README.md", "is a file"), ("~", "does not exist")]
)
def test_a_mirror_that_is_none(mirror: str, found: str, program: Path) -> None:
    assert list(folders.problems("results", mirror, {}, program)) == [
        f"data.mirror is '{mirror}', which {found}: name a folder laid out as torchvision lays it out, or null."
    ]


def test_braces_in_the_path_of_the_program(tmp_path: Path) -> None:
    folder = tmp_path / "{x}" / "rotvar"
    assert list(folders.problems("results", None, {}, folder)) == [
        f"the program is in '{folder}', but Snakemake takes {{ and }} there for wildcards: rename that folder."
    ]


def test_each_problem_has_its_sentence() -> None:
    changes: dict[str, Any] = {"seeds": [-1], "measurement": {"angles": 0}}
    assert len(configuration.problems(study(**changes), SCHEMA)) == 2


def test_nothing_runs(tmp_path: Path) -> None:
    folder = copy_workflow(tmp_path / "rotvar")
    edit(folder / "config.yaml", "angles: 16", "angles: 1")
    run = run_snakemake(folder, "--cores", "1")
    assert run.returncode != 0
    errors = [line for line in run.stderr.splitlines() if "rror" in line]
    assert errors == ["Error in the configuration: measurement.angles is 1: it must be at least 2."]
    assert "Traceback" not in run.stderr
    assert not (folder / "results").exists()


def test_names_are_those_of_the_catalogue_and_ones_own() -> None:
    own: dict[str, Any] = {"own_data": {"flowers": {}}, "own_models": {"mine": {}}}
    names = configuration.named(SCHEMA, own)["$defs"]
    datasets, networks = [*DATASETS, "flowers"], [*MODELS, "mine"]
    assert names["dataset"]["enum"] == datasets
    assert names["model"]["enum"] == networks
    assert names["default_or_dataset"]["enum"] == ["default", *datasets]
    pairs = [f"{dataset}/{model}" for dataset in datasets for model in networks]
    assert names["recipe_name"]["enum"] == ["default", *datasets, *networks, *pairs]
    assert list(SCHEMA["properties"]["architectures"]["properties"]) == list(MODELS)
    assert "enum" not in SCHEMA["$defs"]["dataset"]


def test_names_are_safe_in_wildcards() -> None:
    assert all(re.fullmatch("[a-z][a-z0-9_]*", name) for name in (*DATASETS, *MODELS))


def test_names_that_cannot_be_printed_are_spelt_out() -> None:
    config = {"models": ["mine\x1e", None], "own_models": {"mine\x1f": None}}
    problems = configuration.problems(config, SCHEMA)
    assert any("resnet, mine\\x1f." in problem for problem in problems)
    assert all(problem.isprintable() for problem in problems)
