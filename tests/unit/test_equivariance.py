"""Maps turned back: exact where positions go to positions, without corners, and nothing for layers without maps."""

import numpy as np
import oracle
import pandas as pd
import pytest
import torch
from torch import nn

from rotvar import variance
from rotvar.errors import InputError
from rotvar.rotation import angles, rotate
from rotvar.statistics.equivariance import COVERAGE, Inverse
from rotvar.statistics.sweep import Sweep
from rotvar.transformations import Transformation

TURNED = "same_equivariance"
N, CLASSES = 12, ("even", "odd")
LABELS = torch.arange(N) % 2
QUARTERS = angles(4)


def images(size: int = 9, width: int | None = None) -> torch.Tensor:
    return torch.rand(N, 1, size, width or size, generator=torch.Generator().manual_seed(0))


def smooth(size: int = 33) -> torch.Tensor:
    """Images of a few blobs each, black at the border."""
    generator = torch.Generator().manual_seed(1)
    y, x = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    places = torch.rand(N, 3, 2, 1, 1, generator=generator) - 0.5
    return (-((x - places[:, :, 0]) ** 2 + (y - places[:, :, 1]) ** 2) / 0.02).exp().sum(1, keepdim=True)


def turned(model: nn.Module, given: torch.Tensor, grid: torch.Tensor, **options: object) -> pd.DataFrame:
    options = {"aggregations": [TURNED]} | options
    return variance.measure(model, given, LABELS, CLASSES, grid, **options)


def isotropic() -> nn.Module:
    """Filters that a quarter turn or a flip leaves as they are: exactly equivariant to these."""
    model = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.AvgPool2d(3))
    weight = torch.rand(3, 1, 1, 1) * torch.tensor([[1.0, 2, 1], [2, 5, 2], [1, 2, 1]])
    model[0].weight.data = weight.round(decimals=1)
    return model


# the interpolation


def literal(maps: torch.Tensor, back: torch.Tensor, moved: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """One map, H x W, at the places that the inverse of `back p + moved` leads to; NaN where too little is inside.
    `share`: map pixels for an image pixel, x and y."""
    height, width = maps.shape
    centre = torch.tensor([(width - 1) / 2, (height - 1) / 2], dtype=torch.float64)
    result = torch.full((height, width), torch.nan, dtype=torch.float64)
    for row in range(height):
        for column in range(width):
            place = (torch.tensor([column, row]).double() - centre) / share
            x, y = torch.linalg.solve(back, place - moved) * share + centre
            value = weight = 0.0
            for i in range(height):
                for j in range(width):
                    tap = max(0.0, 1 - abs(float(x) - j)) * max(0.0, 1 - abs(float(y) - i))
                    value, weight = value + tap * float(maps[i, j]), weight + tap
            if weight >= COVERAGE - 1e-6:
                result[row, column] = value / weight
    return result


@pytest.mark.parametrize("shape", [(9, 9), (5, 5), (4, 6)])
@pytest.mark.parametrize(
    "limits",
    [
        {"rotation": 50}, {"translation": 0.2}, {"scale": 0.5}, {"shear": 30}, {"horizontal_flip": 1, "rotation": 30},
        {"vertical_flip": 1}, {"rotation": 20, "translation": 0.1, "scale": 0.2, "shear": 10, "vertical_flip": 1},
    ],
    ids=str,
)  # fmt: skip
def test_maps_are_read_where_the_inverse_leads(limits, shape):
    transform = Transformation(limits)
    grid = transform.grid(2)
    inverse = Inverse(transform, grid, 18, 12)
    maps = torch.rand(1, len(grid), 1, *shape)
    back, moved = transform.places_read(grid, 18, 12)
    share = torch.tensor([shape[1] / 12, shape[0] / 18], dtype=torch.float64)
    expected = torch.stack(
        [literal(maps[0, j, 0], back[..., j], moved[..., j], share).flatten() for j in range(len(grid))]
    )
    counts = expected.isfinite().all(0)
    got = inverse(maps)
    assert got.shape[3] == inverse.positions(*shape) == int(counts.sum()) > 0
    torch.testing.assert_close(got[0, :, 0].double(), expected[:, counts], rtol=1e-5, atol=1e-6)


def test_maps_whose_channels_lie_side_by_side_are_turned_back_likewise():
    inverse = Inverse(rotate, angles(5), 20, 20)
    maps = torch.rand(10, 3, 7, 7)
    last = maps.to(memory_format=torch.channels_last)
    one, other = (inverse(each.unflatten(0, (2, 5))) for each in (maps, last))
    assert torch.equal(one, other) and one.stride() != other.stride()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_maps_are_taken_as_the_numbers_they_are(dtype):
    inverse = Inverse(rotate, angles(5), 20, 20)
    maps = torch.rand(2, 5, 3, 7, 7).to(dtype)
    assert torch.equal(inverse(maps), inverse(maps.float()))


@pytest.mark.parametrize(
    "limits",
    [{"rotation": 30}, {"translation": 0.1}, {"scale": 0.2}, {"shear": 15}, {"horizontal_flip": 1, "rotation": 30}],
    ids=str,
)
def test_a_transformed_image_that_is_turned_back_is_about_the_image_as_it_was(limits):
    transform = Transformation(limits)
    grid, given = transform.grid(3), smooth()
    shown = torch.stack([transform(image.expand(len(grid), -1, -1, -1), grid) for image in given])
    inverse = Inverse(transform, grid, 33, 33)
    everywhere = inverse(torch.arange(33.0 * 33).view(1, 1, 1, 33, 33).expand(1, len(grid), 1, 33, 33))
    assert everywhere.shape[3] > 0.4 * 33 * 33
    back = inverse(shown)
    assert (back - back.mean(1, keepdim=True)).abs().max() < 0.15  # of blobs of height 1
    assert (shown.flatten(3) - shown.flatten(3).mean(1, keepdim=True)).abs().max() > 0.5


@pytest.mark.parametrize("family", ["blur", "brightness", "contrast"])
def test_what_is_no_movement_is_not_undone(family):
    transform = Transformation({family: 1})
    maps = torch.rand(2, 3, 2, 5, 5)
    assert torch.equal(Inverse(transform, transform.grid(3), 5, 5)(maps), maps.flatten(3))


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_quarter_turns_and_flips_are_undone_bit_by_bit(size):
    maps = torch.randn(2, 3, size, size).relu()  # next to a large value a 0 is to stay 0
    for transform, grid in ((rotate, QUARTERS), (Transformation({"horizontal_flip": 1}), torch.tensor([[0.0], [1.0]]))):
        shown = torch.stack([transform(one.expand(len(grid), -1, -1, -1), grid) for one in maps])
        back = Inverse(transform, grid, 28, 28)(shown)
        assert torch.equal(back, maps.flatten(2).unsqueeze(1).expand_as(back))


def test_no_corner_of_a_map_that_left_the_image_counts():
    """At 45 degrees the corners of a map are read from outside; a map of ones stays one everywhere that counts."""
    inverse = Inverse(rotate, angles(8), 28, 28)
    ones = inverse(torch.ones(1, 8, 1, 28, 28))
    torch.testing.assert_close(ones, torch.ones_like(ones))
    assert 0.7 * 28 * 28 < inverse.positions(28, 28) < 0.9 * 28 * 28
    assert inverse.positions(2, 2) == 4


@pytest.mark.parametrize("limits", [{"rotation": 30}, {"scale": 0.3}], ids=str)
def test_a_map_of_one_value_stays_it_bit_by_bit(limits):
    """What rounding adds differs from version to version, and no image moves such a unit: it would be infinite."""
    transform = Transformation(limits)
    grid = transform.grid(2)
    value = torch.rand(1, 1, 400, 1, 1) + 1
    turned = Inverse(transform, grid, 28, 28)(value.expand(1, len(grid), 400, 28, 28))
    assert torch.equal(turned, value.flatten(3).expand_as(turned))


# the measure


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("grid", [QUARTERS, angles(5)], ids=["quarters", "fifths"])
def test_it_is_spatial_of_the_maps_turned_back(grid):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(147, 2))
    kept = oracle.activations(model, images(), grid)
    del kept["2"]
    inverse = Inverse(rotate, grid, 9, 9)
    kept = {name: inverse(maps).unsqueeze(4) if maps.dim() == 5 else maps for name, maps in kept.items()}
    expected = oracle.measure(kept, LABELS, CLASSES, ("spatial",)).replace("spatial", TURNED)
    key = ["layer", "stratum", "unit"]
    got = turned(model, images(), grid).set_index(key)
    expected = expected.set_index(key).dropna(axis=1).drop(columns="aggregation")
    assert len(got) == len(expected)
    np.testing.assert_allclose(got.loc[expected.index, expected.columns], expected, rtol=2e-4, atol=1e-6)
    assert got["p_value"].isna().all()


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("limits", [None, {"horizontal_flip": 1, "vertical_flip": 1}])
def test_an_equivariant_network_is_at_exactly_0_and_far_from_invariant(limits):
    transform = Transformation(limits) if limits else rotate
    grid = transform.grid(2) if limits else QUARTERS
    table = turned(isotropic(), images(), grid, transform=transform, aggregations=[TURNED, "spatial"])
    by = table.groupby("aggregation")
    assert (by.get_group(TURNED)[["normalized_variance", "normalized_distance", "f_statistic"]] == 0).all(axis=None)
    assert (by.get_group("spatial")["normalized_variance"] > 0.5).all()


def test_other_filters_are_not_equivariant():
    torch.manual_seed(0)
    table = turned(nn.Sequential(nn.Conv2d(1, 3, 3, padding=1)), images(), QUARTERS)
    assert (table["normalized_variance"] > 0.1).all()


def test_a_layer_without_positions_has_its_value_and_one_whose_positions_are_no_map_has_no_rows():
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.maps, self.tokens, self.flat = nn.Conv2d(1, 4, 3), nn.Linear(4, 3), nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.flat(self.tokens(self.maps(x).flatten(2).transpose(1, 2)).mean(1))

    table = turned(Tokens(), images(), angles(3), aggregations=[TURNED, "spatial"])
    rows = {name: set(each["layer"]) for name, each in table.groupby("aggregation")}
    assert rows["spatial"] - rows[TURNED] == {"tokens"}
    flat = table[table["layer"] == "flat"].set_index("aggregation")["normalized_variance"]
    assert flat[TURNED].tolist() == flat["spatial"].tolist()


def test_where_every_position_leaves_the_image_there_are_no_rows():
    far = Transformation({"translation": 1})
    grid = far.grid(2)
    table = turned(isotropic(), images(), grid, transform=far, aggregations=["mean", TURNED])
    assert set(table["aggregation"]) == {"mean"}
    with pytest.raises(InputError, match="no layer has maps that can be turned back .+: name another aggregation"):
        turned(isotropic(), images(), grid, transform=far)


def test_a_transformation_of_unknown_inverse_is_one_sentence():
    with pytest.raises(InputError, match="'same_equivariance' needs the inverse of the transformation"):
        turned(isotropic(), images(), QUARTERS, transform=lambda given, parameters: given)


@pytest.mark.usefixtures("either_way")
def test_batches_and_parts_change_nothing(tmp_path):
    given = dict(aggregations=["mean", TURNED], firing_rate=0.2)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Tanh())
    whole = turned(model, images(), angles(5), **given)
    pd.testing.assert_frame_equal(turned(model, images(), angles(5), batch_size=7, **given), whole, rtol=1e-5)
    parts = []
    for label in (1, 0):
        part = variance.sweep(model, images(), LABELS, CLASSES, angles(5), part=[label], **given)
        part.save(tmp_path / "part", {})
        parts.append(Sweep.load(tmp_path / "part")[0])
    parts[0].merge(parts[1])
    pd.testing.assert_frame_equal(parts[0].table(), whole, rtol=1e-5)
