"""What the benchmarks share: the library's path, timing, networks and images, the record that they write and print."""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))

import pandas as pd  # noqa: E402
import torch  # noqa: E402
import yaml  # noqa: E402
from torch import nn  # noqa: E402

from rotvar import devices, models  # noqa: E402
from rotvar.catalogue import DATASETS  # noqa: E402
from rotvar.data import packed  # noqa: E402
from rotvar.errors import InputError  # noqa: E402
from rotvar.jobs import provenance  # noqa: E402

# As in the workflow's jobs (workflow/rules/common.smk): the C library keeps freed memory
MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**34)}


# --- Timing -----------------------------------------------------------------------------------------------------------


def alternate(sides: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, Any]:
    """Run the sides in turns, there and back, so that none is always first; each returns its seconds."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for round_ in range(repeats):
        for name in list(sides)[:: 1 if round_ % 2 == 0 else -1]:
            taken[name].append(sides[name]())
    return {"seconds": taken, "median_seconds": {name: statistics.median(each) for name, each in taken.items()}}


def ratio(found: dict[str, Any], over: str, under: str) -> dict[str, Any]:
    """The ratio of the medians of two sides, and the ratio within each round."""
    pairs = zip(found["seconds"][over], found["seconds"][under], strict=True)
    return {
        "ratio": found["median_seconds"][over] / found["median_seconds"][under],
        "by_round": [one / other for one, other in pairs],
    }


def seconds(run: Callable[[], object], device: torch.device, *, alone: bool = False) -> float:
    """How long one run takes, all the work on the device included.

    With `alone`, and one thread on a CPU, it is the time of the processor, which other programs on the machine do not
    lengthen. It does not hold what other processes do for the run.
    """
    alone = alone and device.type == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter
    synchronize(device)
    began = clock()
    run()
    synchronize(device)
    return clock() - began


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def in_fresh_process(
    function: Callable[..., dict[str, Any]], *arguments: Any, environment: dict[str, str] | None = None
) -> dict[str, Any]:
    """Call a function of a benchmark in a Python that has run nothing before."""
    before = dict(os.environ)
    os.environ.update(environment or {})
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()  # the other process sees what is free
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            return pool.submit(function, *arguments).result()
    finally:
        os.environ.clear()
        os.environ.update(before)


# --- Networks and images ----------------------------------------------------------------------------------------------


def configuration() -> dict[str, Any]:
    """The study of config.yaml."""
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def architecture_of(dataset: str, name: str) -> dict[str, int]:
    """The widths and depths of config.yaml."""
    entries = configuration()["architectures"][name]
    return entries["default"] | entries.get(dataset, {})


def build(dataset: str, name: str, **architecture: int) -> nn.Module:
    """A network for a data set, with random weights."""
    info = DATASETS[dataset]
    return models.build(name, info.channels, info.image_size, len(info.classes), **architecture)


def pictures(dataset: str, split: str, count: int | None, data: str | None) -> packed.Dataset:
    """`count` images, the classes in equal parts, or None for all: those of a packed data set in the folder `data`, or
    random smooth ones."""
    if data:
        real = packed.read(Path(data) / f"{dataset}.safetensors", split)
        return real if count is None else packed.first(real, count)
    info = DATASETS[dataset]
    count = {"train": info.train, "test": info.test}[split] if count is None else count
    generator = torch.Generator().manual_seed(0)
    images = torch.empty(count, info.channels, info.image_size, info.image_size, dtype=torch.uint8)
    for piece in images.split(1000):
        coarse = torch.rand(len(piece), info.channels, 7, 7, generator=generator)
        fine = nn.functional.interpolate(coarse, size=piece.shape[-2:], mode="bilinear")
        piece.copy_(fine.mul_(255).round_())
    return packed.Dataset(images, torch.arange(count) % len(info.classes), info.classes)


# --- The program ------------------------------------------------------------------------------------------------------


def parser(description: str | None, parts: Sequence[str], kinds: Sequence[str]) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    config = configuration()
    p = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    add = p.add_argument
    add("--datasets", help="give the images their shape", default=config["datasets"], nargs="+", choices=DATASETS)
    add("--models", help="as in config.yaml", default=config["models"], nargs="+", choices=models.BUILDERS)
    add("--parts", help="what to measure", default=list(parts), nargs="+", choices=parts)
    add("--data", help="folder of packed data sets, as results/data; without it images are random")
    add("--device", help="where the networks run", default=device, choices=kinds)
    add("--threads", help="of PyTorch, on the CPU", default=torch.get_num_threads(), type=int)
    add("--out", help="JSON file to write", type=Path)
    add("--table", help="measure nothing, print the tables of these JSON files", type=Path, nargs="+")
    return p


def surroundings(options: argparse.Namespace, goals: dict[str, float]) -> dict[str, Any]:
    """When, where and with what."""
    on_gpu = options.device == "cuda"
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": ["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]],
        "commit": provenance.commit(),
        "hardware": {
            "device": options.device,
            "gpu": torch.cuda.get_device_name() if on_gpu else None,
            "cpu": devices.cpu(),
            "cores": cores(),
            "threads": options.threads,
            "load_before": os.getloadavg()[0],
        },
        "versions": {
            "python": platform.python_version(),
            **provenance.versions(),
            **{name: version(name) for name in ("numba", "triton", "tmeasures") if installed(name)},
            **({"cuda": torch.version.cuda} if on_gpu else {}),
        },
        "settings": {key: value for key, value in vars(options).items() if key not in ("out", "table")},
        "goals": goals,
        "networks": {},
    }


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def measure_part(
    record: dict[str, Any],
    options: argparse.Namespace,
    found: dict[str, Any],
    part: str,
    run: Callable[[], dict[str, Any]],
) -> None:
    """Measure one part into `found`, a piece of the record; write what there is, so that no interruption loses it."""
    if part in options.parts:
        print(part, file=sys.stderr, flush=True)
        try:
            found[part] = run()
        except InputError as error:  # what does not fit into memory, for one: the next network may do
            found.setdefault("refused", {})[part] = str(error)
        write(record, options)


def write(record: dict[str, Any], options: argparse.Namespace) -> None:
    if options.out:
        options.out.write_text(json.dumps(record, indent=1) + "\n")


def tables_asked_for(options: argparse.Namespace, markdown: Callable[[dict[str, Any]], str]) -> bool:
    """Print the tables of finished runs, where `--table` asks for them and for nothing else."""
    if options.table:
        print("\n\n".join(markdown(json.loads(path.read_text())) for path in options.table))
    return bool(options.table)


def heading(record: dict[str, Any]) -> str:
    """One line: the hardware, PyTorch, the date and the commit of a record."""
    hardware = record["hardware"]
    device = hardware["gpu"] or f"{hardware['cpu']}, {hardware['cores']} cores, {hardware['threads']} threads"
    commit = (record["commit"] or "no")[:12]
    return f"{device}; torch {record['versions']['torch']}; {record['date'][:10]}; commit {commit}"


def table(rows: list[Any], columns: list[str] | None = None) -> str:
    """A Markdown table."""
    cells = pd.DataFrame(rows, columns=columns, dtype=object)
    return cells.map(shown).to_markdown(index=False, disable_numparse=True)


def shown(value: Any) -> str:
    if value is None or value != value:
        return ""
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def start(main: Callable[[], None]) -> None:
    """Run a program under the workflow's memory settings, which count from the start of a process."""
    if not os.environ.keys() >= MALLOC.keys():
        os.execve(sys.executable, [sys.executable, *sys.argv], MALLOC | os.environ)
    main()
