"""Rotation of images, each by its own angle, and the regular grid of angles to measure with."""

from collections.abc import Callable
from numbers import Integral

import torch
from torch import Tensor, nn

from rotvar.affine import interpolate
from rotvar.errors import InputError


def angles(n: int) -> Tensor:
    """The n angles of a measurement, in degrees: from -180 in equal steps of 360 / n (float64, n, on the CPU).

    Raises InputError for n < 2, since a standard deviation over rotations needs two of them, and for no whole number.
    """
    if not isinstance(n, Integral):
        raise InputError(f"angles: {n} given, but a grid has a whole number of them, such as 16")
    if n < 2:
        raise InputError(f"angles: {n} given, but a standard deviation over rotations needs at least 2")
    return 360 * torch.arange(n, dtype=torch.float64, device="cpu") / n - 180


def rotate(images: Tensor, degrees: Tensor) -> Tensor:
    """Rotate each image by its own angle about the image centre, counter-clockwise.

    `images`: float, N x C x H x W; `degrees`: N. Bilinear interpolation; what comes in from outside is 0. Equal to
    torchvision's `rotate(image, angle, BILINEAR, fill=0)` image by image, and exactly `torch.rot90` at multiples of 90
    degrees (180, where images are not square). Pass `degrees` on the CPU: it is examined there, and a GPU then need not
    be waited for. Raises InputError for more or fewer angles than images.
    """
    degrees = torch.as_tensor(degrees, dtype=torch.float64, device="cpu").detach()
    if degrees.shape != images.shape[:1]:
        raise InputError(f"degrees: {tuple(degrees.shape)} given for {len(images)} images, one angle per image needed")
    radians = torch.deg2rad(degrees)
    cos, sin = radians.cos(), radians.sin()
    rotated = interpolate(images, torch.stack([cos, -sin, sin, cos]).view(2, 2, -1))
    exact = degrees.remainder(90) == 0
    if exact.any():
        _turn_quarters(images, degrees, exact, rotated)
    return rotated


def present(
    images: Tensor,
    parameters: Tensor | None,
    mean: Tensor | None = None,
    std: Tensor | None = None,
    transform: Callable[[Tensor, Tensor], Tensor] = rotate,
) -> Tensor:
    """What a network sees of a batch: scaled to [0, 1] where it is uint8, transformed, and only then normalized.

    `images`: N x C x H x W, uint8 or float; `parameters`: what `transform` takes besides images, for `rotate` N angles
    in degrees, or None for images as they are; `mean` and `std`: C, or None.
    """
    images = images.float() / 255 if images.dtype == torch.uint8 else images
    images = images if parameters is None else transform(images, parameters)
    if mean is not None:
        images = images - mean.view(-1, 1, 1)
    if std is not None:
        images = images / std.view(-1, 1, 1)
    return images


def sight(
    model: nn.Module, images: Tensor, mean: Tensor | None, std: Tensor | None
) -> tuple[torch.device, torch.dtype, Tensor | None, Tensor | None]:
    """The device of a network, the type in which it sees images, and what `present` normalizes them with there.

    Images of a floating-point type are seen in that, and uint8 ones in the type of the network's first weights that are
    no whole numbers, such as float64. `mean` and `std`: C numbers each, or None. Raises InputError for what is no
    network, and for images of other types.
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"the network is a {type(model).__name__}: give an nn.Module, as its builder returns")
    if not isinstance(images, Tensor):
        raise InputError(f"images are a {type(images).__name__}: give a tensor, such as torch.as_tensor(images)")
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise InputError(f"images are {images.dtype}: torch.uint8 (0 to 255) or a floating-point type is needed")
    weights = [*model.parameters(), *model.buffers()]
    device = weights[0].device if weights else images.device
    precise = images.dtype if images.is_floating_point() else torch.float32
    fractional = (each.dtype for each in weights if each.is_floating_point() or each.is_complex())
    seen_as = precise if images.is_floating_point() else next(fractional, precise)
    mean, std = (None if each is None else torch.as_tensor(each, dtype=precise, device=device) for each in (mean, std))
    return device, seen_as, mean, std


def present_at_all(
    images: Tensor,
    angles: Tensor,
    mean: Tensor | None = None,
    std: Tensor | None = None,
    transform: Callable[[Tensor, Tensor], Tensor] = rotate,
) -> Tensor:
    """What a network sees of each image at every angle, image after image: (N * R) x C x H x W.

    `angles`: R, or R x P where `transform` takes P parameters an image; everything else as in `present`.
    """
    parameters = angles.repeat(len(images), *[1] * (angles.dim() - 1))
    return present(images.repeat_interleave(len(angles), 0), parameters, mean, std, transform)


def seeing(
    model: nn.Module,
    images: Tensor,
    mean: Tensor | None,
    std: Tensor | None,
    transform: Callable[[Tensor, Tensor], Tensor] = rotate,
) -> tuple[torch.device, Callable[[Tensor, Tensor], Tensor]]:
    """The device of a network, and `present_at_all` for it: of a batch of `images` and angles, what it sees there.

    Raises InputError as `sight` does, and for images of another shape.
    """
    device, seen_as, mean, std = sight(model, images, mean, std)
    if images.dim() != 4:
        raise InputError(f"images are {tuple(images.shape)}: N x C x H x W is needed")

    def seen(batch: Tensor, angles: Tensor) -> Tensor:
        batch = batch.to(device, non_blocking=device.type == "cuda")  # a CPU has to wait for what comes from a GPU
        return present_at_all(batch, angles, mean, std, transform).to(seen_as)

    return device, seen


def _turn_quarters(images: Tensor, degrees: Tensor, exact: Tensor, rotated: Tensor) -> None:
    """Replace what is rotated by whole quarter turns (`exact`: bool, N) by the pixels that interpolation blurs."""
    quarters = (degrees / 90).remainder(4)
    square = images.shape[-1] == images.shape[-2]
    for k in range(4) if square else (0, 2):
        index = torch.nonzero(exact & (quarters == k)).flatten()
        if len(index):
            index = index.to(images.device, non_blocking=True)
            rotated[index] = torch.rot90(images[index], k, dims=(-2, -1))
