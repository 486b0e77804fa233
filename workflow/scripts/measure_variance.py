"""Measure how much every activation of one network varies under rotation."""

import time
from typing import TYPE_CHECKING

import torch

from rotvar import devices, models, packed, provenance, results, rotation, variance
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def measure_variance(weights: str, dataset: str, angles: int, aggregations: list[str], output: str) -> None:
    """Write the variance of every unit of the network `weights` on the test set of the packed data set `dataset`."""
    began = time.perf_counter()
    test = packed.read(dataset, "test")
    device = devices.pick()
    model, description = models.load(weights)
    table = variance.measure(
        model.to(device),
        test.images,
        test.labels,
        test.classes,
        rotation.angles(angles),
        mean=torch.tensor(description["mean"]),
        std=torch.tensor(description["std"]),
        aggregations=aggregations,
    )
    facts = provenance.record(
        began,
        devices.describe(device),
        configuration=description["configuration"] | {"angles": angles, "aggregations": aggregations},
        seed=description["seed"],
        N=len(test),
        R=angles,
    )
    results.write(table, output, facts)


if __name__ == "__main__":
    with job(snakemake.log[0]):
        torch.set_num_threads(snakemake.threads)
        measure_variance(
            snakemake.input.weights,
            snakemake.input.dataset,
            snakemake.params.measurement["angles"],
            snakemake.params.measurement["aggregations"],
            snakemake.output.variance,
        )
