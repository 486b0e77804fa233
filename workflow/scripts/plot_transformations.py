"""Draw the global value of all networks under each transformation."""

from typing import TYPE_CHECKING

from rotvar import results, summary
from rotvar.figures import theme
from rotvar.figures.transformations import transformations
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job(snakemake.log[0]):
        aggregation = snakemake.wildcards.aggregation
        where = {"stratum": "all", "aggregation": aggregation}
        files = [*snakemake.input.rotation, *snakemake.input.others]
        values = summary.own_named(results.read_one_by_one(files, summary.global_variance, **where))
        theme.save(transformations(values, aggregation), *snakemake.output)
