"""Jobs of the workflow side by side on the cores of one machine, against the same jobs one after another, as JSON and
Markdown tables. See benchmarks/README.md."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import yaml

import common
from common import ROOT, alternate, measure_part, ratio, table
from rotvar import models

RULES = {"train": "train_model", "measure": "measure_variance"}  # whose jobs a part runs
OUTPUTS = {"train": "results/models/{}/weights.safetensors", "measure": "results/variance/{}/variance.parquet"}
GOAL = 1.0  # side by side / one after another, at most
TRAININGS = {"unrotated": {"rotation": 0}, "rotated": {"rotation": 180}}


def prepare(folder: Path, name: str, options: argparse.Namespace) -> list[str]:
    """Copy the workflow into `folder`, with a study of `--jobs` networks, and train them; return their folders."""
    for part in ("workflow", "profiles", "slurm"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / part, folder / part)
    seeds = range(options.jobs // len(TRAININGS))
    study = {
        "datasets": ["digits"],
        "models": [name],
        "trainings": TRAININGS,
        "seeds": list(seeds),
        "training": {"default": {"epochs": options.epochs}},
        "measurement": {"angles": options.angles},
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    snakemake(folder, options.jobs, "--", "train")
    return [
        f"dataset=digits/model={name}/training={training}/seed={seed}" for training, seed in product(TRAININGS, seeds)
    ]


def snakemake(folder: Path, cores: int, *arguments: str) -> None:
    """Run Snakemake as users run it, with the GPUs hidden."""
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores), "--configfile", "study.yaml"]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    run = subprocess.run([*command, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    if run.returncode:
        sys.exit(run.stderr)


def made_again(folder: Path, part: str, networks: list[str], cores: int, threads: int) -> float:
    """The seconds that Snakemake takes with `cores` to make the outputs of a part, in jobs with `threads` each."""
    outputs = [OUTPUTS[part].format(network) for network in networks]
    for output in outputs:
        (folder / output).unlink(missing_ok=True)
    began = time.perf_counter()
    snakemake(folder, cores, "--set-threads", f"{RULES[part]}={threads}", "--", *outputs)
    return time.perf_counter() - began


def side_by_side(folder: Path, part: str, networks: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """All jobs at once, one thread each, as the workflow runs them; and one after another, with one thread and with as
    many as there are cores."""
    run = partial(made_again, folder, part, networks)
    sides = {
        "side_by_side": lambda: run(options.jobs, 1),
        "one_after_another": lambda: run(1, 1),
        "one_after_another_on_all_cores": lambda: run(options.cores, options.cores),
    }
    found = alternate(sides, options.repeats)
    first, *others = sides
    return found | {"ratios": {other: ratio(found, first, other) for other in others}}


def markdown(record: dict[str, Any]) -> str:
    """The results as Markdown tables."""
    jobs, cores = record["settings"]["jobs"], record["hardware"]["cores"]
    rows = []
    for network, found in record["networks"].items():
        for part in RULES:
            if each := found.get(part):
                rows.append([network, part, *each["median_seconds"].values()])
                rows[-1] += [of["ratio"] for of in each["ratios"].values()]
    goal = f"(goal ≤ {record['goals']['ratio']:g})"
    after = ["one after another, 1 thread", f"one after another, {cores} threads"]
    columns = ["network", "part", f"{jobs} jobs side by side, s", *(f"{name}, s" for name in after)]
    columns += [f"side by side / {name} {goal}" for name in after]
    return "\n\n".join([common.heading(record), table(rows, columns)])


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = p.add_argument
    add("--models", help="as in config.yaml", default=["simple_conv"], nargs="+", choices=models.BUILDERS)
    add("--parts", help="what to measure", default=list(RULES), nargs="+", choices=RULES)
    add("--jobs", help="how many, an even number", default=4, type=int)
    add("--cores", help="that the jobs may use, of those there are", default=common.cores(), type=int)
    add("--epochs", help="of a training", default=10, type=int)
    add("--angles", help="of a measurement", default=32, type=int)
    add("--repeats", help="runs of each side; the median counts", default=3, type=int)
    add("--out", help="JSON file to write", type=Path)
    add("--table", help="measure nothing, print the tables of these JSON files", type=Path, nargs="+")
    return p


def main() -> None:
    options = parser().parse_args()
    if common.tables_asked_for(options, markdown):
        return
    options.device, options.threads = "cpu", 1  # of a job
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    record = common.surroundings(options, {"ratio": GOAL})
    for name in options.models:
        print(f"digits/{name}", file=sys.stderr, flush=True)
        found: dict[str, Any] = {"architecture": common.architecture_of("digits", name)}
        record["networks"][f"digits/{name}"] = found
        with tempfile.TemporaryDirectory() as folder:
            networks = prepare(Path(folder), name, options)
            for part in RULES:
                measure_part(record, options, found, part, partial(side_by_side, Path(folder), part, networks, options))
    common.write(record, options)
    print(markdown(record))


if __name__ == "__main__":
    main()
