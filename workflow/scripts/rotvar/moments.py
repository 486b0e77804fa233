"""Statistics of a layer's units, accumulated exactly while the images go by.

A `Series` holds, for each rotation and unit, how many images came by, their mean and the sum of their squared
deviations (M2); batches are merged by the formula of Chan, Golub and LeVeque 1979 ("Updating formulae and a pairwise
algorithm for computing sample variances"), in float64. Memory grows with rotations and units, never with images.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from rotvar import operations

# A std at or below this share of a unit's root mean square is rounding of float32 activations, not variance: it is 0
ROUNDING = torch.finfo(torch.float32).eps


@dataclass(frozen=True)
class Statistics:
    """The measure of the units of one layer in one stratum, with one aggregation."""

    transformation_std: np.ndarray  # units
    sample_std: np.ndarray  # units
    normalized_variance: np.ndarray  # units

    @staticmethod
    def of(transformation_std: np.ndarray, sample_std: np.ndarray) -> "Statistics":
        """The normalized variance is the ratio of the two stds; 0/0 is 1, x/0 infinite."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = transformation_std / sample_std
        ratio[(transformation_std == 0) & (sample_std == 0)] = 1
        return Statistics(transformation_std, sample_std, ratio)

    @staticmethod
    def average(strata: Sequence["Statistics"]) -> "Statistics":
        """The mean over the classes of each value; an infinity in one class makes it infinite."""
        means = (
            np.mean([getattr(one, name) for one in strata], axis=0)
            for name in ("transformation_std", "sample_std", "normalized_variance")
        )
        return Statistics(*means)

    def scaled(self, factor: int) -> "Statistics":
        """The statistics of the same units times `factor`: both stds scale, their ratio stays."""
        return Statistics(factor * self.transformation_std, factor * self.sample_std, self.normalized_variance)


class Arithmetic(Protocol):
    """The sums over many activations: `operations` by PyTorch, `kernels` compiled for a CPU."""

    def accumulate(self, values: Tensor, n: int, mean: Tensor, m2: Tensor, std_sum: Tensor) -> None: ...

    def merge(
        self, n: int, mean: Tensor, m2: Tensor, std_sum: Tensor, other_n: int, other_mean: Tensor, other_m2: Tensor,
        other_std_sum: Tensor,
    ) -> None: ...  # fmt: skip

    def magnitude_and_sample_std(self, n: int, mean: Tensor, m2: Tensor) -> tuple[Tensor, Tensor]: ...

    def mean_and_max(self, values: Tensor) -> tuple[Tensor, Tensor]: ...


def arithmetic(compiled: bool) -> Arithmetic:
    """`kernels` if `compiled`, or `operations`."""
    if not compiled:
        return operations
    from rotvar import kernels  # here, because a sweep that does not use it should not wait for numba

    return kernels


class Moments:
    """n, mean and M2 over images for each rotation and unit, and the sum over images of the std over rotations."""

    def __init__(self, rotations: int, units: int, device: torch.device, by: Arithmetic = operations) -> None:
        self.by = by
        self.n = 0
        self.mean = torch.zeros(rotations, units, dtype=torch.float64, device=device)
        self.m2 = torch.zeros_like(self.mean)
        self.std_sum = torch.zeros(units, dtype=torch.float64, device=device)

    def add(self, values: Tensor) -> None:
        """Take in the activations of some images, images x R x units."""
        values = at_least_float32(values)
        self.by.accumulate(values, self.n, self.mean, self.m2, self.std_sum)
        self.n += len(values)

    def merge(self, other: "Moments") -> None:
        """Take in the moments of other images of the same units."""
        self.by.merge(self.n, self.mean, self.m2, self.std_sum, other.n, other.mean, other.m2, other.std_sum)
        self.n += other.n

    def transposed(self, rows: int, columns: int) -> "Moments":
        """The moments of the units, which lie as rows x columns, as columns x rows."""
        moments = copy(self)
        moments.mean, moments.m2, moments.std_sum = (
            tensor.unflatten(-1, (rows, columns)).transpose(-1, -2).flatten(-2).contiguous()
            for tensor in (self.mean, self.m2, self.std_sum)
        )
        return moments

    def stds(self) -> tuple[Tensor, Tensor]:
        """The transformation std and the sample std of each unit; 0 where it is rounding."""
        magnitude, sample_std = self.by.magnitude_and_sample_std(self.n, self.mean, self.m2)
        # Where squares overflow, the std must stay infinite to be noticed
        tolerance = torch.where(magnitude.isfinite(), ROUNDING * magnitude, 0)
        transformation_std = self.std_sum / self.n
        return (
            torch.where(transformation_std <= tolerance, 0, transformation_std),
            torch.where(sample_std <= tolerance, 0, sample_std),
        )


class Series:
    """The statistics of one layer under one aggregation, class after class."""

    def __init__(self, by: Arithmetic = operations) -> None:
        self.by = by
        self.current: Moments | None = None  # of the class that is going by, each position a unit
        self.everything: Moments | None = None  # of the classes that have gone by
        self.by_class: dict[int, Statistics] = {}  # the measure within each of them
        self.channels = self.positions = 0
        self.channels_last = False  # whether units lie as positions x channels, as in the first batch, or the other way

    def update(self, values: Tensor) -> None:
        """Take in a batch of one class: images x R x channels x positions."""
        if not self.channels:
            self.channels, self.positions = values.shape[2:]
            self.channels_last = values.stride(2) < values.stride(3)
        if self.current is None:
            self.current = Moments(values.shape[1], self.channels * self.positions, values.device, self.by)
        self.current.add((values.transpose(2, 3) if self.channels_last else values).flatten(2))

    def finish_class(self, label: int) -> None:
        """Close the class `label`, which has gone by; the next batch begins another."""
        assert self.current is not None
        moments, self.current = self.current, None
        self.by_class[label] = self._statistics(moments)
        self._take(moments)

    def merge(self, other: "Series") -> None:
        """Take in a series of other classes of the same layer."""
        self._take(other.laid_out(self.channels_last))
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
        return self._statistics(self.everything)

    def _take(self, moments: Moments) -> None:
        if self.everything is None:
            self.everything = moments
        else:
            self.everything.merge(moments)

    def _statistics(self, moments: Moments) -> Statistics:
        """The measure, after averaging both stds over the positions of each channel."""
        if self.channels_last:
            means = [std.view(self.positions, self.channels).mean(0) for std in moments.stds()]
        else:
            means = [std.view(self.channels, self.positions).mean(1) for std in moments.stds()]
        return Statistics.of(*(mean.cpu().numpy() for mean in means))


def at_least_float32(values: Tensor) -> Tensor:
    """Half precision, which the arithmetic does not take, as float32."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
