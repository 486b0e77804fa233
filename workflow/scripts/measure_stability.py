"""Measure one network on its test images and on many draws from them: how far chance moves its layer means."""

import time
from typing import TYPE_CHECKING, Any

import torch

from rotvar import devices, models, packed, provenance, results, rotation, slots, stability
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def measure_stability(
    weights: str,
    dataset: str,
    expected: dict[str, Any],
    replicates: int,
    angles: int,
    aggregations: list[str],
    precision: str,
    device: torch.device,
    output: str,
) -> None:
    """Write the layer means of the network `weights`, which must be as `expected` (`models.load`), on all test images
    and on `replicates` draws from them. `device` computes.

    The draws are the same for every network, so that those of several seeds can be averaged one by one.
    """
    began = time.perf_counter()
    test = packed.read(dataset, "test")
    model, description = models.load(weights, **test.shape, **expected)
    table = stability.measure(
        model.to(device),
        test.images,
        rotation.angles(angles),
        replicates=replicates,
        aggregations=aggregations,
        mean=torch.tensor(description["mean"]),
        std=torch.tensor(description["std"]),
        precision=precision,
    )
    measured = {"replicates": replicates, "aggregations": aggregations, "precision": precision}
    facts = provenance.record(
        began,
        devices.describe(device),
        configuration=description["configuration"] | measured,
        seed=description["seed"],
        N=len(test),
        R=angles,
    )
    results.write(table, output, facts)


if __name__ == "__main__":
    with job(snakemake.log[0]), slots.device(snakemake.threads, snakemake.config["jobs_per_gpu"]) as device:
        measure_stability(
            snakemake.input.weights,
            snakemake.input.dataset,
            snakemake.params.expected,
            snakemake.params.replicates,
            snakemake.params.angles,
            snakemake.params.aggregations,
            snakemake.params.precision,
            device,
            snakemake.output.stability,
        )
