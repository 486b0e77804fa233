"""Measure how much every activation of one network varies under rotation, or another transformation, on all classes or
on a shard of them.
"""

from typing import TYPE_CHECKING, Any

from rotvar import results, variance
from rotvar.jobs import job, slots
from rotvar.jobs.subject import Subject
from rotvar.transformations import Transformation

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def measure_variance(
    subject: Subject,
    transformation: dict[str, Any],
    measurement: dict[str, Any],
    classes: list[int] | None,
    output: str,
) -> None:
    """Write the variance of every unit of the subject to `output` or, given `classes`, the state of a sweep over these
    alone.

    `transformation`: the limits of its families and `samples`, how many values each of their parameters has.
    `measurement`: aggregations, firing_rate and precision, as `variance.measure` takes them.
    """
    transform = Transformation({name: limit for name, limit in transformation.items() if name != "samples"})
    grid = transform.grid(transformation["samples"])
    sweep = variance.sweep(
        subject.model,
        subject.test.images,
        subject.test.labels,
        subject.test.classes,
        grid,
        transform=transform,
        part=classes,
        mean=subject.mean,
        std=subject.std,
        **measurement,
    )
    facts = subject.facts({"transformation": transformation} | measurement, N=sweep.images, R=len(grid))
    if classes is None:
        results.write(sweep.table(), output, facts)
    else:
        sweep.save(output, facts)


if __name__ == "__main__":
    with job(snakemake.log[0]), slots.device(snakemake.threads, snakemake.config["jobs_per_gpu"]) as device:
        measure_variance(
            Subject.of(snakemake, device),
            snakemake.params.transformation,
            snakemake.params.measurement,
            snakemake.params.get("classes"),
            snakemake.output[0],
        )
