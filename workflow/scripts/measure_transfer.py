"""Measure one network under rotation on the images of another data set than it was trained on."""

import time
from typing import TYPE_CHECKING, Any

import torch

from rotvar import devices, models, packed, provenance, results, rotation, slots, transfer, variance
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def measure_transfer(
    weights: str,
    dataset: str,
    expected: dict[str, Any],
    angles: int,
    measurement: dict[str, Any],
    device: torch.device,
    output: str,
) -> None:
    """Write the variance of every unit of the network `weights`, which must be as `expected` (`models.load`), on the
    test images of the packed data set `dataset`, in the shape that the network takes and normalized as its own
    training images were. `device` computes."""
    began = time.perf_counter()
    test = packed.read(dataset, "test")
    model, description = models.load(weights, **expected)
    table = variance.measure(
        model.to(device),
        transfer.adapt(test.images, description["channels"], description["image_size"]),
        test.labels,
        test.classes,
        rotation.angles(angles),
        mean=torch.tensor(description["mean"]),
        std=torch.tensor(description["std"]),
        aggregations=measurement["aggregations"],
        firing_rate=measurement["firing_rate"],
        precision=measurement["precision"],
    )
    facts = provenance.record(
        began,
        devices.describe(device),
        configuration=description["configuration"] | {"angles": angles} | measurement,
        seed=description["seed"],
        N=len(test),
        R=angles,
    )
    results.write(table, output, facts)


if __name__ == "__main__":
    with job(snakemake.log[0]), slots.device(snakemake.threads, snakemake.config["jobs_per_gpu"]) as device:
        measure_transfer(
            snakemake.input.weights,
            snakemake.input.dataset,
            snakemake.params.expected,
            snakemake.params.angles,
            snakemake.params.measurement,
            device,
            snakemake.output.variance,
        )
