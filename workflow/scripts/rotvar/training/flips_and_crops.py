"""Changes of training images besides rotation, for who wants them: flips and crops."""

import torch
from torch import Tensor
from torch.nn import functional

PADDING = 4  # pixels; what is usual for CIFAR10 since He et al. 2015 (arXiv 1512.03385, section 4.2)


def flip_and_crop(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image left to right with probability 1/2 and shift it by up to `PADDING` pixels either way, what
    comes in being 0: a crop of its own size from the padded image.

    `images`: N x C x H x W, of any type and on any device; `generator`: on the CPU.
    """
    n, _, height, width = images.shape
    mirrored = torch.rand(n, generator=generator) < 0.5
    down, right = torch.randint(2 * PADDING + 1, (2, n, 1), generator=generator)
    rows = torch.arange(height) + down  # N x H
    columns = torch.arange(width)
    columns = torch.where(mirrored.unsqueeze(1), columns.flip(0), columns) + right  # N x W
    padded = functional.pad(images, (PADDING,) * 4)
    image, rows, columns = (
        index.to(images.device, non_blocking=True)
        for index in (torch.arange(n).view(n, 1, 1), rows.unsqueeze(2), columns.unsqueeze(1))
    )
    return padded[image, :, rows, columns].permute(0, 3, 1, 2)
