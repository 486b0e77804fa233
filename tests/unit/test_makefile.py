"""What a new user does first: make demo. With stand-ins for Python, pip and Snakemake."""

import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import require
from copies import ROOT

PYTHON = """#!/bin/sh
[ "$1" = -m ] || exit 0
mkdir -p .venv/bin
printf '#!/bin/sh\\necho installing "$@"\\n[ ! -e no_internet ]\\n' > .venv/bin/pip
printf '#!/bin/sh\\necho snakemake "$@"\\n' > .venv/bin/snakemake
chmod +x .venv/bin/*
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    require(shutil.which("make"), "there is no make")
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements.txt").touch()
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def make(folder: Path, target: str) -> tuple[int, str]:
    command = ["make", f"PYTHON={folder / 'python'}", target]
    run = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return run.returncode, run.stdout


def test_packages_that_were_not_installed_are_said_and_tried_again(folder: Path) -> None:
    (folder / "no_internet").touch()
    status, said = make(folder, "demo")
    assert status != 0 and "The packages are not installed." in said and "\nsnakemake" not in said
    (folder / "no_internet").unlink()
    for again in (True, False):
        status, said = make(folder, "demo")
        assert status == 0 and "snakemake --workflow-profile demo\n" in said
        assert ("\ninstalling " in said) == again
        assert "-r requirements.txt" in said or not again


def test_cleaning_leaves_results(folder: Path) -> None:
    make(folder, "demo")
    weights = folder / "results" / "models" / "weights.safetensors"
    weights.parent.mkdir(parents=True)
    weights.touch()
    status, said = make(folder, "clean")
    assert status == 0, said
    assert weights.exists() and not (folder / ".venv").exists()
