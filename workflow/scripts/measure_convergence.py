"""Measure one network on subsets of some test images and of the angles: how many of both are enough."""

import time
from typing import TYPE_CHECKING, Any

import torch

from rotvar import convergence, devices, models, packed, provenance, results, rotation, slots
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def measure_convergence(
    weights: str,
    dataset: str,
    expected: dict[str, Any],
    images: int,
    angles: int,
    aggregation: str,
    precision: str,
    device: torch.device,
    output: str,
) -> None:
    """Write the layer means of the network `weights`, which must be as `expected` (`models.load`), on subsets of the
    first `images` test images and of twice as many `angles` as the study has, so that the study's own number is one of
    the subsets. `device` computes."""
    began = time.perf_counter()
    test = packed.first(packed.read(dataset, "test"), images)
    model, description = models.load(weights, **test.shape, **expected)
    table = convergence.measure(
        model.to(device),
        test.images,
        test.labels,
        rotation.angles(2 * angles),
        aggregation=aggregation,
        mean=torch.tensor(description["mean"]),
        std=torch.tensor(description["std"]),
        precision=precision,
    )
    facts = provenance.record(
        began,
        devices.describe(device),
        configuration=description["configuration"] | {"aggregation": aggregation, "precision": precision},
        seed=description["seed"],
        N=int(table["images"].max()),
        R=2 * angles,
    )
    results.write(table, output, facts)


if __name__ == "__main__":
    with job(snakemake.log[0]), slots.device(snakemake.threads, snakemake.config["jobs_per_gpu"]) as device:
        measure_convergence(
            snakemake.input.weights,
            snakemake.input.dataset,
            snakemake.params.expected,
            snakemake.params.images,
            snakemake.params.angles,
            snakemake.params.aggregation,
            snakemake.params.precision,
            device,
            snakemake.output.convergence,
        )
