"""Tabulate the global variance of all networks under each transformation."""

from typing import TYPE_CHECKING

import pandas as pd

from rotvar import results, summary, tables
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

CAPTION = (
    "Global variance (mean normalized variance over all finite units of all layers) under each transformation: mean "
    "and std (n - 1) over seeds."
)


def summarize(files: list[str]) -> pd.DataFrame:
    """The global variance of each measurement, one file at a time: a whole study may not fit in memory."""
    return pd.concat(summary.global_variance(results.read(file, stratum=summary.SUMMARY_STRATA)) for file in files)


if __name__ == "__main__":
    with job(snakemake.log[0]):
        rotation = summarize(snakemake.input.rotation).assign(transformation="rotation")
        table = tables.transformations(pd.concat([rotation, summarize(snakemake.input.others)]))
        tables.write(table, *snakemake.output, caption=CAPTION)
