"""Rotation is torchvision's, image by image, and exact at quarter turns."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2.functional import rotate as torchvision_rotate

from rotvar.errors import InputError
from rotvar.rotation import angles, present, random_angles, rotate


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


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 7, 7), (2, 9, 14)])
def test_each_image_is_turned_by_its_own_angle_as_torchvision_turns_it(shape):
    degrees = torch.tensor([-180, -157.5, -101.3, -90, -45, -1e-3, 0, 0.5, 22.5, 33.3, 90, 135, 157.5, 179.99, 180])
    images = noise(len(degrees), *shape)
    torch.testing.assert_close(rotate(images, degrees), torchvision_one_by_one(images, degrees), atol=1e-5, rtol=0)


@settings(max_examples=30, deadline=None)
@given(st.floats(-720, 720), st.integers(2, 40))
def test_any_angle_and_size_agrees_with_torchvision(degrees, size):
    images = noise(1, 1, size, size)
    turned = rotate(images, torch.tensor([degrees], dtype=torch.float64))
    expected = torchvision_rotate(images, degrees, InterpolationMode.BILINEAR, fill=0)
    torch.testing.assert_close(turned, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [28, 31, 32])
def test_quarter_turns_are_bit_exact(size):
    images = noise(9, 3, size, size)
    degrees = torch.arange(-4, 5) * 90.0
    for image, turned, k in zip(images, rotate(images, degrees), range(-4, 5), strict=True):
        assert torch.equal(turned, torch.rot90(image, k, dims=(-2, -1)))


def test_positive_angles_turn_counter_clockwise():
    image = torch.zeros(1, 1, 5, 5)
    image[0, 0, 0, 2] = 1  # the top
    assert rotate(image, torch.tensor([90.0]))[0, 0, 2, 0] == 1  # goes to the left


def test_what_comes_in_from_outside_is_black():
    white = torch.ones(1, 1, 32, 32)
    turned = rotate(white, torch.tensor([45.0]))
    assert turned[0, 0, 0, 0] == 0 and turned[0, 0, 16, 16] == pytest.approx(1)


def test_angles_must_match_the_images():
    with pytest.raises(InputError, match="one angle per image"):
        rotate(noise(3, 1, 8, 8), torch.zeros(2))


def test_random_angles_fill_the_half_open_interval():
    drawn = random_angles(100_000, 180, torch.Generator().manual_seed(0))
    assert -180 <= drawn.min() < -179.9 and 179.9 < drawn.max() < 180
    assert drawn.mean().abs() < 1.5


def test_images_are_rotated_before_they_are_normalized():
    """The black that comes in is black before normalization: -mean / std after it."""
    images = torch.full((1, 1, 8, 8), 255, dtype=torch.uint8)
    seen = present(images, torch.tensor([45.0]), torch.tensor([0.5]), torch.tensor([0.25]))
    assert seen[0, 0, 0, 0] == -2 and seen[0, 0, 4, 4] == pytest.approx(2)
