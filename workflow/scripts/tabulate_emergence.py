"""Tabulate the layer means of all networks after some epochs of their trainings."""

from typing import TYPE_CHECKING

import pandas as pd

from rotvar import results, summary, tables
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

CAPTION = "Mean normalized variance of every layer after some epochs of its training (0: before it), stratum all."


def summarize(files: list[str], aggregations: list[str]) -> pd.DataFrame:
    """The mean variance of each layer of each network, one file at a time: a whole study may not fit in memory."""
    return pd.concat(
        summary.layer_means(results.read(file, stratum=["all"], aggregation=aggregations)) for file in files
    )


if __name__ == "__main__":
    with job(snakemake.log[0]):
        during, finished = (
            summarize(files, snakemake.params.aggregations)
            for files in (snakemake.input.during, snakemake.input.finished)
        )
        means = summary.to_the_end(during, finished, results.read(snakemake.input.history))
        tables.write(tables.emergence(means), *snakemake.output, caption=CAPTION)
