"""Rotation is torchvision's, image by image, and exact at quarter turns."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2.functional import rotate as torchvision_rotate

from rotvar.errors import InputError
from rotvar.rotation import angles, present, rotate


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def torchvision_one_by_one(images: torch.Tensor, degrees: torch.Tensor) -> torch.Tensor:
    pairs = zip(images, degrees.tolist(), strict=True)
    return torch.stack([torchvision_rotate(i, d, InterpolationMode.BILINEAR, fill=0) for i, d in pairs])


def test_the_default_grid_is_sixteen_angles_from_minus_180_to_157_and_a_half():
    grid = angles(16)
    assert grid[0] == -180 and grid[-1] == 157.5
    assert torch.equal(grid.diff(), torch.full((15,), 22.5, dtype=torch.float64))


def test_one_angle_is_refused():
    with pytest.raises(InputError, match="angles: 1 given"):
        angles(1)


@pytest.mark.parametrize("count", [2.5, 16.0, "16"])
def test_a_count_of_angles_that_is_no_whole_number_is_refused(count):
    with pytest.raises(InputError, match=f"^angles: {count} given, but a grid has a whole number of them, such as 16$"):
        angles(count)


def test_a_count_of_angles_may_be_one_of_numpy():
    assert torch.equal(angles(np.int64(4)), angles(4))


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 7, 7), (2, 9, 14)])
def test_each_image_is_turned_by_its_own_angle_as_torchvision_turns_it(shape):
    degrees = torch.tensor([-180, -157.5, -101.3, -90, -45, -1e-3, 0, 0.5, 22.5, 33.3, 90, 135, 157.5, 179.99, 180])
    images = noise(len(degrees), *shape)
    torch.testing.assert_close(rotate(images, degrees), torchvision_one_by_one(images, degrees), atol=1e-5, rtol=0)


@settings(max_examples=30, deadline=None)
@given(st.floats(-720, 720), st.integers(2, 40))
def test_any_angle_and_size_agrees_with_torchvision(degrees, size):
    images = noise(1, 1, size, size).double()  # of large float32 images, torchvision's rounding alone comes to 1e-5
    turned = rotate(images, torch.tensor([degrees], dtype=torch.float64))
    expected = torchvision_rotate(images, degrees, InterpolationMode.BILINEAR, fill=0)
    torch.testing.assert_close(turned, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [28, 31, 32])
def test_quarter_turns_are_bit_exact(size):
    images = noise(9, 3, size, size)
    degrees = torch.arange(-4, 5) * 90.0
    for image, turned, k in zip(images, rotate(images, degrees), range(-4, 5), strict=True):
        assert torch.equal(turned, torch.rot90(image, k, dims=(-2, -1)))


def test_half_turns_of_a_rectangle_are_bit_exact():
    images = noise(3, 2, 9, 14)
    turned = rotate(images, torch.tensor([-180.0, 180.0, 540.0]))
    assert torch.equal(turned, torch.rot90(images, 2, dims=(-2, -1)))


# Trigonometry, without torchvision


def test_a_bright_point_goes_where_trigonometry_says():
    """12 pixels to the right of the centre, by each angle of the default grid and a few more.

    The peer library tmeasures (1.2.11) fails this: it multiplies its parameter, a fraction of a turn, by 180 and takes
    the product for radians, so that a quarter turn becomes 45 radians, which is 58 degrees, and an even grid of angles
    an uneven one.
    """
    degrees = torch.cat([angles(16), torch.tensor([-101.3, -0.25, 1, 10, 45, 58.3, 350])])
    image = torch.zeros(1, 33, 33)
    image[0, 16, 16 + 12] = 1
    light = rotate(image.expand(len(degrees), 1, 33, 33), degrees)[:, 0].double()
    light /= light.sum((1, 2), keepdim=True)
    steps = torch.arange(-16, 17, dtype=torch.float64)
    right, up = (light.sum(1) * steps).sum(1), -(light.sum(2) * steps).sum(1)  # its centre of gravity
    radians = degrees * torch.pi / 180
    torch.testing.assert_close(right, 12 * radians.cos(), atol=0.1, rtol=0)
    torch.testing.assert_close(up, 12 * radians.sin(), atol=0.1, rtol=0)


@settings(max_examples=30, deadline=None)
@given(st.floats(-720, 720))
def test_a_ramp_rises_in_the_direction_it_is_turned_to(degrees):
    """Interpolation is exact on a ramp: what rose by 1 a pixel to the right rises by cos to the right and sin up."""
    right = torch.arange(-8.0, 9).expand(17, 17)
    up = -right.T
    turned = rotate(right.expand(1, 1, 17, 17), torch.tensor([degrees], dtype=torch.float64))[0, 0]
    radians = math.radians(degrees)
    whole = right**2 + up**2 < 8**2  # what nothing from outside comes into
    expected = math.cos(radians) * right + math.sin(radians) * up
    torch.testing.assert_close(turned[whole], expected[whole], atol=1e-5, rtol=0)


def test_positive_angles_turn_counter_clockwise():
    image = torch.zeros(1, 1, 5, 5)
    image[0, 0, 0, 2] = 1  # the top
    assert rotate(image, torch.tensor([90.0]))[0, 0, 2, 0] == 1  # goes to the left


@pytest.mark.parametrize(("dtype", "close"), [(torch.float16, 1e-3), (torch.bfloat16, 8e-3)], ids=str)
def test_half_precision_is_that_of_the_pixels_and_not_of_the_places(dtype, close):
    images = torch.rand(4, 1, 224, 224, generator=torch.Generator().manual_seed(0)).to(dtype)
    degrees = torch.tensor([33.0, -77.0, 12.5, 170.0])
    turned = rotate(images, degrees)
    assert turned.dtype == dtype
    torch.testing.assert_close(turned.float(), rotate(images.float(), degrees), atol=close, rtol=0)


def test_what_comes_in_from_outside_is_black():
    white = torch.ones(1, 1, 32, 32)
    turned = rotate(white, torch.tensor([45.0]))
    assert turned[0, 0, 0, 0] == 0 and turned[0, 0, 16, 16] == pytest.approx(1)


def test_angles_must_match_the_images():
    with pytest.raises(InputError, match=r"^degrees: \(\) given for 2 images, one angle per image needed$"):
        rotate(noise(2, 1, 5, 5), 30)
    with pytest.raises(InputError, match="one angle per image"):
        rotate(noise(3, 1, 8, 8), torch.zeros(2))


def test_images_are_rotated_before_they_are_normalized():
    """The black that comes in is black before normalization: -mean / std after it."""
    images = torch.full((1, 1, 8, 8), 255, dtype=torch.uint8)
    seen = present(images, torch.tensor([45.0]), torch.tensor([0.5]), torch.tensor([0.25]))
    assert seen[0, 0, 0, 0] == -2 and seen[0, 0, 4, 4] == pytest.approx(2)
