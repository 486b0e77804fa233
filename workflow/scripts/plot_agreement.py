"""Draw our values against the published ones, from the tables that hold both."""

from typing import TYPE_CHECKING

import pandas as pd

from rotvar.figures import theme
from rotvar.figures.agreement import agreement
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job(snakemake.log[0]):
        tables = [pd.read_csv(file) for file in (snakemake.input.accuracy, snakemake.input.global_variance)]
        theme.save(agreement(*tables), *snakemake.output)
