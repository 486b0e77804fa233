"""Draw how the units of each layer are distributed, of one data set and model."""

from typing import TYPE_CHECKING

from rotvar import results
from rotvar.figures import theme
from rotvar.figures.distribution import distribution
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job(snakemake.log[0]):
        aggregations = snakemake.params.aggregations
        variance = results.read(snakemake.input.variance, stratum="all", aggregation=aggregations)
        theme.save(distribution(variance, aggregations), *snakemake.output)
