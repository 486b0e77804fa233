"""Draw every measure by layer of one data set and model."""

from typing import TYPE_CHECKING

from rotvar import results
from rotvar.figures import theme
from rotvar.figures.measures import measures
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job(snakemake.log[0]):
        variance = results.read(snakemake.input.variance, stratum="all")
        floor = results.read(snakemake.input.floor) if snakemake.input.floor else None
        theme.save(measures(variance, snakemake.params.aggregation, floor), *snakemake.output)
