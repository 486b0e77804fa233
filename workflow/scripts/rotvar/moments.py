"""Statistics of a layer's units, accumulated exactly while the images go by.

A `Series` holds, for each rotation and unit, how many images came by, their mean and the sum of their squared
deviations (M2); batches are merged by the formula of Chan, Golub and LeVeque 1979 ("Updating formulae and a pairwise
algorithm for computing sample variances"), in float64. Memory grows with rotations and units, never with images.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rotvar import kernels

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


class Moments:
    """n, mean and M2 over images for each rotation and unit, and the sum over images of the std over rotations."""

    def __init__(self, rotations: int, units: int, device: torch.device) -> None:
        self.n = 0
        self.mean = torch.zeros(rotations, units, dtype=torch.float64, device=device)
        self.m2 = torch.zeros_like(self.mean)
        self.std_sum = torch.zeros(units, dtype=torch.float64, device=device)

    def add(self, values: Tensor) -> None:
        """Take in the activations of some images, images x R x units."""
        values = values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
        if values.is_cpu:
            kernels.accumulate(values, self.n, self.mean, self.m2, self.std_sum)
        else:
            self._add(values)
        self.n += len(values)

    def _add(self, values: Tensor) -> None:
        """What `kernels.accumulate` does, by PyTorch's operations.

        Sums and squares are taken of differences to one of the values themselves: then the subtraction in M2 loses at
        most a factor of the number of values, however large the mean is against the deviations.
        """
        n, rotations = values.shape[:2]
        from_first_image = values - values[:1]
        total = from_first_image.sum(0).double()
        m2 = from_first_image.square_().sum(0).double().addcmul_(total, total, value=-1 / n).clamp_(min=0)
        delta = total.div_(n).add_(values[0]).sub_(self.mean)
        from_first_rotation = values - values[:, :1]
        total = from_first_rotation.sum(1)
        variance = from_first_rotation.square_().sum(1).addcmul_(total, total, value=-1 / rotations).clamp_(min=0)
        std_sum = variance.div_(rotations - 1).sqrt_().sum(0, dtype=torch.float64)
        # Nothing above changes the moments and nothing below needs memory: running out of it leaves them whole
        self.mean.add_(delta, alpha=n / (self.n + n))
        self.m2.add_(m2).addcmul_(delta, delta, value=self.n * n / (self.n + n))
        self.std_sum.add_(std_sum)

    def transpose(self, rows: int, columns: int) -> None:
        """Reorder the units, which lie as rows x columns, to columns x rows."""
        self.mean, self.m2, self.std_sum = (
            tensor.unflatten(-1, (rows, columns)).transpose(-1, -2).flatten(-2).contiguous()
            for tensor in (self.mean, self.m2, self.std_sum)
        )

    def merge(self, other: "Moments") -> None:
        """Take in the moments of other images of the same units."""
        n = self.n + other.n
        delta = other.mean - self.mean
        self.mean.add_(delta, alpha=other.n / n)
        self.m2.add_(other.m2).addcmul_(delta, delta, value=self.n * other.n / n)
        self.std_sum.add_(other.std_sum)
        self.n = n


class Series:
    """The statistics of one layer under one aggregation, class after class."""

    def __init__(self) -> None:
        self.current: Moments | None = None  # of the class that is going by, each position a unit
        self.everything: Moments | None = None  # of the classes that have gone by
        self.by_class: dict[int, Statistics] = {}  # the measure within each of them
        self.channels = self.positions = 0
        self.channels_last = False  # whether the channels of a position are neighbours in memory, and in `current`

    def update(self, values: Tensor) -> None:
        """Take in a batch of one class: images x R x channels x positions."""
        if self.current is None:
            self.channels, self.positions = values.shape[2:]
            self.channels_last = values.stride(2) < values.stride(3)
            self.current = Moments(values.shape[1], self.channels * self.positions, values.device)
        self.current.add((values.transpose(2, 3) if self.channels_last else values).flatten(2))

    def finish_class(self, label: int) -> None:
        """Close the class `label`, which has gone by; the next batch begins another."""
        assert self.current is not None
        moments, self.current = self.current, None
        if self.channels_last:
            moments.transpose(self.positions, self.channels)
        self.by_class[label] = self._statistics(moments)
        self._take(moments)

    def merge(self, other: "Series") -> None:
        """Take in a series of other classes of the same layer."""
        assert other.everything is not None
        self._take(other.everything)
        self.by_class |= other.by_class

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
        magnitude = (moments.mean.square() + moments.m2 / moments.n).mean(0).sqrt()  # a unit's root mean square
        transformation_std = moments.std_sum / moments.n
        sample_std = (moments.m2 / (moments.n - 1)).sqrt().mean(0)
        # Where squares overflow, the std must stay infinite to be noticed
        tolerance = torch.where(magnitude.isfinite(), ROUNDING * magnitude, 0)
        stds = [torch.where(std <= tolerance, 0, std) for std in (transformation_std, sample_std)]
        return Statistics.of(*(std.view(self.channels, self.positions).mean(1).cpu().numpy() for std in stds))


def mean_and_max(values: Tensor) -> tuple[Tensor, Tensor]:
    """The mean and the maximum over the positions of maps, rows x channels x positions: rows x channels each.

    The mean is taken in float64: that of a linear layer's map hardly moves under rotation, by little more than float32
    rounding.
    """
    values = values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
    if values.is_cpu:
        return kernels.mean_and_max(values)
    mean, top = values.mean(2, dtype=torch.float64), values.amax(2)
    return mean, torch.where(mean.isfinite(), top, mean.to(top.dtype))  # a maximum alone would hide -inf
