"""A study on a machine with GPUs. They are stand-ins: what they are given is computed on the CPU."""

from pathlib import Path

import pytest
import yaml
from conftest import STUDY
from copies import copy_workflow, edit, run_snakemake

from rotvar.jobs import slots

ARGUMENTS = ("--cores", "4", "--configfile", "study.yaml")
NETWORKS = Path("results/models/dataset=digits/model=simple_conv")
OLD = "The NVIDIA driver on your system is too old (found version 12040)."
TOLD = "At most 2 of their jobs compute at a time (jobs_per_gpu: 1); others that are started wait, and hold a core."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """That of the workflow, with a study to run."""
    folder = copy_workflow(tmp_path / "rotvar")
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY | {"seeds": [0]}))
    return folder


@pytest.fixture
def machine(folder: Path, tmp_path: Path) -> Path:
    """The workflow on a machine with two GPUs."""
    library = folder / "workflow" / "scripts" / "rotvar"
    edit(library / "devices.py", "if torch.cuda.is_available():", "if True:")
    edit(library / "devices.py", "torch.cuda.device_count()", "2")
    edit(library / "devices.py", "if _has_code_for(gpu)", "")
    edit(library / "devices.py", "torch.cuda.get_device_name(device)", '"Stand-in"')
    edit(library / "jobs" / "slots.py", 'Path("/tmp")', f'Path("{tmp_path}")')
    edit(library / "jobs" / "slots.py", "str(torch.cuda.get_device_properties(gpu).uuid)", 'f"uuid-{gpu.index}"')
    edit(library / "jobs" / "slots.py", "torch.cuda.set_device(visible[place])", "pass")
    edit(library / "jobs" / "slots.py", "yield visible[place]", 'yield torch.device("cpu")')
    return folder


def test_jobs_take_the_gpu_that_is_free_and_the_user_is_told_how_many_compute(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "FOLDER", tmp_path)
    with slots.taken(["uuid-0"], 1):
        run = run_snakemake(machine, *ARGUMENTS, "--", "train")
    assert run.returncode == 0, run.stderr
    assert "Networks are trained and measured on: Stand-in, Stand-in." in run.stderr
    assert f"{TOLD} To start no others: --resources gpu=2\n" in run.stderr
    logs = [file.read_text() for file in (machine / "results" / "logs" / "train_model").rglob("*.log")]
    assert len(logs) == 2
    assert all("computing on GPU 2 of 2: Stand-in" in log for log in logs)

    # Neither how many jobs share a GPU nor how many are started makes a result stale; either keeps jobs from waiting
    (machine / "shared.yaml").write_text(yaml.safe_dump({"jobs_per_gpu": 2}))
    for training, arguments in (("rotated", ["shared.yaml"]), ("unrotated", ["--resources", "gpu=2"])):
        (machine / NETWORKS / f"training={training}" / "seed=0" / "weights.safetensors").unlink()
        run = run_snakemake(machine, *ARGUMENTS, *arguments, "--", "train")
        assert run.returncode == 0, run.stderr
        assert "data sets 0, trained networks 1, measurements 0" in run.stderr
        assert "Stand-in, Stand-in." in run.stderr
        assert "others that are started wait" not in run.stderr


def test_where_the_driver_is_too_old_for_pytorch_the_run_and_its_jobs_say_so_and_the_cpu_computes(folder: Path) -> None:
    devices = folder / "workflow" / "scripts" / "rotvar" / "devices.py"
    edit(devices, "if torch.cuda.is_available():", "if False:")
    edit(devices, "torch.cuda.init()", f'raise RuntimeError("{OLD}")')
    run = run_snakemake(folder, *ARGUMENTS, "--", "train")
    assert run.returncode == 0, run.stderr
    why = f"PyTorch cannot compute on this machine's GPU: {OLD} docs/running.md says which builds are for which GPUs.\n"
    assert f"{why}Networks are trained and measured on: " in run.stderr
    assert "Without a GPU this takes about " in run.stderr
    logs = [file.read_text() for file in (folder / "results" / "logs" / "train_model").rglob("*.log")]
    assert [why in log for log in logs] == [True, True]
