"""Train one network again; write its weights after some of the epochs."""

from pathlib import Path
from typing import TYPE_CHECKING

from rotvar import training
from rotvar.jobs import job, slots
from rotvar.jobs.assignment import Assignment

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def train_with_snapshots(assignment: Assignment, outputs: dict[int, str]) -> None:
    """Do the assignment as train_model does; write the weights after each epoch of `outputs` to the path there, and end
    with the last of them. After epoch 0 they are those that the training begins with, as `untrained` leaves them.

    Until all are there, a checkpoint stands in the folder above theirs.
    """
    checkpoint = assignment.checkpoint(Path(outputs[max(outputs)]).parents[1], snapshots=sorted(outputs))
    snapshots = training.Snapshots([epoch for epoch in outputs if epoch])
    if 0 in outputs:
        model = assignment.model()
        assignment.leave_untrained(model)
        snapshots.weights[0] = model.state_dict()
    model = assignment.model()
    if snapshots.epochs:
        assignment.train(model, checkpoint, snapshots)
    facts = assignment.facts()
    for epoch, path in outputs.items():
        model.load_state_dict(snapshots.weights[epoch])
        assignment.save(model, path, facts | {"epoch": epoch})
    checkpoint.remove()


if __name__ == "__main__":
    with job(snakemake.log[0]), slots.device(snakemake.threads, snakemake.config["jobs_per_gpu"]) as device:
        outputs = dict(zip(snakemake.params.epochs, snakemake.output.weights, strict=True))
        train_with_snapshots(Assignment.of(snakemake, device), outputs)
