"""The interpolation floor: what averaging alone gives at the sizes of a network's maps."""

import numpy as np
import pytest
import torch
from torch import nn

from rotvar import models
from rotvar.questions import interpolation_floor
from rotvar.rotation import angles
from rotvar.transformations import Transformation
from rotvar.variance import measure

N, CLASSES = 12, ("even", "odd")
LABELS = torch.arange(N) % 2
IMAGES = torch.rand(N, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def network() -> nn.Module:
    with torch.device("meta"):
        return models.build("simple_conv", 1, 16, 2, width=2, hidden=3)


def test_every_layer_with_maps_has_the_floor_of_its_maps_size():
    table = interpolation_floor.measure(network(), IMAGES, LABELS, CLASSES, angles(6))
    assert list(table.columns) == interpolation_floor.COLUMNS
    sizes = dict(zip(table["layer"], zip(table["height"], table["width"], strict=True), strict=True))
    assert sizes["conv1"] == (16, 16) and sizes["pool1"] == (8, 8) and sizes["relu5"] == (4, 4)
    assert not {"fc1", "fc2", "log_softmax"} & set(sizes)
    assert table["layer_index"].is_monotonic_increasing
    for size, rows in table.groupby("height"):
        average = nn.Sequential(nn.AdaptiveAvgPool2d(int(size)))
        whole = measure(average, IMAGES, LABELS, CLASSES, angles(6), aggregations=["same_equivariance"])
        value = whole[whole["stratum"] == "all"]["normalized_variance"].item()
        np.testing.assert_allclose(rows["normalized_variance"], value)
        assert 0.05 < value < 1


def test_at_quarter_turns_the_floor_is_0():
    table = interpolation_floor.measure(network(), IMAGES, LABELS, CLASSES, angles(4))
    assert (table["normalized_variance"] < 1e-6).all()


def test_where_no_position_counts_the_floor_is_missing():
    far = Transformation({"translation": 1})
    table = interpolation_floor.measure(network(), IMAGES, LABELS, CLASSES, far.grid(2), transform=far)
    assert table["normalized_variance"].isna().all() and len(table) > 5


def test_a_network_without_maps_has_no_floor():
    model = nn.Sequential(nn.Flatten(), nn.Linear(256, 2), nn.ReLU())
    table = interpolation_floor.measure(model, IMAGES, LABELS, CLASSES, angles(4))
    assert table.empty and list(table.columns) == interpolation_floor.COLUMNS


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_are_averaged(channels):
    with torch.device("meta"):
        model = nn.Sequential(nn.Conv2d(channels, 2, 3), nn.ReLU())
    images = torch.rand(N, channels, 9, 9, generator=torch.Generator().manual_seed(1))
    table = interpolation_floor.measure(model, images, LABELS, CLASSES, angles(5))
    average = nn.Sequential(nn.AdaptiveAvgPool2d(7))
    whole = measure(average, images, LABELS, CLASSES, angles(5), aggregations=["same_equivariance"])
    expected = whole[whole["stratum"] == "all"]["normalized_variance"].mean()
    assert table["normalized_variance"].to_list() == pytest.approx([expected, expected])
