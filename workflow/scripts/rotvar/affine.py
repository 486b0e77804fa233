"""Images moved, turned, scaled and sheared about their centre, each by its own amounts, in one interpolation."""

import torch
from torch import Tensor


def affine(
    images: Tensor,
    *,
    rotation: Tensor | float = 0.0,
    right: Tensor | float = 0.0,
    down: Tensor | float = 0.0,
    scale: Tensor | float = 1.0,
    shear: Tensor | float = 0.0,
) -> Tensor:
    """Shear each image, scale it, rotate it about its centre, then move it, by its own amounts.

    `images`: float, N x C x H x W. The others are N each, on the CPU, or one number for all images: `rotation` in
    degrees, counter-clockwise; `right` and `down` in pixels; `scale` a factor; `shear` in degrees, along x. Bilinear
    interpolation; what comes in from outside is 0. Equal to torchvision's `affine(image, -rotation, [right, down],
    scale, [shear, 0], BILINEAR, fill=0)`, whose rotation is clockwise, image by image.
    """
    back, moved = places_read(len(images), rotation=rotation, right=right, down=down, scale=scale, shear=shear)
    return interpolate(images, back, moved)


def places_read(
    n: int,
    *,
    rotation: Tensor | float = 0.0,
    right: Tensor | float = 0.0,
    down: Tensor | float = 0.0,
    scale: Tensor | float = 1.0,
    shear: Tensor | float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Where each pixel of n images that `affine` transforms comes from: `back`, 2 x 2 x n, and `moved`, 2 x n, as
    `interpolate` takes them."""
    amounts = (rotation, right, down, scale, shear)
    numbers = (torch.as_tensor(one, dtype=torch.float64, device="cpu").expand(n) for one in amounts)
    angle, right, down, scale, shear = numbers
    radians, slant = torch.deg2rad(angle), torch.deg2rad(shear).tan()
    cos, sin = radians.cos(), radians.sin()
    # The inverse of the whole: turned back, sheared back, scaled back (y points down)
    back = torch.stack([cos + slant * sin, slant * cos - sin, sin, cos]).view(2, 2, -1) / scale
    return back, -torch.einsum("ijn,jn->in", back, torch.stack([right, down]))


def interpolate(images: Tensor, back: Tensor, moved: Tensor | None = None) -> Tensor:
    """Transform by bilinear interpolation: each output pixel p reads the place `back @ p + moved`.

    `images`: float, N x C x H x W; `back`: 2 x 2 x N, `moved`: 2 x N, in pixels from the centre of the image, x to the
    right and y down; on the CPU. What comes in from outside is 0.
    """
    n, _, height, width = images.shape
    step = back.to(images.device, torch.float32, non_blocking=True).view(2, 2, n, 1, 1)
    # Pixel centres, with the origin at the centre of the image
    x = torch.arange(width, dtype=torch.float32, device=images.device) - (width - 1) / 2  # W
    y = (torch.arange(height, dtype=torch.float32, device=images.device) - (height - 1) / 2).unsqueeze(1)  # H x 1
    places = step[:, 0] * x + step[:, 1] * y  # 2 x N x H x W, in one pass over what is large; grid_sample takes it so
    if moved is not None:
        places += moved.to(images.device, torch.float32, non_blocking=True).view(2, n, 1, 1)
    from_x, from_y = places
    # A pixel at the border is read partly from outside; torchvision blends it with the fill by that part, once more
    # than the interpolation itself has done. We do as torchvision does, so that its users get their own pixels.
    inside = ((width + 1) / 2 - from_x.abs()).clamp_(0, 1) * ((height + 1) / 2 - from_y.abs()).clamp_(0, 1)
    from_x *= 2 / width  # in place: `places` becomes the grid, from -1 to 1
    from_y *= 2 / height
    precise = images if images.dtype in (torch.float32, torch.float64) else images.float()  # half a grid misses pixels
    grid = places.permute(1, 2, 3, 0).to(precise.dtype)
    read = torch.nn.functional.grid_sample(precise, grid, mode="bilinear", align_corners=False)
    return read.mul_(inside.unsqueeze(1).to(read.dtype)).to(images.dtype)
