"""Retrain one network under another training, layer by layer; write what it then gets right."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rotvar import results
from rotvar.data import packed
from rotvar.jobs import job, slots
from rotvar.jobs.subject import Subject
from rotvar.questions.retraining import retrain
from rotvar.training.checkpoint import Checkpoint

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def retrain_model(
    subject: Subject,
    retrained: str,
    recipe: dict[str, Any],
    augmentation: dict[str, float],
    code: Iterable[str],
    output: str,
) -> None:
    """Retrain the subject on the training images of its data set, changed as the training named `retrained` does it
    (`augmentation`).

    Until `output` is there, checkpoints stand beside it; other data, weights or `code` (files) do not go on from them.
    """
    train = packed.read(subject.dataset, "train")
    definition = {"expected": subject.expected, "recipe": recipe, "augmentation": augmentation}
    checkpoint = Checkpoint(Path(output).parent, definition, [subject.weights, subject.dataset, *code])
    table = retrain(
        subject.model,
        train,
        subject.test,
        seed=subject.description["seed"],
        checkpoint=checkpoint,
        augmentation=augmentation,
        mean=subject.mean,
        std=subject.std,
        **recipe,
    )
    facts = subject.facts(
        {"retraining": {"retrained": retrained, "recipe": recipe, "augmentation": augmentation}},
        resumed=table.attrs["resumed"],
        train_images=len(train),
        N=len(subject.test),
    )
    results.write(table.assign(retrained=retrained), output, facts)
    checkpoint.remove()


if __name__ == "__main__":
    with job(snakemake.log[0]), slots.device(snakemake.threads, snakemake.config["jobs_per_gpu"]) as device:
        retrain_model(
            Subject.of(snakemake, device),
            snakemake.params.retrained,
            snakemake.params.recipe,
            snakemake.params.augmentation,
            snakemake.input.code,
            snakemake.output.retraining,
        )
