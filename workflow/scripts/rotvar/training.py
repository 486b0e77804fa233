"""Training of one network on the images as they are or, each by its own random angle, rotated."""

import logging
import math
import time

import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from rotvar import devices
from rotvar.errors import InputError
from rotvar.evaluation import classify
from rotvar.packed import Dataset, normalization
from rotvar.rotation import present, random_angles

log = logging.getLogger("rotvar")


def train(
    model: nn.Module,
    train: Dataset,
    test: Dataset,
    *,
    rotation: float = 0,
    epochs: int = 10,
    batch_size: int = 128,
    learning_rate: float = 0.002,
    warmup: float = 0.2,
    weight_decay: float = 0.05,
    precision: str = "auto",
    seed: int = 0,
) -> pd.DataFrame:
    """Train `model`, on its own device, in place; return its history.

    rotation: each training image is rotated anew in every epoch by an angle uniform in [-rotation, rotation) degrees.
    The schedule is one cycle: the learning rate rises linearly for the share `warmup` of the steps and falls with a
    cosine to 0. AdamW decouples the weight decay. precision: as `devices.autocast` takes it.

    The history has two rows an epoch, split "train" and "test" (the test set augmented as the training set is, by
    the same angles every epoch): epoch, split, loss, accuracy, learning_rate (of the epoch's last step), seconds
    (what the epoch took, its test included).

    Raises InputError where the loss stops being a number.
    """
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    mean, std = (torch.tensor(values, device=device) for values in normalization(train.images))
    test_degrees = random_angles(len(test), rotation, torch.Generator().manual_seed(seed)) if rotation else None
    images, labels = train.images.to(device), train.labels.to(device)
    layout = memory_format(model, device)
    model.to(memory_format=layout)  # type: ignore[call-overload]

    batches = math.ceil(len(train) / batch_size)
    steps = epochs * batches
    optimizer = torch.optim.AdamW(model.parameters(), learning_rate, weight_decay=weight_decay, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: one_cycle(step / steps, warmup))
    autocast = devices.autocast(device, precision)

    history = []
    bar = tqdm(total=epochs * len(train), unit=" images", unit_scale=True, disable=None)
    for epoch in range(1, epochs + 1):
        began = time.perf_counter()
        model.train()
        loss_sum, correct = torch.zeros(2, device=device)
        # Batches as equal as can be, so that the last one is not a single image (batch normalization needs two)
        for index in torch.randperm(len(train), generator=generator).tensor_split(batches):
            degrees = random_angles(len(index), rotation, generator) if rotation else None
            index = index.to(device, non_blocking=True)
            batch = present(images[index], degrees, mean, std).contiguous(memory_format=layout)
            with autocast:
                output = model(batch).float()
            loss = nn.functional.nll_loss(output, labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rate = schedule.get_last_lr()[0]
            schedule.step()
            loss_sum += loss.detach() * len(index)
            correct += (output.argmax(1) == labels[index]).sum()
            bar.update(len(index))
        measured = {"train": (loss_sum.item() / len(train), correct.item() / len(train))}
        losses, corrects = classify(model, test, test_degrees, mean, std)
        measured["test"] = (losses.mean().item(), corrects.float().mean().item())
        for value, _ in measured.values():  # the last step of an epoch shows on the test set alone
            if not math.isfinite(value):
                raise InputError(f"the loss became {value} in epoch {epoch}: lower learning_rate ({learning_rate:g})")
        seconds = time.perf_counter() - began
        history += [(epoch, split, *values, rate, seconds) for split, values in measured.items()]
        log.info(
            "epoch %d of %d: loss %.4f, accuracy %.4f on the training set; %.4f and %.4f on the test set; %.1f s",
            epoch, epochs, *measured["train"], *measured["test"], seconds,
        )  # fmt: skip
    bar.close()
    return pd.DataFrame(history, columns=["epoch", "split", "loss", "accuracy", "learning_rate", "seconds"])


def one_cycle(progress: float, warmup: float) -> float:
    """The learning rate as a share of its peak, at `progress` (0 to 1) through the training."""
    if progress < warmup:
        return (progress + 1e-3) / (warmup + 1e-3)  # not 0 at the first step, which would be a step for nothing
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def memory_format(model: nn.Module, device: torch.device) -> torch.memory_format:
    """How the maps lie in memory in training: channels last, which is faster, except where that is not safe.

    On a CPU the gradient of a strided 1x1 convolution of fewer inputs than a vector register holds (8 with AVX2, 16
    with AVX-512) writes beyond its memory if its maps are channels last: https://github.com/uxlfoundation/oneDNN/issues/6035
    """
    unsafe = device.type == "cpu" and any(
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and module.stride != (1, 1)
        and module.in_channels // module.groups < 16
        for module in model.modules()
    )
    return torch.contiguous_format if unsafe else torch.channels_last
