"""Train one network again; write its weights after some of the epochs."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from rotvar import devices, factory, models, packed, provenance, slots, training
from rotvar.checkpoint import Checkpoint
from rotvar.jobs import job
from rotvar.untrained import untrained

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def train_with_snapshots(
    dataset: str,
    name: str,
    architecture: dict[str, Any],
    recipe: dict[str, Any],
    augmentation: dict[str, float],
    seed: int,
    begin_with: Iterable[str],
    code: Iterable[str],
    device: torch.device,
    outputs: dict[int, str],
) -> None:
    """Train the network `name` on the packed data set `dataset`, on `device`, as train_model does; write its weights
    after each epoch of `outputs` to the path there, and end with the last of them. After epoch 0 they are those that
    the training begins with (random, or of the one file in `begin_with`), as `untrained` leaves them.

    Until all are there, a checkpoint stands in the folder above theirs; other data, weights to begin with or `code`
    (files) do not go on from it.
    """
    began = time.perf_counter()
    train, test = packed.read(dataset, "train"), packed.read(dataset, "test")
    shape = train.shape
    configuration = {"architecture": architecture, "recipe": recipe, "augmentation": augmentation}
    definition = configuration | {"name": name, "seed": seed, "snapshots": sorted(outputs)}
    source = factory.source(architecture["factory"]) if "factory" in architecture else None
    files = filter(None, [dataset, *begin_with, *code, source])
    checkpoint = Checkpoint(Path(outputs[max(outputs)]).parents[1], definition, files)
    snapshots = training.Snapshots([epoch for epoch in outputs if epoch])
    if 0 in outputs:
        model = models.begin(name, shape, architecture, seed, begin_with).to(device)
        untrained(model, train, test, settle=not begin_with)
        snapshots.weights[0] = model.state_dict()
    model = models.begin(name, shape, architecture, seed, begin_with).to(device)
    if snapshots.epochs:
        training.train(
            model,
            train,
            test,
            augmentation=augmentation,
            seed=seed,
            snapshots=snapshots,
            checkpoint=checkpoint,
            **recipe,
        )
    mean, std = packed.normalization(train.images)
    facts = provenance.record(
        began,
        devices.describe(device),
        configuration=configuration,
        seed=seed,
        train_images=len(train),
        test_images=len(test),
    )
    description = {"name": name, **shape, "options": architecture, "mean": mean, "std": std}
    for epoch, path in outputs.items():
        model.load_state_dict(snapshots.weights[epoch])
        models.save(model, path, description | facts | {"epoch": epoch})
    checkpoint.remove()


if __name__ == "__main__":
    with job(snakemake.log[0]), slots.device(snakemake.threads, snakemake.config["jobs_per_gpu"]) as device:
        train_with_snapshots(
            snakemake.input.dataset,
            snakemake.wildcards.model,
            snakemake.params.architecture,
            snakemake.params.recipe,
            snakemake.params.augmentation,
            int(snakemake.wildcards.seed),
            snakemake.input.begin_with,
            snakemake.input.code,
            device,
            dict(zip(snakemake.params.epochs, snakemake.output.weights, strict=True)),
        )
