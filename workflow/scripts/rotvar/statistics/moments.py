"""Statistics of a layer's units, accumulated exactly while the images go by.

A `Series` holds, for each rotation and unit, how many images came by, their mean and the sum of their squared
deviations (M2); batches are merged by the formula of Chan, Golub and LeVeque 1979 ("Updating formulae and a pairwise
algorithm for computing sample variances"), in float64. Memory grows with rotations and units, never with images,
but for firing rates (`firing`), which need a share of all activations.
"""

from copy import copy
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from rotvar.statistics import operations
from rotvar.statistics.firing import Largest
from rotvar.statistics.measures import Spread, Statistics

# A std at or below this share of a unit's root mean square is rounding of float32 activations, not variance: it is 0
ROUNDING = torch.finfo(torch.float32).eps
# Of smaller activations float32 begins to lose the squares
TINY = 1e-18


class Arithmetic(Protocol):
    """The sums over many activations: `operations` by PyTorch, or compiled `kernels` and, for a GPU, `gpu_kernels`."""

    def accumulate(
        self, values: Tensor, n: int, mean: Tensor, m2: Tensor, std_sum: Tensor, variance_sum: Tensor
    ) -> None: ...

    def merge(self, n: int, mean: Tensor, m2: Tensor, other_n: int, other_mean: Tensor, other_m2: Tensor) -> None: ...

    def over_rotations(self, n: int, mean: Tensor, m2: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]: ...

    def mean_and_max(self, values: Tensor) -> tuple[Tensor, Tensor]: ...


@runtime_checkable
class Compiled(Arithmetic, Protocol):
    """What is compiled also computes layers in the pass that takes their statistics."""

    def fuse(
        self,
        output: Tensor,
        normalization: tuple[Tensor, Tensor] | None,
        alpha: float | None,
        normalized: Tensor | None,
    ) -> list[tuple[Tensor, Tensor]]: ...


def arithmetic(compiled: bool, device: torch.device) -> Arithmetic:
    """The arithmetic for tensors of a device: `operations` unless `compiled`, and where Triton is missing or does not
    work."""
    # Imported here, because a sweep that does not use them should not wait for numba or Triton
    if compiled and device.type == "cpu":
        from rotvar.statistics import kernels

        return kernels
    if compiled and find_spec("triton"):
        from rotvar.statistics import gpu_kernels

        if gpu_kernels.usable(device):
            return gpu_kernels
    return operations


class Computed:
    """What holds the arithmetic that computes it: that is a module, which goes into a pickle by its name."""

    by: Arithmetic

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"by": self.by.__name__}  # type: ignore[attr-defined]

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state | {"by": import_module(state["by"])})


class Moments(Computed):
    """n, mean and M2 over images for each rotation and unit, and for each unit the sums over images of the std and of
    the variance over rotations."""

    TENSORS = ("mean", "m2", "std_sum", "variance_sum")

    def __init__(self, rotations: int, units: int, device: torch.device, by: Arithmetic = operations) -> None:
        self.by = by
        self.n = 0
        self.mean = torch.zeros(rotations, units, dtype=torch.float64, device=device)
        self.m2 = torch.zeros_like(self.mean)
        self.std_sum = torch.zeros(units, dtype=torch.float64, device=device)
        self.variance_sum = torch.zeros_like(self.std_sum)

    def add(self, values: Tensor) -> None:
        """Take in the activations of some images, images x R x units."""
        values = at_least_float32(values)
        self.by.accumulate(values, self.n, self.mean, self.m2, self.std_sum, self.variance_sum)
        self.n += len(values)

    def merge(self, other: "Moments") -> None:
        """Take in the moments of other images of the same units."""
        self.by.merge(self.n, self.mean, self.m2, other.n, other.mean, other.m2)
        self.std_sum += other.std_sum
        self.variance_sum += other.variance_sum
        self.n += other.n

    def transposed(self, rows: int, columns: int) -> "Moments":
        """The moments of the units, which lie as rows x columns, as columns x rows."""
        moments = copy(self)
        for name in self.TENSORS:
            by_row = getattr(self, name).unflatten(-1, (rows, columns))
            setattr(moments, name, by_row.transpose(-1, -2).flatten(-2).contiguous())
        return moments

    def scaled(self, scale: Tensor, shift: Tensor) -> "Moments":
        """The moments of scale * x + shift, with a scale and a shift for each unit."""
        moments = copy(self)
        moments.mean, moments.m2 = self.mean * scale + shift, self.m2 * scale.square()
        moments.std_sum, moments.variance_sum = self.std_sum * scale.abs(), self.variance_sum * scale.square()
        return moments

    def spread(self) -> tuple[Tensor, ...]:
        """What `measures.Spread` holds, of each unit; 0 where it is rounding."""
        magnitude, sample_std, sample_variance, variance_of_means = self.by.over_rotations(self.n, self.mean, self.m2)
        # Where squares overflow, the std must stay infinite to be noticed
        tolerance = torch.where(magnitude.isfinite(), ROUNDING * magnitude, 0)
        stds = self.std_sum / self.n, sample_std
        variances = self.variance_sum / self.n, sample_variance, variance_of_means
        return (
            *(torch.where(std <= tolerance, 0, std) for std in stds),
            *(torch.where(variance.sqrt() <= tolerance, 0, variance) for variance in variances),
        )


class Series(Computed):
    """The statistics of one layer under one aggregation, class after class.

    firing_rate, keep: the share of inputs for which units fire, and how many of their largest activations that takes
    at most (`firing`), where they have one position; no firing rates are measured by default.
    """

    def __init__(self, by: Arithmetic = operations, firing_rate: float | None = None, keep: int = 0) -> None:
        self.by = by
        self.firing_rate = firing_rate
        self.keep = keep
        self.current: Moments | None = None  # of the class that is going by, each position a unit
        self.everything: Moments | None = None  # of the classes that have gone by
        self.current_largest: Largest | None = None  # likewise
        self.largest: Largest | None = None
        self.by_class: dict[int, Statistics] = {}  # the measure within each of them
        self.channels = self.positions = 0
        self.channels_last = False  # whether units lie as positions x channels, as in the first batch, or the other way
        self.in_float64 = False  # whether activations are squared in it, rather than in float32

    def update(self, values: Tensor) -> None:
        """Take in a batch of one class: images x R x channels x positions."""
        if not self.channels:
            self.channels, self.positions = values.shape[2:]
            self.channels_last = values.stride(2) < values.stride(3)
            self.in_float64 = values.dtype == torch.float64
        if self.current is None:
            self.current = Moments(values.shape[1], self.channels * self.positions, values.device, self.by)
        units = (values.transpose(2, 3) if self.channels_last else values).flatten(2)
        largest = None
        if self.firing_rate is not None and self.positions == 1:
            largest = (self.current_largest or Largest.none(self.keep, self.channels, values.device)).add(units)
        self.current.add(units)  # which takes all or nothing where memory runs out
        self.current_largest = largest

    def follow(self, other: "Series", scale: Tensor, shift: Tensor) -> None:
        """Be at scale * x + shift of what `other` has seen of its class, with a scale and a shift for each channel."""
        assert other.current is not None
        self.channels, self.positions, self.channels_last = other.channels, other.positions, other.channels_last
        last, positions = self.channels_last, self.positions
        by_unit = [one.repeat(positions) if last else one.repeat_interleave(positions) for one in (scale, shift)]
        self.current = other.current.scaled(*(each.double() for each in by_unit))

    def finish_class(self, label: int) -> None:
        """Close the class `label`, which has gone by; the next batch begins another."""
        assert self.current is not None
        moments, largest = self.current, self.current_largest
        self.current = self.current_largest = None
        self.by_class[label] = self._statistics(moments, largest)
        self._take(moments, largest)

    def merge(self, other: "Series") -> None:
        """Take in a series of other classes of the same layer."""
        self._take(other.laid_out(self.channels_last), other.largest)
        self.by_class |= other.by_class

    def laid_out(self, channels_last: bool) -> Moments:
        """The moments of everything, the units as positions x channels or the other way."""
        assert self.everything is not None
        if channels_last == self.channels_last:
            return self.everything
        by_channel = (self.channels, self.positions)
        return self.everything.transposed(*(by_channel[::-1] if self.channels_last else by_channel))

    def finish(self) -> Statistics:
        """The measure of all images together."""
        assert self.everything is not None
        return self._statistics(self.everything, self.largest)

    def loses(self, statistics: Statistics) -> bool:
        """Whether float32 loses the squares of a channel, whose measures these are: its activations are not 0, but
        their stds and their means over the images are below TINY."""
        small = statistics.transformation_std + statistics.sample_std < TINY
        if self.in_float64 or not small.any():
            return False
        assert self.everything is not None
        low, high = self.everything.mean.aminmax(dim=0)
        shape, axis = self._layout()
        largest = as_array(torch.maximum(high, -low).view(shape).amax(axis))
        return bool((small & (largest > 0) & (largest < TINY)).any())

    def _layout(self) -> tuple[tuple[int, int], int]:
        """The shape in which units lie, and the axis of the positions in it."""
        if self.channels_last:
            return (self.positions, self.channels), 0
        return (self.channels, self.positions), 1

    def _take(self, moments: Moments, largest: Largest | None) -> None:
        if self.everything is None:
            self.everything, self.largest = moments, largest
            return
        self.everything.merge(moments)
        if self.largest and largest:
            self.largest = self.largest.merge(largest)

    def _statistics(self, moments: Moments, largest: Largest | None) -> Statistics:
        """The measures, after averaging what varies over the positions of each channel."""
        shape, axis = self._layout()
        means = torch.stack([each.view(shape).mean(axis) for each in moments.spread()])
        rotations = len(moments.mean)
        # One array, because each is waited for where a GPU computes
        statistics = Statistics.of(Spread(*as_array(means)), moments.n, rotations, self.positions)
        if largest is None or self.firing_rate is None:
            return statistics
        local, share = as_array(torch.stack(largest.rates(self.firing_rate, rotations)))
        return statistics._replace(local_firing_rate=local, global_firing_rate=share)


def as_array(tensor: Tensor) -> np.ndarray:
    return tensor.cpu().numpy()


def at_least_float32(values: Tensor) -> Tensor:
    """Half precision, which the arithmetic does not take, as float32."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
