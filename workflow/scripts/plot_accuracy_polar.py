"""Draw accuracy against angle on a circle, of one data set and model."""

from typing import TYPE_CHECKING

from rotvar import results
from rotvar.figures import theme
from rotvar.figures.accuracy_polar import accuracy_polar
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job(snakemake.log[0]):
        theme.save(accuracy_polar(results.read(snakemake.input.accuracy)), *snakemake.output)
