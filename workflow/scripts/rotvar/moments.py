"""Statistics of a layer's units, accumulated exactly while the images go by.

A `Series` holds, for each rotation and unit, how many images came by, their mean and the sum of their squared
deviations (M2); batches are merged by the formula of Chan, Golub and LeVeque 1979 ("Updating formulae and a pairwise
algorithm for computing sample variances"), in float64. Memory grows with rotations and units, never with images.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

# A std at or below this share of a unit's root mean square is rounding of float32 activations, not variance: it is 0
ROUNDING = torch.finfo(torch.float32).eps

# How many activations a CPU takes at a time: temporaries of this size stay in its caches, larger ones cost several
# times as much. A GPU takes all at once.
PIECE = 2**18


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

    def frame(self) -> pd.DataFrame:
        """One row a unit."""
        return pd.DataFrame(
            {
                "unit": np.arange(len(self.sample_std)),
                "transformation_std": self.transformation_std,
                "sample_std": self.sample_std,
                "normalized_variance": self.normalized_variance,
            }
        )


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
        n, rotations, units = values.shape
        width = units if values.is_cuda else max(1, PIECE // (n * rotations))
        for start in range(0, units, width):
            self._add(values[:, :, start : start + width], slice(start, start + width))
        self.n += n

    def _add(self, values: Tensor, units: slice) -> None:
        """Take in the activations of a slice of the units.

        Sums and squares are taken of differences to one of the values themselves: then the subtraction in M2 loses at
        most a factor of the number of values, however large the mean is against the deviations.
        """
        n, rotations = values.shape[:2]
        from_first_image = values - values[:1]
        total = from_first_image.sum(0).double()
        m2 = from_first_image.square_().sum(0).double().addcmul_(total, total, value=-1 / n).clamp_(min=0)
        delta = total.div_(n).add_(values[0]).sub_(self.mean[:, units])
        self.mean[:, units].add_(delta, alpha=n / (self.n + n))
        self.m2[:, units].add_(m2).addcmul_(delta, delta, value=self.n * n / (self.n + n))
        from_first_rotation = values - values[:, :1]
        total = from_first_rotation.sum(1)
        m2 = from_first_rotation.square_().sum(1).addcmul_(total, total, value=-1 / rotations).clamp_(min=0)
        self.std_sum[units].add_(m2.div_(rotations - 1).sqrt_().sum(0, dtype=torch.float64))

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
        self.current: Moments | None = None  # of the class that is going by
        self.everything: Moments | None = None  # of the classes that have gone by
        self.channels = self.positions = 0
        self.channels_last = False  # whether the channels of a position are neighbours in memory

    def update(self, values: Tensor) -> None:
        """Take in a batch of one class: images x R x channels x positions. Each position is a unit, until the end."""
        if self.channels == 0:
            self.channels, self.positions = values.shape[2:]
            self.channels_last = values.stride(2) < values.stride(3)
        units = (values.transpose(2, 3) if self.channels_last else values).flatten(2)
        if self.current is None:
            self.current = Moments(units.shape[1], units.shape[2], units.device)
        self.current.add(units)

    def finish_class(self) -> Statistics:
        """The measure within the class that has gone by; the next batch begins another."""
        assert self.current is not None
        moments, self.current = self.current, None
        statistics = self._statistics(moments)
        if self.everything is None:
            self.everything = moments
        else:
            self.everything.merge(moments)
        return statistics

    def finish(self) -> Statistics:
        """The measure of all images together."""
        assert self.everything is not None
        return self._statistics(self.everything)

    def _statistics(self, moments: Moments) -> Statistics:
        """The measure, after averaging both stds over the positions of each channel."""
        magnitude = (moments.mean.square() + moments.m2 / moments.n).mean(0).sqrt()  # a unit's root mean square
        transformation_std = moments.std_sum / moments.n
        sample_std = (moments.m2 / (moments.n - 1)).sqrt().mean(0)
        stds = [torch.where(std <= ROUNDING * magnitude, 0, std) for std in (transformation_std, sample_std)]
        shape = (self.positions, self.channels) if self.channels_last else (self.channels, self.positions)
        by_channel = [std.view(shape).mean(0 if self.channels_last else 1).cpu().numpy() for std in stds]
        return Statistics.of(*by_channel)


def mean_over_positions(values: Tensor) -> Tensor:
    """The mean over the last axis, in float64: the mean of a linear layer's map hardly moves under rotation, by little
    more than float32 rounding."""
    size = len(values) if values.is_cuda else max(1, PIECE // values[0].numel())
    return torch.cat([piece.mean(-1, dtype=torch.float64) for piece in values.split(size)])
