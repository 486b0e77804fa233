"""The arithmetic of the statistics in PyTorch's operations, where compiling `kernels` or `gpu_kernels` would take
longer than it saves. The functions are those of `kernels`, and so are their results, but for rounding.
"""

import math

import torch
from torch import Tensor

# Activations that are taken to float64 at a time on a CPU: so few that the copies stay in the caches
PIECE = 2**16
# On a CPU PyTorch compares whole vectors where so many neighbours in memory, or a multiple, have maxima of their own
VECTOR = 32


def accumulate(values: Tensor, n: int, mean: Tensor, m2: Tensor, std_sum: Tensor, variance_sum: Tensor) -> None:
    """Take the activations of some images, images x R x units, into the moments of `n` earlier ones, in place.

    Sums and squares are taken of differences to one of the values themselves: then the subtraction in M2 loses at
    most a factor of the number of values, however large the mean is against the deviations.
    """
    images, rotations = values.shape[:2]
    from_first_image = values - values[:1]
    total = from_first_image.sum(0).double()
    more_m2 = from_first_image.square_().sum(0).double().addcmul_(total, total, value=-1 / images).clamp_(min=0)
    delta = total.div_(images).add_(values[0]).sub_(mean)
    from_first_rotation = values - values[:, :1]
    total = from_first_rotation.sum(1)
    variance = from_first_rotation.square_().sum(1).addcmul_(total, total, value=-1 / rotations).clamp_(min=0)
    more_variance = variance.div_(rotations - 1).sum(0, dtype=torch.float64)
    more_std = variance.sqrt_().sum(0, dtype=torch.float64)
    # Nothing above changes the moments and nothing below needs memory: running out of it leaves them whole
    mean.add_(delta, alpha=images / (n + images))
    m2.add_(more_m2).addcmul_(delta, delta, value=n * images / (n + images))
    std_sum.add_(more_std)
    variance_sum.add_(more_variance)


def merge(n: int, mean: Tensor, m2: Tensor, other_n: int, other_mean: Tensor, other_m2: Tensor) -> None:
    """Take the moments of `other_n` images into those of `n` others of the same units, in place."""
    delta = other_mean - mean
    mean.add_(delta, alpha=other_n / (n + other_n))
    m2.add_(other_m2).addcmul_(delta, delta, value=n * other_n / (n + other_n))


def over_rotations(n: int, mean: Tensor, m2: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of each unit the root mean square over images and rotations, the means over the rotations of the std and of the
    variance over the images, and the variance over the rotations of the mean over the images."""
    rotations = len(mean)
    magnitude = mean.square().add_(m2, alpha=1 / n).mean(0).sqrt_()
    variance = m2 / (n - 1)
    sample_variance = variance.mean(0)
    from_first_rotation = mean - mean[:1]
    total = from_first_rotation.sum(0)
    squares = from_first_rotation.square_().sum(0).addcmul_(total, total, value=-1 / rotations).clamp_(min=0)
    return magnitude, variance.sqrt_().mean(0), sample_variance, squares.div_(rotations - 1)


def mean_and_max(values: Tensor) -> tuple[Tensor, Tensor]:
    """The mean (float64) and the maximum over the positions of maps, rows x channels x positions: rows x channels.

    A maximum is NaN or infinite where any of its values is.
    """
    mean, top = _means(values), _maxima(values)
    return mean, torch.where(mean.isfinite(), top, mean.to(top.dtype))  # a maximum alone would hide -inf


def _means(values: Tensor) -> Tensor:
    """On a CPU in pieces, because PyTorch copies to float64 all that it is to take the mean of."""
    if values.device.type != "cpu":
        return values.mean(2, dtype=torch.float64)
    rows = max(1, PIECE // values.shape[1:].numel())
    return torch.cat([piece.mean(2, dtype=torch.float64) for piece in values.split(rows)])


def _maxima(values: Tensor) -> Tensor:
    """On a CPU, of narrow maps, in two steps: first of every so many positions that their channels fill vectors."""
    rows, channels, positions = values.shape
    side = VECTOR // math.gcd(channels, VECTOR)
    whole = positions // side * side
    if values.device.type != "cpu" or values.stride(1) > values.stride(2) or side == 1 or whole == 0:
        return values.amax(2)
    maps = values.transpose(1, 2)
    side_by_side = maps[:, :whole].reshape(rows, whole // side, side * channels).amax(1)
    top = side_by_side.view(rows, side, channels).amax(1)
    return top if whole == positions else torch.maximum(top, maps[:, whole:].amax(1))
