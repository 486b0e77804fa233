"""Train one network; write its weights and the history of its training."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from rotvar import devices, models, packed, provenance, results, slots, training
from rotvar.checkpoint import Checkpoint
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def train_model(
    dataset: str,
    name: str,
    architecture: dict[str, int],
    recipe: dict[str, Any],
    rotation: float,
    seed: int,
    code: Iterable[str],
    device: torch.device,
    *,
    weights: str,
    history: str,
) -> None:
    """Train the network `name` on the packed data set `dataset`, on `device`; write `weights` and `history`.

    Until both are there, a checkpoint stands beside them; other data or other `code` (files) do not go on from it.
    """
    began = time.perf_counter()
    train, test = packed.read(dataset, "train"), packed.read(dataset, "test")
    shape = train.shape
    configuration = {"architecture": architecture, "recipe": recipe, "rotation": rotation}
    definition = configuration | {"name": name, "seed": seed}
    checkpoint = Checkpoint(Path(weights).parent, definition, [dataset, *code])
    torch.manual_seed(seed)
    model = models.build(name, **shape, **architecture).to(device)
    table = training.train(model, train, test, rotation=rotation, seed=seed, checkpoint=checkpoint, **recipe)
    mean, std = packed.normalization(train.images)
    facts = provenance.record(
        began,
        devices.describe(device),
        configuration=configuration,
        resumed=table.attrs["resumed"],
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
            snakemake.params.rotation,
            int(snakemake.wildcards.seed),
            snakemake.input.code,
            device,
            weights=snakemake.output.weights,
            history=snakemake.output.history,
        )
