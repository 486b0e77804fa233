"""A packed data set is read back whole or not at all; what is computed from its images is exact."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from rotvar.data.packed import Dataset, first, normalization, pack, read
from rotvar.datasets import load, prepare
from rotvar.errors import InputError
from rotvar.system import checksum


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "another safetensors file":
        save_file({"train_images": torch.zeros(3)}, path)
    else:
        path.write_bytes({"empty": b"", "cut off": content[:-1], "not safetensors": b"\x89PNG" * 1000}[how])


@pytest.mark.parametrize("how", ["missing", "empty", "cut off", "not safetensors", "another safetensors file"])
def test_a_damaged_packed_file_is_named(how, tmp_path):
    path = tmp_path / "digits.safetensors"
    prepare("digits", path, train_images=20, test_images=20)
    damage(path, how)
    with pytest.raises(
        InputError,
        match=r"digits\.safetensors is not a packed data set \(.+\): make it again with ",
    ):
        read(path, "train")


IMAGES, LABELS = torch.zeros(3, 1, 4, 4, dtype=torch.uint8), torch.tensor([0, 1, 1])


@pytest.mark.parametrize(
    ("images", "labels", "sentence"),
    [
        (IMAGES.float(), LABELS, "images are float32, 3 x 1 x 4 x 4: uint8, N x C x H x W, is needed"),
        (IMAGES[0], LABELS, "images are uint8, 1 x 4 x 4: uint8, N x C x H x W, is needed"),
        (IMAGES, LABELS.int(), "labels are int32, 3: int64, 3, one an image, is needed"),
        (IMAGES, LABELS[:2], "labels are int64, 2: int64, 3, one an image, is needed"),
        (IMAGES, LABELS.float(), "labels are float32, 3: int64, 3, one an image, is needed"),
        (IMAGES, LABELS - 1, "labels go from -1 to 0, but there are 2 classes"),
        (IMAGES, LABELS + 1, "labels go from 1 to 2, but there are 2 classes"),
    ],
)
def test_images_and_labels_that_are_none(images, labels, sentence, tmp_path):
    with pytest.raises(InputError, match=sentence):
        Dataset(images, labels, ("a", "b"))
    path, given = tmp_path / "file.safetensors", {"images": images, "labels": labels}
    tensors = {f"{split}_{what}": each.clone() for split in ("train", "test") for what, each in given.items()}
    save_file(tensors, path, metadata={"description": '{"classes": ["a", "b"]}', "checksum": checksum.BLANK})
    checksum.stamp(path)
    with pytest.raises(InputError, match=rf"^{path} is not a packed data set \({sentence}\): "):
        read(path, "test")


def test_a_class_without_images_is_not_packed(tmp_path):
    whole, part = Dataset(IMAGES, LABELS, ("a", "b")), Dataset(IMAGES[1:], LABELS[1:], ("a", "b"))
    with pytest.raises(InputError, match="^letters: class 'a' has no test image: take more of them$"):
        pack("letters", {"train": whole, "test": part}, tmp_path / "file.safetensors")
    assert list(tmp_path.iterdir()) == []


# parts


def labelled(*labels: int, classes: int) -> Dataset:
    """Images that carry their own index."""
    index = torch.arange(len(labels), dtype=torch.uint8).view(-1, 1, 1, 1)
    return Dataset(index, torch.tensor(labels), tuple("abcdef"[:classes]))


def test_first_takes_equal_parts_in_the_order_of_the_data_set():
    part = first(labelled(2, 2, 2, 0, 0, 1, 0, 1, 1, classes=3), 6)
    assert part.images.flatten().tolist() == [0, 1, 3, 4, 5, 7]
    assert part.labels.tolist() == [2, 2, 0, 0, 1, 1]
    assert part.classes == ("a", "b", "c")


def test_the_first_classes_take_what_cannot_be_shared():
    part = first(load("digits", "nowhere", "train"), 43)
    assert torch.bincount(part.labels).tolist() == [5, 5, 5, 4, 4, 4, 4, 4, 4, 4]


def test_where_a_class_is_short_the_others_make_up_for_it():
    part = first(labelled(0, 1, 1, 2, 1, 2, 2, 1, classes=3), 6)
    assert part.images.flatten().tolist() == [0, 1, 2, 3, 4, 5]
    assert torch.bincount(part.labels).tolist() == [1, 3, 2]


def test_first_of_more_images_than_there_are_is_all_of_them():
    dataset = labelled(0, 1, 1, 0, classes=2)
    assert first(dataset, 100).images.flatten().tolist() == [0, 1, 2, 3]


# normalization


def test_normalization_is_that_of_numpy_in_float64():
    images = torch.randint(0, 256, (50, 3, 9, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images[:, 1] //= 16
    mean, std = normalization(images)
    scaled = images.numpy().astype(np.float64) / 255
    np.testing.assert_allclose(mean, scaled.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(std, scaled.std(axis=(0, 2, 3)), rtol=1e-12)


def test_normalization_of_black_and_white_halves():
    images = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    images[1] = 255
    assert normalization(images) == ([0.5], [0.5])


def test_a_channel_of_one_value_becomes_0():
    images = torch.full((2, 2, 4, 4), 51, dtype=torch.uint8)
    images[0, 1] = 204
    mean, std = normalization(images)
    assert (mean[0], std[0]) == (0.2, 1)
    assert (mean[1], std[1]) == pytest.approx((0.5, 0.3))


def test_normalization_of_mnist_is_the_well_known_one(published_files, tmp_path):
    mean, std = normalization(load("mnist", tmp_path, "train", mirror=published_files).images)
    assert mean == pytest.approx([0.1307], abs=5e-5) and std == pytest.approx([0.3081], abs=5e-5)
