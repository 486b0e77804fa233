"""Draw the global value of all networks under each transformation."""

from typing import TYPE_CHECKING

import pandas as pd

from rotvar import results, summary
from rotvar.figures import theme
from rotvar.figures.transformations import transformations
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
        rotation = summarize(snakemake.input.rotation, aggregation).assign(transformation="rotation")
        others = summarize(snakemake.input.others, aggregation)
        theme.save(transformations(pd.concat([rotation, others]), aggregation), *snakemake.output)
