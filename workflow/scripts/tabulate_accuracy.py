"""Tabulate the accuracies of all networks, the published ones beside ours."""

from typing import TYPE_CHECKING

from rotvar import results, summary, tables
from rotvar.jobs import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

CAPTION = "Accuracy on the unrotated and on the randomly rotated test set: mean and std (n - 1) over seeds."

if __name__ == "__main__":
    with job(snakemake.log[0]):
        accuracy = results.read(snakemake.input.accuracy)
        tables.write(tables.accuracy(summary.accuracy_by_test(accuracy)), *snakemake.output, caption=CAPTION)
