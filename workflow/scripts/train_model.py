"""Train one network; write its weights and the history of its training."""

import hashlib
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from rotvar import devices, factory, models, packed, provenance, results, slots, training
from rotvar.checkpoint import Checkpoint
from rotvar.jobs import job
from rotvar.untrained import untrained

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def train_model(
    dataset: str,
    name: str,
    architecture: dict[str, Any],
    recipe: dict[str, Any],
    augmentation: dict[str, float],
    seed: int,
    begin_with: Iterable[str],
    code: Iterable[str],
    device: torch.device,
    *,
    weights: str,
    history: str,
) -> None:
    """Train the network `name` on the packed data set `dataset`, on `device`; write `weights` and `history`.

    Its weights are random to begin with, or those of the one file in `begin_with`. Until both are written, a checkpoint
    stands beside them; other data, weights to begin with or `code` (files) do not go on from it.
    """
    began = time.perf_counter()
    train, test = packed.read(dataset, "train"), packed.read(dataset, "test")
    shape = train.shape
    configuration = {"architecture": architecture, "recipe": recipe, "augmentation": augmentation}
    definition = configuration | {"name": name, "seed": seed}
    source = factory.source(architecture["factory"]) if "factory" in architecture else None
    checkpoint = Checkpoint(Path(weights).parent, definition, filter(None, [dataset, *begin_with, *code, source]))
    model = models.begin(name, shape, architecture, seed, begin_with).to(device)
    if recipe["epochs"]:
        table = training.train(
            model, train, test, augmentation=augmentation, seed=seed, checkpoint=checkpoint, **recipe
        )
    else:
        table = untrained(model, train, test, settle=not begin_with)
    mean, std = packed.normalization(train.images)
    facts = provenance.record(
        began,
        devices.describe(device),
        configuration=configuration,
        resumed=table.attrs["resumed"],
        **({"factory_sha256": hashlib.sha256(Path(source).read_bytes()).hexdigest()} if source else {}),
        seed=seed,
        train_images=len(train),
        test_images=len(test),
    )
    description = {"name": name, **shape, "options": architecture, "mean": mean, "std": std}
    models.save(model, weights, description | facts)
    results.write(table, history, facts)
    checkpoint.remove()


if __name__ == "__main__":
    with job(snakemake.log[0]), slots.device(snakemake.threads, snakemake.config["jobs_per_gpu"]) as device:
        train_model(
            snakemake.input.dataset,
            snakemake.wildcards.model,
            snakemake.params.architecture,
            snakemake.params.recipe,
            snakemake.params.augmentation,
            int(snakemake.wildcards.seed),
            snakemake.input.begin_with,
            snakemake.input.code,
            device,
            weights=snakemake.output.weights,
            history=snakemake.output.history,
        )
