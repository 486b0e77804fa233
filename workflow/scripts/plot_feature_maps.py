"""Draw the maps of the most and the least invariant channels of one data set and model, for one test image."""

from typing import TYPE_CHECKING

from rotvar import results
from rotvar.figures import theme
from rotvar.figures.feature_maps import feature_maps
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job(snakemake.log[0]):
        maps = results.read(snakemake.input.maps, image=int(snakemake.wildcards.image))
        theme.save(feature_maps(maps), *snakemake.output)
