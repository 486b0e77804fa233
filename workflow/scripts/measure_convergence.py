"""Measure one network on subsets of some test images and of the angles: how many of both are enough."""

from typing import TYPE_CHECKING

from rotvar import results, rotation
from rotvar.data import packed
from rotvar.jobs import job, slots
from rotvar.jobs.subject import Subject
from rotvar.questions import convergence

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def measure_convergence(
    subject: Subject, images: int, angles: int, aggregation: str, precision: str, output: str
) -> None:
    """Write the layer means of the subject on subsets of its first `images` images and of twice as many `angles` as the
    study has, so that the study's own number is one of the subsets."""
    test = packed.first(subject.test, images)
    table = convergence.measure(
        subject.model,
        test.images,
        test.labels,
        rotation.angles(2 * angles),
        aggregation=aggregation,
        precision=precision,
        mean=subject.mean,
        std=subject.std,
    )
    measured = {"aggregation": aggregation, "precision": precision}
    results.write(table, output, subject.facts(measured, N=int(table["images"].max()), R=2 * angles))


if __name__ == "__main__":
    with job(snakemake.log[0]), slots.device(snakemake.threads, snakemake.config["jobs_per_gpu"]) as device:
        measure_convergence(
            Subject.of(snakemake, device),
            snakemake.params.images,
            snakemake.params.angles,
            snakemake.params.aggregation,
            snakemake.params.precision,
            snakemake.output.convergence,
        )
