"""Draw the four accuracies of one data set and model, the published ones beside them."""

from typing import TYPE_CHECKING

from rotvar import results, tables
from rotvar.figures import theme
from rotvar.figures.accuracy import accuracy_bars
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job(snakemake.log[0]):
        accuracy = results.read(snakemake.input.accuracy)
        theme.save(accuracy_bars(accuracy, tables.published()["accuracy"]), *snakemake.output)
