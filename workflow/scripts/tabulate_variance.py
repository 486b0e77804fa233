"""Tabulate the global variance of all networks, the published values beside ours."""

from typing import TYPE_CHECKING

from rotvar import results, summary, tables
from rotvar.columns import SUMMARY_STRATA
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

CAPTION = (
    "Global variance (mean normalized variance over all finite units of all layers): mean and std (n - 1) over seeds."
)

if __name__ == "__main__":
    with job(snakemake.log[0]):
        values = results.read_one_by_one(snakemake.input.variance, summary.global_variance, stratum=SUMMARY_STRATA)
        tables.write(tables.global_variance(values), *snakemake.output, caption=CAPTION)
