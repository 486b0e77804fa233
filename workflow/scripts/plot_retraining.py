"""Draw what the networks of one data set and model get right, retrained by each scheme."""

from typing import TYPE_CHECKING

import pandas as pd

from rotvar import results, summary
from rotvar.figures import theme
from rotvar.figures.retraining import retraining
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job(snakemake.log[0]):
        pairs = zip(snakemake.input.retraining, snakemake.input.accuracy, strict=True)
        values = pd.concat(summary.beside_from_start(*map(results.read, pair)) for pair in pairs)
        theme.save(retraining(values, snakemake.params.study), *snakemake.output)
