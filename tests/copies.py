"""Copies of the workflow to run Snakemake in, and to change."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def copy_workflow(folder: Path) -> Path:
    """The files that Snakemake reads, in the new `folder`."""
    for name in ("workflow", "profiles", "slurm"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def run_snakemake(folder: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run Snakemake in `folder`; environment `variables` are added to those of the tests."""
    command = [sys.executable, "-m", "snakemake", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=os.environ | variables)


def edit(file: Path, old: str, new: str) -> None:
    """Replace the first `old` by `new`; there must be one."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
