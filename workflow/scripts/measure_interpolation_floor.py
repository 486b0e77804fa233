"""Measure the same-equivariance that pixels allow at the map sizes of one model, on the test set of one data set."""

import time
from typing import TYPE_CHECKING, Any

import torch

from rotvar import devices, models, results, rotation
from rotvar.data import packed
from rotvar.jobs import job, provenance
from rotvar.questions import interpolation_floor

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def measure_interpolation_floor(
    dataset: str, model: str, architecture: dict[str, Any], angles: int, output: str
) -> None:
    """Write the floor of each layer of `model`, built with the options `architecture`, under so many rotations."""
    began = time.perf_counter()
    test = packed.read(dataset, "test")
    network, _ = models.sketch(model, **test.shape, **architecture)  # its layers' shapes are wanted, not their values
    table = interpolation_floor.measure(network, test.images, test.labels, test.classes, rotation.angles(angles))
    facts = provenance.record(
        began,
        devices.describe(torch.device("cpu")),  # averages need no GPU
        configuration={"dataset": test.shape, "architecture": architecture},
        N=len(test.images),
        R=angles,
    )
    results.write(table, output, facts)


if __name__ == "__main__":
    with job(snakemake.log[0]):
        torch.set_num_threads(snakemake.threads)
        measure_interpolation_floor(
            snakemake.input.dataset,
            snakemake.wildcards.model,
            snakemake.params.architecture,
            snakemake.params.angles,
            snakemake.output.floor,
        )
