"""Tabulate the layer means of all networks after some epochs of their trainings."""

from typing import TYPE_CHECKING

from rotvar import results, summary, tables
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

CAPTION = "Mean normalized variance of every layer after some epochs of its training (0: before it), stratum all."

if __name__ == "__main__":
    with job(snakemake.log[0]):
        during, finished = (
            results.read_one_by_one(
                files, summary.layer_means, stratum="all", aggregation=snakemake.params.aggregations
            )
            for files in (snakemake.input.during, snakemake.input.finished)
        )
        means = summary.to_the_end(during, finished, results.read(snakemake.input.history))
        tables.write(tables.emergence(means), *snakemake.output, caption=CAPTION)
