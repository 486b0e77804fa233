"""Draw the heatmaps of one data set and model for one aggregation: all images, stratified, and each class."""

from typing import TYPE_CHECKING

from rotvar import results
from rotvar.columns import SUMMARY_STRATA
from rotvar.figures import theme
from rotvar.figures.heatmap import heatmap
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job(snakemake.log[0]):
        variance = results.read(snakemake.input.variance, aggregation=snakemake.wildcards.aggregation)
        strata = [*SUMMARY_STRATA, *theme.classes(variance)]
        for stratum, png, svg in zip(strata, snakemake.output.png, snakemake.output.svg, strict=True):
            theme.save(heatmap(variance, stratum, snakemake.wildcards.aggregation), png, svg)
