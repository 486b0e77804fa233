"""Every replicate is what `variance.measure` gives for exactly the images that were drawn, each as often as it was."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from rotvar import models, variance
from rotvar.errors import InputError
from rotvar.questions import stability
from rotvar.rotation import angles
from rotvar.summary import layer_means
from rotvar.system import memory

IMAGES = 30


def images(count: int = IMAGES, size: int = 8) -> torch.Tensor:
    return torch.randint(0, 256, (count, 1, size, size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def network(name: str = "simple_conv", **options: int) -> nn.Module:
    torch.manual_seed(0)
    return models.build(name, 1, 8, 3, **(options or {"width": 2, "hidden": 3})).eval()


@pytest.mark.parametrize("aggregation", stability.AGGREGATIONS)
@pytest.mark.parametrize("model", [network(), network("resnet", width=1, depth=18)], ids=["simple_conv", "resnet"])
def test_every_replicate_is_the_measure_of_the_images_drawn(model, aggregation):
    normalization = {"mean": torch.tensor([0.3]), "std": torch.tensor([0.2])}
    table = stability.measure(
        model, images(), angles(4), replicates=5, aggregations=[aggregation], seed=3, **normalization
    )
    counts = stability.counts(IMAGES, 5, seed=3).int()
    for replicate, rows in table.groupby("replicate"):
        drawn = images().repeat_interleave(counts[replicate], 0)
        assert len(drawn) == IMAGES
        labels = torch.zeros(IMAGES, dtype=torch.int64)
        literal = variance.measure(
            model, drawn, labels, ["all of them"], angles(4), aggregations=[aggregation], **normalization
        )
        literal = layer_means(literal[literal["stratum"] == "all"])
        assert list(rows["layer"]) == list(literal["layer"])
        np.testing.assert_allclose(rows["normalized_variance"], literal["normalized_variance"], rtol=1e-6)
        for name in ("layer_index", "kind", "units", "finite"):
            assert list(rows[name]) == list(literal[name])
    assert list(table.columns) == stability.COLUMNS
    assert sorted(table["replicate"].unique()) == [0, 1, 2, 3, 4, 5]
    assert set(table["images"]) == {IMAGES}


@pytest.mark.parametrize(("type", "other"), [(torch.float32, torch.float64), (torch.float64, torch.float32)])
def test_the_network_and_the_normalization_may_be_of_two_types(type, other):
    """As in `variance.measure`."""
    model = network().to(type)
    normalization = {"mean": torch.tensor([0.3], dtype=other), "std": torch.tensor([0.2], dtype=other)}
    table = stability.measure(model, images(), angles(4), replicates=1, **normalization)
    literal = variance.measure(model, images(), torch.zeros(IMAGES).long(), ["all of them"], angles(4), **normalization)
    literal = layer_means(literal[(literal["stratum"] == "all") & (literal["aggregation"] == "mean")])
    found = table[table["replicate"] == 0]["normalized_variance"]
    np.testing.assert_allclose(found, literal["normalized_variance"], rtol=1e-6)


def test_several_aggregations_are_those_of_one_each():
    together = stability.measure(network(), images(), angles(4), replicates=3, aggregations=["max", "mean", "sum"])
    for aggregation, rows in together.groupby("aggregation"):
        alone = stability.measure(network(), images(), angles(4), replicates=3, aggregations=[aggregation])
        pd.testing.assert_frame_equal(rows.reset_index(drop=True), alone)


def test_the_size_of_a_batch_does_not_matter():
    model, seen = network().double(), images().double()  # how a forward pass rounds float32 may depend on the batch
    tables = [stability.measure(model, seen, angles(4), replicates=20, batch_size=size) for size in (1, 28, 1000)]
    for other in tables[1:]:
        pd.testing.assert_frame_equal(other, tables[0], rtol=1e-6)


def test_layers_that_do_not_fit_together_take_several_passes_to_the_same_result(monkeypatch):
    model, passes = network(), []
    forward = model.conv1.forward
    monkeypatch.setattr(model.conv1, "forward", lambda x: passes.append(len(x)) or forward(x))
    whole = stability.measure(model, images(), angles(4), replicates=20)
    looks, first = [n for n in passes if n <= 3], [n for n in passes if n > 3]
    largest = stability.state_bytes(8, 4, 20)  # the fifth convolution, of four times the width, is the largest
    parts = stability.measure(model, images(), angles(4), replicates=20, pass_bytes=largest)
    pd.testing.assert_frame_equal(parts, whole, check_exact=True)
    assert sum(first) == 4 * IMAGES
    assert len(passes) - 2 * len(looks) > 6 * len(first)  # a look, of two images or three, sees which layers there are


def test_what_does_not_fit_is_refused_before_the_first_pass(monkeypatch):
    monkeypatch.setattr(memory, "free", lambda device: 20_000_000)
    sentence = (
        "the sums of 1000 replicates of the 2 units of layer conv1 at 360 angles take 12 MB, but there is room for "
        "10 MB: ask for fewer replicates, or give the job more memory"
    )
    with pytest.raises(InputError, match=sentence):
        stability.measure(network(), images(), angles(360), replicates=1000)


def test_the_state_of_a_bootstrap_is_what_is_kept():
    sums = stability._Sums()
    sums.update(torch.rand(7, 4, 3, dtype=torch.float64), torch.rand(11, 7, dtype=torch.float64))
    kept = (sums.total, sums.squares, sums.std_sum)
    assert sum(each.numel() * each.element_size() for each in kept) == stability.state_bytes(3, 4, 10)


def test_the_images_as_they_are_come_first_and_then_draws_of_as_many():
    counts = stability.counts(1000, 200)
    assert counts[0].eq(1).all()
    assert counts.sum(1).eq(1000).all()
    left_out = counts[1:].eq(0).double().mean()
    assert left_out == pytest.approx((1 - 1 / 1000) ** 1000, abs=0.003)
    assert torch.equal(stability.counts(1000, 200), counts)
    assert not torch.equal(stability.counts(1000, 200, seed=1)[1:], counts[1:])
    assert torch.equal(stability.counts(1000, 20), counts[:21])


class Known(nn.Module):
    """Hands on the image's pixels, far from 0, as units."""

    def __init__(self, offset: float) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.last = nn.Linear(4, 4)
        nn.init.eye_(self.last.weight)
        nn.init.constant_(self.last.bias, offset)

    def forward(self, x):
        return self.last(self.flatten(x))


def test_a_large_offset_does_not_cancel():
    pixels = torch.rand(50, 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    near, far = (
        stability.measure(Known(offset).double(), pixels, angles(4), replicates=10)["normalized_variance"]
        for offset in (0, 1e6)
    )
    np.testing.assert_allclose(far, near, rtol=1e-7)


def test_a_unit_that_no_drawn_image_moves_is_constant():
    """Though the images that everything is taken relative to do."""
    pixels = torch.full((3, 1, 2, 2), 1 / 3)
    pixels[0] = torch.tensor([[0.1, 0.7], [0.3, 0.2]])
    table = stability.measure(Known(0), pixels, angles(4), replicates=100)
    left_out = stability.counts(3, 100)[:, 0] == 0
    assert 10 < left_out.sum() < 60
    without = table.groupby("replicate")["normalized_variance"].mean()[left_out.numpy()]
    assert set(without) == {1}  # 0/0


def test_units_without_a_finite_value_do_not_count_and_a_layer_of_them_is_missing():
    same = torch.tensor([0.0, 1.0, 2.0, 3.0]).view(1, 1, 2, 2).repeat(4, 1, 1, 1)  # rotation moves it, images do not
    table = stability.measure(Known(0), same, angles(4), replicates=5)
    assert set(table["finite"]) == {0}
    assert table["normalized_variance"].isna().all()
    constant = stability.measure(Known(1), torch.ones(4, 1, 2, 2), angles(4), replicates=5)
    assert set(constant["finite"]) == {4}
    assert set(constant["normalized_variance"]) == {1}  # 0/0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"aggregations": ["spatial"]}, "unknown aggregation 'spatial': choose one of mean, max, sum"),
        ({"aggregations": "median"}, "unknown aggregation 'median'"),
        ({"angles": torch.zeros(1)}, "1 angle given, but a standard deviation needs at least 2"),
        ({"images": images(size=2)}, r"the network does not take images of 1 x 2 x 2, torch\.float32 \(.+\)$"),
        (
            {"images": images().long()},
            r"^images are torch\.int64: torch\.uint8 \(0 to 255\) or a floating-point type is ",
        ),
        ({"images": images().numpy()}, r"^images are a ndarray: give a tensor, such as torch\.as_tensor\(images\)$"),
        ({"images": images()[:, 0]}, r"^images are \(30, 8, 8\): N x C x H x W is needed$"),
        ({"model": nn.Flatten()}, "^the network has no layer that can be measured$"),
        ({"images": images(1)}, "1 image given, but a standard deviation needs at least 2"),
        ({"replicates": 0}, "replicates: 0 given, but a bootstrap needs at least 1"),
        ({"std": torch.tensor([0.0])}, "layer conv1, unit 0: its activations are NaN or infinite for some image"),
    ],
)
def test_what_cannot_be_measured_is_said(arguments, sentence):
    given = {"model": network(), "images": images(), "angles": angles(4), "replicates": 2} | arguments
    with pytest.raises(InputError, match=sentence):
        stability.measure(**given)
