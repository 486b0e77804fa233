"""Images of one data set as a network trained on another takes them."""

import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode, functional

from rotvar.errors import InputError


def adapt(images: Tensor, channels: int, image_size: int) -> Tensor:
    """Bring images (uint8, N x C x H x W) to N x channels x image_size x image_size, uint8.

    Colour becomes grey as ITU-R BT.601 weighs red, green and blue (0.2989, 0.587, 0.114), grey becomes three equal
    channels, and the size changes by bilinear interpolation, with antialiasing where it shrinks: all as torchvision
    does it. Images that have the shape already are handed on as they are.

    Raises InputError for images of another type, and for other numbers of channels than 1 and 3.
    """
    if images.dtype != torch.uint8 or images.dim() != 4:
        raise InputError(f"images are {images.dtype}, {tuple(images.shape)}: uint8, N x C x H x W, is needed")
    given = images.shape[1]
    if given != channels and {given, channels} != {1, 3}:
        raise InputError(
            f"images of {given} channels cannot become ones of {channels}: only grey (1) and colour (3) can"
        )
    if given > channels:
        images = functional.rgb_to_grayscale(images)
    if images.shape[2:] != (image_size, image_size):
        size = [image_size, image_size]
        images = functional.resize(images, size, interpolation=InterpolationMode.BILINEAR, antialias=True)
    return images.expand(-1, channels, -1, -1) if given < channels else images
