"""About how long networks take to train and to measure on a CPU."""

from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from rotvar import models

# Floating-point operations per second and core. Measured on a 2-core x86-64 machine (AVX2, PyTorch 2.12) as
# `flops` of the demo's four networks times the images they see in training, over the seconds that took, two at a time.
RATE = 15e9


@cache
def flops(name: str, channels: int, image_size: int, classes: int, **options: int) -> int:
    """The floating-point operations of one forward pass of one image."""
    with torch.device("meta"):
        model = models.build(name, channels, image_size, classes, **options).eval()
        image = torch.empty(1, channels, image_size, image_size)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(image)
    return counter.get_total_flops()


def duration(operations: float, cores: int) -> str:
    """The time that so many floating-point operations take, in words: "20 minutes", "3 hours", "5 days"."""
    minutes = operations / (RATE * cores) / 60
    for unit, length in (("day", 24 * 60), ("hour", 60)):
        if minutes >= 2 * length:
            return f"{round(minutes / length)} {unit}s"
    return f"{round(minutes)} minutes" if minutes >= 2 else "a minute or two"
