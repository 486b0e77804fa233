"""Rotation of images: the regular grid of angles to measure with, and one angle per image in a batch."""

import torch
from torch import Tensor

from rotvar.errors import InputError


def angles(n: int) -> Tensor:
    """The n angles of a measurement, in degrees: from -180 in equal steps of 360 / n (float64, n).

    Raises InputError for n < 2: a standard deviation over rotations needs two of them.
    """
    if n < 2:
        raise InputError(f"angles: {n} given, but a standard deviation over rotations needs at least 2")
    return 360 * torch.arange(n, dtype=torch.float64) / n - 180


def random_angles(n: int, limit: float, generator: torch.Generator) -> Tensor:
    """n angles in degrees, independent and uniform in [-limit, limit) (float64, n, on the CPU)."""
    return (2 * torch.rand(n, dtype=torch.float64, generator=generator) - 1) * limit


def rotate(images: Tensor, degrees: Tensor) -> Tensor:
    """Rotate each image by its own angle about the image centre, counter-clockwise.

    `images`: float, N x C x H x W; `degrees`: N. Bilinear interpolation; what comes in from outside is 0. Equal to
    torchvision's `rotate(image, angle, BILINEAR, fill=0)` image by image, and exactly `torch.rot90` at multiples of
    90 degrees. Pass `degrees` on the CPU: it is examined there, and a GPU then need not be waited for.
    """
    degrees = degrees.detach().to("cpu", torch.float64)
    if degrees.shape != images.shape[:1]:
        raise InputError(f"degrees: {tuple(degrees.shape)} given for {len(images)} images, one angle per image needed")
    rotated = _interpolate(images, degrees)
    exact = degrees.remainder(90) == 0
    if exact.any():
        _turn_quarters(images, degrees, exact, rotated)
    return rotated


def present(images: Tensor, degrees: Tensor | None, mean: Tensor | None = None, std: Tensor | None = None) -> Tensor:
    """What a network sees of a batch: scaled to [0, 1] where it is uint8, rotated, and only then normalized.

    `images`: N x C x H x W, uint8 or float; `degrees`: N, or None for no rotation; `mean` and `std`: C, or None.
    """
    images = images.float() / 255 if images.dtype == torch.uint8 else images
    images = images if degrees is None else rotate(images, degrees)
    if mean is not None:
        images = images - mean.view(-1, 1, 1)
    if std is not None:
        images = images / std.view(-1, 1, 1)
    return images


def _turn_quarters(images: Tensor, degrees: Tensor, exact: Tensor, rotated: Tensor) -> None:
    """Replace what is rotated by whole quarter turns (`exact`: bool, N) by the pixels that interpolation blurs."""
    quarters = (degrees / 90).remainder(4)
    square = images.shape[-1] == images.shape[-2]
    for k in range(4) if square else (0, 2):
        index = torch.nonzero(exact & (quarters == k)).flatten()
        if len(index):
            index = index.to(images.device, non_blocking=True)
            rotated[index] = torch.rot90(images[index], k, dims=(-2, -1))


def _interpolate(images: Tensor, degrees: Tensor) -> Tensor:
    """Rotate by bilinear interpolation: each output pixel reads the place that the rotation brings to it."""
    n, _, height, width = images.shape
    radians = torch.deg2rad(degrees)
    cos, sin = radians.cos(), radians.sin()
    turn = torch.stack([cos, sin, -sin, cos]).to(images.device, torch.float32, non_blocking=True)
    right, down = turn.view(2, 2, n, 1, 1)  # where one step to the right, and one down, leads: x and y, 2 x N x 1 x 1
    # Pixel centres, with the origin at the centre of the image and y downwards
    x = torch.arange(width, dtype=torch.float32, device=images.device) - (width - 1) / 2  # W
    y = (torch.arange(height, dtype=torch.float32, device=images.device) - (height - 1) / 2).unsqueeze(1)  # H x 1
    places = right * x + down * y  # 2 x N x H x W, in one pass over what is large; grid_sample takes it as it lies
    from_x, from_y = places
    # A pixel at the border is read partly from outside; torchvision blends it with the fill by that part, once more
    # than the interpolation itself has done. We do as torchvision does, so that its users get their own pixels.
    inside = ((width + 1) / 2 - from_x.abs()).clamp_(0, 1) * ((height + 1) / 2 - from_y.abs()).clamp_(0, 1)
    from_x *= 2 / width  # in place: `places` becomes the grid, from -1 to 1
    from_y *= 2 / height
    grid = places.permute(1, 2, 3, 0).to(images.dtype)
    rotated = torch.nn.functional.grid_sample(images, grid, mode="bilinear", align_corners=False)
    return rotated.mul_(inside.unsqueeze(1).to(images.dtype))
