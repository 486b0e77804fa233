"""The maps that a network makes of an image at each angle, and which channels are worth a look."""

import math
import runpy

import pandas as pd
import pytest
import torch
from copies import ROOT
from torch import nn

from rotvar import models, variance
from rotvar.activations import Layer
from rotvar.errors import InputError
from rotvar.questions import feature_maps
from rotvar.questions.feature_maps import INPUT, LEAST, MOST
from rotvar.rotation import angles, present

IMAGES = torch.randint(0, 256, (8, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
LABELS = torch.arange(8) % 2


def network() -> nn.Module:
    torch.manual_seed(0)
    return models.build("simple_conv", 1, 8, 2, width=3, hidden=4)


def measured(model: nn.Module) -> pd.DataFrame:
    table = variance.measure(model, IMAGES, LABELS, ("a", "b"), angles(4), aggregations=["spatial"])
    return table[table["stratum"] == "all"]


def pictures(table: pd.DataFrame, layer: str, choice: str) -> torch.Tensor:
    """The maps of one row of the figure, R x H x W."""
    rows = table[(table["layer"] == layer) & (table["choice"] == choice)]
    shape = [rows[axis].nunique() for axis in ("angle", "y", "x")]
    return torch.tensor(rows.sort_values(["angle", "y", "x"])["activation"].to_numpy()).view(shape)


def test_maps_are_those_of_the_network_for_the_rotated_and_normalized_image():
    model, mean, std = network(), torch.tensor([0.4]), torch.tensor([0.3])
    by_unit = measured(model)
    table = feature_maps.record(model, IMAGES[3], angles(4), by_unit, layers=["conv1"], mean=mean, std=std)
    assert list(table.columns) == feature_maps.COLUMNS
    assert list(table["layer"].unique()) == [INPUT, "conv1"]
    batch = IMAGES[3].repeat(4, 1, 1, 1)
    torch.testing.assert_close(pictures(table, INPUT, INPUT), present(batch, angles(4))[:, 0])
    with torch.no_grad():
        expected = model.eval().conv1(present(batch, angles(4), mean, std))
    values = by_unit[by_unit["layer"] == "conv1"].set_index("unit")["normalized_variance"]
    for choice, unit in ((MOST, values.idxmin()), (LEAST, values.idxmax())):
        torch.testing.assert_close(pictures(table, "conv1", choice), expected[:, unit])
        rows = table[table["choice"] == choice]
        assert (set(rows["unit"]), set(rows["normalized_variance"])) == ({unit}, {values[unit]})
    assert list(table["angle"].unique()) == [-180, -90, 0, 90]


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16])
def test_the_network_sees_the_image_in_its_own_type(kind):
    model = network().to(kind)
    mean, std = torch.tensor([0.4], dtype=torch.float64), torch.tensor([0.3], dtype=torch.float64)
    table = feature_maps.record(model, IMAGES[3], angles(4), measured(model), layers=["conv1"], mean=mean, std=std)
    with torch.no_grad():
        expected = model.eval().conv1(
            present(IMAGES[3].repeat(4, 1, 1, 1), angles(4), mean.float(), std.float()).to(kind)
        )
    unit = int(table[table["choice"] == MOST]["unit"].iloc[0])
    torch.testing.assert_close(pictures(table, "conv1", MOST), expected[:, unit].float())


def test_several_strata_at_a_time_are_one_sentence():
    model = network()
    whole = variance.measure(model, IMAGES, LABELS, ("a", "b"), angles(4), aggregations=["spatial"])
    sentence = "^variance has several rows of a unit: choose those of one stratum and one aggregation$"
    with pytest.raises(InputError, match=sentence):
        feature_maps.record(model, IMAGES[3], angles(4), whole)


def test_a_float_image_is_shown_in_its_own_type():
    model = network().bfloat16()
    image = IMAGES[3].to(torch.bfloat16) / 255
    table = feature_maps.record(model, image, angles(2), measured(model), layers=["conv1"])
    torch.testing.assert_close(pictures(table, INPUT, INPUT)[1], image[0].float())


class ChannelsLast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.conv(images).permute(0, 2, 3, 1).sigmoid()


def test_channels_are_on_the_axis_that_is_named():
    torch.manual_seed(0)
    model, axes = ChannelsLast(), {"sigmoid": 1}  # rows as channels, for once
    table = variance.measure(model, IMAGES, LABELS, ("a", "b"), angles(4), aggregations=["mean"], channel_axes=axes)
    by_unit = table[table["stratum"] == "all"]
    maps = feature_maps.record(model, IMAGES[3], angles(4), by_unit, layers=["sigmoid"], channel_axes=axes)
    with torch.no_grad():
        expected = model(present(IMAGES[3].repeat(4, 1, 1, 1), angles(4)))
    unit = int(maps[maps["choice"] == MOST]["unit"].iloc[0])
    torch.testing.assert_close(pictures(maps, "sigmoid", MOST), expected[:, unit])


def test_another_default_device_changes_nothing():
    model = network()
    given = model, IMAGES[0], angles(2), measured(model)
    expected = feature_maps.record(*given, mean=[0.5], std=[0.5])
    with torch.device("meta"):
        pd.testing.assert_frame_equal(feature_maps.record(*given, mean=[0.5], std=[0.5]), expected)


def test_by_default_the_first_the_middle_and_the_last_convolution_in_execution_order():
    model = network()
    table = feature_maps.record(model, IMAGES[0], angles(2), measured(model))
    assert list(table["layer"].unique()) == [INPUT, "conv1", "conv3", "conv5"]
    assert list(table["layer_index"].unique()) == [-1, 0, 5, 10]


@pytest.mark.parametrize(
    ("kinds", "chosen"),
    [
        (["convolution"], ["l0"]),
        (["convolution"] * 2, ["l0", "l1"]),
        (["convolution", "pooling", "convolution", "sum", "convolution", "convolution"], ["l0", "l2", "l5"]),
    ],
)
def test_few_convolutions_are_shown_once(kinds, chosen):
    layers = [Layer(f"l{index}", kind) for index, kind in enumerate(kinds)]
    assert feature_maps.choose_layers(layers) == chosen


def test_a_colour_image_has_a_unit_for_each_channel():
    torch.manual_seed(0)
    model = models.build("simple_conv", 3, 8, 2, width=2, hidden=3)
    images = IMAGES.repeat(1, 3, 1, 1)
    table = variance.measure(model, images, LABELS, ("a", "b"), angles(2), aggregations=["max"])
    recorded = feature_maps.record(model, images[0], angles(2), table[table["stratum"] == "all"])
    assert list(recorded[recorded["layer"] == INPUT]["unit"].unique()) == [0, 1, 2]


@pytest.mark.parametrize(
    ("patterns", "sentence"),
    [
        (["conv1", "conv9"], r"no layer with maps matches 'conv9': the layers with maps are conv1, relu, conv2"),
        (["fc1"], "no layer with maps matches 'fc1'"),  # it has no positions
        (["*"], r"17 layers match \*, but a figure shows 12 at most"),
    ],
)
def test_layers_that_cannot_be_shown_are_named(patterns, sentence):
    layers = [Layer(name, "convolution") for name in ("conv1", "relu", "conv2", *(f"more{i}" for i in range(14)))]
    with pytest.raises(InputError, match=sentence):
        feature_maps.choose_layers(layers, patterns)


def test_a_layer_without_maps_is_refused_in_a_network():
    model = network()
    with pytest.raises(InputError, match="no layer with maps matches 'fc1': the layers with maps are conv1, "):
        feature_maps.record(model, IMAGES[0], angles(2), measured(model), layers=["fc1"])


def test_a_network_without_convolutions_wants_names():
    with pytest.raises(InputError, match=r"no convolution with maps: name some of its layers with maps \(pool\)"):
        feature_maps.choose_layers([Layer("pool", "pooling")])


def units(*values: tuple[float, float]) -> pd.DataFrame:
    """A layer whose units have these sample stds and normalized variances."""
    return pd.DataFrame(values, columns=["sample_std", "normalized_variance"]).assign(unit=range(len(values)))


@pytest.mark.parametrize(
    ("layer", "chosen"),
    [
        (units((1, 0.5), (1, 0.2), (1, 0.9)), {MOST: 1, LEAST: 2}),
        (units((0, 1.0), (1, 0.5), (1, 0.7)), {MOST: 1, LEAST: 2}),  # the first is dead
        (units((0.05, 0.1), (1, 0.5), (1, 0.7)), {MOST: 1, LEAST: 2}),  # hardly responds
        (units((0, math.inf), (1, 0.5), (1, 0.7)), {MOST: 1, LEAST: 2}),  # the images do not move it
        (units((1, 0.5), (1, 0.5)), {MOST: 0, LEAST: 1}),
        (units((1, 0.5), (0, 1.0)), {MOST: 0}),
        (units((0, 1.0), (0, math.inf)), {}),
    ],
)
def test_the_extremes_are_among_the_channels_that_respond(layer, chosen):
    assert {choice: row["unit"] for choice, row in feature_maps.extremes(layer).items()} == chosen


def test_maps_of_no_image_are_one_sentence():
    script = runpy.run_path(str(ROOT / "workflow" / "scripts" / "record_feature_maps.py"))
    with pytest.raises(InputError, match=r"^figures\.feature_maps\.images is \[\], so that there are no maps"):
        script["record_feature_maps"](None, "variance.parquet", [], [], 4, "maps.parquet")


def test_the_network_stays_in_its_mode():
    model = network().train()
    feature_maps.record(model, IMAGES[0], angles(2), measured(model))
    assert model.training
