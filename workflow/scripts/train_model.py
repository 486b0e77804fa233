"""Train one network; write its weights and the history of its training."""

import time
from typing import TYPE_CHECKING, Any

import torch

from rotvar import devices, models, packed, provenance, results, training
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
    *,
    weights: str,
    history: str,
) -> None:
    """Train the network `name` on the packed data set `dataset`; write `weights` and `history`."""
    began = time.perf_counter()
    train, test = packed.read(dataset, "train"), packed.read(dataset, "test")
    device = devices.pick()
    shape = {"channels": train.images.shape[1], "image_size": train.images.shape[2], "classes": len(train.classes)}
    torch.manual_seed(seed)
    model = models.build(name, **shape, **architecture).to(device)
    table = training.train(model, train, test, rotation=rotation, seed=seed, **recipe)
    mean, std = packed.normalization(train.images)
    facts = provenance.record(
        began,
        devices.describe(device),
        configuration={"architecture": architecture, "recipe": recipe, "rotation": rotation},
        seed=seed,
        train_images=len(train),
        test_images=len(test),
    )
    description = {"name": name, **shape, "options": architecture, "mean": mean, "std": std}
    models.save(model, weights, description | facts)
    results.write(table, history, facts)


if __name__ == "__main__":
    with job(snakemake.log[0]):
        torch.set_num_threads(snakemake.threads)
        train_model(
            snakemake.input.dataset,
            snakemake.wildcards.model,
            snakemake.params.architecture,
            snakemake.params.recipe,
            snakemake.params.rotation,
            int(snakemake.wildcards.seed),
            weights=snakemake.output.weights,
            history=snakemake.output.history,
        )
