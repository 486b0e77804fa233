"""The arithmetic of the statistics compiled for a GPU, by Triton: each function reads its input once.

The functions are those of `kernels`, and so are their results, but for rounding. PyTorch's operations (`operations`)
read and write activations a dozen times, and a GPU waits for memory longer than for sums.
"""

import functools
import logging
import sys
from types import ModuleType
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from rotvar.errors import reason
from rotvar.statistics import operations

log = logging.getLogger("rotvar")

TILE = 1024  # activations that a program works on at a time
IMAGES = 32  # how many are added in the precision of the activations, before all are added in float64
ROTATIONS = 128  # the most for which `_add_images` keeps what it adds up in registers
UNITS = 256  # of which a program merges the moments

NAN = tl.constexpr(tl.PropagateNan.ALL)  # what maxima make of NaN: NaN


def accumulate(values: Tensor, n: int, mean: Tensor, m2: Tensor, std_sum: Tensor, variance_sum: Tensor) -> None:
    """Take the activations of some images, images x R x units, into the moments of `n` earlier ones, in place."""
    images, rotations, units = values.shape
    if rotations > ROTATIONS:
        operations.accumulate(values, n, mean, m2, std_sum, variance_sum)
        return
    values = values.contiguous()
    parts, rows = triton.cdiv(images, IMAGES), triton.next_power_of_2(rotations)
    block = max(16, TILE // rows)
    total, square = values.new_empty(2, parts, rotations, units)
    std, variance = std_sum.new_empty(2, parts, units)
    # Nothing above changes the moments and nothing below needs memory: running out of it leaves them whole
    with torch.cuda.device_of(values):
        _add_images[triton.cdiv(units, block), parts](
            values, total, square, std, variance, images, rotations, units, PART=IMAGES, ROWS=rows, BLOCK=block
        )
        _take_in[triton.cdiv(units, UNITS), rotations](
            values, total, square, std, variance, mean, m2, std_sum, variance_sum, parts, images, n, rotations, units,
            BLOCK=UNITS,
        )  # fmt: skip


def merge(n: int, mean: Tensor, m2: Tensor, other_n: int, other_mean: Tensor, other_m2: Tensor) -> None:
    """Take the moments of `other_n` images into those of `n` others of the same units, in place."""
    with torch.cuda.device_of(mean):
        _merge[(triton.cdiv(mean.numel(), UNITS),)](
            mean, m2, other_mean, other_m2, n, other_n, mean.numel(), BLOCK=UNITS
        )


def over_rotations(n: int, mean: Tensor, m2: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of each unit the root mean square over images and rotations, the means over the rotations of the std and of the
    variance over the images, and the variance over the rotations of the mean over the images."""
    rotations, units = mean.shape
    magnitude, std, variance, variance_of_means = mean.new_empty(4, units)
    with torch.cuda.device_of(mean):
        _over_rotations[(triton.cdiv(units, UNITS),)](
            mean, m2, magnitude, std, variance, variance_of_means, n, rotations, units, BLOCK=UNITS
        )
    return magnitude, std, variance, variance_of_means


def mean_and_max(values: Tensor) -> tuple[Tensor, Tensor]:
    """The mean (float64) and the maximum over the positions of maps, rows x channels x positions: rows x channels.

    A maximum is NaN or infinite where any of its values is.
    """
    ((mean, top),) = _through(values, None, None, None)
    return mean, top


def fuse(
    output: Tensor, normalization: tuple[Tensor, Tensor] | None, alpha: float | None, normalized: Tensor | None
) -> list[tuple[Tensor, Tensor]]:
    """Compute the batch normalization and the activation after a layer in the pass that takes the statistics of all.

    Arguments and result are those of `kernels.fuse`.
    """
    kept = None if normalized is None else normalized.view(*normalized.shape[:2], -1)
    return _through(output.view(*output.shape[:2], -1), normalization, alpha, kept)


def _through(
    maps: Tensor, normalization: tuple[Tensor, Tensor] | None, alpha: float | None, kept: Tensor | None
) -> list[tuple[Tensor, Tensor]]:
    """`fuse` for maps of rows x channels x positions, which stay as they are where nothing follows the layer."""
    rows, channels, positions = maps.shape
    scale, shift = normalization or (maps, maps)  # which are not read then
    stages = 1 + (normalization is not None) + (alpha is not None)
    mean = torch.empty(stages, rows, channels, dtype=torch.float64, device=maps.device)
    top = maps.new_empty(stages, rows, channels)
    block = min(64, max(16, triton.next_power_of_2(channels)))
    with torch.cuda.device_of(maps):
        _reduce[rows, triton.cdiv(channels, block)](
            maps, scale, shift, alpha or 0.0, maps if kept is None else kept, mean, top, rows, channels, positions,
            *maps.stride(), NORMALIZED=normalization is not None, ACTIVATED=alpha is not None, RECTIFIED=alpha == 0,
            KEPT=kept is not None, ROWS=TILE // block, BLOCK=block,
        )  # fmt: skip
    return [*zip(mean, top, strict=True)]


@functools.cache
def usable(device: torch.device) -> bool:
    """Whether the kernels compile on this machine, and compute on this GPU what PyTorch does; the log says why not.

    Triton needs a C compiler, for one thing, and raises whatever goes wrong.
    """
    try:
        found, expected = _trial(sys.modules[__name__], device), _trial(operations, device)
        maps = torch.linspace(-1, 2, 40 * 20 * 49, device=device).view(40, 20, 7, 7)
        scale, shift = torch.linspace(-1, 1, 40, device=device).view(2, 20)
        normalized = maps * scale[:, None, None] + shift[:, None, None]
        for alpha in (0.0, 1.0):  # a ReLU and an ELU
            layers = [maps, normalized, torch.nn.functional.elu(normalized, alpha)]
            output = maps.clone()
            found += [*fuse(output, (scale, shift), alpha, None), output]
            expected += [*(operations.mean_and_max(each.flatten(2)) for each in layers), layers[-1]]
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    except Exception as error:
        log.warning(
            "statistics are computed by PyTorch's operations, because Triton does not work here (%s)", reason(error)
        )
        return False
    return True


def _trial(by: ModuleType | Any, device: torch.device) -> list[Any]:
    """What the functions of a module make of some numbers."""
    values = torch.linspace(-1, 2, 40 * 3 * 70, device=device).square().view(40, 3, 70)
    moments = [torch.zeros(shape, dtype=torch.float64, device=device) for shape in [(3, 70), (3, 70), (70,), (70,)]]
    for n in (0, 40):
        by.accumulate(values + n, n, *moments)
    by.merge(80, *moments[:2], 80, *(each.clone() for each in moments[:2]))
    return [*moments, *by.over_rotations(160, *moments[:2]), *by.mean_and_max(values.transpose(1, 2))]


@triton.jit(do_not_specialize=["images", "rotations"])
def _add_images(  # type: ignore[no-untyped-def]
    values, total, square, std, variance, images, rotations, units,
    PART: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Of each part of the images and of BLOCK units: for each rotation the sums of the differences to the first of all
    images, and of their squares; and over the images the sums of the std and of the variance over the rotations.

    Sums and squares are taken of differences to one of the values themselves: then the subtractions lose at most a
    factor of the number of values, however large the mean is against the deviations.
    """
    part = tl.program_id(1)
    unit = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    rotation = tl.arange(0, ROWS)
    there = unit < units
    inside = (rotation < rotations)[:, None] & there[None, :]
    offsets = rotation.to(tl.int64)[:, None] * units + unit[None, :]
    of_image = rotations.to(tl.int64) * units
    reference = tl.load(values + offsets, mask=inside, other=0)
    sums, squares = tl.zeros_like(reference), tl.zeros_like(reference)
    stds, variances = tl.zeros([BLOCK], tl.float64), tl.zeros([BLOCK], tl.float64)
    for image in range(part * PART, tl.minimum(images, (part + 1) * PART)):
        begin = values + image * of_image
        turned = tl.load(begin + offsets, mask=inside, other=0)
        unturned = tl.load(begin + unit, mask=there, other=0)
        difference = tl.where(inside, turned - unturned[None, :], 0)
        s, q = tl.sum(difference, 0), tl.sum(difference * difference, 0)
        across = tl.maximum(q - s * s / rotations, 0, propagate_nan=NAN).to(tl.float64) / (rotations - 1)
        stds += tl.sqrt(across)
        variances += across
        difference = turned - reference
        sums += difference
        squares += difference * difference
    offsets += part * of_image
    tl.store(total + offsets, sums, mask=inside)
    tl.store(square + offsets, squares, mask=inside)
    place = part.to(tl.int64) * units + unit
    tl.store(std + place, stds, mask=there)
    tl.store(variance + place, variances, mask=there)


@triton.jit(do_not_specialize=["parts", "images", "n", "rotations"])
def _take_in(  # type: ignore[no-untyped-def]
    values, total, square, std, variance, mean, m2, std_sum, variance_sum, parts, images, n, rotations, units,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Merge the sums of `_add_images` at one rotation, all parts of them, into the moments of `n` earlier images."""
    rotation = tl.program_id(1)
    unit = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    there = unit < units
    offsets = rotation.to(tl.int64) * units + unit
    sums, squares = tl.zeros([BLOCK], tl.float64), tl.zeros([BLOCK], tl.float64)
    for part in range(parts):
        begin = part * rotations.to(tl.int64) * units
        sums += tl.load(total + begin + offsets, mask=there, other=0).to(tl.float64)
        squares += tl.load(square + begin + offsets, mask=there, other=0).to(tl.float64)
    before, more = n.to(tl.float64), images.to(tl.float64)
    earlier = tl.load(mean + offsets, mask=there, other=0)
    delta = sums / more + tl.load(values + offsets, mask=there, other=0).to(tl.float64) - earlier
    deviations = tl.maximum(squares - sums * sums / more, 0, propagate_nan=NAN)
    deviations += delta * delta * (before * more / (before + more)) + tl.load(m2 + offsets, mask=there, other=0)
    tl.store(mean + offsets, earlier + delta * (more / (before + more)), mask=there)
    tl.store(m2 + offsets, deviations, mask=there)
    if rotation == 0:
        stds = tl.load(std_sum + unit, mask=there, other=0)
        variances = tl.load(variance_sum + unit, mask=there, other=0)
        for part in range(parts):
            begin = tl.cast(part, tl.int64) * units
            stds += tl.load(std + begin + unit, mask=there, other=0)
            variances += tl.load(variance + begin + unit, mask=there, other=0)
        tl.store(std_sum + unit, stds, mask=there)
        tl.store(variance_sum + unit, variances, mask=there)


@triton.jit(do_not_specialize=["n", "other_n", "count"])
def _merge(mean, m2, other_mean, other_m2, n, other_n, count, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    k = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    there = k < count
    before, more = n.to(tl.float64), other_n.to(tl.float64)
    earlier = tl.load(mean + k, mask=there, other=0)
    delta = tl.load(other_mean + k, mask=there, other=0) - earlier
    deviations = tl.load(m2 + k, mask=there, other=0) + tl.load(other_m2 + k, mask=there, other=0)
    tl.store(mean + k, earlier + delta * (more / (before + more)), mask=there)
    tl.store(m2 + k, deviations + delta * delta * (before * more / (before + more)), mask=there)


@triton.jit(do_not_specialize=["n", "rotations"])
def _over_rotations(  # type: ignore[no-untyped-def]
    mean, m2, magnitude, std, variance, variance_of_means, n, rotations, units, BLOCK: tl.constexpr
):
    unit = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    there = unit < units
    reference = tl.load(mean + unit, mask=there, other=0)
    square, stds, variances = tl.zeros_like(reference), tl.zeros_like(reference), tl.zeros_like(reference)
    sums, squares = tl.zeros_like(reference), tl.zeros_like(reference)
    images = n.to(tl.float64)
    for rotation in range(rotations):
        offsets = tl.cast(rotation, tl.int64) * units + unit
        average = tl.load(mean + offsets, mask=there, other=0)
        deviations = tl.load(m2 + offsets, mask=there, other=0)
        square += average * average + deviations / images
        stds += tl.sqrt(deviations / (images - 1))
        variances += deviations / (images - 1)
        difference = average - reference
        sums += difference
        squares += difference * difference
    count = rotations.to(tl.float64)
    of_means = tl.maximum(squares - sums * sums / count, 0, propagate_nan=NAN) / (count - 1)
    tl.store(magnitude + unit, tl.sqrt(square / count), mask=there)
    tl.store(std + unit, stds / count, mask=there)
    tl.store(variance + unit, variances / count, mask=there)
    tl.store(variance_of_means + unit, of_means, mask=there)


@triton.jit(do_not_specialize=["alpha", "rows", "channels", "positions"])
def _reduce(  # type: ignore[no-untyped-def]
    maps, scale, shift, alpha, kept, mean, top, rows, channels, positions, of_row, of_channel, of_position,
    NORMALIZED: tl.constexpr, ACTIVATED: tl.constexpr, RECTIFIED: tl.constexpr, KEPT: tl.constexpr,
    ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The means and maxima over the positions of BLOCK channels of a row of maps: of the maps, of the maps normalized
    (into `kept` where that is wanted) and of those activated, as far as there are such stages. The last of them takes
    the place of the maps."""
    row = tl.program_id(0).to(tl.int64)
    channel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    there = channel < channels
    corner = row * of_row + channel.to(tl.int64)[None, :] * of_channel
    if NORMALIZED:
        factor = tl.load(scale + channel, mask=there, other=0)[None, :]
        summand = tl.load(shift + channel, mask=there, other=0)[None, :]
    total = tl.zeros([ROWS, BLOCK], tl.float64)
    largest = tl.full([ROWS, BLOCK], float("-inf"), maps.dtype.element_ty)
    total_1, largest_1, total_2, largest_2 = total, largest, total, largest
    for begin in range(0, positions, ROWS):
        position = begin + tl.arange(0, ROWS)
        inside = (position < positions)[:, None] & there[None, :]
        offsets = corner + position.to(tl.int64)[:, None] * of_position
        x = tl.load(maps + offsets, mask=inside, other=0)
        total += x.to(tl.float64)
        largest = tl.maximum(largest, tl.where(inside, x, float("-inf")))
        if NORMALIZED:
            x = tl.where(inside, tl.fma(x, factor, summand), 0)  # rounded once, as PyTorch does it
            total_1 += x.to(tl.float64)
            largest_1 = tl.maximum(largest_1, tl.where(inside, x, float("-inf")))
            if KEPT:
                tl.store(kept + offsets, x, mask=inside)
        if ACTIVATED:
            negative = tl.minimum(x, 0, propagate_nan=NAN)
            x = tl.maximum(x, 0, propagate_nan=NAN)
            if not RECTIFIED:
                x += alpha * _exp_less_one(negative)
            total_2 += x.to(tl.float64)
            largest_2 = tl.maximum(largest_2, tl.where(inside, x, float("-inf")))
        if NORMALIZED or ACTIVATED:
            tl.store(maps + offsets, x, mask=inside)
    stage = rows.to(tl.int64) * channels
    place = row * channels + channel
    _finish(total, largest, positions, mean + place, top + place, there)
    if NORMALIZED:
        _finish(total_1, largest_1, positions, mean + stage + place, top + stage + place, there)
        place += stage
    if ACTIVATED:
        _finish(total_2, largest_2, positions, mean + stage + place, top + stage + place, there)


@triton.jit
def _exp_less_one(x):  # type: ignore[no-untyped-def]
    """exp(x) - 1, by Taylor's polynomial where the difference would lose digits; for x up to 0."""
    p = x / 5040 + 1 / 720
    p = p * x + 1 / 120
    p = p * x + 1 / 24
    p = p * x + 1 / 6
    p = p * x + 1 / 2
    return tl.where(x > -0.35, p * x * x + x, tl.exp(x) - 1)


@triton.jit
def _finish(total, largest, positions, mean, top, there):  # type: ignore[no-untyped-def]
    """Write the means and maxima of some channels, of their sums and maxima at every ROWS-th position."""
    average = tl.sum(total, 0) / positions
    finite = tl.abs(average) < float("inf")  # of NaN, no
    tl.store(mean, average, mask=there)
    tl.store(top, tl.where(finite, tl.max(largest, 0), average.to(top.dtype.element_ty)), mask=there)
