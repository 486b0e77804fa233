"""Too little memory: a measurement takes fewer images at a time; where nothing helps, a sentence says so."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from conftest import require
from copies import ROOT, edit
from processes import Study, nothing_left, running

MB = 2**20

# A network whose first layer takes 400 MB for the usual batch; `limit` comes before the measurement
MEASURE = """
import logging, resource, sys
from pathlib import Path
import torch
from torch import nn
from rotvar import rotation, variance
from rotvar.system import limits
from rotvar.jobs import job

torch.set_num_threads(1)
limits._DEVICES = Path("nowhere")
batches = []
present = rotation.present_at_all

def spy(images, *rest):
    batches.append(len(images))
    return present(images, *rest)

rotation.present_at_all = spy
torch.manual_seed(0)
images = torch.randint(0, 256, (24, 1, 32, 32), dtype=torch.uint8)
model = nn.Sequential(nn.Conv2d(1, 64, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
labels = torch.arange(24) % 2

def measure(count=24, angles=16):
    return variance.measure(model, images[:count], labels[:count], ["cat", "dog"], rotation.angles(angles),
                            aggregations=["mean"])

measure(4)  # what libraries take at first
batches.clear()
{limit}
with job("job.log"):
    {work}
"""
WORK = "measure().to_parquet('table.parquet'); print(max(batches))"


def run(folder: Path, limit: str = "", work: str = WORK, **options: object) -> "subprocess.CompletedProcess[str]":
    program = MEASURE.format(limit=limit, work=work)
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow" / "scripts")}
    return subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=environment, capture_output=True, text=True, **options
    )


def of_the_shell(megabytes: int) -> str:
    """As `ulimit -v`, so much beyond what the process takes already."""
    now = "limits._pages(limits._SIZE)"
    return f"resource.setrlimit(resource.RLIMIT_AS, ({now} + {megabytes} * 2**20,) * 2)"


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    folder = tmp_path_factory.mktemp("unlimited")
    unlimited = run(folder)
    assert unlimited.returncode == 0, unlimited.stderr
    assert int(unlimited.stdout) == 12  # a class at a time
    return pd.read_parquet(folder / "table.parquet")


def test_a_measurement_takes_fewer_images_at_a_time(tmp_path, expected):
    limited = run(tmp_path, of_the_shell(200))
    assert limited.returncode == 0, limited.stderr
    assert 1 <= int(limited.stdout) < 12
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "table.parquet"), expected, rtol=1e-5)


def test_too_little_for_one_image_is_a_sentence(tmp_path):
    """One that takes 250 MB: what the process gives back once its limit is set, tens of MB at times, is not enough."""
    limited = run(tmp_path, of_the_shell(10), work="measure(angles=160)")
    assert limited.returncode == 1
    (sentence,) = limited.stderr.splitlines()
    assert sentence.startswith("Error: ") and ("are free on the cpu" in sentence or "memory ran out" in sentence)


def test_other_work_is_a_sentence(tmp_path):
    limited = run(tmp_path, of_the_shell(200), work="torch.ones(300_000_000)")
    assert limited.returncode == 1
    (sentence,) = limited.stderr.splitlines()
    assert sentence.startswith("Error: memory ran out (") and "run fewer jobs at a time" in sentence


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Callable[[int], dict[str, object]]]:
    """Make a control group of so many bytes, for a process to begin in: options of subprocess."""
    made: list[Path] = []

    def make(size: int) -> dict[str, object]:
        own = {line.split(":")[1]: line.split(":", 2)[2] for line in Path("/proc/self/cgroup").read_text().splitlines()}
        if "memory" in own:
            folder, limit = Path("/sys/fs/cgroup/memory") / own["memory"].lstrip("/"), "memory.limit_in_bytes"
        else:
            folder, limit = Path("/sys/fs/cgroup") / own.get("", "").lstrip("/"), "memory.max"
        try:
            folder = folder / f"rotvar-test-{os.getpid()}"
            folder.mkdir()
            made.append(folder)
            (folder / limit).write_text(str(size))
        except OSError as error:
            require(False, f"only an administrator can make a control group with a limit ({error})")
        return {"preexec_fn": lambda: (folder / "cgroup.procs").write_text(str(os.getpid()))}

    yield make
    for folder in made:
        folder.rmdir()


def test_in_a_control_group_a_measurement_takes_fewer_images_at_a_time(tmp_path, group, expected):
    """The usual batch would go beyond the limit, and the kernel would kill the process."""
    limited = run(tmp_path, **group(480 * MB))
    assert limited.returncode == 0, limited.stderr
    assert 1 <= int(limited.stdout) < 12
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "table.parquet"), expected, rtol=1e-5)


def test_in_a_control_group_other_work_is_a_sentence(tmp_path, group):
    limited = run(tmp_path, work="torch.ones(500_000_000)", **group(700 * MB))
    assert limited.returncode == 1, limited
    (sentence,) = limited.stderr.splitlines()
    assert sentence.startswith("Error: memory ran out (")


def test_what_the_kernel_kills_all_the_same_is_said(tmp_path):
    """Several jobs together may use more than there is. Here something else kills the job, and the count is ours."""
    study = Study(tmp_path / "rotvar", targets=("train",))
    counts = study.folder / "vmstat"
    counts.write_text("oom_kill 7\n")
    module = study.folder / "workflow" / "scripts" / "rotvar" / "system" / "limits.py"
    edit(module, 'Path("/proc/vmstat")', f"Path({str(counts)!r})")
    with nothing_left(study):
        snakemake = study.begin()
        job = running("train_model", snakemake)
        assert job
        counts.write_text("oom_kill 8\n")
        job.kill()
        assert snakemake.wait(timeout=300) != 0
    assert "Memory ran out: the kernel killed 1 processes of this machine while this ran" in study.log
