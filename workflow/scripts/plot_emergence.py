"""Draw the layer means of one data set and model after some epochs of its trainings."""

from typing import TYPE_CHECKING

from rotvar import results, summary
from rotvar.figures import theme
from rotvar.figures.emergence import emergence
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job(snakemake.log[0]):
        aggregation = snakemake.wildcards.aggregation
        during, finished = (
            results.read_one_by_one(files, summary.layer_means, stratum="all", aggregation=aggregation)
            for files in (snakemake.input.during, snakemake.input.finished)
        )
        history = results.read(snakemake.input.history)
        means = summary.to_the_end(during, finished, history)
        theme.save(emergence(means, history, aggregation, study=snakemake.params.study), *snakemake.output)
