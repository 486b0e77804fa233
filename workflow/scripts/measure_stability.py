"""Measure one network on its test images and on many draws from them: how far chance moves its layer means."""

from typing import TYPE_CHECKING

from rotvar import results, rotation
from rotvar.jobs import job, slots
from rotvar.jobs.subject import Subject
from rotvar.questions import stability

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def measure_stability(
    subject: Subject, replicates: int, angles: int, aggregations: list[str], precision: str, output: str
) -> None:
    """Write the layer means of the subject on all its images and on `replicates` draws from them.

    The draws are the same for every network, so that those of several seeds can be averaged one by one.
    """
    table = stability.measure(
        subject.model,
        subject.test.images,
        rotation.angles(angles),
        replicates=replicates,
        aggregations=aggregations,
        precision=precision,
        mean=subject.mean,
        std=subject.std,
    )
    measured = {"replicates": replicates, "aggregations": aggregations, "precision": precision}
    results.write(table, output, subject.facts(measured, N=len(subject.test), R=angles))


if __name__ == "__main__":
    with job(snakemake.log[0]), slots.device(snakemake.threads, snakemake.config["jobs_per_gpu"]) as device:
        measure_stability(
            Subject.of(snakemake, device),
            snakemake.params.replicates,
            snakemake.params.angles,
            snakemake.params.aggregations,
            snakemake.params.precision,
            snakemake.output.stability,
        )
