"""The measure is what its definition says: against closed forms, and against the literal evaluation in float64."""

import gc
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from oracle import activations
from oracle import measure as literal_measure
from test_properties import by_key
from torch import fx, nn

from rotvar import models
from rotvar.affine import affine
from rotvar.columns import MEASURES
from rotvar.errors import InputError
from rotvar.rotation import angles, rotate
from rotvar.statistics.firing import RATES
from rotvar.statistics.moments import Moments
from rotvar.statistics.sweep import AGGREGATIONS, COLUMNS, KNOWN_AGGREGATIONS, Sweep
from rotvar.system import memory
from rotvar.transformations import Transformation
from rotvar.variance import measure, sweep

pytestmark = pytest.mark.usefixtures("either_way")


class Known(nn.Module):
    """Units that are known functions of the image: rotation moves the corner, never the total of a quarter turn."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        corner = x[:, 0, 0, 0]
        total = x.sum((1, 2, 3))
        return torch.stack([corner, total, torch.zeros_like(total), total * 0 + 3], dim=1).relu()


def small(seed: int = 0, classes: int = 3, n: int = 13):
    """A tiny network with its normalization in use, images, labels in no order, class names.

    It normalizes with the statistics of these images, so that no layer's deviations drown in its mean: how the forward
    pass rounds, which depends on the CPU and on the size of a batch, then stays far below them.
    """
    torch.manual_seed(seed)
    model = models.build("vgg_like", 2, 16, classes, width=2, hidden=5)
    labels = torch.arange(n) % classes
    images, names = torch.rand(n, 2, 16, 16), tuple(f"class {c}" for c in range(classes))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = 1
    model(images)
    return model.eval(), images, labels[torch.randperm(n)], names


def indexed(table: pd.DataFrame) -> pd.DataFrame:
    return by_key(table)[[name for name in MEASURES if name in table]].sort_index()


def test_every_layer_unit_stratum_and_aggregation_agrees_with_the_literal_evaluation():
    model, images, labels, classes = small()
    kept = activations(model, images, angles(5))
    del kept["flatten"]  # passes on what pool4 gave
    expected = indexed(literal_measure(kept, labels, classes, AGGREGATIONS, 0.1))
    table = measure(model, images, labels, classes, angles(5), batch_size=15, firing_rate=0.1)
    got = indexed(table).reindex(expected.index)
    assert len(table) == len(expected)
    assert set(table.stratum) == {"all", "stratified", *classes} and set(table.aggregation) == set(AGGREGATIONS)
    # Against one forward pass an image, floats differ by rounding; against the same floats see test_moments.py
    np.testing.assert_allclose(got.to_numpy(), expected.to_numpy(), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("limits", [{"translation": 0.3}, {"rotation": 20, "scale": 0.4}, {"brightness": 0.5}], ids=str)
def test_under_another_transformation_it_agrees_likewise(limits):
    model, images, labels, classes = small()
    transform = Transformation(limits)
    grid = transform.grid(3)
    kept = activations(model, images, grid, transform)
    del kept["flatten"]
    expected = indexed(literal_measure(kept, labels, classes, AGGREGATIONS)).drop(columns=[*RATES])
    table = measure(model, images, labels, classes, grid, transform=transform, batch_size=20)
    got = indexed(table).reindex(expected.index)
    np.testing.assert_allclose(got.to_numpy(), expected.to_numpy(), rtol=2e-5, atol=1e-6)


def test_closed_form_of_two_images_under_a_half_turn():
    """Two images, corners 1 and 4 (opposite corners 3 and 2): stds over two values are |difference| / sqrt 2."""
    images = torch.zeros(2, 1, 2, 2)
    images[0, 0, 0, 0], images[0, 0, 1, 1] = 1, 3
    images[1, 0, 0, 0], images[1, 0, 1, 1] = 4, 2
    half_turn = torch.tensor([0.0, 180.0])
    table = measure(Known(), images, torch.tensor([0, 0]), ["only"], half_turn)
    relu = table[(table.kind == "non-linearity") & (table.stratum == "all") & (table.aggregation == "mean")]
    three = ["transformation_std", "sample_std", "normalized_variance"]
    corner, total, dead, constant = relu.set_index("unit").loc[:, three].to_numpy()
    root2 = np.sqrt(2)
    assert corner == pytest.approx([(2 + 2) / 2 / root2, (3 + 1) / 2 / root2, 1])
    assert total == pytest.approx([0, 2 / root2, 0])
    assert dead.tolist() == [0, 0, 1] and constant.tolist() == [0, 0, 1]


def test_a_unit_that_only_rotation_moves_is_infinitely_variant():
    images = torch.zeros(3, 1, 2, 2)
    images[:, 0, 0, 0] = 1
    table = measure(Known(), images, torch.tensor([0, 0, 0]), ["only"], torch.tensor([0.0, 180.0]))
    corner = table[(table.kind == "non-linearity") & (table.unit == 0)]
    assert np.isinf(corner.normalized_variance).all() and (corner.sample_std == 0).all()


def test_an_infinity_in_one_class_makes_stratified_infinite():
    images = torch.rand(4, 1, 2, 2)
    images[2:] = images[2]  # the second class: one image twice
    table = measure(Known(), images, torch.tensor([0, 0, 1, 1]), ["differ", "same"], angles(4))
    corner = table[(table.kind == "non-linearity") & (table.unit == 0) & (table.aggregation == "mean")]
    value = corner.set_index("stratum").normalized_variance
    assert np.isinf(value["same"]) and np.isinf(value["stratified"])
    assert np.isfinite(value["differ"]) and np.isfinite(value["all"])


def test_the_batch_size_changes_nothing():
    model, images, labels, classes = small()
    tables = [measure(model, images, labels, classes, angles(4), batch_size=size) for size in (4, 12, 1000)]
    for table in tables[1:]:
        np.testing.assert_allclose(indexed(table), indexed(tables[0]), rtol=1e-5, atol=1e-7)


def test_the_order_of_the_images_changes_nothing():
    model, images, labels, classes = small()
    order = torch.randperm(len(images))
    first = indexed(measure(model, images, labels, classes, angles(4)))
    np.testing.assert_allclose(
        indexed(measure(model, images[order], labels[order], classes, angles(4))), first, rtol=1e-5, atol=1e-7
    )


def test_normalization_comes_after_rotation():
    model, images, labels, classes = small()
    mean, std = torch.tensor([0.4, 0.6]), torch.tensor([0.2, 0.3])

    class Normalized(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward((x - mean.view(-1, 1, 1)) / std.view(-1, 1, 1))

    inside = measure(Normalized(model).eval(), images, labels, classes, angles(4))
    inside = inside[inside.layer.str.startswith("0.")].assign(layer=lambda t: t.layer.str.removeprefix("0."))
    outside = measure(model, images, labels, classes, angles(4), mean=mean, std=std)
    inside, outside = (
        indexed(table.drop(columns="p_value")) for table in (inside, outside)
    )  # of more units, and fewer
    np.testing.assert_allclose(inside, outside, rtol=1e-5, atol=1e-7)


def test_bytes_are_scaled_to_the_unit_interval():
    model, images, labels, classes = small()
    images = (images * 255).to(torch.uint8)
    as_bytes = indexed(measure(model, images, labels, classes, angles(4)))
    np.testing.assert_allclose(as_bytes, indexed(measure(model, images.float() / 255, labels, classes, angles(4))))


def test_columns_are_those_of_the_reference():
    model, images, labels, classes = small()
    assert list(measure(model, images, labels, classes, angles(2)).columns) == COLUMNS


def test_the_model_is_measured_in_evaluation_mode_and_left_as_it_was():
    model, images, labels, classes = small()
    expected = indexed(measure(model, images, labels, classes, angles(4)))
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    np.testing.assert_array_equal(indexed(measure(model, images, labels, classes, angles(4))), expected)
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_each_module_is_left_in_its_mode():
    model, images, labels, classes = small()
    model.train()
    model.bn1_1.eval()  # frozen, as in a fine-tuning
    before = {name: module.training for name, module in model.named_modules()}
    measure(model, images, labels, classes, angles(2))
    assert {name: module.training for name, module in model.named_modules()} == before


class Merging(nn.Linear):
    """Adds to its weight for evaluation what is trained beside it, as low-rank adaptations do."""

    def __init__(self) -> None:
        super().__init__(32, 3)
        self.beside, self.merged = nn.Parameter(torch.ones(3, 32)), False

    def train(self, mode: bool = True) -> "Merging":
        if self.merged == mode:
            self.weight.data += -self.beside.data if mode else self.beside.data
            self.merged = not mode
        return super().train(mode)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) if self.merged else super().forward(x) + x @ self.beside.T


def test_what_a_module_does_for_evaluation_is_undone():
    _, images, labels, classes = small()
    model = nn.Sequential(nn.Flatten(2), nn.AdaptiveAvgPool1d(16), nn.Flatten(), Merging(), nn.BatchNorm1d(3).eval())
    before = model[3].weight.clone()
    measure(model, images, labels, classes, angles(2))
    assert [module.training for module in model.modules()] == [True] * 5 + [False] and not model[3].merged
    torch.testing.assert_close(model[3].weight, before)


class Remembering(nn.Module):
    """Makes a table at its first call and keeps it, as networks do with the places of tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(16, 3)
        self.table: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.table is None:
            self.table = torch.linspace(0, 1, 16)
        return self.linear(x.mean((1, 2))) + (self.linear.weight * self.table).sum(1)


def test_a_network_can_be_trained_with_what_it_remembers_of_the_measurement():
    _, images, labels, classes = small()
    model = Remembering()
    measure(model, images, labels, classes, angles(2))
    model(images).sum().backward()


def test_a_network_fresh_from_torchvision_is_measured_without_its_drops():
    torch.manual_seed(0)
    model = torchvision.models.swin_t(weights=None, num_classes=2)  # in training mode, and stochastic by functions
    images, labels = torch.rand(4, 3, 32, 32), torch.tensor([0, 0, 1, 1])
    first, second = (measure(model, images, labels, ["a", "b"], angles(2), aggregations=["mean"]) for _ in range(2))
    np.testing.assert_array_equal(indexed(first), indexed(second))


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint16, torch.int32, torch.uint64], ids=str)
def test_labels_may_be_any_whole_numbers(dtype):
    model, images, labels, classes = small()
    expected = measure(model, images, labels, classes, angles(2))
    pd.testing.assert_frame_equal(measure(model, images, labels.to(dtype), classes, angles(2)), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_networks_of_other_precisions_are_measured(dtype):
    """On bytes, and on images of their own precision; constants may be of any."""
    model, images, labels, classes = small()
    images = (images * 255).to(torch.uint8)
    constants = {"mean": torch.full((2,), 0.5, dtype=torch.float64), "std": torch.ones(2, dtype=torch.float64)}
    expected = measure(model, images, labels, classes, angles(4), **constants)
    model.to(dtype)
    close = {torch.float64: 1e-4, torch.float16: 0.02, torch.bfloat16: 0.1}[dtype]
    for given in (images, (images.double() / 255).to(dtype)):
        table = measure(model, given, labels, classes, angles(4), **constants)
        means = [one[one.aggregation == "spatial"].groupby("layer").sample_std.mean() for one in (table, expected)]
        np.testing.assert_allclose(*means, rtol=close, atol=close / 20)


def test_another_default_device_changes_nothing(tmp_path):
    """A researcher has said torch.set_default_device("cuda"): the network and the images are where they are."""
    model, *given = small()
    shift = Transformation({"rotation": 30, "translation": 0.1, "brightness": 0.2, "horizontal_flip": 0.5})

    def measured() -> list[pd.DataFrame]:
        options = dict(aggregations=KNOWN_AGGREGATIONS, firing_rate=0.1, mean=[0.4, 0.6], std=[0.2, 0.3])
        state = sweep(model, *given, angles(3), **options)
        state.save(tmp_path / "part", {})
        drawn = shift.draw(3, torch.Generator().manual_seed(0))
        shifted = (measure(model, *given, each, transform=shift) for each in (shift.grid(2), drawn))
        moved = affine(given[0], rotation=30.0, scale=1.1)
        return [Sweep.load(tmp_path / "part")[0].table(), state.table(), *shifted, pd.DataFrame(moved.flatten(1))]

    expected = measured()
    with torch.device("meta"):
        elsewhere = measured()
    for one, other in zip(elsewhere, expected, strict=True):
        pd.testing.assert_frame_equal(one, other)


class Filtering(nn.Module):
    """Filters in float64 that are no parameters, beside weights that are whole numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.shifts = nn.Parameter(torch.ones(2, dtype=torch.int64), requires_grad=False)
        self.register_buffer("filters", torch.rand(3, 2, 3, 3, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.conv2d(x, self.filters)


def test_bytes_are_seen_in_the_type_of_whatever_filters_a_network_has():
    _, images, labels, classes = small()
    images = (images * 255).to(torch.uint8)
    torch.manual_seed(0)
    model = Filtering()
    as_bytes, expected = (
        measure(model, given, labels, classes, angles(2)) for given in (images, images.double() / 255)
    )
    pd.testing.assert_frame_equal(as_bytes, expected, rtol=1e-3)


def test_one_pattern_or_aggregation_may_stand_alone():
    model, images, labels, classes = small()
    expected = measure(model, images, labels, classes, angles(2), layers=["fc*"], aggregations=["mean"])
    assert set(expected["layer"]) == {"fc1", "fc2"}
    for pattern in ("fc*", (pattern for pattern in ["fc*"])):
        table = measure(model, images, labels, classes, angles(2), layers=pattern, aggregations="mean")
        pd.testing.assert_frame_equal(table, expected)


def test_arrays_and_lists_are_taken_for_tensors():
    model, images, labels, classes = small()
    normalization = {"mean": torch.tensor([0.25]), "std": torch.tensor([0.5])}
    expected = measure(model, images, labels, classes, torch.tensor([0.0, 90.0]), **normalization)
    backwards = images.numpy()[::-1].copy()[::-1]  # of which PyTorch itself makes no tensor
    table = measure(model, backwards, labels.tolist(), classes, [0, 90], mean=0.25, std=np.array([0.5]))
    pd.testing.assert_frame_equal(table, expected)


def test_an_aggregation_that_is_named_twice_is_measured_once():
    model, images, labels, classes = small()
    once, twice = (measure(model, images, labels, classes, angles(3), aggregations=["max"] * n) for n in (1, 2))
    pd.testing.assert_frame_equal(once, twice)


def test_a_network_elsewhere_is_one_sentence():
    _, images, labels, classes = small()
    with pytest.raises(InputError, match="the network is on 'meta': move it to one of cpu, cuda"):
        measure(nn.Conv2d(2, 3, 1, device="meta"), images, labels, classes, angles(2))


def test_what_is_no_network_is_one_sentence():
    _, images, labels, classes = small()
    with pytest.raises(InputError, match=r"^the network is a function: give an nn\.Module, as its builder returns$"):
        measure(small, images, labels, classes, angles(2))  # the builder itself


def test_a_part_has_each_class_once():
    model, images, labels, classes = small()
    whole = sweep(model, images, labels, classes, angles(2)).table()
    for part in ([*range(len(classes)), 0], labels):
        pd.testing.assert_frame_equal(sweep(model, images, labels, classes, angles(2), part=part).table(), whole)
    first, *others = (sweep(model, images, labels, classes, angles(2), part=label) for label in range(len(classes)))
    for other in others:
        first.merge(other)
    pd.testing.assert_frame_equal(first.table(), whole)
    with pytest.raises(InputError, match=r"^part cannot be made a tensor \(.*\): give numbers$"):
        sweep(model, images, labels, classes, angles(2), part=classes)
    with pytest.raises(InputError, match=r"^part has the classes \[0, 9\], but they are numbered from 0 to "):
        sweep(model, images, labels, classes, angles(2), part=[9, 0])
    with pytest.raises(InputError, match="^part has no class: name some"):
        sweep(model, images, labels, classes, angles(2), part=[])


def test_a_network_without_layers_is_one_sentence():
    _, images, labels, classes = small()
    with pytest.raises(InputError, match="^the network has no layer that can be measured$"):
        measure(nn.Sequential(nn.Flatten(), nn.Dropout()), images, labels, classes, angles(2))


def spotted(number: int, value: float) -> torch.Tensor:
    """Four images, one of them with a pixel of this value."""
    images = torch.rand(4, 1, 2, 2)
    images[number, 0, 1, 1] = value
    return images


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (dict(labels=torch.tensor([0, 0, 0, 1])), "class 'b' has 1 image"),
        (dict(labels=torch.tensor([0, 0, 0, 0])), "class 'b' has 0 image"),
        (dict(labels=torch.tensor([0, 0, 1, 2])), "labels go from 0 to 2, but there are 2 classes"),
        (dict(labels=torch.tensor([0, 0, 1, -1])), "labels go from -1 to 1, but there are 2 classes"),
        (dict(labels=torch.tensor([0.0, 0, 1, 1])), r"labels are torch\.float32: whole numbers that index the classes"),
        (dict(labels=torch.tensor([False, False, True, True])), r"labels are torch\.bool: whole numbers"),
        (
            dict(labels=torch.tensor([[0], [0], [1], [1]])),
            r"images are \(4, 1, 2, 2\) and labels \(4, 1\): N x C x H x W",
        ),
        (dict(labels=torch.tensor([0, 1])), "images are"),
        (dict(images=torch.rand(4, 2, 2)), r"images are \(4, 2, 2\) and labels \(4,\): N x C x H x W and N are needed"),
        (dict(images=torch.rand(0, 1, 2, 2), labels=torch.zeros(0, dtype=torch.int64)), "class 'a' has 0 image"),
        (
            dict(images=torch.zeros(4, 1, 2, 2, dtype=torch.int64)),
            r"images are torch\.int64: torch\.uint8 \(0 to 255\)",
        ),
        (dict(images=torch.zeros(4, 1, 2, 2, dtype=torch.complex64)), r"images are torch\.complex64: torch\.uint8"),
        (dict(images=torch.full((4, 1, 2, 2), torch.nan)), "images: image 0 has pixels that are NaN or infinite"),
        (dict(images=spotted(2, torch.nan)), "images: image 2 has pixels that are NaN or infinite: mend it, or leave"),
        (dict(images=spotted(3, -torch.inf)), "images: image 3 has pixels that are NaN or infinite"),
        (dict(images=spotted(1, 1e30)), "layer relu, unit 0: its activations are NaN, infinite or beyond 1e18"),
        (dict(angles=torch.tensor([0.0])), "needs at least 2"),
        (dict(angles=torch.tensor(90.0)), "angles are one number, but a standard deviation over rotations needs"),
        (dict(angles=16), r"angles are one number, .+: rotation\.angles\(16\) are 16$"),
        (dict(angles=torch.tensor([0, torch.nan])), "an angle is NaN or infinite: give degrees"),
        (dict(aggregations=["median"]), "unknown aggregation 'median'"),
        (dict(aggregations=[]), "no aggregation is named: choose among mean, max, sum, spatial"),
        (dict(classes=["a", "a"]), "a class may not be called 'a', as another stratum is: rename it"),
        (dict(classes=["all", "b"]), "a class may not be called 'all', as another stratum is: rename it"),
        (dict(classes=["a", "b", "c"]), "class 'c' has 0 image"),
        (dict(classes=2), r"^classes is 2: give a name for each in a list, such as \[str\(n\) for n in range\(10\)\]$"),
        (dict(classes="ab"), r"^classes is ab: give a name for each in a list"),
        (dict(classes={"a", "b"}), "^classes is {.*}: give a name for each in a list"),
        (dict(classes={"b": 1, "a": 0}), "^classes is {'b': 1, 'a': 0}: give a name for each in a list"),
        (dict(classes=[0, 1]), "^classes: 0 is not text: give names, such as '0'$"),
        (
            dict(classes=[], images=torch.rand(0, 1, 2, 2), labels=torch.zeros(0, dtype=torch.int64)),
            "classes has no name: name those that the labels index",
        ),
        (dict(mean=torch.tensor([0.5, 0.5])), r"mean is \[0\.5, 0\.5\]: a finite number for each of 1 channels"),
        (dict(mean=torch.tensor([torch.nan])), r"mean is \[nan\]: a finite number for each of 1 channels"),
        (dict(std=torch.tensor([0.0])), r"std is \[0\.0\]: images are divided by it, so it must be more than 0"),
        (dict(labels=["cat", "dog"]), r"^labels cannot be made a tensor \(.*numpy\.str_.*\): give numbers$"),
        (dict(images=[[1], [2, 3]]), r"^images cannot be made a tensor \(.*\): give numbers$"),
        (dict(batch_size=0), "^batch_size is 0: so many rotated images go through the network, at least 1$"),
        (dict(layers=[]), "^layers has no pattern: name some, or leave it out to measure all$"),
        (dict(layers=["conv*"]), r"no layer matches 'conv\*': the layers are "),
    ],
)
def test_bad_input_is_one_sentence(change, sentence):
    given = dict(images=torch.rand(4, 1, 2, 2), labels=torch.tensor([0, 0, 1, 1]), classes=["a", "b"], angles=angles(2))
    with pytest.raises(InputError, match=sentence) as error:
        measure(Known(), **given | change)
    assert "\n" not in str(error.value)


def test_a_mask_of_infinity_is_given_to_attention_or_left_out_as_its_sentence_says():
    mask = torch.tensor([0, 0, 0, -torch.inf])

    class Masked(nn.Module):
        def forward(self, x):
            return torch.softmax(x.flatten(1) + mask, 1)

    class Attends(nn.Module):
        def forward(self, x):
            tokens = x.flatten(2).transpose(1, 2)
            return nn.functional.scaled_dot_product_attention(tokens, tokens, tokens, attn_mask=mask.expand(4, 4))

    given = (torch.rand(4, 1, 2, 2), torch.tensor([0, 0, 1, 1]), ["a", "b"], angles(4))
    sentence = (
        r"^layer add, unit 3: its activations are .*; if it adds a mask of -inf, let "
        r"torch\.nn\.functional\.scaled_dot_product_attention take the mask or, in a notebook, .* \(layers=\)$"
    )
    with pytest.raises(InputError, match=sentence):
        measure(Masked(), *given)
    assert set(measure(Masked(), *given, layers=["softmax"])["layer"]) == {"softmax"}
    assert np.isfinite(measure(Attends(), *given)["sample_std"]).all()


@pytest.mark.parametrize(
    ("images", "shape"),
    [
        (torch.rand(4, 1, 5, 5), r"1 x 5 x 5, torch\.float32"),
        (torch.rand(4, 3, 2, 2), r"3 x 2 x 2, torch\.float32"),
        (torch.rand(4, 3, 5, 5).double(), r"3 x 5 x 5, torch\.float64"),
        (torch.rand(4, 3, 9, 9), r"3 x 9 x 9, torch\.float32"),
    ],
)
def test_images_that_a_network_does_not_take_are_one_sentence(images, shape):
    """Of other channels, too small, of another precision than its weights, too large."""
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(18, 2))
    with pytest.raises(InputError, match=rf"the network does not take images of {shape} \(.+\)") as error:
        measure(network, images, torch.tensor([0, 0, 1, 1]), ["a", "b"], angles(2))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", [AssertionError, ValueError, IndexError])
def test_the_check_of_images_by_a_network_itself_is_one_sentence(kind):
    class Picky(nn.Module):
        def forward(self, x):
            if len(x):  # cannot be traced
                raise kind("Wrong image height!")

    for network in (Picky(), torchvision.models.vit_b_16(image_size=16, num_classes=2)):
        sentence = r"^the network does not take images of 3 x 9 x 9, torch\.float32 \(Wrong image height!.*\)$"
        with pytest.raises(InputError, match=sentence):
            measure(network, torch.rand(4, 3, 9, 9), torch.tensor([0, 0, 1, 1]), ["a", "b"], angles(2))


def test_no_more_images_are_taken_at_once_than_go_through_the_network():
    """A class may be larger than the memory of a GPU."""
    taken = []

    class Counted(torch.Tensor):
        def __getitem__(self, index):
            batch = super().__getitem__(index).as_subclass(torch.Tensor)
            taken.append(len(batch))
            return batch

    model, images, labels, classes = small()
    measure(model, images.as_subclass(Counted), labels, classes, angles(4), batch_size=8)
    assert sum(taken) >= len(images) and max(taken) == 2


class Tight(nn.Sequential):
    """A network on a device that runs out of memory in its last layer above so many images at a time."""

    def __init__(self, most: int, *words: str, error: type[Exception] = torch.OutOfMemoryError) -> None:
        super().__init__(nn.Conv2d(1, 2, 3), nn.ReLU(), Full(most, error, *words))


class Full(nn.Tanh):
    def __init__(self, most: int, error: type[Exception], *words: str) -> None:
        super().__init__()
        self.most, self.error, self.words = most, error, words

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > self.most:
            raise self.error(*self.words)
        return super().forward(x)


@pytest.mark.parametrize("most", [4, 8, 20])
def test_where_memory_runs_out_batches_are_halved_and_nothing_is_counted_twice(most, caplog):
    """At 4 angles, batches of 5 images, or 2, or 1. The first layers have seen all 5 by the time it runs out."""
    torch.manual_seed(0)
    images, labels, given = torch.rand(10, 1, 5, 5), torch.arange(10) % 2, (["a", "b"], angles(4))
    tight = Tight(most)
    with caplog.at_level("INFO", logger="rotvar"):
        table = measure(tight, images, labels, *given, batch_size=20)
    tight[2].most = 20
    pd.testing.assert_frame_equal(table, measure(tight, images, labels, *given, batch_size=20), rtol=1e-5)
    halved = any("memory ran out with 5 images at a time: going on with half" in line for line in caplog.messages)
    assert halved == (most < 20)


@pytest.mark.parametrize(
    ("error", "words"), [(torch.OutOfMemoryError, ["GPU memory is full"]), (MemoryError, [])], ids=["GPU", "Python"]
)
def test_a_single_image_that_does_not_fit_is_one_sentence(error, words):
    images, labels = torch.rand(4, 1, 5, 5), torch.tensor([0, 0, 1, 1])
    with pytest.raises(InputError, match=r"memory ran out with a single image at all rotations \(.+\): use"):
        measure(Tight(3, *words, error=error), images, labels, ["a", "b"], angles(4))


class Broken(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[{}["weights"]]


def test_other_errors_of_a_network_are_its_own():
    with pytest.raises(KeyError, match="weights"):
        measure(Broken(), torch.rand(4, 1, 5, 5), torch.tensor([0, 0, 1, 1]), ["a", "b"], angles(2))


def test_statistics_that_would_not_fit_are_refused_before_the_sweep(monkeypatch):
    monkeypatch.setattr(memory, "free", lambda device: 200_000)
    images, labels = torch.rand(4, 1, 20, 20), torch.tensor([0, 0, 1, 1])
    conv = nn.Sequential(nn.Conv2d(1, 8, 3))
    sentence = (
        "statistics of 2,608 units at 16 angles take 1 MB and one image 1 MB, but 0 MB are free on the cpu: leave out"
    )
    with pytest.raises(InputError, match=sentence):
        measure(conv, images, labels, ["a", "b"], angles(16))
    assert len(measure(conv, images, labels, ["a", "b"], angles(2), aggregations=["mean"])) == 8 * 4


def test_layers_that_are_not_measured_take_memory_too(monkeypatch):
    monkeypatch.setattr(memory, "free", lambda device: 2_000_000)
    network = nn.Sequential(nn.Conv2d(1, 32, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 2))
    batches = []
    network[0].register_forward_hook(lambda module, inputs, output: batches.append(output.nbytes))
    measure(network, torch.rand(99, 1, 16, 16), torch.arange(99) % 2, ["a", "b"], angles(2), layers="3")
    assert max(batches) < 2_000_000


@pytest.mark.parametrize("untraceable", [False, True])
def test_statistics_give_their_memory_back_at_once(untraceable, monkeypatch):
    """Not when Python next looks for circles: another measurement may need it."""
    model, *given = small()
    if untraceable:
        monkeypatch.setattr(fx.Tracer, "trace", lambda *_: 1 / 0)
    gc.collect()
    gc.disable()
    try:
        measure(model, *given, angles(2))
        assert not [each for each in gc.get_objects() if type(each) in (Sweep, Moments)]
    finally:
        gc.enable()


def test_a_table_that_would_not_fit_is_refused_before_the_sweep(monkeypatch):
    model, images, labels, classes = small()
    monkeypatch.setattr(memory, "of_state", lambda *_: 0)
    monkeypatch.setattr(memory, "of_image", lambda *_: 1)
    monkeypatch.setattr(memory, "free", lambda device: 1_000_000)
    sentence = r"^the table of \d+ channels in 3 classes has [\d,]+ rows and takes \d MB, but 1 MB are free"
    with pytest.raises(InputError, match=sentence):
        measure(model, images, labels, classes, angles(2))


def test_the_memory_of_a_table_is_that_of_its_rows():
    classes = [f"class {number}" for number in range(100)]
    images, labels = torch.rand(200, 1, 2, 2), torch.arange(200) % 100
    state = sweep(nn.Sequential(nn.Conv2d(1, 64, 1), nn.ReLU()), images, labels, classes, angles(2))
    tracemalloc.start()
    table = state.table()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0.6 * memory.of_table(len(table)) < peak < memory.of_table(len(table))


@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
def test_every_precision_measures_about_the_same(precision):
    model, images, labels, classes = small()
    compared = ["transformation_std", "sample_std", "normalized_variance", "normalized_distance"]
    expected = indexed(measure(model, images, labels, classes, angles(4)))[compared]
    got = indexed(measure(model, images, labels, classes, angles(4), precision=precision))[compared]
    np.testing.assert_allclose(got.mean(), expected.mean(), rtol=0.05 if precision == "bfloat16" else 1e-6)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_activations_whose_squares_float32_loses_are_warned_of(memory_format, caplog):
    class Shrinking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            one = self.conv(x).mul(torch.tensor([1, 0], dtype=x.dtype).view(-1, 1, 1))  # and a dead unit
            return one.div(1e10).div(1e10)

    model = Shrinking().to(memory_format=memory_format)
    given = torch.rand(4, 1, 6, 6, dtype=torch.float64), torch.tensor([0, 0, 1, 1]), ["a", "b"], angles(2)
    expected = measure(model.double(), *given, aggregations=["mean", "spatial"])
    assert not caplog.records
    table = measure(model.float(), given[0].float(), *given[1:], aggregations=["mean", "spatial"])
    (warning,) = caplog.messages  # the mean is taken in float64
    assert warning.startswith("layer div_1 (spatial): a unit's activations are all below 1e-18, where float32 loses")
    pd.testing.assert_frame_equal(table[table.layer != "div_1"], expected[expected.layer != "div_1"], rtol=1e-4)


def test_measurements_in_several_threads_take_turns():
    """A trace changes for all threads how PyTorch calls modules."""
    model, *given = small()
    running, most = [], []

    def watched(images: torch.Tensor, degrees: torch.Tensor) -> torch.Tensor:
        running.append(1)
        most.append(len(running))
        time.sleep(0.02)
        running.pop()
        return rotate(images, degrees)

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda _: measure(model, *given, angles(2), transform=watched), range(2))
    assert max(most) == 1
    pd.testing.assert_frame_equal(one, other)


def test_an_unknown_precision_is_one_sentence():
    model, images, labels, classes = small()
    with pytest.raises(InputError, match="unknown precision 'half': choose one of float32, tf32, bfloat16"):
        measure(model, images, labels, classes, angles(4), precision="half")
