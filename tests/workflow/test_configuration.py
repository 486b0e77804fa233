"""A bad configuration is one clear sentence, before anything runs."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from copies import ROOT, copy_workflow, edit, run_snakemake

from rotvar import configuration
from rotvar.catalogue import DATASETS, MODELS

SCHEMA = yaml.safe_load((ROOT / "workflow" / "schemas" / "config.schema.yaml").read_text())


def study(**changes: Any) -> dict[str, Any]:
    """The configuration of the repository with some of its top-level keys replaced."""
    return yaml.safe_load((ROOT / "config.yaml").read_text()) | changes


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
            "measurement.shards is '4': it must be a whole number (YAML reads this spelling as text: write 4).",
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
        ({"data": {"mirror": 3}}, "data.mirror is 3: it must be text or null."),
        ({"trainings": {"rotated": {"rotation": 360}}}, "trainings.rotated.rotation is 360: it must be at most 180."),
        (
            {"trainings": {"Rotated!": {}}},
            "trainings has the key 'Rotated!': use lower-case letters, digits and _, beginning with a letter.",
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
            {"sedes": [0]},
            "the configuration has no key 'sedes' (did you mean 'seeds'?): its keys are results, datasets, models, "
            "trainings, seeds, data, architectures, training, measurement, figures, conda.",
        ),
    ],
)
def test_a_problem_is_a_sentence(changes: dict[str, Any], sentence: str) -> None:
    assert configuration.problems(study(**changes), SCHEMA) == [sentence]


def test_each_problem_has_its_sentence() -> None:
    changes: dict[str, Any] = {"seeds": [-1], "measurement": {"angles": 0}}
    assert len(configuration.problems(study(**changes), SCHEMA)) == 2


def test_a_missing_key() -> None:
    config = study()
    del config["models"]
    assert configuration.problems(config, SCHEMA) == ["the configuration lacks the key 'models'."]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("models: [simple_conv,", "models: [simple_con,", "models[0] is 'simple_con' (did you mean 'simple_conv'?)"),
        ("angles: 16", "angles: 1", "measurement.angles is 1: it must be at least 2."),
        ("epochs: 10", "epoch: 10", "training.default has no key 'epoch' (did you mean 'epochs'?)"),
    ],
)
def test_nothing_runs(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    folder = copy_workflow(tmp_path / "rotvar")
    edit(folder / "config.yaml", old, new)
    run = run_snakemake(folder, "--cores", "1")
    assert run.returncode != 0
    errors = [line for line in run.stderr.splitlines() if "rror" in line]
    assert len(errors) == 1
    assert errors[0].startswith(f"Error in the configuration: {sentence}")
    assert "Traceback" not in run.stderr
    assert not (folder / "results").exists()


def test_the_schema_knows_what_the_catalogue_knows() -> None:
    names = SCHEMA["$defs"]
    assert names["dataset"]["enum"] == list(DATASETS)
    assert names["model"]["enum"] == list(MODELS)
    assert names["default_or_dataset"]["enum"] == ["default", *DATASETS]
    pairs = [f"{dataset}/{model}" for dataset in DATASETS for model in MODELS]
    assert names["recipe_name"]["enum"] == ["default", *DATASETS, *MODELS, *pairs]
    assert list(SCHEMA["properties"]["architectures"]["properties"]) == list(MODELS)


def test_names_are_safe_in_wildcards() -> None:
    assert all(re.fullmatch("[a-z][a-z0-9_]*", name) for name in (*DATASETS, *MODELS))
