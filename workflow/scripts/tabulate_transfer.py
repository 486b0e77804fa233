"""Tabulate the global variance of all networks on each data set of the study."""

from typing import TYPE_CHECKING

import pandas as pd

from rotvar import results, summary, tables
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

CAPTION = (
    "Global variance (mean normalized variance over all finite units of all layers) on the test images of each data "
    "set: mean and std (n - 1) over seeds."
)


def summarize(files: list[str]) -> pd.DataFrame:
    """The global variance of each measurement, one file at a time: a whole study may not fit in memory."""
    return pd.concat(summary.global_variance(results.read(file, stratum=summary.SUMMARY_STRATA)) for file in files)


if __name__ == "__main__":
    with job(snakemake.log[0]):
        own = summarize(snakemake.input.own).assign(measured_on=lambda table: table["dataset"])
        table = tables.transfer(pd.concat([own, summarize(snakemake.input.others)]))
        tables.write(table, *snakemake.output, caption=CAPTION)
