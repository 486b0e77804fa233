"""Draw variance by relative depth of all networks."""

from typing import TYPE_CHECKING

import pandas as pd

from rotvar import results, summary
from rotvar.figures import theme
from rotvar.figures.depth import by_depth
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def summarize(files: list[str], aggregation: str) -> pd.DataFrame:
    """The mean variance of each layer of each network, one file at a time: a whole study may not fit in memory."""
    return pd.concat(
        summary.layer_means(results.read(file, stratum=["all"], aggregation=[aggregation])) for file in files
    )


if __name__ == "__main__":
    with job(snakemake.log[0]):
        means = summarize(snakemake.input.variance, snakemake.wildcards.aggregation)
        theme.save(by_depth(means, snakemake.wildcards.aggregation), *snakemake.output)
