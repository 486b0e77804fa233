"""Merge the shards of one measurement and write its table."""

import time
from typing import TYPE_CHECKING

from rotvar import results
from rotvar.jobs import job
from rotvar.statistics.sweep import Sweep

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def merge_shards(shards: list[str], output: str) -> None:
    """Write the variance of every unit, from the states of sweeps over the classes in each of the files `shards`."""
    began = time.perf_counter()
    (whole, facts), *others = map(Sweep.load, shards)
    for part, more in others:
        whole.merge(part)
        facts["N"] += more["N"]
        facts["seconds"] += more["seconds"]
    facts["seconds"] = round(facts["seconds"] + time.perf_counter() - began, 3)
    results.write(whole.table(), output, facts)


if __name__ == "__main__":
    with job(snakemake.log[0]):
        merge_shards(snakemake.input.shards, snakemake.output.variance)
