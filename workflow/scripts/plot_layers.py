"""Draw mean variance by layer of one data set and model."""

from typing import TYPE_CHECKING

from rotvar import results
from rotvar.figures import theme
from rotvar.figures.layers import by_layer
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job(snakemake.log[0]):
        aggregation = snakemake.wildcards.aggregation
        variance = results.read(snakemake.input.variance, aggregation=aggregation)
        theme.save(by_layer(variance, aggregation), *snakemake.output)
