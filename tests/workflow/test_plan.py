"""What Snakemake plans to make: the full study, the demo, and parts of them by name."""

import os
import re
from pathlib import Path

import pytest
from copies import copy_workflow, run_snakemake


@pytest.fixture(scope="module")
def workflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_workflow(tmp_path_factory.mktemp("plan") / "rotvar")


def plan(folder: Path, *arguments: str) -> dict[str, int]:
    """The number of jobs of each rule in a dry run."""
    run = run_snakemake(folder, "-n", *arguments)
    assert run.returncode == 0, run.stderr
    table = run.stdout.split("Job stats:")[1].split("total")[0]
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}


def test_the_full_study_within_ten_seconds_and_without_pytorch(workflow: Path, tmp_path: Path) -> None:
    """Seconds of the processor, which other programs do not lengthen."""
    (tmp_path / "torch.py").write_text("raise ImportError('a dry run needs no PyTorch')\n")
    before = os.times()
    run = run_snakemake(workflow, "-n", PYTHONPATH=str(tmp_path))
    assert run.returncode == 0, run.stderr
    after = os.times()
    assert sum(after[2:4]) - sum(before[2:4]) < 10  # of child processes, user and system
    assert plan(workflow) == {
        "download_dataset": 2,
        "train_model": 16,  # 2 data sets x 4 models x 2 trainings
        "measure_accuracy": 16,
        "measure_variance": 16,
        "measure_convergence": 16,
        "record_feature_maps": 16,
        "plot_heatmaps": 16,  # 2 data sets x 4 models x 2 aggregations
        "plot_layers": 16,
        "plot_measures": 8,
        "plot_classes": 16,
        "plot_distribution": 8,
        "plot_last_layer": 8,
        "plot_training_curves": 8,
        "plot_accuracy": 8,
        "plot_accuracy_by_angle": 8,
        "plot_accuracy_polar": 8,
        "plot_feature_maps": 8,  # 2 data sets x 4 models x 1 image
        "plot_convergence": 8,
        "plot_global_variance": 1,
        "plot_depth": 2,
        "plot_agreement": 1,
        "tabulate_accuracy": 1,
        "tabulate_layers": 1,
        "tabulate_variance": 1,
        "write_report": 1,
        "all": 1,
    }


def test_the_demo(workflow: Path) -> None:
    assert plan(workflow, "--workflow-profile", "demo") == {
        "download_dataset": 1,
        "train_model": 8,  # 4 models x 2 trainings
        "measure_accuracy": 8,
        "measure_variance": 8,
        "measure_convergence": 8,
        "record_feature_maps": 8,
        "plot_heatmaps": 4,  # 4 models x 1 aggregation
        "plot_layers": 4,
        "plot_measures": 4,
        "plot_classes": 4,
        "plot_distribution": 4,
        "plot_last_layer": 4,
        "plot_training_curves": 4,
        "plot_accuracy": 4,
        "plot_accuracy_by_angle": 4,
        "plot_accuracy_polar": 4,
        "plot_feature_maps": 4,
        "plot_convergence": 4,
        "plot_global_variance": 1,
        "plot_depth": 1,
        "plot_agreement": 1,
        "tabulate_accuracy": 1,
        "tabulate_layers": 1,
        "tabulate_variance": 1,
        "write_report": 1,
        "all": 1,
    }


def test_the_demo_writes_to_its_own_folder(workflow: Path) -> None:
    summary = run_snakemake(workflow, "--workflow-profile", "demo", "--summary")
    outputs = [line.split("\t")[0] for line in summary.stdout.splitlines()[1:]]
    assert "results/demo/figures/digits/resnet/heatmap_mean_class_9.svg" in outputs
    assert all(output.startswith("results/demo/") for output in outputs)


@pytest.mark.parametrize(
    ("target", "last", "jobs"),
    [
        ("train", "train", {"download_dataset", "train_model"}),
        ("measure", "measure", {"download_dataset", "train_model", "measure_accuracy", "measure_variance"}),
        (
            "tables",
            "tables",
            {"tabulate_accuracy", "tabulate_layers", "tabulate_variance", "measure_accuracy", "measure_variance"},
        ),
        ("mnist_simple_conv", "mnist_simple_conv", {"plot_heatmaps", "plot_last_layer", "plot_training_curves"}),
    ],
)
def test_a_part_by_name(workflow: Path, target: str, last: str, jobs: set[str]) -> None:
    planned = plan(workflow, target)
    assert planned[last] == 1
    assert jobs <= planned.keys()


def test_questions_that_are_listed_belong_to_the_study(workflow: Path) -> None:
    (workflow / "questions.yaml").write_text("questions: [retraining, emergence, stability, transfer]\nseeds: [0, 1]")
    planned = plan(workflow, "--configfile", "questions.yaml")
    of_questions = re.compile("retrain|snapshots|emergence|stability|transfer")
    assert {name: count for name, count in planned.items() if of_questions.search(name)} == {
        "retrain_model": 16,  # 2 data sets x 4 models x 2 seeds, of one training
        "train_with_snapshots": 16,  # 2 data sets x 4 models x 2 trainings, of the first seed
        "measure_emergence": 80,  # each after 5 epochs
        "measure_stability": 32,  # 2 data sets x 4 models x 2 trainings x 2 seeds
        "measure_transfer": 32,  # each network on the other data set
        "plot_retraining": 8,
        "plot_emergence": 16,  # 2 data sets x 4 models x 2 aggregations
        "plot_stability": 8,  # all aggregations at once
        "plot_transfer": 2,
        "plot_transfer_layers": 16,  # 2 data sets x 4 models x 2 aggregations
        "tabulate_retraining": 1,
        "tabulate_emergence": 1,
        "tabulate_stability": 1,
        "tabulate_transfer": 1,
    }


def test_what_is_null_in_one_file_is_left_out_of_another(workflow: Path) -> None:
    (workflow / "sheared.yaml").write_text("transformations: {sheared: {shear: 9, samples: 4}}")
    assert plan(workflow, "--configfile", "sheared.yaml")["measure_transformation"] == 16
    (workflow / "fewer.yaml").write_text("trainings: {rotated: null}\ntransformations: {sheared: null}")
    run = run_snakemake(workflow, "-n", "--configfile", "sheared.yaml", "fewer.yaml")
    assert "trainings.rotated is null in the configuration, and left out of the study." in run.stdout
    planned = plan(workflow, "--configfile", "sheared.yaml", "fewer.yaml")
    assert planned["train_model"] == planned["measure_variance"] == 8  # 2 data sets x 4 models x 1 training
    assert "measure_transformation" not in planned


def test_a_question_by_name(workflow: Path) -> None:
    planned = plan(workflow, "stability", "transfer")
    assert planned["measure_stability"] == planned["measure_transfer"] == planned["measure_variance"] == 16
    assert "write_report" not in planned


def test_one_figure_by_path(workflow: Path) -> None:
    assert plan(workflow, "results/figures/mnist/resnet/heatmap_spatial_class_3.svg") == {
        "download_dataset": 1,
        "train_model": 2,
        "measure_variance": 2,
        "plot_heatmaps": 1,
    }


def test_a_measurement_in_shards(workflow: Path) -> None:
    (workflow / "shards.yaml").write_text("measurement: {shards: 4}")
    target = "results/variance/dataset=mnist/model=resnet/training=rotated/seed=0/variance.parquet"
    assert plan(workflow, target, "--configfile", "shards.yaml") == {
        "download_dataset": 1,
        "train_model": 1,
        "measure_shard": 4,
        "measure_variance": 1,
    }


def test_feature_maps_and_convergence_are_of_the_first_seed(workflow: Path) -> None:
    (workflow / "images.yaml").write_text("seeds: [5, 6]\nfigures: {feature_maps: {images: [3, 1]}}")
    planned = plan(workflow, "mnist_resnet", "--configfile", "images.yaml")
    assert planned["measure_variance"] == 4
    assert planned["measure_convergence"] == planned["record_feature_maps"] == 2  # trainings
    assert planned["plot_feature_maps"] == 2  # images


def test_no_feature_maps(workflow: Path) -> None:
    (workflow / "none.yaml").write_text("figures: {feature_maps: {images: []}}")
    assert "record_feature_maps" not in plan(workflow, "--configfile", "none.yaml")


def test_a_misspelt_figure_has_no_rule(workflow: Path) -> None:
    run = run_snakemake(workflow, "-n", "results/figures/mnist/simple_con/layers_mean.png")
    assert run.returncode != 0
    assert "MissingRuleException" in run.stdout  # where a dry run says everything


def test_a_target_that_snakemake_takes_for_a_rule(workflow: Path) -> None:
    """It would be left out, and the whole study made."""
    target = "results/models/dataset=mnist/model=resnet/training=rotated/seed=0/weights.safetensors"
    threads = ("--set-threads", "train_model=2")
    run = run_snakemake(workflow, "-n", *threads, target)
    assert run.returncode == 1
    sentence = "--set-threads takes results/models/dataset=... for a rule; name targets before options, or after --."
    assert run.stderr.splitlines()[-1] == f"Error: {sentence}"
    assert plan(workflow, target, *threads) == plan(workflow, *threads, "--", target)
    assert plan(workflow, target, *threads) == {"download_dataset": 1, "train_model": 1}


def test_threads_and_resources_of_a_rule_that_there_is_not(workflow: Path) -> None:
    run = run_snakemake(workflow, "-n", "--set-resources", "train_modle:runtime=600", "train_model:runtime=600")
    assert run.returncode == 0
    assert [line for line in run.stdout.splitlines() if "are set for" in line] == [
        "Threads or resources are set for train_modle (did you mean 'train_model'?), which is no rule of this study."
    ]


def test_a_cluster_runs_the_demo(workflow: Path) -> None:
    assert plan(workflow, "--profile", "slurm", "--workflow-profile", "demo")["train_model"] == 8
