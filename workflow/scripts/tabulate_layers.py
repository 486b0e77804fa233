"""Tabulate the mean normalized variance of every layer of all networks."""

from typing import TYPE_CHECKING

import pandas as pd

from rotvar import results, summary, tables
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

CAPTION = "Mean normalized variance over the finite units of each layer: mean and std (n - 1) over seeds."


def summarize(files: list[str]) -> pd.DataFrame:
    """The layer means of each network, one file at a time: a whole study may not fit in memory."""
    return pd.concat(summary.layer_means(results.read(file, stratum=summary.SUMMARY_STRATA)) for file in files)


if __name__ == "__main__":
    with job(snakemake.log[0]):
        tables.write(tables.layers(summarize(snakemake.input.variance)), *snakemake.output, caption=CAPTION)
