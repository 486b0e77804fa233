"""Measure how well one network classifies the test set as it is, at every angle, and randomly rotated."""

from typing import TYPE_CHECKING

from rotvar import evaluation, results, rotation
from rotvar.jobs import job, slots
from rotvar.jobs.subject import Subject

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def measure_accuracy(subject: Subject, angles: int, output: str) -> None:
    """Write the accuracy of the subject at so many angles."""
    shown = rotation.angles(angles)
    table = evaluation.accuracy(subject.model, subject.test, shown, mean=subject.mean, std=subject.std)
    results.write(table, output, subject.facts({"angles": angles}, N=len(subject.test), R=angles))


if __name__ == "__main__":
    with job(snakemake.log[0]), slots.device(snakemake.threads, snakemake.config["jobs_per_gpu"]) as device:
        measure_accuracy(Subject.of(snakemake, device), snakemake.params.angles, snakemake.output.accuracy)
