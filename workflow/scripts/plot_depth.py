"""Draw variance by relative depth of all networks."""

from typing import TYPE_CHECKING

from rotvar import results, summary
from rotvar.figures import theme
from rotvar.figures.depth import by_depth
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job(snakemake.log[0]):
        aggregation = snakemake.wildcards.aggregation
        means = results.read_one_by_one(
            snakemake.input.variance, summary.layer_means, stratum="all", aggregation=aggregation
        )
        theme.save(by_depth(means, aggregation), *snakemake.output)
