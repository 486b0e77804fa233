"""Tabulate how stable the layer means of all networks are, and which differences are visible."""

from typing import TYPE_CHECKING

from rotvar import results, tables
from rotvar.jobs import job
from rotvar.questions import differences

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

CAPTION = (
    "Layer means (mean over seeds) with their interval over draws of the images, std (n - 1) over seeds and over "
    "draws, the smallest difference between two trainings that is visible with these seeds and images, and how many of "
    "both together show the difference that is looked for."
)

if __name__ == "__main__":
    with job(snakemake.log[0]):
        summary = differences.summarize(results.read(snakemake.input.stability), **snakemake.params.wanted)
        tables.write(tables.stability(summary), *snakemake.output, caption=CAPTION)
