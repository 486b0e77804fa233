"""Fetch a data set and pack it into one file."""

from typing import TYPE_CHECKING

from rotvar import datasets
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job(snakemake.log[0]):
        train_images, test_images = snakemake.params.images
        datasets.prepare(
            snakemake.wildcards.dataset,
            snakemake.output.dataset,
            # The mirror does not change the data, so it is no parameter of the rule.
            mirror=snakemake.config["data"]["mirror"],
            train_images=train_images,
            test_images=test_images,
            own=snakemake.params.own,
        )
