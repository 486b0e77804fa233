"""Draw the global value of all networks under each transformation."""

from typing import TYPE_CHECKING

import pandas as pd

from rotvar import results, summary
from rotvar.figures import theme
from rotvar.figures.transformations import transformations
from rotvar.study.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


if __name__ == "__main__":
    with job(snakemake.log[0]):
        aggregation = snakemake.wildcards.aggregation
        where = {"stratum": ["all"], "aggregation": [aggregation]}
        rotation = results.read_one_by_one(snakemake.input.rotation, summary.global_variance, **where).assign(
            transformation="rotation"
        )
        others = results.read_one_by_one(snakemake.input.others, summary.global_variance, **where)
        theme.save(transformations(pd.concat([rotation, others]), aggregation), *snakemake.output)
