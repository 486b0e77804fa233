"""Record the maps of a network's most and least invariant channels, for some test images at every angle."""

import math
from typing import TYPE_CHECKING

import pandas as pd
import torch

from rotvar import results, rotation
from rotvar.errors import InputError
from rotvar.jobs import job
from rotvar.jobs.subject import Subject
from rotvar.questions import feature_maps

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

MOST_ANGLES = 16  # columns that a figure has room for


def record_feature_maps(
    subject: Subject, variance: str, images: list[int], layers: list[str], angles: int, output: str
) -> None:
    """Write the maps of the subject's images with the numbers `images`, at `angles` angles or, where these are too many
    for a figure, at every second, third, ... of them. Channels are chosen by `spatial` where that was measured, else by
    the first aggregation."""
    if not images:
        raise InputError("figures.feature_maps.images is [], so that there are no maps to record: name a test image")
    test = subject.test
    measured = results.read(variance, stratum="all")
    aggregations = list(measured["aggregation"].unique())
    aggregation = "spatial" if "spatial" in aggregations else aggregations[0]
    measured = measured[measured["aggregation"] == aggregation]
    shown = rotation.angles(angles)[:: math.ceil(angles / MOST_ANGLES)]
    tables = [
        feature_maps.record(
            subject.model, test.images[image], shown, measured, layers=layers, mean=subject.mean, std=subject.std
        ).assign(image=image, **{"class": test.classes[test.labels[image]]})
        for image in images
    ]
    facts = subject.facts({"layers": layers, "aggregation": aggregation}, N=len(images), R=len(shown))
    results.write(pd.concat(tables), output, facts)


if __name__ == "__main__":
    with job(snakemake.log[0]):
        torch.set_num_threads(snakemake.threads)
        record_feature_maps(
            Subject.of(snakemake, torch.device("cpu")),  # a few images need no GPU
            snakemake.input.variance,
            snakemake.params.images,
            snakemake.params.layers,
            snakemake.params.angles,
            snakemake.output.maps,
        )
