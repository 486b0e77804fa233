"""Measure how well one network classifies the test set as it is, at every angle, and randomly rotated."""

import time
from typing import TYPE_CHECKING, Any

import torch

from rotvar import devices, evaluation, models, packed, provenance, results, rotation, slots
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def measure_accuracy(
    weights: str, dataset: str, expected: dict[str, Any], angles: int, device: torch.device, output: str
) -> None:
    """Write the accuracy of the network `weights`, which must be as `expected` (`models.load`), on the test set of the
    packed data set `dataset`. `device` computes."""
    began = time.perf_counter()
    test = packed.read(dataset, "test")
    model, description = models.load(weights, **test.shape, **expected)
    mean, std = torch.tensor(description["mean"]), torch.tensor(description["std"])
    table = evaluation.accuracy(model.to(device), test, rotation.angles(angles), mean=mean, std=std)
    facts = provenance.record(
        began,
        devices.describe(device),
        configuration=description["configuration"] | {"angles": angles},
        seed=description["seed"],
        N=len(test),
        R=angles,
    )
    results.write(table, output, facts)


if __name__ == "__main__":
    with job(snakemake.log[0]), slots.device(snakemake.threads, snakemake.config["jobs_per_gpu"]) as device:
        measure_accuracy(
            snakemake.input.weights,
            snakemake.input.dataset,
            snakemake.params.expected,
            snakemake.params.angles,
            device,
            snakemake.output.accuracy,
        )
