"""Tabulate the global variance of all networks on each data set of the study."""

from typing import TYPE_CHECKING

import pandas as pd

from rotvar import results, summary, tables
from rotvar.columns import SUMMARY_STRATA
from rotvar.study.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

CAPTION = (
    "Global variance (mean normalized variance over all finite units of all layers) on the test images of each data "
    "set: mean and std (n - 1) over seeds."
)


if __name__ == "__main__":
    with job(snakemake.log[0]):
        own = results.read_one_by_one(snakemake.input.own, summary.global_variance, stratum=SUMMARY_STRATA).assign(
            measured_on=lambda table: table["dataset"]
        )
        others = results.read_one_by_one(snakemake.input.others, summary.global_variance, stratum=SUMMARY_STRATA)
        table = tables.transfer(pd.concat([own, others]))
        tables.write(table, *snakemake.output, caption=CAPTION)
