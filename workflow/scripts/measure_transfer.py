"""Measure one network under rotation on the images of another data set than it was trained on."""

from typing import TYPE_CHECKING, Any

from rotvar import results, rotation, variance
from rotvar.jobs import job, slots
from rotvar.jobs.subject import Subject
from rotvar.questions import transfer

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def measure_transfer(subject: Subject, angles: int, measurement: dict[str, Any], output: str) -> None:
    """Write the variance of every unit of the subject, whose images are brought to the shape that the network takes and
    normalized as its own training images were; `measurement` as in measure_variance."""
    test, description = subject.test, subject.description
    table = variance.measure(
        subject.model,
        transfer.adapt(test.images, description["channels"], description["image_size"]),
        test.labels,
        test.classes,
        rotation.angles(angles),
        mean=subject.mean,
        std=subject.std,
        **measurement,
    )
    results.write(table, output, subject.facts({"angles": angles} | measurement, N=len(test), R=angles))


if __name__ == "__main__":
    with job(snakemake.log[0]), slots.device(snakemake.threads, snakemake.config["jobs_per_gpu"]) as device:
        measure_transfer(
            Subject.of(snakemake, device, foreign=True),
            snakemake.params.angles,
            snakemake.params.measurement,
            snakemake.output.variance,
        )
