"""Draw the global variance of all networks, the published values beside them."""

from typing import TYPE_CHECKING

import pandas as pd

from rotvar import results, summary, tables
from rotvar.figures import theme
from rotvar.figures.global_variance import global_variance
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def summarize(files: list[str], aggregations: list[str]) -> pd.DataFrame:
    """The global variance of each network, one file at a time: a whole study may not fit in memory."""
    return pd.concat(
        summary.global_variance(results.read(file, stratum=summary.SUMMARY_STRATA, aggregation=aggregations))
        for file in files
    )


if __name__ == "__main__":
    with job(snakemake.log[0]):
        values = summarize(snakemake.input.variance, snakemake.params.aggregations)
        theme.save(global_variance(values, tables.published()["global_variance"]), *snakemake.output)
