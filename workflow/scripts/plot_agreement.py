"""Draw our values against the published ones, from the tables that hold both."""

from typing import TYPE_CHECKING

from rotvar import tables
from rotvar.figures import theme
from rotvar.figures.agreement import agreement
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job(snakemake.log[0]):
        accuracy, global_variance = map(tables.read, (snakemake.input.accuracy, snakemake.input.global_variance))
        theme.save(agreement(accuracy, global_variance), *snakemake.output)
