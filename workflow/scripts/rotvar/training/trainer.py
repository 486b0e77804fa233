"""A network in training: one step after the other, and everything that going on from any of them needs."""

import logging
import math
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from rotvar import devices, generators
from rotvar.data.packed import Dataset, normalization
from rotvar.errors import InputError, out_of_memory
from rotvar.modes import evaluating
from rotvar.rotation import present
from rotvar.training.flips_and_crops import flip_and_crop
from rotvar.transformations import Transformation

log = logging.getLogger("rotvar")


class Trainer:
    """A network in training: its data, optimizer and random numbers, and how far it has come."""

    def __init__(
        self,
        model: nn.Module,
        data: Dataset,
        *,
        trained: Collection[str] | None = None,
        augmentation: Mapping[str, float] | None = None,
        flips_and_crops: bool = False,
        epochs: int = 10,
        batch_size: int = 128,
        learning_rate: float = 0.002,
        warmup: float = 0.2,
        weight_decay: float = 0.05,
        precision: str = "auto",
        seed: int = 0,
    ) -> None:
        """As for `train`. The images go to the network's device as uint8 and stay there."""
        self.model, self.device = model, next(model.parameters()).device
        self.augmentation, self.flips_and_crops = Transformation(augmentation or {}), flips_and_crops
        if epochs < 1:
            raise InputError(f"epochs is {epochs}: a training has at least 1")
        self.epochs, self.batch_size = epochs, batch_size
        self.learning_rate, self.warmup = learning_rate, warmup
        self.mean, self.std = (torch.tensor(values, device=self.device) for values in normalization(data.images))
        self.images, self.labels = data.images.to(self.device), data.labels.to(self.device)
        self.layout = memory_format(model, self.device)
        model.to(memory_format=self.layout)  # type: ignore[call-overload]
        parameters, self.settled = thaw(model, trained)
        self.optimizer = torch.optim.AdamW(parameters, learning_rate, weight_decay=weight_decay, fused=True)
        precision = devices.chosen(self.device, precision)
        if self.device.type == "cpu" and precision == "bfloat16" and not trains_in_bfloat16(model, data.images):
            log.info("training in float32: bfloat16 gives wrong gradients where maps are smaller than a stride")
            precision = "float32"
        self.autocast = devices.autocast(self.device, precision)
        self.generator = torch.Generator().manual_seed(seed)
        # Of an epoch. No batch is a single image, of which batch normalization has no variance
        self.steps = max(1, min(math.ceil(len(data) / batch_size), len(data) // 2))
        self.epoch = 0
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Put the images in a new order."""
        self.epoch += 1
        self.step = 0  # of the epoch, the last that is done
        self.set_order(torch.randperm(len(self.images), generator=self.generator))
        self.losses = torch.zeros(self.steps, device=self.device)
        self.correct = torch.zeros((), dtype=torch.int64, device=self.device)

    def set_order(self, order: Tensor) -> None:
        """Cut an order of the images into batches, as equal as can be."""
        self.order, self.batches = order, order.tensor_split(self.steps)

    def train_batch(self) -> int:
        """Take the next step of the epoch; return the number of its images.

        Raises InputError where the device's memory does not hold the batch, and where the network cannot be computed
        deterministically and has to be.
        """
        index = self.batches[self.step]
        parameters = self.augmentation.draw(len(index), self.generator) if self.augmentation.limits else None
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(self.step)
        self.model.train()
        for module in self.settled:
            module.eval()
        try:
            self._descend(index.to(self.device, non_blocking=True), parameters)
        except Exception as error:
            if sentence := self._mendable(error, len(index)):
                raise InputError(sentence) from error
            raise
        self.step += 1
        return len(index)

    def _descend(self, index: Tensor, parameters: Tensor | None) -> None:
        images = flip_and_crop(self.images[index], self.generator) if self.flips_and_crops else self.images[index]
        batch = present(images, parameters, self.mean, self.std, self.augmentation)
        batch = batch.contiguous(memory_format=self.layout)
        with self.autocast:
            output = self.model(batch).float()
        loss = nn.functional.cross_entropy(output, self.labels[index])  # which leaves log-probabilities as they are
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.losses[self.step] = loss.detach()
        self.correct += (output.argmax(1) == self.labels[index]).sum()

    def _mendable(self, error: Exception, images: int) -> str | None:
        """What to say of an error that another recipe avoids; None for any other error."""
        place = "for it under training, in the configuration"
        if out_of_memory(error):
            smaller = (
                f"set batch_size to {images // 2} {place}" if images > 3 else "take a smaller network or image size"
            )
            return f"{self.device} has too little memory for a batch of {images}: {smaller}"
        operation, refused, _ = str(error).partition(" does not have a deterministic implementation")
        if refused:
            why = f"PyTorch has no deterministic way to compute {operation}, of this network"
            return f"{why}: set deterministic to false {place}"
        return None

    def rate(self, step: int) -> float:
        """The learning rate of a step of this epoch."""
        done = (self.epoch - 1) * self.steps + step
        return self.learning_rate * one_cycle(done / (self.epochs * self.steps), self.warmup)

    def look(self) -> None:
        """Raise InputError if the loss of a step of this epoch was no number, or if the weights are none now."""
        for step, loss in enumerate(self.losses[: self.step].tolist()):
            if not math.isfinite(loss):
                self.fail(loss, step)
        if not all(weights.isfinite().all() for weights in self.model.parameters()):
            self.fail(math.nan, self.step - 1)

    def fail(self, loss: float, step: int) -> None:
        """Raise the InputError for a loss that is no number."""
        raise InputError(
            f"the loss became {loss} in epoch {self.epoch}, step {step + 1}, at a learning rate of "
            f"{self.rate(step):.3g}: lower learning_rate ({self.learning_rate:g})"
        )

    def measured(self) -> tuple[float, float]:
        """The mean loss and the accuracy of the epoch's images, each when it was trained on."""
        sizes = torch.tensor([len(index) for index in self.batches], dtype=torch.float64)
        return (self.losses.double().cpu() @ sizes).item() / len(self.order), self.correct.item() / len(self.order)

    def state(self) -> dict[str, Any]:
        """Everything that going on needs: weights, optimizer, random numbers and the place in the data."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "drawn_by_networks": generators.state(self.device),
            "epoch": self.epoch,
            "step": self.step,
            "order": self.order,
            "losses": self.losses,
            "correct": self.correct,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to where `state` was taken."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        generators.restore(state["drawn_by_networks"], self.device)
        self.epoch, self.step = state["epoch"], state["step"]
        self.set_order(state["order"])
        self.losses, self.correct = state["losses"].to(self.device), state["correct"].to(self.device)


def thaw(model: nn.Module, trained: Collection[str] | None) -> tuple[list[nn.Parameter], list[nn.Module]]:
    """Freeze all parameters of a network but those in the modules named `trained` (None: none is frozen).

    Returns the parameters that are trained, and the normalizations of the others, which must stay in evaluation mode:
    in training mode their running statistics would follow the images without a step of the optimizer.
    """
    if trained is None:
        return list(model.parameters()), []
    modules = {module for name in trained for module in model.get_submodule(name).modules()}
    thawed = {parameter for module in modules for parameter in module.parameters()}
    for parameter in model.parameters():
        parameter.requires_grad_(parameter in thawed)
    settled = [module for module in model.modules() if hasattr(module, "running_mean") and module not in modules]
    return [parameter for parameter in model.parameters() if parameter in thawed], settled


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


def trains_in_bfloat16(model: nn.Module, images: Tensor) -> bool:
    """Whether a CPU can train a network on `images` (N x C x H x W) in bfloat16.

    It cannot where a convolution meets maps that are smaller than its stride. Part of its weights never meets a map
    then, and instead of a gradient of 0 for these oneDNN leaves what was in the memory.
    """
    strided = [
        module
        for module in model.modules()
        if isinstance(module, nn.Conv2d) and max(module.stride) > 1 and max(module.kernel_size) > 1
    ]
    if not strided:
        return True
    small: list[bool] = []

    def look(module: nn.Conv2d, given: tuple[Tensor, ...]) -> None:
        small.extend(min(maps.shape[-2:]) < max(module.stride) for maps in given)

    hooks = [module.register_forward_pre_hook(look) for module in strided]
    try:
        with evaluating(model), torch.no_grad():
            model(torch.zeros(2, *images.shape[1:], device=next(model.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
    return not any(small)
