"""Accuracy is counted image by image: exact counts for a model that reads the class from the image."""

import math

import pandas as pd
import pytest
import torch
from torch import nn

from rotvar.data.packed import Dataset
from rotvar.evaluation import BATCH, accuracy, classify
from rotvar.rotation import angles

SIDES = ((0, 2), (2, 0), (4, 2), (2, 4))  # top, left, bottom, right of 5 x 5 pixels: counter-clockwise
CLASSES = ("top", "left", "bottom", "right")
QUARTERS = angles(4)
MEAN, STD = torch.tensor([0.25]), torch.tensor([0.5])
RIGHT, WRONG = -math.log(0.7), -math.log(0.1)


class BrightestSide(nn.Module):
    """Says with probability 0.7 that the class is the side of the brightest pixel, 0.1 for each other side."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))
        self.seen: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(x)
        sides = torch.stack([x[:, 0, row, column] for row, column in SIDES], dim=1)
        return torch.full_like(sides, 0.1).scatter(1, sides.argmax(1, keepdim=True), 0.7).log()


def bright(*sides: int, labels: list[int] | None = None) -> Dataset:
    """An image with one bright side for each of `sides`; its label is the side, if no other is given."""
    images = torch.zeros(len(sides), 1, 5, 5, dtype=torch.uint8)
    for image, side in zip(images, sides, strict=True):
        image[0][SIDES[side]] = 200
    return Dataset(images, torch.tensor(sides if labels is None else labels), CLASSES)


def measured(dataset: Dataset, degrees: torch.Tensor = QUARTERS, seed: int = 0) -> pd.DataFrame:
    return accuracy(BrightestSide(), dataset, degrees, mean=MEAN, std=STD, seed=seed)


def test_one_row_for_each_angle_and_class():
    table = measured(bright(0, 1, 2, 3))
    assert list(table.columns) == ["angle", "class", "n", "correct", "loss"]
    expected = [(angle, name) for angle in ("-180", "-90", "0", "90", "random") for name in CLASSES]
    assert list(zip(table["angle"], table["class"], strict=True)) == expected


def test_angles_are_written_as_short_as_they_are():
    assert list(measured(bright(0, 1, 2, 3), angles(16))["angle"].unique()) == [
        "-180", "-157.5", "-135", "-112.5", "-90", "-67.5", "-45", "-22.5",
        "0", "22.5", "45", "67.5", "90", "112.5", "135", "157.5", "random",
    ]  # fmt: skip


def test_exact_counts_and_losses_by_class_and_angle():
    """Three images of "top", of which one lies on its left side, and two of "left", of which one is upright.

    A quarter turn to the left brings the top to the left: what was wrong as it lay is right then, and the reverse.
    """
    table = measured(bright(0, 0, 1, 1, 0, labels=[0, 0, 0, 1, 1])).set_index(["angle", "class"])
    assert table.loc["0", "n"].to_dict() == {"top": 3, "left": 2, "bottom": 0, "right": 0}
    correct = {angle: table.loc[angle, "correct"].tolist() for angle in ("-180", "-90", "0", "90")}
    assert correct == {"-180": [0, 0, 0, 0], "-90": [1, 0, 0, 0], "0": [2, 1, 0, 0], "90": [0, 1, 0, 0]}
    assert table.loc[("0", "top"), "loss"] == pytest.approx((2 * RIGHT + WRONG) / 3)
    assert table.loc[("-90", "top"), "loss"] == pytest.approx((RIGHT + 2 * WRONG) / 3)
    assert table.loc[("-180", "left"), "loss"] == pytest.approx(WRONG)


def test_the_unrotated_test_set_is_always_there():
    table = measured(bright(0, 1, 2, 3), angles(3))
    assert list(table["angle"].unique()) == ["-180", "-60", "0", "60", "random"]
    assert table[table["angle"] == "0"]["correct"].tolist() == [1, 1, 1, 1]


def test_random_rotation_is_decided_by_the_seed():
    dataset = bright(*([0, 1, 2, 3] * 50))
    tables = [measured(dataset, seed=seed) for seed in (0, 0, 1)]
    pd.testing.assert_frame_equal(tables[0], tables[1])
    randomly = [table[table["angle"] == "random"]["correct"].tolist() for table in tables]
    assert randomly[0] != randomly[2]
    fixed = [table[table["angle"] != "random"] for table in tables]
    pd.testing.assert_frame_equal(fixed[0], fixed[2])


def test_random_rotation_turns_each_image_by_its_own_angle_all_the_way_round():
    """A pixel at a distance of 2 from the centre gives light to its old place for less than 30 degrees either way."""
    randomly = measured(bright(*([1] * 2000))).query("angle == 'random' and n > 0")
    assert randomly["n"].item() == 2000
    assert randomly["correct"].item() / 2000 == pytest.approx(60 / 360, abs=0.03)


class Limited(BrightestSide):
    """Has memory for three images at a time."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > 3:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        return super().forward(x)


def test_where_memory_runs_out_fewer_images_go_through_at_once():
    dataset, degrees = bright(*([0, 1, 2, 3] * 3)), torch.zeros(12)
    whole = classify(BrightestSide(), dataset, degrees, MEAN, STD)
    model = Limited()
    for one, other in zip(classify(model, dataset, degrees, MEAN, STD), whole, strict=True):
        torch.testing.assert_close(one, other)
    assert [len(batch) for batch in model.seen] == [2] * 6


def test_too_little_memory_for_one_image_is_an_error():
    class Full(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise MemoryError

    with pytest.raises(MemoryError):
        classify(Full(1, 1), bright(0, 1), None, MEAN, STD)


def test_the_model_sees_rotated_and_then_normalized_images():
    model = BrightestSide()
    classify(model, bright(0), torch.tensor([90.0]), MEAN, STD)
    expected = torch.full((5, 5), -0.5)  # black: (0 - 0.25) / 0.5
    expected[SIDES[1]] = (200 / 255 - 0.25) / 0.5
    torch.testing.assert_close(model.seen[0][0, 0], expected)


def test_every_image_is_classified_once_however_many_batches_there_are():
    sides = torch.arange(2 * BATCH + 1) % 4
    losses, correct = classify(BrightestSide(), bright(*sides.tolist(), labels=[0] * len(sides)), None, MEAN, STD)
    assert correct.tolist() == (sides == 0).tolist()
    torch.testing.assert_close(losses, torch.where(sides == 0, RIGHT, WRONG))


def test_batch_normalization_is_in_evaluation_mode_and_the_model_left_as_it_was():
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(25, 4), nn.LogSoftmax(1))
    dataset = bright(0, 1, 2, 3)
    expected, _ = classify(model.eval(), dataset, None, MEAN, STD)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    losses, _ = classify(model.train(), dataset, None, MEAN, STD)
    assert torch.equal(losses, expected)
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
