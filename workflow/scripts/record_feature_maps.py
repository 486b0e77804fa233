"""Record the maps of a network's most and least invariant channels, for some test images at every angle."""

import math
import time
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from rotvar import devices, feature_maps, models, packed, provenance, results, rotation
from rotvar.errors import InputError
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

MOST_ANGLES = 16  # columns that a figure has room for


def record_feature_maps(
    weights: str,
    dataset: str,
    variance: str,
    expected: dict[str, Any],
    images: list[int],
    layers: list[str],
    angles: int,
    output: str,
) -> None:
    """Write the maps of the test images with the numbers `images`, at `angles` angles or, where these are too many for
    a figure, at every second, third, ... of them. Channels are chosen by `spatial` where that was measured, else by the
    first aggregation."""
    began = time.perf_counter()
    test = packed.read(dataset, "test")
    if max(images) >= len(test):
        raise InputError(
            f"figures.feature_maps.images asks for image {max(images)}, but {dataset} has {len(test)} test images: "
            f"choose from 0 to {len(test) - 1}"
        )
    model, description = models.load(weights, **test.shape, **expected)  # on the CPU: a few images need no GPU
    measured = results.read(variance, stratum=["all"])
    aggregations = list(measured["aggregation"].unique())
    aggregation = "spatial" if "spatial" in aggregations else aggregations[0]
    measured = measured[measured["aggregation"] == aggregation]
    shown = rotation.angles(angles)[:: math.ceil(angles / MOST_ANGLES)]
    mean, std = torch.tensor(description["mean"]), torch.tensor(description["std"])
    tables = [
        feature_maps.record(model, test.images[image], shown, measured, layers=layers, mean=mean, std=std).assign(
            image=image, **{"class": test.classes[test.labels[image]]}
        )
        for image in images
    ]
    facts = provenance.record(
        began,
        devices.describe(torch.device("cpu")),
        configuration=description["configuration"] | {"layers": layers, "aggregation": aggregation},
        seed=description["seed"],
        N=len(images),
        R=len(shown),
    )
    results.write(pd.concat(tables), output, facts)


if __name__ == "__main__":
    with job(snakemake.log[0]):
        torch.set_num_threads(snakemake.threads)
        record_feature_maps(
            snakemake.input.weights,
            snakemake.input.dataset,
            snakemake.input.variance,
            snakemake.params.expected,
            snakemake.params.images,
            snakemake.params.layers,
            snakemake.params.angles,
            snakemake.output.maps,
        )
