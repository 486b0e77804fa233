"""Draw how many images and angles are enough, for one data set and model."""

from typing import TYPE_CHECKING

from rotvar import results
from rotvar.figures import theme
from rotvar.figures.convergence import convergence
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job(snakemake.log[0]):
        values = results.read(snakemake.input.convergence)
        theme.save(convergence(values, snakemake.params.images, snakemake.params.angles), *snakemake.output)
