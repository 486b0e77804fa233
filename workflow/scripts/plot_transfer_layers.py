"""Draw the layer means of one data set's networks of a model on each data set of the study."""

from typing import TYPE_CHECKING

from rotvar import results, summary
from rotvar.figures import theme
from rotvar.figures.transfer import transfer_by_layer
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job(snakemake.log[0]):
        aggregation = snakemake.wildcards.aggregation
        where = {"stratum": "all", "aggregation": aggregation}
        files = [*snakemake.input.own, *snakemake.input.others]
        means = summary.own_named(results.read_one_by_one(files, summary.layer_means, **where))
        theme.save(transfer_by_layer(means, aggregation), *snakemake.output)
