"""Tests share the machine's cores with each other and with other jobs: one thread each is faster than several."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)

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
