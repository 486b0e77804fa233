"""A training that is interrupted, at any moment and however often, ends with the bits of one that is not."""

import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from test_training import bright_and_dark, equal, network, weights

from rotvar import evaluation, models, training
from rotvar.errors import InputError
from rotvar.system.interruption import Interrupted
from rotvar.training.checkpoint import Checkpoint
from rotvar.training.trainer import Trainer

EPOCHS, STEPS = 3, 4  # of the trainings here
SHAPE = {"channels": 1, "image_size": 8, "classes": 2}


def train(folder: Path | None, **options) -> tuple[dict[str, torch.Tensor], pd.DataFrame]:
    """Train a network of 3 epochs of 4 steps with its checkpoint in `folder`; its weights and its history."""
    options = {"epochs": EPOCHS, "batch_size": 8, "augmentation": {"rotation": 180}, "flips_and_crops": True} | options
    model = network("all_convolutional")
    checkpoint = Checkpoint(folder, {}) if folder else None
    history = training.train(model, bright_and_dark(32), bright_and_dark(20, 1), checkpoint=checkpoint, **options)
    return weights(model), history


@pytest.fixture(scope="module")
def undisturbed() -> tuple[dict[str, torch.Tensor], pd.DataFrame]:
    return train(None)


def assert_same(run, undisturbed) -> None:
    assert equal(run[0], undisturbed[0])
    pd.testing.assert_frame_equal(*(one[1].drop(columns="seconds") for one in (run, undisturbed)), check_exact=True)


def signalled_before(monkeypatch, step: int, number: int = signal.SIGTERM) -> None:
    """From now on, the process is sent a signal before the given step, counted from 0 over this and later runs."""
    taken = [0]
    train_batch = Trainer.train_batch

    def spy(self):
        if taken[0] == step:
            os.kill(os.getpid(), number)
        taken[0] += 1
        return train_batch(self)

    monkeypatch.setattr(Trainer, "train_batch", spy)


def test_keeping_a_checkpoint_changes_nothing(tmp_path, undisturbed):
    assert_same(train(tmp_path, checkpoint_seconds=0), undisturbed)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("step", range(EPOCHS * STEPS))
def test_a_signal_ends_it_after_the_step_and_a_retry_goes_on(step, number, tmp_path, monkeypatch, undisturbed):
    signalled_before(monkeypatch, step, number)
    epoch, done = step // STEPS + 1, step % STEPS + 1
    with pytest.raises(Interrupted, match=f"^asked to stop after epoch {epoch}, step {done}: run again, ") as stopped:
        train(tmp_path)
    assert stopped.value.signal == number
    run = train(tmp_path)
    assert_same(run, undisturbed)
    assert run[1].attrs["resumed"] == [[epoch, done]]


def test_interrupted_after_every_step_it_ends_the_same(tmp_path, monkeypatch, undisturbed):
    resumed = []
    while True:
        with monkeypatch.context() as patch:
            signalled_before(patch, 0)
            try:
                run = train(tmp_path)
            except Interrupted:
                resumed.append([len(resumed) // STEPS + 1, len(resumed) % STEPS + 1])
            else:
                break
    assert len(resumed) == EPOCHS * STEPS
    assert_same(run, undisturbed)
    assert run[1].attrs["resumed"] == resumed


class Drawing(torch.nn.Module):
    """Draws from every generator that a network may draw from."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = torch.nn.Linear(64, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        noise = random.random() + np.random.rand() + torch.rand(()).item() if self.training else 0
        return self.fc(x.flatten(1) * (1 + noise))


def test_whatever_a_network_draws_from_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setitem(models.BUILDERS, "drawing", lambda channels, image_size, classes: Drawing())
    monkeypatch.setattr(sys.modules[__name__], "network", lambda _: models.begin("drawing", SHAPE, {}, seed=3))
    undisturbed = train(None)
    with monkeypatch.context() as patch:
        signalled_before(patch, 5)
        with pytest.raises(Interrupted):
            train(tmp_path)
    assert_same(train(tmp_path), undisturbed)


def test_a_signal_during_the_test_loses_no_step(tmp_path, monkeypatch, undisturbed):
    with monkeypatch.context() as patch:
        patch.setattr(evaluation, "BATCH", 8)
        present, batches = evaluation.present, []

        def spy(*given):
            batches.append(given)
            os.kill(os.getpid(), signal.SIGTERM)
            return present(*given)

        patch.setattr(evaluation, "present", spy)
        with pytest.raises(Interrupted):
            train(tmp_path)
        assert len(batches) == 1
    run = train(tmp_path)
    assert_same(run, undisturbed)
    assert run[1].attrs["resumed"] == [[1, STEPS]]


def test_the_state_is_kept_after_every_epoch_and_when_it_is_due(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(Checkpoint, "save", lambda self, state: saved.append((state["epoch"], state["step"])))
    train(tmp_path)
    assert saved == [(epoch, STEPS) for epoch in (1, 2, 3)]
    saved.clear()
    train(tmp_path, checkpoint_seconds=0)
    assert saved == [(epoch, step) for epoch in (1, 2, 3) for step in (1, 2, 3, 4)]


def test_it_is_due_so_long_after_it_was_last_kept(tmp_path, monkeypatch):
    """By a clock on which a step takes a second."""
    taken, saved, train_batch = [], [], Trainer.train_batch
    monkeypatch.setattr(time, "perf_counter", lambda: len(taken))
    monkeypatch.setattr(Trainer, "train_batch", lambda self: (train_batch(self), taken.append(self.step))[0])
    monkeypatch.setattr(Checkpoint, "save", lambda self, state: saved.append((state["epoch"], state["step"])))
    train(tmp_path, checkpoint_seconds=1.5)
    assert saved == [(epoch, step) for epoch in (1, 2, 3) for step in (2, 4)]


# snapshots


def with_snapshots(folder: Path | None, epochs: list[int], **options) -> training.Snapshots:
    snapshots = training.Snapshots(epochs)
    train(folder, snapshots=snapshots, **options)
    return snapshots


def hooked(monkeypatch) -> dict[int, dict[str, torch.Tensor]]:
    """The weights after each epoch of an undisturbed training, taken by another way."""
    taken: dict[int, dict[str, torch.Tensor]] = {}
    with monkeypatch.context() as patch:
        measured = Trainer.measured
        patch.setattr(
            Trainer, "measured", lambda self: (taken.update({self.epoch: weights(self.model)}), measured(self))[1]
        )
        train(None)
    return taken


def test_snapshots_are_the_weights_after_their_epochs(monkeypatch, undisturbed):
    expected = hooked(monkeypatch)
    snapshots = with_snapshots(None, [3, 1])
    assert sorted(snapshots.weights) == [1, 3]
    assert all(equal(snapshots.weights[epoch], expected[epoch]) for epoch in (1, 3))
    assert equal(snapshots.weights[3], undisturbed[0])
    assert not equal(snapshots.weights[1], snapshots.weights[3])  # copies, not views of what is trained


def test_a_training_ends_with_its_last_snapshot_on_the_schedule_of_all_epochs(undisturbed):
    _, history = train(None, snapshots=training.Snapshots([2]))
    pd.testing.assert_frame_equal(
        history.drop(columns="seconds"), undisturbed[1].drop(columns="seconds")[:4], check_exact=True
    )


@pytest.mark.parametrize("step", range(EPOCHS * STEPS))
def test_an_interruption_loses_no_snapshot(step, tmp_path, monkeypatch):
    """Nor one that is taken after the step at which the state was kept."""
    expected = hooked(monkeypatch)
    with monkeypatch.context() as patch:
        signalled_before(patch, step)
        with pytest.raises(Interrupted):
            with_snapshots(tmp_path, [1, 2, 3])
    snapshots = with_snapshots(tmp_path, [1, 2, 3])
    assert sorted(snapshots.weights) == [1, 2, 3]
    assert all(equal(snapshots.weights[epoch], expected[epoch]) for epoch in expected)


def test_another_recipe_begins_anew(tmp_path, monkeypatch):
    model = network()
    data = bright_and_dark(32)
    with monkeypatch.context() as patch:
        signalled_before(patch, 6)
        with pytest.raises(Interrupted):
            training.train(model, data, data, epochs=3, batch_size=8, checkpoint=Checkpoint(tmp_path, {"epochs": 3}))
    history = training.train(
        network(), data, data, epochs=2, batch_size=8, checkpoint=Checkpoint(tmp_path, {"epochs": 2})
    )
    assert history.attrs["resumed"] == []
    assert history["epoch"].tolist() == [1, 1, 2, 2]


def test_the_seconds_of_an_interrupted_epoch_are_added_up(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        signalled_before(patch, 2)
        patch.setattr(Trainer, "begin_epoch", lambda self, begin=Trainer.begin_epoch: (time.sleep(0.3), begin(self)))
        now = time.perf_counter
        started = now()
        patch.setattr(time, "perf_counter", lambda: now() + (100 if now() - started > 0.3 else 0))
        with pytest.raises(Interrupted):
            train(tmp_path)
    state = Checkpoint(tmp_path, {}).load()
    began = time.perf_counter()
    _, history = train(tmp_path)
    first = history["seconds"].iloc[0]
    assert state["seconds"] < first < state["seconds"] + time.perf_counter() - began


# failure


def test_a_loss_that_is_no_number_leaves_the_last_good_state(tmp_path, monkeypatch):
    """The sentence names the step at which it happened, though the losses are not looked at after each."""
    descend = Trainer._descend

    def spy(self, index, degrees):
        descend(self, index, degrees)
        if (self.epoch, self.step) == (2, 1):  # the second step of the second epoch ruins the weights
            next(self.model.parameters()).data.fill_(math.nan)

    monkeypatch.setattr(Trainer, "_descend", spy)
    sentence = (
        r"^the loss became nan in epoch 2, step 3, at a learning rate of 0\.00\d+: lower learning_rate \(0\.002\)$"
    )
    with pytest.raises(InputError, match=sentence):
        train(tmp_path)
    state = Checkpoint(tmp_path, {}).load()
    assert (state["epoch"], state["step"]) == (1, STEPS)
    assert all(tensor.isfinite().all() for tensor in state["model"].values())


def test_it_ends_within_so_many_steps_as_losses_are_looked_at(monkeypatch):
    taken = []

    def spy(self, index, degrees):
        taken.append(self.step)
        self.losses[self.step] = math.nan

    monkeypatch.setattr(Trainer, "_descend", spy)
    monkeypatch.setattr(training, "LOOK_EVERY", 3)
    with pytest.raises(InputError, match="^the loss became nan in epoch 1, step 1, "):
        train(None)
    assert taken == [0, 1, 2]


def test_weights_that_are_no_numbers_are_not_kept(tmp_path, monkeypatch):
    """What the last step broke is in no loss yet."""
    descend = Trainer._descend

    def spy(self, index, degrees):
        descend(self, index, degrees)
        if (self.epoch, self.step) == (1, STEPS - 1):
            next(self.model.parameters()).data.fill_(math.nan)

    monkeypatch.setattr(Trainer, "_descend", spy)
    with pytest.raises(InputError, match="^the loss became nan in epoch 1, step 4, "):
        train(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory"),
    ],
)
@pytest.mark.parametrize(
    ("batch_size", "batch", "remedy"),
    [
        (8, 8, "set batch_size to 4 for it under training, in the configuration"),
        (1000, 32, "set batch_size to 16 for it under training, in the configuration"),  # which holds all images
        (2, 2, "take a smaller network or image size"),
    ],
)
def test_too_little_memory_names_the_batch_size_to_try(batch_size, batch, remedy, error, tmp_path, monkeypatch):
    sizes = []

    def fail(self, index, degrees):
        sizes.append(len(index))
        raise error

    monkeypatch.setattr(Trainer, "_descend", fail)
    with pytest.raises(InputError) as raised:
        train(tmp_path, batch_size=batch_size)
    assert str(raised.value) == f"cpu has too little memory for a batch of {batch}: {remedy}"
    assert sizes == [batch]  # the recipe is not changed silently


# a real process, really killed

KILLABLE = """
import sys
import torch
from rotvar import models, training
from rotvar.training.checkpoint import Checkpoint
from rotvar.data.packed import Dataset
from safetensors.torch import save_file

torch.set_num_threads(1)
folder, seconds = sys.argv[1], float(sys.argv[2])
random = torch.Generator().manual_seed(0)
images = torch.randint(0, 256, (96, 1, 16, 16), generator=random).to(torch.uint8)
data = Dataset(images, torch.arange(96) % 10, tuple("0123456789"))
torch.manual_seed(0)
model = models.build("all_convolutional", 1, 16, 10, width=16)
print("training", flush=True)
recipe = {"epochs": 40, "batch_size": 16, "augmentation": {"rotation": 180}, "flips_and_crops": True}
history = training.train(
    model, data, data, checkpoint=Checkpoint(folder, recipe), checkpoint_seconds=seconds, **recipe
)
save_file({n: t.contiguous() for n, t in model.state_dict().items()}, folder + "/weights.safetensors")
history.to_json(folder + "/history.json")
print(len(history.attrs["resumed"]), flush=True)
"""


def start(folder: Path, seconds: float) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", KILLABLE, str(folder), str(seconds)]
    library = str(Path(training.__file__).parents[2])
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": library})
    assert process.stdout is not None and process.stdout.readline() == "training\n"
    return process


def times(folder: Path) -> list[int]:
    """When the checkpoints in a folder were written."""
    return sorted(file.stat().st_mtime_ns for file in folder.glob(".checkpoint-????????????????.pt"))


def test_killed_at_ten_random_moments_it_ends_with_the_same_bits(tmp_path):
    seconds = 0.01  # a checkpoint every few steps
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    for folder in (straight, killed):
        folder.mkdir()
    process, began = start(straight, seconds), time.perf_counter()
    assert process.wait() == 0
    epoch = (time.perf_counter() - began) / 40
    moments = random.Random(0)
    for _ in range(10):
        before = times(killed)
        process = start(killed, seconds)
        while times(killed) == before:  # each of them gets somewhere
            assert process.poll() is None
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 2 * epoch))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    process = start(killed, seconds)
    assert process.wait() == 0
    assert process.stdout is not None and process.stdout.read() == "10\n"  # times that it went on
    weights = [load_file(folder / "weights.safetensors") for folder in (straight, killed)]
    assert equal(*weights)
    histories = [pd.read_json(folder / "history.json").drop(columns="seconds") for folder in (straight, killed)]
    pd.testing.assert_frame_equal(*histories, check_exact=True)


def test_an_interrupted_process_ends_within_ten_seconds(tmp_path):
    process = start(tmp_path, 600.0)
    time.sleep(0.3)
    process.terminate()
    began = time.perf_counter()
    process.wait()
    assert time.perf_counter() - began < 10
    assert list(tmp_path.glob(".checkpoint-*"))
