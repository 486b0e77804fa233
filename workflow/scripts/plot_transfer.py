"""Draw the global value of all networks on each data set of the study."""

from typing import TYPE_CHECKING

import pandas as pd

from rotvar import results, summary
from rotvar.figures import theme
from rotvar.figures.transfer import transfer
from rotvar.study.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


if __name__ == "__main__":
    with job(snakemake.log[0]):
        aggregation = snakemake.wildcards.aggregation
        where = {"stratum": ["all"], "aggregation": [aggregation]}
        own = results.read_one_by_one(snakemake.input.own, summary.global_variance, **where).assign(
            measured_on=lambda table: table["dataset"]
        )
        others = results.read_one_by_one(snakemake.input.others, summary.global_variance, **where)
        theme.save(transfer(pd.concat([own, others]), aggregation), *snakemake.output)
