"""The arithmetic of the statistics compiled for a CPU: each function reads its input once.

PyTorch's operations (`operations`, which has the same functions) read it five times or more, which on a CPU takes
longer than many a convolution. Compiling takes some seconds, once a machine: the result is kept on disk.
"""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from numba import config, njit
from numba.core.codegen import get_host_cpu_features
from torch import Tensor

# Units that are taken at a time, so that their running sums for a few rotations stay in the first cache
BLOCK = 1024
# Values that are added and compared side by side
LANES = 256
# The fewest values in half a map that are taken side by side with the other half
WORTH_TWO = 1024
# Below this number of activations a second thread costs more than it helps
WORTH_A_THREAD = 2**18

# On Intel's CPUs with AVX-512, LLVM uses half the length of a vector, because a program with few of the whole ones pays
# for them with a lower clock. Beside convolutions, which are full of them, they are faster (benchmarks/README.md).
if config.CPU_FEATURES is None and "+avx512f" in (host := get_host_cpu_features()):  # type: ignore[attr-defined]
    config.CPU_FEATURES = f"{host},-prefer-256-bit"  # type: ignore[attr-defined]

OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}  # of numba


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function at its first call, without Python's lock; keep the result where a folder can be written."""
    try:
        dispatcher = njit(cache=True, **OPTIONS)(function)
    except RuntimeError:  # neither this file's folder nor the user's cache can be written
        return njit(**OPTIONS)(function)
    cache = dispatcher._cache
    cache.load_overload, cache.save_overload = _or_not(cache, cache.load_overload), _or_not(cache, cache.save_overload)
    return dispatcher


def _or_not(cache: Any, step: Callable[..., Any]) -> Callable[..., Any]:
    """A step of numba's cache that may fail, on a full disk, say, or on a file that a crash has cut off: the function
    is then compiled, and the cache begun anew."""

    def attempt(*arguments: Any) -> Any:
        try:
            with _alone(Path(cache.cache_path)):
                return step(*arguments)
        except Exception:
            with suppress(Exception):
                cache.flush()
            return None

    return attempt


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time uses the cache in a folder. By itself numba gives the code of two kinds of CPU, or of two
    types of arguments, one name where two processes keep them at the same moment."""
    lock = FileLock(folder / "rotvar.lock", timeout=10)
    with suppress(OSError, NotImplementedError):  # a file system without locks, somebody who does not let go
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Put the body of a function where it is called, which compiles faster than a function of its own."""
    return njit(inline="always", **OPTIONS)(function)


def accumulate(values: Tensor, n: int, mean: Tensor, m2: Tensor, std_sum: Tensor, variance_sum: Tensor) -> None:
    """Take the activations of some images, images x R x units, into the moments of `n` earlier ones, in place."""
    arrays = [tensor.numpy() for tensor in (values.contiguous(), mean, m2, std_sum, variance_sum)]
    side_by_side(_accumulate, values.shape[2], values.numel(), arrays[0], n, *arrays[1:])


def merge(n: int, mean: Tensor, m2: Tensor, other_n: int, other_mean: Tensor, other_m2: Tensor) -> None:
    """Take the moments of `other_n` images into those of `n` others of the same units, in place."""
    arrays = [tensor.view(-1).numpy() for tensor in (mean, m2, other_mean, other_m2)]
    side_by_side(_merge, mean.numel(), mean.numel(), n, other_n, *arrays)


def over_rotations(n: int, mean: Tensor, m2: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of each unit the root mean square over images and rotations, the means over the rotations of the std and of the
    variance over the images, and the variance over the rotations of the mean over the images."""
    magnitude, std, variance, variance_of_means = (torch.empty_like(mean[0]) for _ in range(4))
    arrays = [tensor.numpy() for tensor in (mean, m2, magnitude, std, variance, variance_of_means)]
    side_by_side(_over_rotations, len(magnitude), mean.numel(), n, *arrays)
    return magnitude, std, variance, variance_of_means


def mean_and_max(values: Tensor) -> tuple[Tensor, Tensor]:
    """The mean (float64) and the maximum over the positions of maps, rows x channels x positions: rows x channels.

    A maximum is NaN or infinite where any of its values is.
    """
    rows, channels, _ = values.shape
    mean = torch.empty(rows, channels, dtype=torch.float64, device="cpu")
    top = torch.empty(rows, channels, dtype=values.dtype, device="cpu")
    if values.stride(1) < values.stride(2):  # channels last
        maps, side = values.transpose(1, 2).reshape(rows, -1), channels
    else:  # the positions of a channel are a row of their own
        maps, side = values.reshape(rows * channels, -1), 1
    lanes = lanes_of(side, maps.shape[1])
    arrays = maps.contiguous().numpy(), mean.view(-1, side).numpy(), top.view(-1, side).numpy()
    side_by_side(_reduce, len(maps), values.numel(), lanes, *arrays)
    return mean, top


def fuse(
    output: Tensor, normalization: tuple[Tensor, Tensor] | None, alpha: float | None, normalized: Tensor | None
) -> list[tuple[Tensor, Tensor]]:
    """Compute the batch normalization and the activation after a layer in the pass that takes the statistics of all.

    output: rows x channels x height x width, float32, channels last; in place it becomes what the last of the layers
    makes of it. normalization: a scale and a shift for each channel, if there is one; alpha: that of an ELU, 0 for a
    ReLU, None where there is neither. normalized: of the same shape and layout, to keep the output of the normalization
    in.

    Returns what `mean_and_max` would, for the layer and for each of those after it.
    """
    rows, channels = output.shape[:2]
    maps = output.permute(0, 2, 3, 1).view(rows, -1)
    lanes = lanes_of(channels, maps.shape[1])
    scale, shift = normalization or (output.new_ones(channels), output.new_zeros(channels))
    factors = [each.repeat(lanes // channels).numpy() for each in (scale, shift)]
    floor = np.float32(-np.inf if alpha is None else 0)
    kept = maps[:0] if normalized is None else normalized.permute(0, 2, 3, 1).view(rows, -1)
    stages = [0, *([1] if normalization else []), *([] if alpha is None else [2])]
    means = torch.empty(3, rows, channels, dtype=torch.float64, device="cpu")
    maxima = torch.empty(3, rows, channels, dtype=output.dtype, device="cpu")
    activation = floor, np.float32(alpha or 0)
    arrays = maps.numpy(), *factors, *activation, kept.numpy(), np.array(stages), means.numpy(), maxima.numpy()
    side_by_side(_fuse, rows, len(stages) * output.numel(), *arrays)
    return [(means[stage], maxima[stage]) for stage in stages]


def lanes_of(channels: int, length: int) -> int:
    """How many neighbours are added side by side: those of a number of positions that is a power of two, so that they
    can be folded."""
    lanes = channels
    while 2 * lanes <= min(LANES, length):
        lanes *= 2
    return lanes


def side_by_side(kernel: Callable[..., None], length: int, activations: int, *arguments: Any) -> None:
    """Call `kernel(start, stop, *arguments)` for parts of range(length), one for each of PyTorch's threads."""
    threads = min(torch.get_num_threads(), max(1, activations // WORTH_A_THREAD))
    if threads == 1:
        kernel(0, length, *arguments)
        return
    edges = [length * part // threads for part in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda start, stop: kernel(start, stop, *arguments), edges[:-1], edges[1:]))


@inlined
def _add_one(row, base, reference, s, q, total, square):  # type: ignore[no-untyped-def]
    """Add the differences of one image and rotation to `base` (the image's first rotation) to the sums s and q, and
    those to `reference` (the first image at this rotation) to the sums total and square."""
    for k in range(len(row)):
        across_rotations = row[k] - base[k]
        across_images = row[k] - reference[k]
        s[k] += across_rotations
        q[k] += across_rotations * across_rotations
        total[k] += across_images
        square[k] += across_images * across_images


@inlined
def _add_four(  # type: ignore[no-untyped-def]
    a, b, c, d, base, other_base, reference, other_reference,
    s, q, other_s, other_q, total, square, other_total, other_square,
):  # fmt: skip
    """`_add_one` for two images at two rotations at once, which loads and stores the sums half as often.

    a and b are rotations of one image, c and d of the other; a and c are at one rotation, b and d at the other.
    """
    for k in range(len(a)):
        a_turned, b_turned = a[k] - base[k], b[k] - base[k]
        s[k] += a_turned + b_turned
        q[k] += a_turned * a_turned + b_turned * b_turned
        c_turned, d_turned = c[k] - other_base[k], d[k] - other_base[k]
        other_s[k] += c_turned + d_turned
        other_q[k] += c_turned * c_turned + d_turned * d_turned
        a_changed, c_changed = a[k] - reference[k], c[k] - reference[k]
        total[k] += a_changed + c_changed
        square[k] += a_changed * a_changed + c_changed * c_changed
        b_changed, d_changed = b[k] - other_reference[k], d[k] - other_reference[k]
        other_total[k] += b_changed + d_changed
        other_square[k] += b_changed * b_changed + d_changed * d_changed


@compiled
def _accumulate(start, stop, values, before, mean, m2, std_sum, variance_sum):  # type: ignore[no-untyped-def]
    """`Moments.add` for the units from `start` to `stop`; `before`: the images that are in the moments already.

    Sums and squares are taken of differences to one of the values themselves: then the subtractions lose at most a
    factor of the number of values, however large the mean is against the deviations.
    """
    n, rotations, _ = values.shape
    zero, one = values.dtype.type(0), values.dtype.type(1)
    per_rotation, per_degree = one / values.dtype.type(rotations), one / values.dtype.type(rotations - 1)
    per_image, share, weight = 1 / n, n / (before + n), before * n / (before + n)
    block = min(BLOCK, stop - start)
    s, q = np.empty((2, block), values.dtype), np.empty((2, block), values.dtype)
    total, square = np.empty((rotations, block), values.dtype), np.empty((rotations, block), values.dtype)
    for u in range(start, stop, block):
        end = min(u + block, stop)
        width = end - u
        total[:] = zero
        square[:] = zero
        for i in range(0, n, 2):
            images = min(2, n - i)
            s[:] = zero
            q[:] = zero
            for j in range(0, rotations, 2):
                if images == 2 and j + 1 < rotations:
                    _add_four(
                        values[i, j, u:end], values[i, j + 1, u:end],
                        values[i + 1, j, u:end], values[i + 1, j + 1, u:end],
                        values[i, 0, u:end], values[i + 1, 0, u:end], values[0, j, u:end], values[0, j + 1, u:end],
                        s[0, :width], q[0, :width], s[1, :width], q[1, :width],
                        total[j, :width], square[j, :width], total[j + 1, :width], square[j + 1, :width],
                    )  # fmt: skip
                    continue
                for h in range(images):  # the last of an odd number of images, or of rotations
                    for m in range(j, min(j + 2, rotations)):
                        _add_one(
                            values[i + h, m, u:end], values[i + h, 0, u:end], values[0, m, u:end],
                            s[h, :width], q[h, :width], total[m, :width], square[m, :width],
                        )  # fmt: skip
            stds, variances = std_sum[u:end], variance_sum[u:end]
            for h in range(images):
                for k in range(width):
                    variance = max(q[h, k] - s[h, k] * s[h, k] * per_rotation, zero) * per_degree
                    stds[k] += math.sqrt(variance)
                    variances[k] += variance
        for j in range(rotations):
            reference, mean_j, m2_j = values[0, j, u:end], mean[j, u:end], m2[j, u:end]
            for k in range(width):
                t = np.float64(total[j, k])
                delta = t * per_image + reference[k] - mean_j[k]
                mean_j[k] += delta * share
                m2_j[k] += max(square[j, k] - t * t * per_image, 0.0) + delta * delta * weight


@compiled
def _merge(start, stop, n, other_n, mean, m2, other_mean, other_m2):  # type: ignore[no-untyped-def]
    share, weight = other_n / (n + other_n), n * other_n / (n + other_n)
    for k in range(start, stop):
        delta = other_mean[k] - mean[k]
        mean[k] += delta * share
        m2[k] += other_m2[k] + delta * delta * weight


@inlined
def _add_rotation(  # type: ignore[no-untyped-def]
    mean, m2, reference, per_image, per_degree, square, std, variance, total, from_reference
):
    """Add the mean squares, stds and variances of one rotation to the sums, and the differences of its means to those
    of the first rotation (`reference`), and their squares."""
    for k in range(len(mean)):
        square[k] += mean[k] * mean[k] + m2[k] * per_image
        std[k] += math.sqrt(m2[k] * per_degree)
        variance[k] += m2[k] * per_degree
        difference = mean[k] - reference[k]
        total[k] += difference
        from_reference[k] += difference * difference


@compiled
def _over_rotations(  # type: ignore[no-untyped-def]
    start, stop, n, mean, m2, magnitude, std, variance, variance_of_means
):
    rotations = len(mean)
    sums = np.empty(min(BLOCK, stop - start))
    for u in range(start, stop, BLOCK):
        end = min(u + BLOCK, stop)
        total = sums[: end - u]
        square, stds, variances, squares = magnitude[u:end], std[u:end], variance[u:end], variance_of_means[u:end]
        square[:] = 0
        stds[:] = 0
        variances[:] = 0
        total[:] = 0
        squares[:] = 0
        for j in range(rotations):
            _add_rotation(
                mean[j, u:end],
                m2[j, u:end],
                mean[0, u:end],
                1 / n,
                1 / (n - 1),
                square,
                stds,
                variances,
                total,
                squares,
            )
        for k in range(end - u):
            square[k] = math.sqrt(square[k] / rotations)
            stds[k] /= rotations
            variances[k] /= rotations
            squares[k] = max(squares[k] - total[k] * total[k] / rotations, 0.0) / (rotations - 1)


@inlined
def _add_and_compare(row, total, top):  # type: ignore[no-untyped-def]
    """Add a row of values to the running sums and keep the larger of each and the running maximum."""
    for k in range(len(row)):
        total[k] += row[k]
        top[k] = row[k] if row[k] > top[k] else top[k]


@inlined
def _add_and_compare_two(row, other, total, top):  # type: ignore[no-untyped-def]
    """`_add_and_compare` for two rows at once, which loads and stores the sums and maxima half as often."""
    for k in range(len(row)):
        total[k] += np.float64(row[k]) + np.float64(other[k])
        larger = row[k] if row[k] > other[k] else other[k]
        top[k] = larger if larger > top[k] else top[k]


@inlined
def _half(length, lanes):  # type: ignore[no-untyped-def]
    """How much of a map goes by side by side with as much of its rest. Only where that is long: short stretches the
    processor does not fetch ahead."""
    half = length // (2 * lanes) * lanes
    return half if half >= WORTH_TWO else 0


@inlined
def _fold(total, largest, length, mean, top):  # type: ignore[no-untyped-def]
    """Turn the sums and maxima of the lanes into the mean and the maximum of each channel of a map."""
    channels = len(mean)
    width = len(total)
    while width > channels:
        width //= 2
        for k in range(width):
            total[k] += total[width + k]
            largest[k] = largest[width + k] if largest[width + k] > largest[k] else largest[k]
    for c in range(channels):
        average = total[c] * channels / length
        mean[c] = average
        top[c] = largest[c] if math.isfinite(average) else average


@compiled
def _reduce(start, stop, lanes, maps, mean, top):  # type: ignore[no-untyped-def]
    """Maps as rows x (positions * channels), for the rows from `start` to `stop`; mean and top: rows x channels."""
    length = maps.shape[1]
    half = _half(length, lanes)
    total, largest = np.empty(lanes), np.empty(lanes, maps.dtype)
    for row in range(start, stop):
        total[:] = 0
        largest[:] = -np.inf
        for begin in range(0, half, lanes):
            one, other = maps[row, begin : begin + lanes], maps[row, half + begin : half + begin + lanes]
            _add_and_compare_two(one, other, total, largest)
        for begin in range(2 * half, length, lanes):
            end = min(begin + lanes, length)
            _add_and_compare(maps[row, begin:end], total[: end - begin], largest[: end - begin])
        _fold(total, largest, length, mean[row], top[row])


@inlined
def _normalize(row, scale, shift, normalized):  # type: ignore[no-untyped-def]
    for k in range(len(row)):
        normalized[k] = row[k] * scale[k] + shift[k]


# Taylor's coefficients of exp, from that of the square on
EXPONENTIAL = tuple(np.float32(1 / math.factorial(k)) for k in range(2, 8))
PER_LOG_2 = np.float32(1 / math.log(2))
LOG_2 = np.float32(0.693359375)  # so short that a product with a small integer is exact
REST_OF_LOG_2 = np.float32(math.log(2) - 0.693359375)
TO_INTEGER = np.float32(1.5 * 2**23)  # adding it and taking it away again rounds to the nearest integer
LOWEST = np.float32(-20)  # exp(x) - 1 is -1 in float32 from there on


@inlined
def _elu(row, alpha, activated):  # type: ignore[no-untyped-def]
    """x where it is positive, else alpha * (exp(x) - 1). By a polynomial, because a library's exp is not vectorized:
    with x = n log(2) + r, exp(x) - 1 = 2^n (exp(r) - 1) + (2^n - 1) (Cody and Waite 1980, "Software Manual for the
    Elementary Functions", chapter 6)."""
    zero, one = np.float32(0), np.float32(1)
    for k in range(len(row)):
        x = zero if row[k] > zero else row[k]  # NaN stays NaN
        x = LOWEST if x < LOWEST else x
        n = (x * PER_LOG_2 + TO_INTEGER) - TO_INTEGER
        r = (x - n * LOG_2) - n * REST_OF_LOG_2
        p = EXPONENTIAL[5] * r + EXPONENTIAL[4]
        p = ((p * r + EXPONENTIAL[3]) * r + EXPONENTIAL[2]) * r + EXPONENTIAL[1]
        p = (p * r + EXPONENTIAL[0]) * r * r + r
        power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)  # 2^n, by its bits
        activated[k] = row[k] if row[k] > zero else alpha * (power * p + (power - one))


@inlined
def _rectify(row, floor, rectified):  # type: ignore[no-untyped-def]
    for k in range(len(row)):
        rectified[k] = floor if row[k] < floor else row[k]  # NaN stays NaN


@inlined
def _activate(row, floor, alpha, activated):  # type: ignore[no-untyped-def]
    if alpha == 0:
        _rectify(row, floor, activated)
    else:
        _elu(row, alpha, activated)


@compiled
def _fuse(  # type: ignore[no-untyped-def]
    start, stop, maps, scale, shift, floor, alpha, normalized, stages, mean, top
):
    """`_reduce` of the maps (stage 0), of the maps normalized (1, into `normalized` unless that is empty) and of those
    activated (2, into the maps), of which `stages` says which there are.

    maps, normalized: rows x (positions * channels); scale, shift: one a lane; mean, top: 3 x rows x channels.
    """
    length, lanes = maps.shape[1], len(scale)
    half = _half(length, lanes)
    total, largest = np.empty((3, lanes)), np.empty((3, lanes), maps.dtype)
    passing = np.empty((2, lanes), maps.dtype)
    normalizes, activates = 1 in stages, 2 in stages
    for row in range(start, stop):
        total[:] = 0
        largest[:] = -np.inf
        for begin in range(0, half, lanes):
            one, other = maps[row, begin : begin + lanes], maps[row, half + begin : half + begin + lanes]
            if len(normalized):
                first = normalized[row, begin : begin + lanes]
                second = normalized[row, half + begin : half + begin + lanes]
            else:
                first, second = passing[0], passing[1]
            _add_and_compare_two(one, other, total[0], largest[0])
            _normalize(one, scale, shift, first)
            _normalize(other, scale, shift, second)
            if normalizes:
                _add_and_compare_two(first, second, total[1], largest[1])
            _activate(first, floor, alpha, one)
            _activate(second, floor, alpha, other)
            if activates:
                _add_and_compare_two(one, other, total[2], largest[2])
        for begin in range(2 * half, length, lanes):
            end = min(begin + lanes, length)
            one, width = maps[row, begin:end], end - begin
            first = normalized[row, begin:end] if len(normalized) else passing[0, :width]
            _add_and_compare(one, total[0, :width], largest[0, :width])
            _normalize(one, scale, shift, first)
            if normalizes:
                _add_and_compare(first, total[1, :width], largest[1, :width])
            _activate(first, floor, alpha, one)
            if activates:
                _add_and_compare(one, total[2, :width], largest[2, :width])
        for each in stages:
            _fold(total[each], largest[each], length, mean[each, row], top[each, row])
