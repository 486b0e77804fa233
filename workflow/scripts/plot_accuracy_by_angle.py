"""Draw accuracy against angle, by class, of one data set and model."""

from typing import TYPE_CHECKING

from rotvar import results
from rotvar.figures import theme
from rotvar.figures.accuracy_by_angle import accuracy_by_angle
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job(snakemake.log[0]):
        theme.save(accuracy_by_angle(results.read(snakemake.input.accuracy)), *snakemake.output)
