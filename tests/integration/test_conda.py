"""The workflow as a user of conda runs it, from nothing but conda: a real one, whose channels are folders made of the
packages of this environment (conda/make_channel.py). No network is used but to get conda itself, from PyPI."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from conftest import STUDY, require
from copies import ROOT, copy_workflow

from rotvar import results

HERE = Path(__file__).parent / "conda"
ENVIRONMENTS = ROOT / "workflow" / "envs"
DEMO = STUDY | {"results": "results/demo", "seeds": [0]}


class Machine:
    """A machine with conda and, once it is made, the environment "snakemake"; nothing else is on its PATH."""

    def __init__(self, folder: Path) -> None:
        self.conda, self.channels = folder / "conda", folder / "channels"
        self.snakemake = self.conda / "envs" / "snakemake"
        self.variables = {
            "CONDA_CHANNEL_ALIAS": self.channels.as_uri(),
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "PATH": f"{self.snakemake}/bin:{self.conda}/bin:/usr/bin:/bin",
        }

    def run(self, command: str, folder: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in `folder`, with no environment variables but those of the machine and `variables`."""
        environment = self.variables | variables
        return subprocess.run(
            ["bash", "-c", command], cwd=folder, capture_output=True, text=True, env=environment, check=False
        )


def documented(pattern: str) -> str:
    """The one line of the README and docs/running.md that matches."""
    text = "".join((ROOT / page).read_text() for page in ("README.md", "docs/running.md"))
    (line,) = re.findall(rf"^{pattern}.*$", text, re.M)
    return re.sub(r" +#.*", "", line)


def packages(environment: Path) -> dict[str, str]:
    """The build of each package in an environment."""
    records = [json.loads(file.read_text()) for file in (environment / "conda-meta").glob("*.json")]
    return {record["name"]: record["build"] for record in records}


def made(study: Path) -> dict[str, Path]:
    """The environments that Snakemake made in a folder, by the files in workflow/envs that they were made from."""
    names = {file.read_text(): file.stem for file in ENVIRONMENTS.glob("*.yaml")}
    return {names[file.read_text()]: file.with_suffix("") for file in (study / ".snakemake/conda").glob("*.yaml")}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    require(os.environ.get("ROTVAR_TEST_ALL") == "1", "ROTVAR_TEST_ALL is not set: conda would be fetched from PyPI")
    folder = tmp_path_factory.mktemp("machine")
    machine = Machine(folder)
    bootstrap = subprocess.run(["bash", HERE / "bootstrap.sh", machine.conda], capture_output=True, text=True)
    assert bootstrap.returncode == 0, bootstrap.stderr
    subprocess.run([sys.executable, HERE / "make_channel.py", machine.channels], check=True)
    created = machine.run(f"{documented('conda create')} --yes", folder)
    assert created.returncode == 0, created.stdout + created.stderr
    return machine


@pytest.fixture(scope="module")
def demo(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of the demo's command, with a smaller study in the demo's place."""
    folder = copy_workflow(tmp_path_factory.mktemp("demo") / "rotvar")
    (folder / "profiles" / "demo" / "study.yaml").write_text(yaml.safe_dump(DEMO))
    run = machine.run("snakemake --cores 4 --use-conda --workflow-profile demo", folder)
    assert run.returncode == 0, run.stdout + run.stderr
    assert (
        "set conda: {torch: cuda} in the configuration.\nNetworks are trained and measured on the CPU.\n" in run.stderr
    )
    return folder


def test_snakemakes_environment_holds_snakemake_and_what_it_needs(machine: Machine) -> None:
    held = packages(machine.snakemake).keys()
    assert "snakemake-minimal" in held
    assert not held & {"pip", "numpy", "pandas", "pyarrow", "pytorch", "matplotlib-base", "filelock", "tqdm"}


def test_the_study_runs_to_its_report(demo: Path) -> None:
    assert "simple_conv" in (demo / "results" / "demo" / "report.html").read_text()


def test_every_environment_of_a_study_is_made_and_none_has_pip(demo: Path) -> None:
    assert made(demo).keys() == {"plot", "torch-cpu"}
    for environment in made(demo).values():
        assert "pip" not in packages(environment)
    assert packages(made(demo)["torch-cpu"])["pytorch"].startswith("cpu")


@pytest.mark.parametrize("what", ["accuracy", "variance", "convergence"])
def test_the_results_are_those_of_the_pip_environment(what: str, demo: Path, study: Path) -> None:
    ours = results.read(demo / "results" / "demo" / what, seed=[0])
    theirs = results.read(study / "results" / what, seed=[0])
    pd.testing.assert_frame_equal(ours, theirs)


@pytest.mark.parametrize("name", ["plot", "torch-cpu"])
def test_an_environment_has_by_itself_what_its_scripts_import(name: str, demo: Path) -> None:
    """In a job, Python also finds what Snakemake's own environment has."""
    rules = "".join(file.read_text() for file in (demo / "workflow" / "rules").glob("*.smk"))
    environment = "TORCH" if name == "torch-cpu" else rf'"\.\./envs/{name}\.yaml"'
    scripts = set(re.findall(rf'conda: +{environment} .*?"\.\./scripts/(\w+)\.py"', rules.replace("\n", " ")))
    assert scripts
    program = f"import sys; sys.path.append('workflow/scripts'); import {', '.join(scripts)}"
    python = made(demo)[name] / "bin" / "python"
    run = subprocess.run([python, "-I", "-c", program], cwd=demo, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.fixture
def cuda_study(tmp_path: Path) -> Path:
    """A study whose jobs are to run on a GPU, by the configuration's one key."""
    folder = copy_workflow(tmp_path / "rotvar")
    (folder / "profiles" / "demo" / "study.yaml").write_text(yaml.safe_dump(DEMO | {"conda": {"torch": "cuda"}}))
    return folder


CREATE = "snakemake --cores 1 --use-conda --workflow-profile demo --conda-create-envs-only"


def test_without_a_gpu_the_environment_for_gpus_is_refused(machine: Machine, cuda_study: Path) -> None:
    """It is not made with a build for CPUs."""
    run = machine.run(CREATE, cuda_study)
    assert run.returncode != 0
    assert "__cuda" in run.stderr


def test_a_login_node_makes_the_environment_of_the_gpu_nodes(machine: Machine, cuda_study: Path) -> None:
    variable, version = documented("CONDA_OVERRIDE_CUDA").split()[0].split("=")
    run = machine.run(CREATE, cuda_study, **{variable: version})
    assert run.returncode == 0, run.stderr
    assert packages(made(cuda_study)["torch-cuda"])["pytorch"].startswith("cuda")


def test_on_a_machine_with_a_gpu_cpu_means_cpu(machine: Machine, cuda_study: Path) -> None:
    (cuda_study / "profiles" / "demo" / "study.yaml").write_text(yaml.safe_dump(DEMO | {"conda": {"torch": "cpu"}}))
    run = machine.run(CREATE, cuda_study, CONDA_OVERRIDE_CUDA="12.9")
    assert run.returncode == 0, run.stderr
    assert packages(made(cuda_study)["torch-cpu"])["pytorch"].startswith("cpu")
