"""Training of one network on the images as they are or, each by its own random angle, rotated, or otherwise changed.

A training that is interrupted goes on from its checkpoint.
"""

import logging
import math
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from rotvar import devices
from rotvar.data.packed import Dataset
from rotvar.evaluation import classify
from rotvar.system import interruption
from rotvar.system.interruption import Interrupted, Request
from rotvar.training.checkpoint import Checkpoint
from rotvar.training.trainer import Trainer

log = logging.getLogger("rotvar")

CHECKPOINT_SECONDS = 600.0  # an epoch that takes longer is saved on the way
LOOK_EVERY = 50  # steps between two looks at the losses: each look waits for the GPU


@dataclass
class Snapshots:
    """The weights (and buffers) of a network after some `epochs` of its training, by PyTorch's names, on the CPU."""

    epochs: Collection[int]  # from 1; one at least
    weights: dict[int, dict[str, Tensor]] = field(default_factory=dict)

    def take(self, epoch: int, model: nn.Module) -> None:
        if epoch in self.epochs:
            self.weights[epoch] = {name: tensor.cpu().clone() for name, tensor in model.state_dict().items()}


def train(
    model: nn.Module,
    train: Dataset,
    test: Dataset,
    *,
    augmentation: Mapping[str, float] | None = None,
    epochs: int = 10,
    deterministic: bool = False,
    seed: int = 0,
    trained: Collection[str] | None = None,
    snapshots: Snapshots | None = None,
    checkpoint: Checkpoint | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    **recipe: Any,
) -> pd.DataFrame:
    """Train `model`, on its own device, in place; return its history.

    augmentation: the limits of a `transformations.Transformation`, whose parameters are drawn anew for each training
    image in every epoch; {"rotation": 180} rotates by angles uniform in [-180, 180) degrees. None: images as they are.
    recipe: batch_size (128), learning_rate (0.002), warmup (0.2), weight_decay (0.05), flips_and_crops (False, as
    `flips_and_crops` does them, before the augmentation), precision ("auto", as `devices.chosen` takes it).
    The schedule is one cycle: the learning rate rises linearly for the share `warmup` of the steps and falls with a
    cosine to 0. AdamW decouples the weight decay.

    trained: the names of the modules that are trained; None: all of them. Everything else stays as it is, the running
    statistics of normalizations included.
    snapshots: take the weights after these epochs; the training ends with the last of them, on the schedule of all
    `epochs`.

    checkpoint: where the state is kept, the snapshots included, after every epoch and at least every
    `checkpoint_seconds`; a training that finds one goes on from it. On one CPU, with one number of threads,
    interruptions then change no bit of the result; on a GPU they change none if `deterministic`, which takes slower
    algorithms there. SIGTERM and SIGINT make it save and raise Interrupted after the step or the test batch that is
    being computed. Remove the checkpoint when its results are kept.

    The history has two rows an epoch, split "train" and "test" (the test set changed as the training set is,
    alike in every epoch): epoch, split, loss, accuracy, learning_rate (of the epoch's last step), seconds (what the
    epoch took, its test included). `.attrs["resumed"]` lists the [epoch, step] that it went on from, if it did.

    Raises InputError for no epochs, where the loss stops being a number (the checkpoint is then of an earlier step),
    where memory does not hold a batch, and where PyTorch cannot compute the network as `deterministic` asks.
    """
    with (
        devices.reproducible(next(model.parameters()).device, deterministic),
        devices.float32(),
        interruption.noticed() if checkpoint else nullcontext(Request()) as request,
    ):
        trainer = Trainer(model, train, trained=trained, augmentation=augmentation, epochs=epochs, seed=seed, **recipe)
        return _train(trainer, test, seed, snapshots, checkpoint, checkpoint_seconds, request)


def _train(
    trainer: Trainer,
    test: Dataset,
    seed: int,
    snapshots: Snapshots | None,
    checkpoint: Checkpoint | None,
    checkpoint_seconds: float,
    request: Request,
) -> pd.DataFrame:
    parameters = None
    if trainer.augmentation.limits:
        parameters = trainer.augmentation.draw(len(test), torch.Generator().manual_seed(seed))
    history: list[tuple[Any, ...]] = []
    resumed: list[list[int]] = []
    began = saved = time.perf_counter()
    if checkpoint and (state := checkpoint.load()):
        trainer.restore(state)
        history, resumed = state["history"], [*state["resumed"], [trainer.epoch, trainer.step]]
        began -= state["seconds"]
        if snapshots:
            snapshots.weights.update(state["snapshots"])
        log.info("going on from %s: epoch %d, step %d", checkpoint.path, trainer.epoch, trainer.step)

    def save() -> None:
        nonlocal saved
        if checkpoint:
            trainer.look()
            seconds = time.perf_counter() - began
            taken = snapshots.weights if snapshots else {}
            checkpoint.save(
                trainer.state() | {"history": history, "resumed": resumed, "seconds": seconds, "snapshots": taken}
            )
            saved = time.perf_counter()

    def stop_if_asked() -> None:
        if request:
            place = f"epoch {trainer.epoch}, step {trainer.step}"
            raise Interrupted(
                f"asked to stop after {place}: run again, the training goes on from there", request.signal
            )

    last = max(snapshots.epochs) if snapshots else trainer.epochs
    size = len(trainer.images)
    seen = (trainer.epoch - 1) * size + trainer.step * size // trainer.steps
    with tqdm(initial=seen, total=last * size, unit=" images", unit_scale=True, disable=None) as bar:
        while True:
            while trainer.step < trainer.steps:
                bar.update(trainer.train_batch())
                if trainer.step % LOOK_EVERY == 0:
                    trainer.look()
                asked = bool(request)  # now: what comes while the state is written is noticed after the next step
                if trainer.step == trainer.steps or asked or time.perf_counter() - saved > checkpoint_seconds:
                    save()
                if asked:
                    stop_if_asked()
            trainer.look()
            if snapshots:  # here, not with the last step: a training that goes on after it has the weights, too
                snapshots.take(trainer.epoch, trainer.model)
            measured = {"train": trainer.measured(), "test": _tested(trainer, test, parameters, stop_if_asked)}
            now = time.perf_counter()
            seconds, began = now - began, now
            rate = trainer.rate(trainer.steps - 1)
            history += [(trainer.epoch, split, *values, rate, seconds) for split, values in measured.items()]
            log.info(
                "epoch %d of %d: loss %.4f, accuracy %.4f on the training set; %.4f and %.4f on the test set; %.1f s",
                trainer.epoch, trainer.epochs, *measured["train"], *measured["test"], seconds,
            )  # fmt: skip
            if trainer.epoch == last:
                break
            trainer.begin_epoch()
    table = pd.DataFrame(history, columns=["epoch", "split", "loss", "accuracy", "learning_rate", "seconds"])
    table.attrs["resumed"] = resumed
    return table


def _tested(
    trainer: Trainer, test: Dataset, parameters: Tensor | None, before_batch: Callable[[], None]
) -> tuple[float, float]:
    """The mean loss and the accuracy of the test set, after an epoch."""
    losses, corrects = classify(
        trainer.model, test, parameters, trainer.mean, trainer.std, trainer.augmentation, before_batch
    )
    loss = losses.mean().item()
    if not math.isfinite(loss):  # what the last step of an epoch broke shows here alone
        trainer.fail(loss, trainer.steps - 1)
    return loss, corrects.float().mean().item()
