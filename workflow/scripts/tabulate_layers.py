"""Tabulate the mean normalized variance of every layer of all networks."""

from typing import TYPE_CHECKING

from rotvar import results, summary, tables
from rotvar.columns import SUMMARY_STRATA
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

CAPTION = "Mean normalized variance over the finite units of each layer: mean and std (n - 1) over seeds."

if __name__ == "__main__":
    with job(snakemake.log[0]):
        means = results.read_one_by_one(snakemake.input.variance, summary.layer_means, stratum=SUMMARY_STRATA)
        tables.write(tables.layers(means), *snakemake.output, caption=CAPTION)
