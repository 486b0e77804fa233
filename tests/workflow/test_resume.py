"""A training that is stopped in the middle goes on when Snakemake is run again, and ends as if nothing had been."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml
from copies import copy_workflow, run_snakemake
from safetensors.torch import load_file

from rotvar import results

EPOCHS = 30
STUDY = {
    "datasets": ["digits"],
    "models": ["simple_conv"],
    "trainings": {"rotated": {"rotation": 180}},
    "data": {"train_images": 300, "test_images": 100},
    "architectures": {"simple_conv": {"default": {"width": 8, "hidden": 8}}},
    "training": {"default": {"epochs": EPOCHS}},
}
NETWORK = Path("results/models/dataset=digits/model=simple_conv/training=rotated/seed=0")
COMMAND = ("train", "--cores", "1", "--configfile", "study.yaml")


def begin(folder: Path) -> Path:
    """A copy of the workflow with the small study in a new folder."""
    copy_workflow(folder)
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
    return folder


def network(folder: Path) -> tuple[dict[str, object], pd.DataFrame]:
    history = results.read(folder / NETWORK / "history.parquet").drop(columns="seconds")
    return {
        name: tensor.tolist() for name, tensor in load_file(folder / NETWORK / "weights.safetensors").items()
    }, history


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = begin(tmp_path_factory.mktemp("undisturbed") / "rotvar")
    run = run_snakemake(folder, *COMMAND)
    assert run.returncode == 0, run.stderr
    return folder


def stop_job(snakemake: "subprocess.Popen[str]") -> None:
    """The training alone dies, as when memory runs out."""
    (job,) = (
        process
        for process in psutil.Process(snakemake.pid).children(recursive=True)
        if process.cmdline()[-1].endswith("train_model.py")
    )
    job.kill()


def stop_by_keyboard(snakemake: "subprocess.Popen[str]") -> None:
    """Ctrl-C: the terminal sends SIGINT to Snakemake and to its jobs."""
    os.killpg(snakemake.pid, signal.SIGINT)


@pytest.mark.parametrize("stop", [stop_job, stop_by_keyboard])
def test_a_training_that_was_stopped_goes_on(stop, tmp_path, undisturbed):
    folder = begin(tmp_path / "rotvar")
    command = [sys.executable, "-m", "snakemake", *COMMAND]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as snakemake:
        while not list((folder / NETWORK).glob(".checkpoint-*.pt")):
            assert snakemake.poll() is None
            time.sleep(0.01)
        stop(snakemake)
        stderr = snakemake.communicate(timeout=60)[1]
    assert snakemake.returncode != 0, stderr
    assert not (folder / NETWORK / "weights.safetensors").exists()
    assert list((folder / NETWORK).glob(".checkpoint-*"))

    run = run_snakemake(folder, *COMMAND)
    assert run.returncode == 0, run.stderr
    weights, history = network(folder)
    expected_weights, expected_history = network(undisturbed)
    assert weights == expected_weights
    pd.testing.assert_frame_equal(history, expected_history, check_exact=True)
    (resumed,) = results.metadata(folder / NETWORK / "history.parquet")["resumed"]
    assert 1 <= resumed[0] < EPOCHS
    assert not list((folder / NETWORK).glob(".*"))  # the checkpoint went with the job
