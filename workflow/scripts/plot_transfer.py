"""Draw the global value of all networks on each data set of the study."""

from typing import TYPE_CHECKING

from rotvar import results, summary
from rotvar.figures import theme
from rotvar.figures.transfer import transfer
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job(snakemake.log[0]):
        aggregation = snakemake.wildcards.aggregation
        where = {"stratum": "all", "aggregation": aggregation}
        files = [*snakemake.input.own, *snakemake.input.others]
        values = summary.own_named(results.read_one_by_one(files, summary.global_variance, **where))
        theme.save(transfer(values, aggregation), *snakemake.output)
