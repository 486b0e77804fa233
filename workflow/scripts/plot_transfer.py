"""Draw the global value of all networks on each data set of the study."""

from typing import TYPE_CHECKING

import pandas as pd

from rotvar import results, summary
from rotvar.figures import theme
from rotvar.figures.transfer import transfer
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def summarize(files: list[str], aggregation: str) -> pd.DataFrame:
    """The global variance of each measurement, one file at a time: a whole study may not fit in memory."""
    return pd.concat(
        summary.global_variance(results.read(file, stratum=["all"], aggregation=[aggregation])) for file in files
    )


if __name__ == "__main__":
    with job(snakemake.log[0]):
        aggregation = snakemake.wildcards.aggregation
        own = summarize(snakemake.input.own, aggregation).assign(measured_on=lambda table: table["dataset"])
        others = summarize(snakemake.input.others, aggregation)
        theme.save(transfer(pd.concat([own, others]), aggregation), *snakemake.output)
