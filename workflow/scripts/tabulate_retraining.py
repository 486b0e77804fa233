"""Tabulate what all networks get right, retrained by each scheme."""

from typing import TYPE_CHECKING

import pandas as pd

from rotvar import results, summary, tables
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

CAPTION = (
    "Accuracy of networks of which one layer, or a group of layers, was retrained under another training, the others "
    "frozen: mean and std (n - 1) over seeds."
)

if __name__ == "__main__":
    with job(snakemake.log[0]):
        pairs = zip(snakemake.input.retraining, snakemake.input.accuracy, strict=True)
        values = pd.concat(summary.beside_from_start(*map(results.read, pair)) for pair in pairs)
        tables.write(tables.retraining(values), *snakemake.output, caption=CAPTION)
