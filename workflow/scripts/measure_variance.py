"""Measure how much every activation of one network varies under rotation, or another transformation, on all classes or
on a shard of them.
"""

import time
from typing import TYPE_CHECKING, Any

import torch

from rotvar import devices, models, packed, provenance, results, slots, variance
from rotvar.jobs import job
from rotvar.transformations import Transformation

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def measure_variance(
    weights: str,
    dataset: str,
    expected: dict[str, Any],
    transformation: dict[str, Any],
    measurement: dict[str, Any],
    classes: list[int] | None,
    device: torch.device,
    output: str,
) -> None:
    """Measure the network `weights`, which must be as `expected` (`models.load`), on the test set of the packed data
    set `dataset`; `device` computes.

    `transformation`: the limits of its families and `samples`, how many values each of their parameters has.
    Writes the variance of every unit to `output`, or, given `classes`, the state of a sweep over these alone.
    """
    began = time.perf_counter()
    test = packed.read(dataset, "test")
    model, description = models.load(weights, **test.shape, **expected)
    transform = Transformation({name: limit for name, limit in transformation.items() if name != "samples"})
    grid = transform.grid(transformation["samples"])
    sweep = variance.sweep(
        model.to(device),
        test.images,
        test.labels,
        test.classes,
        grid,
        transform=transform,
        part=classes,
        mean=torch.tensor(description["mean"]),
        std=torch.tensor(description["std"]),
        aggregations=measurement["aggregations"],
        firing_rate=measurement["firing_rate"],
        precision=measurement["precision"],
    )
    facts = provenance.record(
        began,
        devices.describe(device),
        configuration=description["configuration"] | {"transformation": transformation} | measurement,
        seed=description["seed"],
        N=sweep.images,
        R=len(grid),
    )
    if classes is None:
        results.write(sweep.table(), output, facts)
    else:
        sweep.save(output, facts)


if __name__ == "__main__":
    with job(snakemake.log[0]), slots.device(snakemake.threads, snakemake.config["jobs_per_gpu"]) as device:
        measure_variance(
            snakemake.input.weights,
            snakemake.input.dataset,
            snakemake.params.expected,
            snakemake.params.transformation,
            snakemake.params.measurement,
            snakemake.params.get("classes"),
            device,
            snakemake.output[0],
        )
