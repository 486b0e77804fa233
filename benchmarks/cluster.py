"""How long a study of 16 networks takes on a SLURM cluster: job by job, and in groups. See benchmarks/README.md."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

import common

# The smallest study of 16 networks: what it takes is the start of its jobs
STUDY = {
    "datasets": ["digits"],
    "models": ["simple_conv"],
    "seeds": list(range(8)),
    "data": {"train_images": 60, "test_images": 40},
    "architectures": {"simple_conv": {"default": {"width": 2, "hidden": 4}}},
    "training": {"default": {"epochs": 2, "batch_size": 16}},
    "measurement": {"angles": 4},
    "figures": {"aggregations": ["spatial"]},
}
NETWORK = ("train_model", "measure_accuracy", "measure_variance", "measure_convergence", "record_feature_maps")
AT_ONCE = 8  # figures and tables in a job


def groups(variant: str) -> dict[str, str]:
    """The rules whose jobs are put together, with the name of their group."""
    text = "".join(file.read_text() for file in (common.ROOT / "workflow" / "rules").glob("*.smk"))
    figures = re.findall(r"^rule ((?:plot|tabulate)_\w+):", text, re.M)
    networks, pictures = dict.fromkeys(NETWORK, "network"), dict.fromkeys(figures, "figures")
    return {"none": {}, "networks": networks, "figures": pictures, "both": networks | pictures}[variant]


def prepare(folder: Path, variant: str, options: argparse.Namespace) -> None:
    """A copy of the workflow in `folder`, with the groups in its profile."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("workflow", "profiles", "slurm"):
        shutil.copytree(common.ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(common.ROOT / name, folder / name)
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
    if options.made:
        for name in ("results", ".snakemake/metadata"):
            shutil.copytree(options.made / name, folder / name)
    file = folder / "slurm" / "config.yaml"
    profile = yaml.safe_load(file.read_text())
    # A job after the other in a group, which therefore needs what the greatest of them needs
    profile["default-resources"] |= {"slurm_partition": options.partition, "in_a_row": 1}
    profile |= {"resources": {"in_a_row": 1}, "set-resource-scopes": {"in_a_row": "local"}}
    profile |= {"groups": groups(variant), "group-components": {"figures": AT_ONCE}}
    file.write_text(yaml.safe_dump({key: value for key, value in profile.items() if value != {}}))


def study(variant: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run the whole study. Raises CalledProcessError where it does not finish."""
    folder = options.folder / variant
    prepare(folder, variant, options)
    wait = ["--slurm-init-seconds-before-status-checks", str(options.init_seconds)]
    command = [sys.executable, "-m", "snakemake", "--profile", "slurm", "--configfile", "study.yaml", *wait]
    command += ["--", *options.targets]
    used, began = processor_seconds(options), time.perf_counter()
    with (folder / "snakemake.log").open("w") as log:
        subprocess.run(command, cwd=folder, stdout=log, stderr=log, check=True)
    seconds = time.perf_counter() - began
    submitted = (folder / "snakemake.log").read_text().count("has been submitted with SLURM jobid")
    return {
        "seconds": seconds,
        "processor_seconds": processor_seconds(options) - used if options.cpuacct else None,
        "jobs_submitted": submitted,
    }


def processor_seconds(options: argparse.Namespace) -> float:
    """What the cluster has computed so far, where it runs in a control group of its own; other programs on the machine
    do not lengthen it."""
    return int(options.cpuacct.read_text()) / 1e9 if options.cpuacct else 0


def markdown(record: dict[str, Any]) -> str:
    """The table of a record."""
    rows = [
        [variant, run["jobs_submitted"], run["seconds"] / 60, run["processor_seconds"], run["load_before"]]
        for variant, runs in record["variants"].items()
        for run in runs
    ]
    columns = ["groups", "jobs submitted", "minutes", "processor seconds", "load before"]
    return f"{common.heading(record)}\n\n{common.table(rows, columns)}"


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = p.add_argument
    add("--variants", help="in this order", default=["none", "networks", "figures"], nargs="+")
    add("--targets", help="what to make", default=["all"], nargs="+")
    add("--made", help="folder of an earlier variant, whose results need not be made again", type=Path)
    add("--folder", help="to work in; the nodes must see it", default=Path("results/benchmark"), type=Path)
    add("--partition", help="where jobs run", default="gpu")
    add("--init-seconds", help="before the first question for the states of jobs", default=5, type=int)
    add("--cpuacct", help="cpuacct.usage of the control group that the cluster runs in, if it has one", type=Path)
    add("--out", help="JSON file to write", type=Path)
    add("--table", help="measure nothing, print the tables of these JSON files", type=Path, nargs="+")
    options = p.parse_args()
    if common.tables_asked_for(options, markdown):
        return
    options.device, options.threads, options.folder = "cpu", 1, options.folder.resolve()
    record = common.surroundings(options, goals={})
    record["settings"] = {key: str(value) for key, value in record["settings"].items()}
    record["variants"] = {}
    for variant in options.variants:
        print(variant, file=sys.stderr, flush=True)
        load = os.getloadavg()[0]
        record["variants"].setdefault(variant, []).append(study(variant, options) | {"load_before": load})
        common.write(record, options)
    print(markdown(record))


if __name__ == "__main__":
    common.start(main)
