"""About how long a study takes on a CPU: its networks' trainings and measurements, and the start of every job."""

import time
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from rotvar import devices, models

# The share of a convolution's speed that whole networks reach, training, rotation and statistics included: between 0.2
# (narrow ones) and 0.8 (the ResNets) for the networks of the default study on a 2-core x86-64 machine.
EFFICIENCY = 0.4
# Seconds of a core in which a job imports its libraries, reads and writes: 1 to 3 on the same machine, figures more
START = 3


@cache
def flops(name: str, /, channels: int, image_size: int, classes: int, **options: Any) -> int:
    """The floating-point operations of one forward pass of one image."""
    model, image = models.sketch(name, channels, image_size, classes, **options)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(image)
    return counter.get_total_flops()


@cache
def rate() -> float:
    """The floating-point operations per second of one core, measured with a convolution for a tenth of a second."""
    channels, size, n = 64, 16, 32
    layer = nn.Conv2d(channels, channels, 3, padding=1)
    images = torch.rand(n, channels, size, size).to(memory_format=torch.channels_last)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad(), devices.autocast(torch.device("cpu"), "auto"):
        layer(images)  # the first call prepares what the next ones use
        calls, elapsed, began = 0, 0.0, time.perf_counter()
        while elapsed < 0.1:
            layer(images)
            calls, elapsed = calls + 1, time.perf_counter() - began
    torch.set_num_threads(threads)
    return calls * n * size**2 * 2 * layer.weight.numel() / elapsed


def duration(seconds: float) -> str:
    """A time in words: "20 minutes", "3 hours", "5 days"."""
    minutes = seconds / 60
    for unit, length in (("day", 24 * 60), ("hour", 60)):
        if minutes >= 2 * length:
            return f"{round(minutes / length)} {unit}s"
    return f"{round(minutes)} minutes" if minutes >= 2 else "a minute or two"
