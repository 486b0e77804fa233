"""What the rules ask of a cluster: time and memory by the images that a job sees, and more at each attempt. And what
they tell their jobs of the configuration."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from copies import copy_workflow, run_snakemake

from rotvar.study import demands

# Stands at the end of a Snakefile: writes down what the jobs of each rule ask for at three attempts, and what they get
PROBE = """
import json
from snakemake.iocontainers import Wildcards

OF = dict(
    dataset="digits", model="simple_conv", training="rotated", seed="0", epoch="1", measured_on="mnist",
    transformation="shift", shard="1", aggregation="mean", image="0",
)

def wildcards(rule):
    return Wildcards(fromdict={name: OF[name] for name in rule.wildcard_names})

def asked(rule, name):
    return [rule.resources[name].evaluate(wildcards(rule), attempt=attempt).value for attempt in (1, 2, 3)]

def told(rule):
    return {name: one(wildcards(rule)) if callable(one) else one for name, one in rule.params.items()}

jobs = [rule for rule in workflow.rules if rule.script and rule.name != "download_dataset"]  # which runs at home
Path("asked.json").write_text(json.dumps({
    "images": {rule.name: IMAGES_SEEN[rule.name](wildcards(rule)) for rule in jobs if rule.name in IMAGES_SEEN},
    "minutes": {rule.name: asked(rule, "runtime") for rule in jobs},
    "megabytes": {rule.name: asked(rule, "mem_mb") for rule in jobs},
    "on a gpu": [rule.name for rule in jobs if "gpu" in rule.resources],
    "with pytorch": [rule.name for rule in jobs if "torch" in rule.conda_env],
    "inputs": {rule.name: list(rule.input.keys()) for rule in jobs},
    "logs": {rule.name: [str(rule.log[0]), str(rule.benchmark)] for rule in jobs},
    "environment": dict(os.environ),
    "told": {one.name: told(one) for one in jobs if one.params and one.name != "write_report"},
}))
"""

STUDY = {
    "datasets": ["digits", "mnist"],  # 1,437 and 60,000 training images, 360 and 10,000 test images
    "models": ["simple_conv"],
    "architectures": {"simple_conv": {"digits": {"width": 100}}},
    "training": {  # the more specific an entry, the more it counts: that of a model more than that of a data set
        "default": {"epochs": 500},
        "digits": {"epochs": 600, "batch_size": 16},
        "simple_conv": {"epochs": 700, "batch_size": 32},
        "digits/simple_conv": {"batch_size": 64},
    },
    "transformations": {"shift": {"translation": 0.2, "samples": 40}},
    "measurement": {"angles": 300, "firing_rate": 0.1, "precision": "bfloat16"},
    "figures": {
        "aggregations": ["max", "spatial"],
        "convergence": {"images": 100, "aggregation": "max"},
        "feature_maps": {"images": [3]},
    },
    "retraining": {"epochs": 200},
    "emergence": {"epochs": [1, 400]},
    "stability": {"replicates": 500, "confidence": 0.9, "power": 0.7, "difference": 0.1},
    "questions": ["retraining", "emergence", "stability", "transfer"],
}
SIZE = demands.size("simple_conv", 32, width=100)
OPTIONS = {"hidden": 64, "width": 100}
RECIPE = {
    "batch_size": 64, "deterministic": False, "epochs": 700, "flips_and_crops": False, "learning_rate": 0.002,
    "precision": "auto", "warmup": 0.2, "weight_decay": 0.05,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_workflow(tmp_path_factory.mktemp("resources") / "rotvar")
    with (folder / "Snakefile").open("a") as file:
        file.write(PROBE)
    (folder / "installed").mkdir()
    (folder / "installed" / "rotvar.py").write_text("raise ImportError('another copy')\n")
    return folder


def said(folder: Path, study: dict[str, Any]) -> dict[str, Any]:
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    installed = str(folder / "installed")  # another copy of the library, which is not to be used
    target = "results/data/digits.safetensors"
    run = run_snakemake(folder, "-n", "--configfile", "study.yaml", "--", target, PYTHONPATH=installed)
    assert run.returncode == 0, run.stdout
    return json.loads((folder / "asked.json").read_text())


@pytest.fixture(scope="module")
def asked(folder: Path) -> dict[str, Any]:
    return said(folder, STUDY)


def test_images_are_counted_in_forward_passes(asked: dict[str, Any]) -> None:
    epoch = 3 * 1437 + 360  # a backward pass is worth two; the test comes after the epoch
    assert asked["images"] == {
        "train_model": 700 * epoch + 1,
        "train_with_snapshots": 400 * epoch + 1,
        "retrain_model": (7 + 3) * (200 * epoch + 1 + 2 * 360) + 2 * 360,  # 7 layers, both kinds, all; none
        "measure_accuracy": (300 + 1) * 360,  # and the randomly rotated ones
        "measure_variance": 300 * 360,
        "measure_transformation": 40**2 * 360,
        "measure_emergence": 300 * 360,
        "measure_transfer": 300 * 10_000,
        "measure_stability": 300 * 360,
        "measure_convergence": 2 * 300 * 100,
    }


def test_a_job_asks_for_the_time_of_its_images(asked: dict[str, Any]) -> None:
    images = asked["images"] | {"measure_stability": 300 * 360 * (1 + 5)}  # 500 replicates
    minutes = {rule: demands.minutes(count, SIZE) for rule, count in images.items()}
    assert len({*minutes.values()}) > 5
    assert {rule: asked["minutes"][rule][0] for rule in images} == minutes


def test_a_job_asks_for_the_memory_of_what_it_does(asked: dict[str, Any]) -> None:
    training, images = demands.training_mb(64, SIZE), 360
    measuring = demands.sweep_mb(300, SIZE, firing=0.1 * 300 * images)
    assert training > demands.PROCESS_MB + 50 and measuring > demands.PROCESS_MB + 1000
    assert {rule: asked["megabytes"][rule][0] for rule in asked["images"]} == {
        **dict.fromkeys(["train_model", "train_with_snapshots", "retrain_model"], training),
        **dict.fromkeys(["measure_variance", "measure_emergence"], measuring),
        "measure_transformation": demands.sweep_mb(1600, SIZE, firing=0.1 * 1600 * images),
        "measure_transfer": demands.sweep_mb(300, SIZE, firing=0.1 * 300 * 10_000),
        **dict.fromkeys(["measure_accuracy", "measure_convergence"], demands.PROCESS_MB),
        "measure_stability": 2 * demands.PROCESS_MB,
    }


@pytest.mark.parametrize("what", ["minutes", "megabytes"])
def test_each_attempt_asks_for_more(what: str, asked: dict[str, Any]) -> None:
    """The one before may have run out of it."""
    assert {rule: [2 * first, 3 * first] for rule, (first, *_) in asked[what].items()} == {
        rule: later for rule, (_, *later) in asked[what].items()
    }


def test_what_puts_many_images_through_a_network_has_a_gpu_and_nothing_else(asked: dict[str, Any]) -> None:
    assert sorted(asked["on a gpu"]) == sorted(asked["images"])


def test_every_job_asks_for_what_its_libraries_take(asked: dict[str, Any]) -> None:
    """Before it has read a file: on a slow file system minutes, and with PyTorch gigabytes."""
    assert min(first for first, *_ in asked["minutes"].values()) >= demands.START_MINUTES
    assert min(first for first, *_ in asked["megabytes"].values()) >= 2000
    assert min(asked["megabytes"][rule][0] for rule in asked["with pytorch"]) >= demands.PROCESS_MB


def test_jobs_import_the_library_beside_their_scripts_and_keep_freed_memory(
    asked: dict[str, Any], folder: Path
) -> None:
    """Even where another copy of it is installed."""
    environment = asked["environment"]
    assert environment["PYTHONPATH"] == f"{folder}/workflow/scripts:{folder}/installed"
    assert {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"} <= environment.keys()


def test_every_rule_has_logs_and_benchmarks_of_its_name(asked: dict[str, Any]) -> None:
    """The report adds up the computing time of the latter."""
    for rule, (log, benchmark) in asked["logs"].items():
        assert re.match(rf"results/logs/{rule}[/.]", log)
        assert benchmark == log.replace("/logs/", "/benchmarks/").replace(".log", ".tsv")


def test_what_makes_a_network_runs_again_when_the_code_of_ones_own_changes(asked: dict[str, Any]) -> None:
    makers = {rule for rule, told in asked["told"].items() if "architecture" in told}
    assert makers == {"train_model", "train_with_snapshots", "measure_interpolation_floor"}
    assert all("own_code" in asked["inputs"][rule] for rule in makers)


def test_jobs_are_told_what_of_the_configuration_changes_their_results(asked: dict[str, Any]) -> None:
    """And nothing else, because with whatever they are told their results become stale."""
    subject = {"expected": {"name": "simple_conv", "options": OPTIONS, "seed": 0}}
    training = {"architecture": OPTIONS, "recipe": RECIPE, "augmentation": {"rotation": 180}, "own_weights_digest": []}
    measured = {"aggregations": ["mean", "max", "sum", "spatial"], "firing_rate": 0.1, "precision": "bfloat16"}
    rotation, drawn = {"rotation": 180, "samples": 300}, ["max", "spatial"]
    wanted = {"confidence": 0.9, "power": 0.7, "difference": 0.1}
    assert asked["told"] == {
        "train_model": training,
        "train_with_snapshots": training | {"epochs": [1, 400]},
        "retrain_model": subject
        | {"retrained": "rotated", "recipe": RECIPE | {"epochs": 200}, "augmentation": {"rotation": 180}},
        "measure_accuracy": subject | {"angles": 300},
        "measure_variance": subject | {"transformation": rotation, "measurement": measured},
        "measure_transformation": subject
        | {"transformation": {"samples": 40, "translation": 0.2}, "measurement": measured},
        "measure_emergence": subject | {"transformation": rotation, "measurement": measured | {"aggregations": drawn}},
        "measure_transfer": subject | {"angles": 300, "measurement": measured},
        "measure_stability": subject
        | {"replicates": 500, "angles": 300, "aggregations": ["max"], "precision": "bfloat16"},
        "measure_convergence": subject | {"images": 100, "aggregation": "max", "angles": 300, "precision": "bfloat16"},
        "measure_interpolation_floor": {"architecture": OPTIONS, "angles": 300},
        "record_feature_maps": subject | {"images": [3], "layers": [], "angles": 300},
        "plot_heatmaps": {"first_seed": 0},
        "plot_measures": {"aggregation": "max"},
        "plot_distribution": {"aggregations": drawn},
        "plot_global_variance": {"aggregations": drawn},
        "plot_convergence": {"images": 360, "angles": 300},
        "plot_retraining": {"study": ["unrotated", "rotated"]},
        "plot_emergence": {"study": ["unrotated", "rotated"]},
        "tabulate_emergence": {"aggregations": drawn},
        "plot_stability": {"aggregations": ["max"], "wanted": wanted},
        "tabulate_stability": {"wanted": wanted},
    }


def test_maps_that_are_turned_back_take_memory_and_shards_share_the_time(folder: Path) -> None:
    measurement = {"angles": 300, "aggregations": ["mean", "same_equivariance"], "shards": 4}
    asked = said(folder, STUDY | {"measurement": measurement, "figures": {"aggregations": ["mean"]}, "questions": []})
    assert asked["images"]["measure_shard"] == 300 * 360 / 4 and "measure_variance" not in asked["images"]
    assert asked["minutes"]["measure_shard"][0] == demands.minutes(300 * 360 / 4, SIZE)
    memory = demands.sweep_mb(300, SIZE, turned=True)
    assert asked["megabytes"]["measure_shard"][0] == asked["megabytes"]["measure_variance"][0] == memory
