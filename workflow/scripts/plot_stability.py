"""Draw how stable the layer means of one data set and model are, and which differences are visible."""

from typing import TYPE_CHECKING

from rotvar import results
from rotvar.figures import theme
from rotvar.figures.stability import stability
from rotvar.jobs import job
from rotvar.questions import differences

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job(snakemake.log[0]):
        wanted = dict(snakemake.params.wanted)
        summary = differences.summarize(results.read(snakemake.input.stability), **wanted)
        for aggregation, *paths in zip(
            snakemake.params.aggregations, snakemake.output.png, snakemake.output.svg, strict=True
        ):
            theme.save(stability(summary, aggregation, **wanted), *paths)
