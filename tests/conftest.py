"""Tests share the machine's cores with each other and with other jobs: one thread each is faster than several."""

import importlib.util
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from copies import copy_workflow, run_snakemake
from filelock import FileLock

from rotvar import variance
from rotvar.statistics.moments import Arithmetic

torch.set_num_threads(1)

# A shell lets what it starts in the background, such as the tests, ignore Ctrl-C, and so would all that these start
signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ["TRITON_INTERPRET"] = "1"  # what Triton compiles for a GPU is computed by the CPU, step by step

# A whole study that takes a minute: one small network, two trainings, two seeds, a hundred digits
STUDY = {
    "datasets": ["digits"],
    "models": ["simple_conv"],
    "seeds": [0, 1],
    "data": {"train_images": 60, "test_images": 40},
    "architectures": {"simple_conv": {"default": {"width": 2, "hidden": 4}}},
    "training": {"default": {"epochs": 2, "batch_size": 16}},
    "transformations": {"shift": {"translation": 0.2, "samples": 2}},
    "measurement": {"angles": 4},
    "figures": {"aggregations": ["spatial"]},
}

SHARED = Path(__file__).resolve().parents[2] / "shared"  # beside the repository, where developers keep large files


def require(condition: object, reason: str) -> None:
    """Skip the test where what it needs is missing; with ROTVAR_TEST_ALL=1 (in CI), where nothing may be, fail it."""
    if not condition:
        if os.environ.get("ROTVAR_TEST_ALL") == "1":
            pytest.fail(f"ROTVAR_TEST_ALL=1, but {reason}", pytrace=False)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def published_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the published files of MNIST, Fashion-MNIST and CIFAR10, as torchvision lays them out."""
    unpack = SHARED / "datasets" / "unpack"
    require(unpack.exists(), f"there is no {unpack}")
    folder = tmp_path_factory.mktemp("published")
    subprocess.run([sys.executable, unpack, folder], check=True)
    return folder


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The folder of a finished run of STUDY: the process that first needs one makes it, each has a copy to change."""
    own = tmp_path_factory.getbasetemp()
    made = (own if worker_id == "master" else own.parent) / "made"
    with FileLock(f"{made}.lock"):
        if not made.exists():
            make_study(made.with_suffix(".part")).rename(made)
    return shutil.copytree(made, tmp_path_factory.mktemp("study") / "rotvar", symlinks=True)


def make_study(folder: Path) -> Path:
    """Run STUDY where text is not UTF-8 by default: no file may depend on that."""
    copy_workflow(folder)
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
    ascii_only = {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    run = run_snakemake(folder, "--cores", "2", "--configfile", "study.yaml", **ascii_only)
    assert run.returncode == 0, run.stderr
    assert "To be made in results: data sets 1, trained networks 4, measurements 14" in run.stderr
    assert "Networks are trained and measured on: " in run.stderr
    return folder


def module(name: str) -> Arithmetic:
    """What computes the statistics, by its name. What is for a GPU, Triton computes without one, step by step."""
    if name == "gpu_kernels":
        require(importlib.util.find_spec("triton"), "Triton is not installed")
        from triton.runtime import interpreter

        interpreter.InterpreterBuilder.create_fma = rounded_once
    return importlib.import_module(f"rotvar.statistics.{name}")


def rounded_once(_: object, x: Any, y: Any, z: Any) -> Any:
    """x * y + z as a GPU rounds it; Triton's own stand-in rounds the product, too."""
    exact = x.data.astype(np.float64) * y.data + z.data
    return type(x)(exact.astype(z.data.dtype), z.dtype.scalar)


@pytest.fixture(scope="module", params=["operations", "kernels", "gpu_kernels"])
def by(request: pytest.FixtureRequest) -> Arithmetic:
    """Each of the ways in which the statistics are computed."""
    return module(request.param)


@pytest.fixture(scope="module", params=["kernels", "gpu_kernels"])
def compiled(request: pytest.FixtureRequest) -> Arithmetic:
    """Each of the ways that are compiled."""
    return module(request.param)


@pytest.fixture(scope="module", params=["operations", "kernels"])
def either_way(request: pytest.FixtureRequest) -> Iterator[None]:
    """Sweeps on a CPU, whatever their size, compute their statistics in one way, and then in the other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(variance.WORTH_COMPILING, "cpu", 0 if request.param == "kernels" else math.inf)
        yield
