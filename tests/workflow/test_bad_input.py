"""What a user sees who asks the real program for what cannot be: a sentence, a failure, and results as they were."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
import yaml
from copies import copy_workflow, run_snakemake

from rotvar import models

NETWORK = "dataset=digits/model=simple_conv/training=rotated/seed=0"


@pytest.fixture(scope="module")
def workflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_workflow(tmp_path_factory.mktemp("input") / "rotvar")


@pytest.fixture
def finished(study: Path, tmp_path: Path) -> Path:
    """A copy of the finished study, with the dates that its files have."""
    return Path(shutil.copytree(study, tmp_path / "rotvar", symlinks=True))


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file but logs and what Python compiled, with its date."""
    return {
        str(file.relative_to(folder)): (file.stat().st_mtime_ns, file.read_bytes())
        for file in folder.rglob("*")
        if file.is_file() and not {"logs", ".snakemake", "__pycache__"} & set(file.relative_to(folder).parts)
    }


def errors(run: "subprocess.CompletedProcess[str]") -> list[str]:
    """The sentences that a run ended with; there is no traceback."""
    assert run.returncode != 0
    assert "Traceback" not in run.stdout + run.stderr
    return [line for line in run.stderr.splitlines() if line.startswith(("Error: ", "Error in the configuration: "))]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--config", "epochs=3"], "the configuration has no key 'epochs' (did you mean training.default.epochs?)"),
        (
            ["--config", "seeds=[0]"],
            "seeds[0] is '0': it must be a whole number (in quotes, and in the lists and mappings of --config, numbers "
            "are text: use a --configfile)",
        ),
        (["--config", "results=workflow/x"], "results is 'workflow/x', but workflow is a part of the program"),
        (["--config", "results=.."], "results is '..', which holds the program itself"),
        (["--configfile", "twice.yaml"], "twice.yaml: mnist stands twice in the same mapping, in lines 2 and 3"),
        (["--configfile", "mirror.yaml"], "data.mirror is '/no/such/folder', which does not exist"),
        (["--configfile", "layers.yaml"], "figures.feature_maps.layers.resnet: no layer with maps matches 'conv9'"),
    ],
)
def test_a_bad_configuration_touches_nothing(arguments: list[str], sentence: str, study: Path) -> None:
    """It is asked for where a study is finished."""
    (study / "twice.yaml").write_text("training:\n  mnist: {epochs: 3}\n  mnist: {batch_size: 9}\n")
    (study / "mirror.yaml").write_text("data: {mirror: /no/such/folder}")
    (study / "layers.yaml").write_text("models: [resnet]\nfigures: {feature_maps: {layers: {resnet: [conv1, conv9]}}}")
    before = contents(study)
    (error,) = errors(run_snakemake(study, "--cores", "1", *arguments))
    assert error.startswith("Error in the configuration: ") and sentence in error
    assert contents(study) == before


def test_a_file_that_changes_the_study_is_not_the_study(workflow: Path, tmp_path: Path) -> None:
    """Elsewhere it would be a whole study, with the defaults of what it leaves out."""
    (tmp_path / "mine.yaml").write_text("{datasets: [cifar10], models: [resnet], trainings: {unrotated: {}}}")
    named = ("-n", "--snakefile", str(workflow / "Snakefile"), "--configfile", str(tmp_path / "mine.yaml"))
    (error,) = errors(run_snakemake(tmp_path, *named))
    assert error.startswith(f"Error in the configuration: {tmp_path} has no config.yaml: run in")
    assert run_snakemake(tmp_path, *named, "--directory", str(workflow)).returncode == 0


@pytest.mark.parametrize(
    "target",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "$(touch x)",
        "results/data/../../etc/passwd.safetensors",
        "results/data/$(touch x).safetensors",
        "results/models/dataset=$(touch x)/model=resnet/training=rotated/seed=0/weights.safetensors",
        "results/variance/dataset=mnist/model=../../../etc/training=rotated/seed=0/variance.parquet",
        "results/variance/dataset=mnist/model=vgg_like/training=rotated/seed=0/variance.parquet",  # not of this study
        "results/variance/dataset=mnist/model=resnet/training=unrotatedx/seed=0/variance.parquet",
        "results/variance/dataset=mnist/model=resnet/training=rotated/seed=7/variance.parquet",
        "results/figures/mnist/resnet/heatmap_max_all.png",
        "results/figures/mnist/resnet/feature_maps_1.png",
        "results/figures/mnist/resnet/feature_maps_$(touch x).png",
    ],
)
def test_a_name_that_the_configuration_does_not_have_has_no_rule(target: str, workflow: Path) -> None:
    before = contents(workflow)
    run = run_snakemake(workflow, "--cores", "1", target)
    assert run.returncode != 0
    assert f"No rule to produce {os.path.normpath(target)} " in run.stderr
    assert "Traceback" not in run.stderr
    assert contents(workflow) == before


def test_a_folder_whose_name_is_a_command_is_a_folder(workflow: Path) -> None:
    """Snakemake starts each script through a shell."""
    name = "$(touch ran); touch ran `touch ran` 'a' \"b\" & | ü"
    (workflow / "odd.yaml").write_text(yaml.safe_dump({"datasets": ["digits"], "results": name}))
    target = f"{name}/data/digits.safetensors"
    run = run_snakemake(workflow, "--cores", "1", target, "--configfile", "odd.yaml")
    assert run.returncode == 0, run.stderr
    assert (workflow / target).is_file()
    assert not list(workflow.rglob("ran"))


def test_weights_of_another_network_are_not_measured(finished: Path) -> None:
    """They are whole, and stand where the right ones stood."""
    weights = finished / "results" / "models" / NETWORK / "weights.safetensors"
    _, description = models.load(weights)
    shape = {key: description[key] for key in ("channels", "image_size", "classes")}
    torch.manual_seed(0)
    wider = models.build(description["name"], **shape, width=3, hidden=4)
    models.save(wider, weights, description | {"options": {"width": 3, "hidden": 4}})
    before = contents(finished / "results")
    target = f"results/variance/{NETWORK}/variance.parquet"
    command = ["--cores", "1", "--configfile", "study.yaml", "--force", target]
    (error,) = errors(run_snakemake(finished, *command))
    assert error == (
        f"Error: results/models/{NETWORK}/weights.safetensors holds a network with options "
        "{'width': 3, 'hidden': 4}, but {'hidden': 4, 'width': 2} is asked for: delete it, and the workflow trains "
        "that one"
    )
    after = contents(finished / "results")
    del before[f"variance/{NETWORK}/variance.parquet"]  # Snakemake removes what it is told to make again
    assert after == before
    log = finished / "results" / "logs" / "measure_variance" / f"{NETWORK}.log"
    assert error in log.read_text() and "Traceback" not in log.read_text()
    run_snakemake(finished, *command, "--debug")
    assert "Traceback" in log.read_text()
