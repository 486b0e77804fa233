"""Each family is torchvision's, image by image; drawn within its limit, or on a regular grid."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as torchvision

from rotvar.errors import InputError
from rotvar.rotation import angles, rotate
from rotvar.transformations import FAMILIES, ROTATION, Transformation

SHAPES = [(1, 28, 28), (3, 32, 32), (3, 9, 14)]


def noise(n: int, *shape: int) -> torch.Tensor:
    return torch.rand((n, *shape), generator=torch.Generator().manual_seed(0))


def shift(image: torch.Tensor, angle=0.0, right=0.0, down=0.0, scale=1.0, shear=0.0) -> torch.Tensor:
    """torchvision's affine map, whose angle is clockwise and whose translation is in pixels."""
    pixels = [right * image.shape[-1], down * image.shape[-2]]
    return torchvision.affine(image, -angle, pixels, scale, [shear, 0.0], InterpolationMode.BILINEAR, fill=0)


def blur(image: torch.Tensor, sigma: float) -> torch.Tensor:
    return torchvision.gaussian_blur(image, 2 * math.ceil(3 * sigma) + 1, sigma) if sigma else image


# What torchvision does to one image, given the family's parameters, and how much of the family is tried
REFERENCES = {
    "rotation": (lambda image, angle: torchvision.rotate(image, angle, InterpolationMode.BILINEAR, fill=0), 180),
    "translation": (lambda image, right, down: shift(image, right=right, down=down), 0.4),
    "scale": (lambda image, factor: shift(image, scale=factor), 0.8),
    "shear": (lambda image, angle: shift(image, shear=angle), 50),
    "horizontal_flip": (lambda image, mirrored: torchvision.horizontal_flip(image) if mirrored else image, 0.5),
    "vertical_flip": (lambda image, mirrored: torchvision.vertical_flip(image) if mirrored else image, 0.5),
    "blur": (blur, 1.3),
    "brightness": (torchvision.adjust_brightness, 0.8),
    "contrast": (torchvision.adjust_contrast, 0.8),
}


def test_every_family_is_compared_with_torchvision():
    assert list(REFERENCES) == list(FAMILIES)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", FAMILIES)
def test_each_image_is_changed_by_its_own_parameters_as_torchvision_changes_it(name, shape):
    reference, limit = REFERENCES[name]
    transformation = Transformation({name: limit})
    for parameters in (transformation.draw(20, torch.Generator().manual_seed(1)), transformation.grid(5)):
        images = noise(len(parameters), *shape)
        expected = [reference(image, *row) for image, row in zip(images, parameters.tolist(), strict=True)]
        torch.testing.assert_close(transformation(images, parameters), torch.stack(expected), atol=2e-5, rtol=0)


@pytest.mark.parametrize("shape", SHAPES)
def test_movements_together_are_one_affine_map(shape):
    transformation = Transformation({"shear": 30, "scale": 0.5, "rotation": 180, "translation": 0.3})
    parameters = transformation.draw(30, torch.Generator().manual_seed(2))
    images = noise(30, *shape)
    expected = [shift(image, *row) for image, row in zip(images, parameters.tolist(), strict=True)]
    torch.testing.assert_close(transformation(images, parameters), torch.stack(expected), atol=2e-5, rtol=0)


def test_others_follow_the_movement_in_a_fixed_order():
    transformation = Transformation({"contrast": 0.5, "blur": 1.0, "rotation": 90, "horizontal_flip": 0.5})
    parameters = transformation.draw(10, torch.Generator().manual_seed(3))
    images = noise(10, 3, 16, 16)
    expected = images
    for column, name in enumerate(["rotation", "horizontal_flip", "blur", "contrast"]):
        values = parameters[:, column].tolist()
        pairs = zip(expected, values, strict=True)
        expected = torch.stack([REFERENCES[name][0](image, value) for image, value in pairs])
    torch.testing.assert_close(transformation(images, parameters), expected, atol=2e-5, rtol=0)


def test_rotation_alone_is_rotation_to_the_bit_and_takes_plain_angles():
    images = noise(16, 1, 28, 28)
    assert torch.equal(Transformation({"rotation": 180})(images, angles(16)), rotate(images, angles(16)))
    assert torch.equal(Transformation({"rotation": 180}).grid(16).flatten(), angles(16))


def test_random_angles_fill_the_half_open_interval():
    drawn = ROTATION.draw(100_000, torch.Generator().manual_seed(0))
    assert -180 <= drawn.min() < -179.9 and 179.9 < drawn.max() < 180
    assert drawn.mean().abs() < 1.5


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.sampled_from(list(FAMILIES)), st.floats(0.01, 1), min_size=1))
def test_what_is_drawn_lies_within_the_limits_and_is_the_same_for_a_seed(limits):
    transformation = Transformation(limits)
    drawn = transformation.draw(50, torch.Generator().manual_seed(0))
    assert torch.equal(drawn, transformation.draw(50, torch.Generator().manual_seed(0)))
    assert drawn.shape == (50, len(transformation.parameters))
    lowest, highest = transformation.grid(2).amin(0), transformation.grid(2).amax(0)
    assert (drawn >= lowest).all()
    assert (drawn <= highest).all()


def test_a_flip_mirrors_its_share_of_the_images():
    assert Transformation({"vertical_flip": 0.25}).draw(10_000, torch.Generator()).mean() == pytest.approx(
        0.25, abs=0.02
    )
    assert Transformation({"vertical_flip": 1}).draw(100, torch.Generator()).min() == 1


@pytest.mark.parametrize(
    ("limits", "samples", "expected"),
    [
        ({"rotation": 30}, 3, [[-30], [0], [30]]),
        ({"rotation": 180}, 4, [[-180], [-90], [0], [90]]),
        ({"translation": 0.2}, 2, [[-0.2, -0.2], [-0.2, 0.2], [0.2, -0.2], [0.2, 0.2]]),
        ({"scale": 1}, 3, [[0.5], [1], [2]]),
        ({"horizontal_flip": 0.1}, 7, [[0], [1]]),
        ({"blur": 2}, 3, [[0], [1], [2]]),
        ({"contrast": 0.5}, 3, [[0.5], [1], [1.5]]),
        ({"vertical_flip": 1, "rotation": 180}, 2, [[-180, 0], [-180, 1], [0, 0], [0, 1]]),
    ],
)
def test_the_grid_holds_every_combination_of_equal_steps(limits, samples, expected):
    grid = Transformation(limits).grid(samples)
    torch.testing.assert_close(grid, torch.tensor(expected, dtype=torch.float64))


def test_the_parameters_are_named_in_the_order_of_the_columns():
    names = Transformation({"scale": 0.5, "translation": 0.1, "rotation": 0}).parameters
    assert names == [
        "translation: share of the width, to the right",
        "translation: share of the height, down",
        "scale: factor",
    ]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_limit_of_nothing_changes_nothing(name):
    assert Transformation({name: 0}).limits == {}
    images = noise(3, 3, 8, 8)
    assert torch.equal(Transformation({})(images, torch.zeros(3, 0)), images)


@pytest.mark.parametrize("name", FAMILIES)
def test_an_image_is_changed_alike_in_every_batch(name):
    transformation = Transformation({name: REFERENCES[name][1]})
    parameters = transformation.draw(9, torch.Generator().manual_seed(4))
    images = noise(9, 3, 16, 16)
    together = transformation(images, parameters)
    alone = torch.cat([transformation(images[i : i + 1], parameters[i : i + 1]) for i in range(9)])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"rotate": 90}, "unknown transformation 'rotate': choose among rotation, translation"),
        ({"rotation": 181}, "rotation: 181 given, but it is a number from 0 to 180"),
        ({"scale": -0.1}, "scale: -0.1 given, but it is a number from 0 to 100"),
        ({"shear": math.nan}, "shear: nan given"),
        ({"rotation": None}, "rotation: None given, but it is a number from 0 to 180"),
        ({"rotation": "90"}, "rotation: '90' given, but it is a number from 0 to 180"),
    ],
)
def test_what_makes_no_sense_is_refused(limits, message):
    with pytest.raises(InputError, match=message):
        Transformation(limits)


def test_a_single_sample_is_refused():
    with pytest.raises(InputError, match="samples: 1 given"):
        Transformation({"scale": 1}).grid(1)


def test_nothing_has_no_grid():
    with pytest.raises(InputError, match="needs a limit that is not 0"):
        Transformation({"blur": 0}).grid(3)


def test_parameters_must_match_the_images():
    message = r"parameters: \(2, 1\) given for 2 images, 2 per image needed \(translation: share of the width"
    with pytest.raises(InputError, match=message):
        Transformation({"translation": 0.1})(noise(2, 1, 8, 8), torch.zeros(2))
