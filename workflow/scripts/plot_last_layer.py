"""Draw the variance of each output unit on the images of each class, of one data set and model."""

from typing import TYPE_CHECKING

from rotvar import results, summary
from rotvar.figures import theme
from rotvar.figures.last_layer import last_layer
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job(snakemake.log[0]):
        variance = results.read_one_by_one(snakemake.input.variance, summary.last_layer)
        theme.save(last_layer(variance), *snakemake.output)
