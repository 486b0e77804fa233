"""What holds of `measure` for any activations: it is the definition, and follows the units, images and classes.

The networks here have given activations, so that measure and definition see the same floats.
"""

from unittest import mock

import numpy as np
import oracle
import pandas as pd
import pytest
import torch
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from torch import nn

from rotvar.errors import InputError
from rotvar.rotation import angles
from rotvar.variance import AGGREGATIONS, measure

pytestmark = pytest.mark.usefixtures("either_way")

KEY = ["layer", "stratum", "aggregation", "unit"]
MEASURES = ["transformation_std", "sample_std", "normalized_variance", "normalized_distance"]
DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
SEEDS = st.integers(0, 2**32 - 1)

# What is drawn is small from the start: to make it smaller still would take minutes for each test that fails
few = settings(max_examples=20, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])


class Known(nn.Module):
    """Layers of given activations, images x R x ... each: it reads off a picture which image it is and how far it is
    turned, and looks up the rest. So it need not know in which order and batches the pictures come."""

    def __init__(self, **layers: torch.Tensor) -> None:
        super().__init__()
        self.activations = nn.ParameterDict(layers)
        for name in layers:
            self.add_module(name, nn.LeakyReLU(1))  # passes on what it gets

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        image = x[:, 0, 2, 2].round().long()
        turns = torch.atan2(x[:, 1, 1, 2], x[:, 1, 2, 3]) / (2 * torch.pi)  # of "up" and "right" of the centre
        outputs = []
        for name, values in self.activations.items():
            rotation = ((turns + 0.5) * values.shape[1]).round().long() % values.shape[1]
            outputs.append(getattr(self, name)(values[image, rotation]))
        return outputs


def pictures(n: int) -> torch.Tensor:
    """Image i is full of the number i, and of a ramp that rises to the right by 1 a pixel."""
    number = torch.arange(n, dtype=torch.float32).view(n, 1, 1, 1).expand(n, 1, 5, 5)
    ramp = torch.arange(-2, 3, dtype=torch.float32).expand(n, 1, 5, 5)
    return torch.cat([number, ramp], dim=1)


def noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def names(labels: torch.Tensor) -> tuple[str, ...]:
    return tuple(f"class {c}" for c in range(int(labels.max()) + 1))


def by_key(table: pd.DataFrame) -> pd.DataFrame:
    """A table with its text as text, which has the same order everywhere; that of categories is the table's."""
    return table.astype({name: str for name in KEY if name != "unit"}).set_index(KEY)


def indexed(table: pd.DataFrame) -> pd.DataFrame:
    return by_key(table)[MEASURES].sort_index()


def measured(
    layers: dict[str, torch.Tensor],
    labels: torch.Tensor,
    order: slice | list[int] = slice(None),
    device: str = "cpu",
    **options: object,
) -> pd.DataFrame:
    """The table of a network with these activations, of which `tokens` has the channels last."""
    model, rotations = Known(**layers).to(device), next(iter(layers.values())).shape[1]
    axes = {name: 2 for name in layers if name == "tokens"}
    images = pictures(len(labels))[order]
    return indexed(
        measure(model, images, labels[order], names(labels), angles(rotations), channel_axes=axes, **options)
    )


def defined(layers: dict[str, torch.Tensor], labels: torch.Tensor) -> pd.DataFrame:
    """The table by the letter of the definitions, which count a std at or below rounding as 0."""
    spread = oracle.spread

    def spread_but_for_rounding(a: np.ndarray) -> np.ndarray:
        found, rounding = spread(a), np.finfo(np.float32).eps * np.sqrt((a**2).mean((0, 1)))
        stds = np.stack([*found[:2], *np.sqrt(found[2:])])
        assume(not (np.abs(stds[:4] - rounding) < 1e-3 * rounding).any())  # too near for two evaluations to agree
        return np.where(stds <= rounding, 0, found)

    a = {name: values.double() for name, values in layers.items()}
    if "tokens" in a:
        a["tokens"] = a["tokens"].movedim(3, 2)
    with mock.patch("oracle.spread", spread_but_for_rounding):
        return indexed(oracle.measure(a, labels, names(labels), AGGREGATIONS))


def assert_agree(table: pd.DataFrame, expected: pd.DataFrame) -> None:
    """To 1e-5 wherever a value is above 1e-6 of its layer's largest."""
    assert table.index.equals(expected.index)
    largest = expected.replace(np.inf, np.nan).groupby("layer").transform("max").fillna(0)
    negligible = expected <= 1e-6 * largest
    assert not (negligible & ~(table <= 1.00001e-6 * largest)).any(axis=None)
    np.testing.assert_allclose(table.mask(negligible), expected.mask(negligible), rtol=1e-5, atol=0)


@st.composite
def networks(draw: st.DrawFn) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Activations (a map, tokens and units without positions, of all magnitudes, some rectified) and labels."""
    sizes = draw(st.lists(st.integers(2, 7), min_size=1, max_size=3), label="images in each class")
    n, rotations = sum(sizes), draw(st.integers(2, 6), label="R")
    channels, height, width = (draw(st.integers(1, most)) for most in (3, 7, 7))
    shapes = dict(map=(channels, height, width), tokens=(height * width, channels), flat=(channels,))
    layers = {}
    for name, shape in shapes.items():
        scale, offset = (
            torch.tensor(draw(st.lists(st.sampled_from(values), min_size=channels, max_size=channels), label=what))
            for what, values in (("scales", [1e-3, 0.1, 1.0, 1e3]), ("offsets", [0.0, 0.0, 1.0, -1e3, 1e6]))
        )
        by_channel = (channels, 1, 1) if name == "map" else (channels,)
        values = noise(draw(SEEDS), n, rotations, *shape) * scale.view(by_channel) + offset.view(by_channel)
        layers[name] = values.relu() if draw(st.booleans(), label="rectified") else values
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    return layers, labels[torch.tensor(draw(st.permutations(range(n))))]


# the definition


@pytest.mark.parametrize("device", DEVICES)
@settings(few, max_examples=40)
@given(networks(), st.integers(1, 60))
def test_the_same_floats_give_what_the_definitions_give(device, network, batch_size):
    layers, labels = network
    assert_agree(measured(layers, labels, device=device, batch_size=batch_size), defined(layers, labels))


@settings(few, max_examples=3)
@given(SEEDS)
def test_layers_of_thousands_of_units_are_no_exception(seed):
    layers = dict(map=noise(seed, 10, 5, 40, 7, 7), tokens=noise(seed, 10, 5, 49, 40), flat=noise(seed, 10, 5, 2500))
    labels = torch.arange(10) % 3
    assert_agree(measured(layers, labels), defined(layers, labels))


@pytest.mark.parametrize("seed", range(4))
def test_a_forward_pass_in_float64_gives_the_same_layer_means(seed):
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ELU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Conv2d(6, 5, 2), nn.LogSoftmax(1),
    ).eval()  # fmt: skip
    model[1].running_mean.normal_()
    images, labels = torch.rand(12, 1, 14, 14), torch.arange(12) % 3
    table = indexed(measure(model, images, labels, names(labels), angles(6)))
    a = oracle.activations(model.double(), images.double(), angles(6))
    expected = indexed(oracle.measure(a, labels, names(labels), AGGREGATIONS))
    layer_means, expected_means = (
        each.replace(np.inf, np.nan).groupby(["layer", "stratum", "aggregation"]).mean() for each in (table, expected)
    )
    pd.testing.assert_frame_equal(layer_means, expected_means, rtol=1e-4, atol=0)


# what changes nothing


@pytest.mark.parametrize("device", DEVICES)
@few
@given(networks(), st.tuples(st.integers(1, 60), st.integers(1, 60)), st.randoms(use_true_random=False))
def test_neither_batch_size_nor_order_nor_device_matters(device, network, batch_sizes, random):
    layers, labels = network
    order = random.sample(range(len(labels)), len(labels))
    one = measured(layers, labels, batch_size=batch_sizes[0])
    other = measured(layers, labels, order, device, batch_size=batch_sizes[1])
    assert_agree(one, other)


@few
@given(SEEDS, st.lists(st.integers(-1000, 1000), min_size=3, max_size=3))
def test_a_constant_added_to_a_unit_changes_neither_std(seed, constants):
    """The activations are multiples of 1/64, so that floats hold the sums exactly."""
    values = (64 * noise(seed, 8, 4, 3, 2, 2)).round() / 64
    labels = torch.arange(8) % 2
    moved = values + torch.tensor(constants).view(3, 1, 1)
    assert_agree(measured({"map": moved}, labels), measured({"map": values}, labels))


# what changes as it must


@few
@given(SEEDS, st.lists(st.floats(1e-3, 1e3), min_size=3, max_size=3))
def test_a_unit_times_a_factor_has_its_stds_times_the_factor_and_the_same_ratio(seed, factors):
    values, labels = noise(seed, 8, 4, 3, 2, 2), torch.arange(8) % 2
    scaled = measured({"map": values * torch.tensor(factors).view(3, 1, 1)}, labels)
    expected = measured({"map": values}, labels)
    factor = np.array(factors)[expected.index.get_level_values("unit")]
    stds = expected[["transformation_std", "sample_std"]].mul(factor, axis=0)
    assert_agree(scaled, expected.assign(**stds))


@few
@given(SEEDS, st.lists(st.integers(2, 6), min_size=2, max_size=4))
def test_all_weighs_the_classes_by_their_images_and_stratified_weighs_them_equally(seed, sizes):
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    table = measured({"map": noise(seed, len(labels), 3, 2, 2, 2)}, labels)
    by_class = [table.xs(name, level="stratum") for name in names(labels)]
    stratified = sum(by_class) / len(sizes)
    np.testing.assert_allclose(table.xs("stratified", level="stratum"), stratified, rtol=1e-12)
    weighed = sum(n * one.transformation_std for n, one in zip(sizes, by_class, strict=True)) / sum(sizes)
    np.testing.assert_allclose(table.xs("all", level="stratum").transformation_std, weighed, rtol=1e-5)


@few
@given(SEEDS, st.integers(2, 6))
def test_each_image_of_a_class_twice_weighs_twice_in_all_and_lowers_the_sample_std_of_the_class(seed, n):
    """Of n images the squared deviations are divided by n - 1, of each twice their double by 2n - 1."""
    labels = torch.tensor([0] * n + [1] * 3 + [0] * n)
    values = noise(seed, n + 3, 4, 2, 2, 2)
    twice = torch.cat([values, values[:n]])
    before, after = measured({"map": values}, labels[: n + 3]), measured({"map": twice}, labels)
    assert_agree(after, defined({"map": twice}, labels))
    pd.testing.assert_frame_equal(after.xs("class 1", level="stratum"), before.xs("class 1", level="stratum"))
    lowered = np.sqrt(2 * (n - 1) / (2 * n - 1))
    expected = before.xs("class 0", level="stratum") * [1, lowered, 1 / lowered, 1 / lowered]
    np.testing.assert_allclose(after.xs("class 0", level="stratum"), expected, rtol=1e-5)
    one, other = (before.xs(name, level="stratum").transformation_std for name in ("class 0", "class 1"))
    weighed = (2 * n * one + 3 * other) / (2 * n + 3)
    np.testing.assert_allclose(after.xs("all", level="stratum").transformation_std, weighed, rtol=1e-5)


@few
@given(SEEDS, st.integers(2, 6))
def test_a_copy_of_a_class_under_another_name_counts_twice_in_stratified(seed, n):
    labels = torch.tensor([0] * n + [1] * 3 + [2] * n)
    values = noise(seed, n + 3, 4, 2, 2, 2)
    twice = torch.cat([values, values[:n]])
    before, after = measured({"map": values}, labels[: n + 3]), measured({"map": twice}, labels)
    one, other = (before.xs(name, level="stratum") for name in ("class 0", "class 1"))
    pd.testing.assert_frame_equal(after.xs("class 2", level="stratum"), one)
    np.testing.assert_allclose(after.xs("stratified", level="stratum"), (2 * one + other) / 3, rtol=1e-5)
    everything, under_one_name = (
        each.xs("all", level="stratum") for each in (after, measured({"map": twice}, labels % 2))
    )
    np.testing.assert_allclose(everything, under_one_name, rtol=1e-5)


# units that hardly vary


@few
@given(
    st.lists(st.floats(-1e6, 1e6, width=32, allow_subnormal=False), min_size=2, max_size=3, unique=True),
    st.integers(1, 60),
)
def test_a_unit_that_is_constant_within_each_class_varies_only_between_them(constants, batch_size):
    """Neither images nor rotations move it within a class: 0/0 is 1. In all the images move it, rotation does not."""
    assume(np.std(constants) > 1e-3 * np.abs(constants).max())
    labels = torch.arange(9) % len(constants)
    values = torch.tensor(constants)[labels].view(9, 1, 1, 1, 1).expand(9, 4, 1, 2, 3).clone()
    table = measured({"map": values}, labels, batch_size=batch_size)
    within = table.drop("all", level="stratum")
    assert (within == [0, 0, 1, 1]).all(axis=None)
    everything = table.xs("all", level="stratum")
    between = np.std(np.array(constants)[labels], ddof=1)
    for aggregation, std in dict(mean=between, max=between, sum=6 * between, spatial=between).items():
        got = everything.xs(aggregation, level="aggregation").to_numpy()
        np.testing.assert_allclose(got, [[0, std, 0, 0]], rtol=1e-5)


# what is refused


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@settings(few, max_examples=5)
@given(place=st.tuples(*(st.integers(0, size - 1) for size in (6, 3, 4, 2, 2))), batch_size=st.integers(1, 30))
def test_one_activation_that_is_not_finite_is_an_error_that_names_layer_and_unit(
    device, value, aggregation, place, batch_size
):
    layers = dict(healthy=noise(0, 6, 3, 4, 2, 2), sick=noise(1, 6, 3, 4, 2, 2))
    layers["sick"][place] = value
    with pytest.raises(InputError, match=f"layer sick, unit {place[2]}: its activations are NaN, infinite"):
        measured(layers, torch.arange(6) % 2, device=device, batch_size=batch_size, aggregations=[aggregation])


def test_a_class_with_one_image_is_named_and_the_remedy_too():
    with pytest.raises(InputError) as error:
        measured({"map": noise(0, 3, 3, 2, 2, 2)}, torch.tensor([0, 0, 1]))
    assert str(error.value) == (
        "class 'class 1' has 1 image(s), but its sample std needs at least 2: add images or leave the class out"
    )
