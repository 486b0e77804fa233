"""Train one network; write its weights and the history of its training."""

from pathlib import Path
from typing import TYPE_CHECKING

from rotvar import results
from rotvar.jobs import job, slots
from rotvar.jobs.assignment import Assignment

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def train_model(assignment: Assignment, *, weights: str, history: str) -> None:
    """Do the assignment; write `weights` and `history`. Until both are there, a checkpoint stands beside them."""
    checkpoint = assignment.checkpoint(Path(weights).parent)
    model = assignment.model()
    table = assignment.train(model, checkpoint) if assignment.recipe["epochs"] else assignment.leave_untrained(model)
    facts = assignment.facts(resumed=table.attrs["resumed"])
    assignment.save(model, weights, facts)
    results.write(table, history, facts)
    checkpoint.remove()


if __name__ == "__main__":
    with job(snakemake.log[0]), slots.device(snakemake.threads, snakemake.config["jobs_per_gpu"]) as device:
        assignment = Assignment.of(snakemake, device)
        train_model(assignment, weights=snakemake.output.weights, history=snakemake.output.history)
