"""The value of every subset is what `variance.measure` gives for exactly those images and angles."""

import numpy as np
import pytest
import torch
from torch import nn

from rotvar import models, variance
from rotvar.errors import InputError
from rotvar.questions import convergence
from rotvar.rotation import angles
from rotvar.summary import layer_means

CLASSES = ("a", "b", "c")
LABELS = torch.arange(29) % 3  # 10, 10 and 9 images: 4 blocks of two images of each


def images(count: int = len(LABELS), size: int = 8) -> torch.Tensor:
    return torch.randint(0, 256, (count, 1, size, size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def network() -> nn.Module:
    torch.manual_seed(0)
    return models.build("simple_conv", 1, 8, 3, width=2, hidden=3).eval()


def by_layer(model: nn.Module, chosen: torch.Tensor, rotations: torch.Tensor, aggregation: str) -> list[float]:
    """The layer means of the measure of the chosen images, as the workflow computes them."""
    table = variance.measure(model, images()[chosen], LABELS[chosen], CLASSES, rotations, aggregations=[aggregation])
    return list(layer_means(table[table["stratum"] == "all"])["normalized_variance"])


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("aggregation", convergence.AGGREGATIONS)
def test_every_subset_is_the_measure_of_its_images_and_angles(aggregation):
    model, blocks = network(), convergence.blocks(LABELS)
    table = convergence.measure(model, images(), LABELS, angles(8), aggregation=aggregation)
    seen = []
    for (n, r, draw), rows in table.groupby(["images", "angles", "draw"]):
        count = n // len(blocks[0])
        chosen = torch.cat(blocks[draw * count : (draw + 1) * count])
        assert len(chosen) == n
        np.testing.assert_allclose(rows["normalized_variance"], by_layer(model, chosen, angles(r), aggregation), 1e-6)
        seen.append((n, r, draw))
    draws = [(6, 8, draw) for draw in range(4)] + [(12, 8, 0), (12, 8, 1)]
    assert seen == [*draws, (24, 2, 0), (24, 4, 0), (24, 8, 0)]
    assert list(table.columns) == convergence.COLUMNS


@pytest.mark.parametrize(("type", "other"), [(torch.float32, torch.float64), (torch.float64, torch.float32)])
def test_the_network_and_the_normalization_may_be_of_two_types(type, other):
    """As in `variance.measure`."""
    model = network().to(type)
    normalization = {"mean": torch.tensor([0.3], dtype=other), "std": torch.tensor([0.2], dtype=other)}
    table = convergence.measure(model, images(24), LABELS[:24], angles(4), **normalization)
    literal = variance.measure(model, images(24), LABELS[:24], CLASSES, angles(4), **normalization)
    literal = layer_means(literal[(literal["stratum"] == "all") & (literal["aggregation"] == "mean")])
    found = table[(table["images"] == 24) & (table["angles"] == 4)]["normalized_variance"]
    np.testing.assert_allclose(found, literal["normalized_variance"], rtol=1e-6)


def test_a_grid_of_angles_is_halved_while_it_is_even():
    subsets = {r: set(convergence.measure(network(), images(), LABELS, angles(r))["angles"]) for r in (2, 3, 6, 12)}
    assert subsets == {2: {2}, 3: {3}, 6: {6, 3}, 12: {12, 6, 3}}


def test_blocks_are_disjoint_with_the_classes_in_equal_parts():
    blocks = convergence.blocks(LABELS)
    assert [LABELS[block].bincount().tolist() for block in blocks] == [[2, 2, 2]] * 4
    assert len(set(torch.cat(blocks).tolist())) == 24
    assert not torch.equal(torch.cat(blocks), torch.cat(convergence.blocks(LABELS, seed=1)))


@pytest.mark.parametrize(("each", "count", "size"), [(2, 1, 2), (3, 1, 3), (4, 2, 2), (64, 32, 2), (50, 16, 3)])
def test_there_are_as_many_blocks_as_give_each_class_two_images(each, count, size):
    blocks = convergence.blocks(torch.arange(10).repeat(each))
    assert [len(block) for block in blocks] == [10 * size] * count


class Known(nn.Module):
    """Hands on the image's pixels as units."""

    def __init__(self) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.last = nn.Linear(4, 4, bias=False)
        nn.init.eye_(self.last.weight)

    def forward(self, x):
        return self.last(self.flatten(x))


def test_units_without_a_finite_value_do_not_count_and_a_layer_of_them_is_missing():
    same = torch.tensor([0.0, 1.0, 2.0, 3.0]).view(1, 1, 2, 2).repeat(4, 1, 1, 1)  # rotation moves it, images do not
    table = convergence.measure(Known(), same, torch.zeros(4, dtype=torch.int64), angles(4))
    assert set(table["finite"]) == {0}
    assert table["normalized_variance"].isna().all()
    constant = convergence.measure(Known(), torch.ones(4, 1, 1, 1).expand(4, 1, 2, 2), torch.zeros(4), angles(4))
    assert set(constant["units"]) == {4}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"aggregation": "spatial"}, "unknown aggregation 'spatial': choose one of mean, max"),
        ({"angles": torch.zeros(1)}, "1 angle given"),
        ({"images": images(size=2)}, r"the network does not take images of 1 x 2 x 2, torch\.float32 \(.+\)$"),
        (
            {"images": images().long()},
            r"^images are torch\.int64: torch\.uint8 \(0 to 255\) or a floating-point type is ",
        ),
        ({"images": images().numpy()}, r"^images are a ndarray: give a tensor, such as torch\.as_tensor\(images\)$"),
        ({"images": images()[:, 0]}, r"^images are \(29, 8, 8\): N x C x H x W is needed$"),
        ({"model": nn.Flatten()}, "^the network has no layer that can be measured$"),
        ({"labels": LABELS[:20]}, "^20 labels given for 29 images: one for each is needed$"),
        ({"labels": LABELS.repeat(2)}, "^58 labels given for 29 images"),
        ({"labels": torch.arange(29)}, r"a class has 1 image\(s\), but a sample std needs at least 2"),
        ({"std": torch.tensor([0.0])}, "layer conv1, unit 0: its activations are NaN, infinite or beyond 1e18"),
    ],
)
def test_what_cannot_be_measured_is_said(arguments, sentence):
    given = {"model": network(), "images": images(), "labels": LABELS, "angles": angles(4)} | arguments
    with pytest.raises(InputError, match=sentence):
        convergence.measure(**given)
