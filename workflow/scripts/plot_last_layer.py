"""Draw the variance of each output unit on the images of each class, of one data set and model."""

from typing import TYPE_CHECKING

import pandas as pd

from rotvar import results
from rotvar.figures import theme
from rotvar.figures.last_layer import last_layer
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def read(files: list[str]) -> pd.DataFrame:
    """The last layer of each network, one file at a time: whole networks of many seeds may not fit in memory."""
    return pd.concat(table[table["layer_index"] == table["layer_index"].max()] for table in map(results.read, files))


if __name__ == "__main__":
    with job(snakemake.log[0]):
        variance = read(snakemake.input.variance)
        theme.save(last_layer(variance), *snakemake.output)
