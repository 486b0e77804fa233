"""Draw loss and accuracy by epoch of one data set and model."""

from typing import TYPE_CHECKING

from rotvar import results
from rotvar.figures import theme
from rotvar.figures.training_curves import training_curves
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job(snakemake.log[0]):
        theme.save(training_curves(results.read(snakemake.input.history)), *snakemake.output)
