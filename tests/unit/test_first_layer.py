"""What docs/lower_layers.md derives: the mean of a linear first layer is the mean of the image, scaled and shifted."""

import numpy as np
import pytest
import torch
from oracle import literal
from torch import nn

from rotvar.rotation import angles, present
from rotvar.variance import measure

N, CLASSES = 24, ("even", "odd")


def images(channels: int) -> torch.Tensor:
    """Noise in the middle of a black frame, brighter from image to image; no rotation brings it to the border."""
    found = torch.zeros(N, channels, 20, 20)
    brightness = torch.linspace(0.2, 1, N).view(-1, 1, 1, 1)
    found[:, :, 6:14, 6:14] = brightness * torch.rand(N, channels, 8, 8, generator=torch.Generator().manual_seed(0))
    return found


def first_layer(channels: int) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(channels, 6, 3, padding=1), nn.BatchNorm2d(6)).eval()
    model[1].running_mean.normal_()
    model[1].running_var.uniform_(0.5, 2)
    return model


def values(model: nn.Module, shown: torch.Tensor, aggregation: str) -> dict[str, np.ndarray]:
    table = measure(model, shown, torch.arange(N) % 2, CLASSES, angles(16), aggregations=[aggregation])
    table = table[table["stratum"] == "all"]
    return {str(layer): rows["normalized_variance"].to_numpy() for layer, rows in table.groupby("layer_index")}


def channel_means(shown: torch.Tensor) -> np.ndarray:
    """The mean of each channel (last axis) of every image at every angle."""
    return np.stack([present(image.expand(16, *image.shape), angles(16)).mean((2, 3)).double() for image in shown])


def test_every_unit_has_the_value_of_the_mean_pixel() -> None:
    shown = images(1)
    expected = literal(channel_means(shown))[2]
    assert expected < 0.05
    model = first_layer(1)
    model[0].weight.data.abs_()  # weights that nearly cancel leave rounding alone
    for unit_values in values(model, shown, "mean").values():
        np.testing.assert_allclose(unit_values, np.full(6, expected), rtol=1e-3)


def test_of_several_channels_it_is_that_of_their_mixture() -> None:
    shown, model = images(3), first_layer(3)
    model[0].weight.data.abs_()
    mixed = channel_means(shown) @ model[0].weight.sum((2, 3)).detach().double().numpy().T
    for unit_values in values(model, shown, "mean").values():
        np.testing.assert_allclose(unit_values, literal(mixed)[2], rtol=1e-3)


@pytest.mark.parametrize("aggregation", ["max", "spatial"])
def test_other_aggregations_see_that_the_map_turns(aggregation: str) -> None:
    for unit_values in values(first_layer(1), images(1), aggregation).values():
        assert (unit_values > 0.2).all()
