"""Draw the layer means of one data set and model after some epochs of its trainings."""

from typing import TYPE_CHECKING

import pandas as pd

from rotvar import results, summary
from rotvar.figures import theme
from rotvar.figures.emergence import emergence
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def summarize(files: list[str], aggregations: list[str]) -> pd.DataFrame:
    """The mean variance of each layer of each network, one file at a time: a whole study may not fit in memory."""
    return pd.concat(
        summary.layer_means(results.read(file, stratum=["all"], aggregation=aggregations)) for file in files
    )


if __name__ == "__main__":
    with job(snakemake.log[0]):
        aggregation = snakemake.wildcards.aggregation
        during, finished = (
            summarize(files, [aggregation]) for files in (snakemake.input.during, snakemake.input.finished)
        )
        history = results.read(snakemake.input.history)
        means = summary.to_the_end(during, finished, history)
        theme.save(emergence(means, history, aggregation), *snakemake.output)
