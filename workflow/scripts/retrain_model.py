"""Retrain one network under another training, layer by layer; write what it then gets right."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from rotvar import devices, models, packed, provenance, results, slots
from rotvar.checkpoint import Checkpoint
from rotvar.jobs import job
from rotvar.retraining import retrain

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def retrain_model(
    weights: str,
    dataset: str,
    expected: dict[str, Any],
    retrained: str,
    recipe: dict[str, Any],
    augmentation: dict[str, float],
    code: Iterable[str],
    device: torch.device,
    output: str,
) -> None:
    """Retrain the network `weights`, which must be as `expected` (`models.load`), on the packed data set `dataset`,
    whose images are changed as the training named `retrained` does it (`augmentation`); `device` computes.

    Until `output` is there, checkpoints stand beside it; other data, weights or `code` (files) do not go on from them.
    """
    began = time.perf_counter()
    train, test = packed.read(dataset, "train"), packed.read(dataset, "test")
    model, description = models.load(weights, **test.shape, **expected)
    definition = {"expected": expected, "recipe": recipe, "augmentation": augmentation}
    checkpoint = Checkpoint(Path(output).parent, definition, [weights, dataset, *code])
    table = retrain(
        model.to(device),
        train,
        test,
        mean=torch.tensor(description["mean"]),
        std=torch.tensor(description["std"]),
        seed=description["seed"],
        checkpoint=checkpoint,
        augmentation=augmentation,
        **recipe,
    )
    retraining = {"retrained": retrained, "recipe": recipe, "augmentation": augmentation}
    facts = provenance.record(
        began,
        devices.describe(device),
        configuration=description["configuration"] | {"retraining": retraining},
        resumed=table.attrs["resumed"],
        seed=description["seed"],
        train_images=len(train),
        N=len(test),
    )
    results.write(table.assign(retrained=retrained), output, facts)
    checkpoint.remove()


if __name__ == "__main__":
    with job(snakemake.log[0]), slots.device(snakemake.threads, snakemake.config["jobs_per_gpu"]) as device:
        retrain_model(
            snakemake.input.weights,
            snakemake.input.dataset,
            snakemake.params.expected,
            snakemake.params.retrained,
            snakemake.params.recipe,
            snakemake.params.augmentation,
            snakemake.input.code,
            device,
            snakemake.output.retraining,
        )
