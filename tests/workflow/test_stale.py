"""Only what is stale is made again: change one thing, run dry, compare the exact list of jobs.

The study is config.yaml's own, with two small models. Its results are stand-ins that Snakemake was told to accept
(--touch): what counts as stale depends on names, dates, inputs and parameters, not on what a result says.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from itertools import product
from pathlib import Path

import pytest
import yaml
from copies import ROOT, copy_workflow, edit, run_snakemake

DATASETS = ("mnist", "cifar10")
MODELS = ("simple_conv", "all_convolutional")
TRAININGS = ("unrotated", "rotated")
AGGREGATIONS = ("mean", "spatial")
REPORT = "Writing the report"
AGREEMENT = "Drawing our values against the published ones"  # of variance and accuracy

# Prints each script given and the files of the library that it loads.
LOADED = """
import runpy, sys

def modules():
    return [name for name in sys.modules if name.split(".")[0] == "rotvar"]

for script in sys.argv[1:]:
    for name in modules():
        del sys.modules[name]
    runpy.run_path(f"workflow/scripts/{script}.py")
    print(script, *(sys.modules[name].__file__ for name in modules()))
"""


def make_all(folder: Path) -> None:
    """Put stand-ins where results are missing, and have them accepted."""
    summary = run_snakemake(folder, "--summary")
    for line in summary.stdout.splitlines()[1:]:
        output = folder / line.split("\t")[0]
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text("made\n" * (300_000 if output.parent.name == "data" else 1))  # data sets are large
    touched = run_snakemake(folder, "--cores", "1", "--touch", "--forceall")
    assert touched.returncode == 0, touched.stderr


@pytest.fixture(scope="session")
def finished_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_workflow(tmp_path_factory.mktemp("finished") / "rotvar")
    edit(
        folder / "config.yaml",
        "models: [simple_conv, all_convolutional, vgg16, resnet]",
        f"models: [{', '.join(MODELS)}]",
    )
    make_all(folder)
    return folder


@pytest.fixture
def study(finished_study: Path, tmp_path: Path) -> Path:
    """A finished study at another place than where it was made, which is no reason to make it again."""
    return shutil.copytree(finished_study, tmp_path / "rotvar")


def comment(folder: Path, module: str) -> None:
    """Add a comment to a module of the library."""
    with (folder / "workflow" / "scripts" / module).open("a") as file:
        file.write("# a comment\n")


def jobs(folder: Path) -> list[str]:
    """The jobs that a run would run, by their messages; not the target rules, which make nothing.

    The report, which shows everything, is among them if anything is, and is left out here.
    """
    run = run_snakemake(folder, "-n")
    assert run.returncode == 0, run.stderr
    found = sorted(re.findall(r"^Job \d+: (.*)$", run.stdout, re.MULTILINE))
    assert (REPORT in found) == bool(found)
    return [job for job in found if job != REPORT]


def trainings(datasets: Iterable[str], models: Iterable[str], seed: int = 0) -> list[str]:
    return [f"Training {m} on {d}, {t}, seed {seed}" for d, m, t in product(datasets, models, TRAININGS)]


def accuracies(datasets: Iterable[str], models: Iterable[str], seed: int = 0) -> list[str]:
    return [f"Classifying rotated {d}: {m}, {t}, seed {seed}" for d, m, t in product(datasets, models, TRAININGS)]


def variances(datasets: Iterable[str], models: Iterable[str], seed: int = 0) -> list[str]:
    networks = product(datasets, models, TRAININGS)
    return [f"Measuring the variance of {m} on {d}, {t}, seed {seed}" for d, m, t in networks]


def curves(datasets: Iterable[str], models: Iterable[str]) -> list[str]:
    return [f"Drawing the training of {m} on {d}" for d, m in product(datasets, models)]


def accuracy_figures(datasets: Iterable[str], models: Iterable[str]) -> list[str]:
    titles = ("the accuracy", "accuracy against angle", "accuracy on a circle")
    figures = [f"Drawing {t} of {m} on {d}" for t, d, m in product(titles, datasets, models)]
    return ["Tabulating accuracy", AGREEMENT, *figures]


def distributions(datasets: Iterable[str], models: Iterable[str]) -> list[str]:
    return [f"Drawing the distribution of units by layer of {m} on {d}" for d, m in product(datasets, models)]


def heatmaps(datasets: Iterable[str], models: Iterable[str]) -> list[str]:
    return [f"Drawing heatmaps of {m} on {d}, {a}" for d, m, a in product(datasets, models, AGGREGATIONS)]


def last_layers(datasets: Iterable[str], models: Iterable[str]) -> list[str]:
    return [f"Drawing the last layer of {m} on {d}" for d, m in product(datasets, models)]


def means(datasets: Iterable[str], models: Iterable[str]) -> list[str]:
    """Figures and tables of means over units."""
    titles = ("variance by layer", "variance by class")
    return [
        *(f"Drawing {t} of {m} on {d}, {a}" for t, d, m, a in product(titles, datasets, models, AGGREGATIONS)),
        *(f"Drawing every measure by layer of {m} on {d}" for d, m in product(datasets, models)),
        "Drawing the global variance of all networks",
        *(f"Drawing variance by relative depth, {a}" for a in AGGREGATIONS),
        "Tabulating global variance",
        "Tabulating variance by layer",
        AGREEMENT,
    ]


def feature_maps(datasets: Iterable[str], models: Iterable[str]) -> list[str]:
    """Recordings, of the first seed, and their figures."""
    networks = product(datasets, models, TRAININGS)
    return [
        *(f"Recording feature maps of {m} on {d}, {t}, seed 0" for d, m, t in networks),
        *(f"Drawing feature maps of {m} on {d}, test image 0" for d, m in product(datasets, models)),
    ]


def convergences(datasets: Iterable[str], models: Iterable[str]) -> list[str]:
    """Measurements of subsets, of the first seed, and their figures."""
    networks = product(datasets, models, TRAININGS)
    return [
        *(f"Measuring subsets of images and angles for {m} on {d}, {t}, seed 0" for d, m, t in networks),
        *(f"Drawing how many images and angles are enough for {m} on {d}" for d, m in product(datasets, models)),
    ]


def variance_figures(datasets: Iterable[str], models: Iterable[str]) -> list[str]:
    makers = (heatmaps, distributions, last_layers, means)
    return [job for make in makers for job in make(datasets, models)]


def everything_after_data(datasets: Iterable[str], models: Iterable[str]) -> list[str]:
    makers = (trainings, accuracies, variances, curves, accuracy_figures, variance_figures, feature_maps, convergences)
    return list({job for make in makers for job in make(datasets, models)})


def test_the_demo_counts_as_stale_what_other_studies_do() -> None:
    """Its profile takes the place of the default one, in which the others find it."""
    default, demo = (
        yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text()) for name in ("default", "demo")
    )
    assert demo.items() >= default.items()


def test_a_finished_study_is_finished(study: Path) -> None:
    assert jobs(study) == []


def test_where_it_runs_and_what_its_jobs_ask_for(study: Path) -> None:
    run = run_snakemake(study, "-n", "--profile", "slurm", "--set-resources", "train_model:runtime=5")
    assert run.returncode == 0, run.stderr
    assert "Nothing to be done" in run.stdout + run.stderr


def test_the_code_of_a_figure(study: Path) -> None:
    comment(study, "rotvar/figures/heatmap.py")
    assert jobs(study) == sorted(heatmaps(DATASETS, MODELS))


def test_the_measure(study: Path) -> None:
    comment(study, "rotvar/variance.py")
    makers = (variances, variance_figures, feature_maps, convergences)
    assert jobs(study) == sorted(job for make in makers for job in make(DATASETS, MODELS))


def test_the_rotation(study: Path) -> None:
    comment(study, "rotvar/rotation.py")
    assert jobs(study) == sorted(everything_after_data(DATASETS, MODELS))


def test_a_script(study: Path) -> None:
    comment(study, "plot_depth.py")
    assert jobs(study) == sorted(f"Drawing variance by relative depth, {a}" for a in AGGREGATIONS)


def test_the_published_values(study: Path) -> None:
    edit(study / "workflow" / "scripts" / "rotvar" / "published.json", "0.759", "0.76")
    expected = [f"Drawing the accuracy of {m} on {d}" for d, m in product(DATASETS, MODELS)]
    expected += ["Drawing the global variance of all networks", "Tabulating accuracy", "Tabulating global variance"]
    expected += [AGREEMENT]
    assert jobs(study) == sorted(expected)


def test_a_comment_in_a_module_that_no_job_imports(study: Path) -> None:
    comment(study, "rotvar/study/estimate.py")
    assert jobs(study) == []


def test_the_width_of_one_model(study: Path) -> None:
    edit(study / "config.yaml", "simple_conv:\n    default: {width: 32", "simple_conv:\n    default: {width: 48")
    # cifar10 has a width of its own
    assert jobs(study) == sorted(everything_after_data(["mnist"], ["simple_conv"]))


def test_the_epochs_of_one_data_set(study: Path) -> None:
    edit(study / "config.yaml", "cifar10: {epochs: 30}", "cifar10: {epochs: 31}")
    assert jobs(study) == sorted(everything_after_data(["cifar10"], MODELS))


def test_one_more_seed(study: Path) -> None:
    edit(study / "config.yaml", "seeds: [0]", "seeds: [0, 1]")
    makers = (trainings, accuracies, variances)
    new = [job for make in makers for job in make(DATASETS, MODELS, seed=1)]
    shown = {job for show in (curves, accuracy_figures, variance_figures) for job in show(DATASETS, MODELS)}
    assert jobs(study) == sorted([*new, *shown])


def test_the_number_of_angles(study: Path) -> None:
    edit(study / "config.yaml", "angles: 16", "angles: 8")
    makers = (accuracies, accuracy_figures, variances, variance_figures, feature_maps, convergences)
    assert jobs(study) == sorted({job for make in makers for job in make(DATASETS, MODELS)})


def test_other_feature_maps(study: Path) -> None:
    edit(study / "config.yaml", "layers: {}", "layers: {simple_conv: [conv2]}")
    assert jobs(study) == sorted(feature_maps(DATASETS, ["simple_conv"]))


def test_the_number_of_images_whose_subsets_are_compared(study: Path) -> None:
    edit(study / "config.yaml", "images: 320", "images: 640")
    assert jobs(study) == sorted(convergences(DATASETS, MODELS))


def test_what_does_not_change_results(study: Path) -> None:
    (study / "elsewhere").mkdir()
    edit(study / "config.yaml", "mirror: null", "mirror: elsewhere")
    edit(study / "config.yaml", "torch: cpu", "torch: cuda")  # without --use-conda it says nothing
    assert jobs(study) == []


@pytest.mark.parametrize(("train", "test"), [("1000", "1000"), ("null", "1000")])
def test_a_number_of_images_that_the_other_split_had(study: Path, train: str, test: str) -> None:
    edit(study / "config.yaml", "train_images: null", "train_images: 1000")
    data = [f"results/data/{dataset}.safetensors" for dataset in DATASETS]
    assert run_snakemake(study, "--cores", "1", "--touch", "--force", "--", *data).returncode == 0
    edit(study / "config.yaml", "train_images: 1000", f"train_images: {train}")
    edit(study / "config.yaml", "test_images: null", f"test_images: {test}")
    assert {f"Fetching {dataset}" for dataset in DATASETS} <= set(jobs(study))


def test_another_first_seed(study: Path) -> None:
    """Heatmaps show its units; feature maps and convergence show nothing else. Of one data set and model, for all
    results are made twice."""
    edit(study / "config.yaml", f"datasets: [{', '.join(DATASETS)}]", "datasets: [mnist]")
    edit(study / "config.yaml", f"models: [{', '.join(MODELS)}]", "models: [simple_conv]")
    edit(study / "config.yaml", "seeds: [0]", "seeds: [0, 1]")
    make_all(study)
    edit(study / "config.yaml", "seeds: [0, 1]", "seeds: [1, 0]")
    one = (["mnist"], ["simple_conv"])
    others = [job.replace("seed 0", "seed 1") for show in (feature_maps, convergences) for job in show(*one)]
    assert jobs(study) == sorted([*heatmaps(*one), *others])


def test_the_order_of_a_recipe(study: Path) -> None:
    recipe = "    epochs: 10 # enough"
    edit(study / "config.yaml", recipe, "    batch_size: 128\n" + recipe)
    edit(study / "config.yaml", "    batch_size: 128\n    learning_rate", "    learning_rate")
    assert jobs(study) == []


def test_the_spelling_of_numbers(study: Path) -> None:
    edit(study / "config.yaml", "rotation: 180}", "rotation: 180.0}")
    edit(study / "config.yaml", "learning_rate: 0.002", "learning_rate: 2.0e-3")
    assert jobs(study) == []


def test_a_deleted_figure(study: Path) -> None:
    (study / "results" / "figures" / "mnist" / "simple_conv" / "layers_mean.png").unlink()
    assert jobs(study) == ["Drawing variance by layer of simple_conv on mnist, mean"]


@pytest.mark.parametrize(
    "change",
    [
        "workflow/scripts/rotvar/report/page.py",
        "workflow/report/report.css",
        "workflow/report/captions/heatmap.md",
    ],
)
def test_what_only_the_report_is_made_of(study: Path, change: str) -> None:
    with (study / change).open("a") as file:
        file.write("\n")
    run = run_snakemake(study, "-n")
    assert re.findall(r"^Job \d+: (.*)$", run.stdout, re.MULTILINE) == [REPORT]


def test_a_deleted_report(study: Path) -> None:
    (study / "results" / "report.html").unlink()
    run = run_snakemake(study, "-n")
    assert re.findall(r"^Job \d+: (.*)$", run.stdout, re.MULTILINE) == [REPORT]


def test_a_deleted_measurement(study: Path) -> None:
    network = "dataset=mnist/model=simple_conv/training=rotated/seed=0"
    (study / "results" / "variance" / network / "variance.parquet").unlink()
    expected = [
        "Measuring the variance of simple_conv on mnist, rotated, seed 0",
        *variance_figures(["mnist"], ["simple_conv"]),
        *feature_maps(["mnist"], ["simple_conv"]),
    ]
    expected.remove("Recording feature maps of simple_conv on mnist, unrotated, seed 0")
    assert jobs(study) == sorted(expected)


def test_a_fresh_clone_over_existing_results(study: Path, tmp_path: Path) -> None:
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org"]
    sources = ["Snakefile", "config.yaml", "profiles", "slurm", "workflow"]
    for command in (["init", "-q"], ["add", *sources], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *command], cwd=study, check=True)
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(study), str(clone)], check=True)
    for folder in ("results", ".snakemake"):
        (study / folder).rename(clone / folder)
    for source in [clone / "Snakefile", *(clone / "workflow").rglob("*.*")]:
        os.utime(source)
    newest_result = max(file.stat().st_mtime for file in (clone / "results").rglob("*.*"))
    assert newest_result < (clone / "workflow" / "scripts" / "rotvar" / "rotation.py").stat().st_mtime
    assert jobs(clone) == []


def test_large_results_are_compared_by_content_too(study: Path) -> None:
    """Snakemake itself would do so below 1 MB alone."""
    later = time.time()
    for file in (study / "results" / "data").iterdir():
        assert file.stat().st_size > 1_000_000
        os.utime(file, (later, later))
    assert jobs(study) == []


def test_every_module_that_a_script_loads_is_an_input_of_its_rule(finished_study: Path, tmp_path: Path) -> None:
    summary = run_snakemake(finished_study, "--detailed-summary")
    header, *rows = (line.split("\t") for line in summary.stdout.splitlines())
    inputs = {row[header.index("rule")]: row[header.index("input-file(s)")].split(",") for row in rows}
    assert "train_model" in inputs
    probe = tmp_path / "probe.py"
    probe.write_text(LOADED)
    command = [sys.executable, str(probe), *inputs]
    environment = {"PYTHONPATH": str(finished_study / "workflow" / "scripts")}
    run = subprocess.run(command, cwd=finished_study, capture_output=True, text=True, check=True, env=environment)
    for line in run.stdout.splitlines():
        script, *files = line.split()
        used = {str(Path(file).relative_to(finished_study)) for file in files}
        declared = {name for name in inputs[script] if name.endswith(".py")}
        missing = declared - used - {f"workflow/scripts/{script}.py"}
        assert used <= declared, script
        # A script loads what is compiled when it has measured how much there is to do
        compiled = {f"workflow/scripts/rotvar/statistics/{name}.py" for name in ("kernels", "gpu_kernels")}
        assert missing == (compiled if "workflow/scripts/rotvar/statistics/moments.py" in used else set())
