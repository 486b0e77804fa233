"""Small studies whose Snakemake and jobs are real processes, to be disturbed from outside."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import yaml
from copies import copy_workflow, edit
from safetensors.torch import load_file

from rotvar import results

# Every kind of job in as little time as can be: half a minute, nearly all of it Python's start
STUDY: dict[str, Any] = {
    "datasets": ["digits"],
    "models": ["simple_conv"],
    "trainings": {"rotated": {"rotation": 180}},
    "data": {"train_images": 60, "test_images": 40},
    "architectures": {"simple_conv": {"default": {"width": 2, "hidden": 4}}},
    "training": {"default": {"epochs": 4, "batch_size": 16}},
    "measurement": {"angles": 4, "aggregations": ["mean"], "shards": 2},
    "figures": {"aggregations": ["mean"], "convergence": {"images": 20}},
}


class Study:
    """A study in a folder of its own."""

    def __init__(self, folder: Path, results: str = "results", targets: tuple[str, ...] = (), **changes: Any) -> None:
        self.folder = copy_workflow(folder)
        self.results = folder / results
        configuration = STUDY | {"results": results} | changes
        edit(folder / "config.yaml", "  unrotated: {}\n", "")  # a study's file can only add to it
        (folder / "study.yaml").write_text(yaml.safe_dump(configuration))
        dataset = configuration["datasets"][0]
        self.network = f"dataset={dataset}/model=simple_conv/training=rotated/seed=0"
        figures = f"{results}/figures/{dataset}/simple_conv"
        all_targets = ("train", "measure", "tables", f"{figures}/layers_mean.png", f"{figures}/training_curves.png")
        self.command = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", "study.yaml", "--"]
        self.targets = [*(targets or all_targets)]

    def download_from(self, *urls: str) -> None:
        """Let the job that downloads ask these servers, and have little patience."""
        lines = f"""
    import torchvision.datasets
    from rotvar.data import download

    torchvision.datasets.MNIST.mirrors = {[f"{url}/" for url in urls]}
    download.TIMEOUT, download.WAIT = 2, 0.1
"""
        script = self.folder / "workflow" / "scripts" / "download_dataset.py"
        edit(script, 'if __name__ == "__main__":\n', f'if __name__ == "__main__":{lines}\n')

    def begin(self, *prefix: str, log: str = "log", **variables: str) -> "subprocess.Popen[str]":
        """Start Snakemake, after the command `prefix`, in a process group of its own; it writes to the file `log`."""
        with (self.folder / log).open("w") as file:
            return subprocess.Popen(
                [*prefix, *self.command, *self.targets],
                cwd=self.folder, stdout=file, stderr=file, text=True, start_new_session=True,
                env=os.environ | {"no_proxy": "127.0.0.1"} | variables,
            )  # fmt: skip

    def run(self, *prefix: str, **variables: str) -> int:
        """Run Snakemake to its end; its status."""
        return self.begin(*prefix, **variables).wait(timeout=3600)

    def errors(self, log: str = "log") -> list[str]:
        """The lines with which the workflow said what is wrong."""
        said = ("Error: ", "Error in the configuration: ")
        return [line for line in (self.folder / log).read_text().splitlines() if line.startswith(said)]

    @property
    def log(self) -> str:
        """What the last Snakemake said."""
        return (self.folder / "log").read_text()

    def jobs(self) -> list[psutil.Process]:
        """The processes that run scripts of this study, or start them."""
        return [process for process in psutil.process_iter() if _results(process) == str(self.results.resolve())]

    def litter(self) -> list[Path]:
        """What should not be there when nothing runs: temporary files, checkpoints, downloads."""
        hidden = [file for file in self.results.rglob(".*") if file != self.results / ".lock"]
        return hidden + list(self.results.rglob("downloads_*"))

    def outcome(self) -> dict[str, Any]:
        """All that the study found, without the times: tables, weights, and the bytes of the other files."""
        found: dict[str, Any] = {}
        for file in sorted(self.results.rglob("*")):
            name = str(file.relative_to(self.results))
            if not file.is_file() or file.name.startswith(".") or name.startswith(("logs", "benchmarks")):
                continue
            if file.suffix == ".parquet":
                table = results.read(file)
                found[name] = table.drop(columns="seconds", errors="ignore")
            elif file.name == "weights.safetensors":
                found[name] = {key: tensor.numpy().tobytes() for key, tensor in load_file(file).items()}
            else:
                found[name] = file.read_bytes()
        return found


class Demo(Study):
    """The demo, whole and as it is shipped."""

    def __init__(self, folder: Path) -> None:
        self.folder = copy_workflow(folder)
        self.results = folder / "results" / "demo"
        self.command = [sys.executable, "-m", "snakemake", "--workflow-profile", "demo"]
        self.targets = []


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Two outcomes are equal, bit for bit."""
    assert one.keys() == other.keys()
    for name, content in one.items():
        if isinstance(content, pd.DataFrame):
            pd.testing.assert_frame_equal(content, other[name], check_exact=True)
        else:
            assert content == other[name], name


def script(process: psutil.Process) -> str:
    """The name of the script that a process of the workflow runs; empty for any other."""
    try:
        arguments = process.cmdline()
    except psutil.Error:
        return ""
    name = Path(arguments[-1]).name if arguments else ""
    return name.partition(".")[2].removesuffix(".py") if "python" in "".join(arguments[:1]) else ""


def running(stage: str, snakemake: "subprocess.Popen[str]", seconds: float = 300) -> psutil.Process | None:
    """Wait for a job whose script begins with `stage`; None where Snakemake ends before there is one."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and snakemake.poll() is None:
        for process in psutil.Process(snakemake.pid).children(recursive=True):
            if script(process).startswith(stage):
                return process
        time.sleep(0.02)
    return None


@contextmanager
def nothing_left(study: Study) -> Iterator[None]:
    """Whatever the test leaves running is ended."""
    try:
        yield
    finally:
        for process in study.jobs():
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue


def _results(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("ROTVAR_RESULTS")
    except (psutil.Error, OSError):
        return None
