"""Draw the global variance of all networks, the published values beside them."""

from typing import TYPE_CHECKING

from rotvar import results, summary, tables
from rotvar.columns import SUMMARY_STRATA
from rotvar.figures import theme
from rotvar.figures.global_variance import global_variance
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job(snakemake.log[0]):
        values = results.read_one_by_one(
            snakemake.input.variance,
            summary.global_variance,
            stratum=SUMMARY_STRATA,
            aggregation=snakemake.params.aggregations,
        )
        theme.save(global_variance(values, tables.published()["global_variance"]), *snakemake.output)
