"""Images in another shape are what Pillow, through torchvision's functional transforms, makes of them one by one."""

import numpy as np
import pytest
import torch
from torchvision.transforms import InterpolationMode, functional

from rotvar.errors import InputError
from rotvar.questions import transfer


def images(channels: int, size: int) -> torch.Tensor:
    """Smooth ones with an edge in them: noise alone would show little of an interpolation."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(5, channels, 6, 6, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic").clamp(0, 1)
    smooth[:, :, size // 3 :, : size // 2] *= 0.2
    return (255 * smooth).round().to(torch.uint8)


def by_pillow(image: torch.Tensor, channels: int, size: int) -> np.ndarray:
    """C x size x size"""
    picture = functional.to_pil_image(image)
    picture = functional.rgb_to_grayscale(picture) if channels < len(image) else picture
    picture = functional.resize(picture, [size, size], InterpolationMode.BILINEAR)
    array = np.asarray(picture, dtype=np.int64)
    return np.moveaxis(array, 2, 0) if array.ndim == 3 else array[None].repeat(channels, 0)


@pytest.mark.parametrize("size", [8, 28, 32, 64])
@pytest.mark.parametrize(("given", "wanted"), [(1, 1), (1, 3), (3, 1), (3, 3)])
def test_adapted_images_are_pillows(given, wanted, size):
    for original in (28, 32):
        adapted = transfer.adapt(images(given, original), wanted, size)
        assert adapted.dtype == torch.uint8
        assert adapted.shape == (5, wanted, size, size)
        expected = np.stack([by_pillow(image, wanted, size) for image in images(given, original)])
        error = np.abs(adapted.numpy().astype(np.int64) - expected)
        assert error.max() <= (given > wanted)  # torchvision rounds a luma down, Pillow to the nearest


def test_grey_is_the_luma_of_red_green_and_blue():
    colours = torch.tensor([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [10, 200, 90]], dtype=torch.uint8)
    grey = transfer.adapt(colours.view(5, 3, 1, 1).expand(-1, -1, 4, 4), 1, 4)[:, 0, 0, 0]
    luma = colours.double() @ torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)
    assert (grey.double() - luma).abs().max() <= 1


def test_shrinking_is_antialiased():
    """A chequerboard of pixels becomes its mean, where an interpolation of neighbours alone would keep pixels."""
    board = (255 * (torch.arange(32).view(-1, 1) + torch.arange(32)).remainder(2)).to(torch.uint8).view(1, 1, 32, 32)
    small = transfer.adapt(board, 1, 8)[0, 0, 1:-1, 1:-1]
    assert 120 < small.min() <= small.max() < 135


def test_images_of_the_right_shape_stay_as_they_are():
    assert torch.equal(transfer.adapt(images(3, 32), 3, 32), images(3, 32))


@pytest.mark.parametrize(
    ("given", "channels", "sentence"),
    [
        (images(1, 8).float(), 1, r"images are torch.float32, \(5, 1, 8, 8\): uint8, N x C x H x W, is needed"),
        (images(1, 8)[0], 1, r"images are torch.uint8, \(1, 8, 8\)"),
        (
            images(1, 8).expand(-1, 2, -1, -1),
            3,
            r"images of 2 channels cannot become ones of 3: only grey \(1\) and colour \(3\) can",
        ),
        (images(3, 8), 4, "images of 3 channels cannot become ones of 4"),
    ],
)
def test_what_cannot_be_adapted_is_said(given, channels, sentence):
    with pytest.raises(InputError, match=sentence):
        transfer.adapt(given, channels, 8)
