"""One data set as a file that any job reads quickly: both splits packed as tensors."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from rotvar.errors import InputError, damaged
from rotvar.system import checksum
from rotvar.system.files import atomic

SPLITS = ("train", "test")


@dataclass(frozen=True)
class Dataset:
    """Images and their labels, one split of a data set. Raises InputError where they are none."""

    images: Tensor  # uint8, N x C x H x W
    labels: Tensor  # int64, N; indexes `classes`
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        images, labels, count = self.images, self.labels, len(self.classes)
        if images.dtype != torch.uint8 or images.dim() != 4:
            raise InputError(f"images are {_kind(images)}: uint8, N x C x H x W, is needed")
        if labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
            raise InputError(f"labels are {_kind(labels)}: int64, {len(images)}, one an image, is needed")
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < count:
            raise InputError(f"labels go from {labels.min()} to {labels.max()}, but there are {count} classes")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> dict[str, int]:
        """What a network for these images is built for: channels, image_size, classes."""
        return {"channels": self.images.shape[1], "image_size": self.images.shape[2], "classes": len(self.classes)}


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')}, {' x '.join(map(str, tensor.shape))}"


def pack(name: str, splits: dict[str, Dataset], path: str | Path) -> None:
    """Write the splits of a data set ("train", "test") into one safetensors file.

    Raises InputError for a class without images.
    """
    tensors: dict[str, Tensor] = {}
    for split, dataset in splits.items():
        for label, count in enumerate(torch.bincount(dataset.labels, minlength=len(dataset.classes)).tolist()):
            if not count:
                raise InputError(f"{name}: class '{dataset.classes[label]}' has no {split} image: take more of them")
        tensors |= {f"{split}_images": dataset.images, f"{split}_labels": dataset.labels}
    description = {"name": name, "classes": splits["train"].classes, "checksum": checksum.BLANK}
    with atomic(path) as part:
        # One key: safetensors writes several in random order, and a file that differs makes everything stale
        save_file(tensors, part, metadata={"description": json.dumps(description)})
        checksum.stamp(part)


def read(path: str | Path, split: str) -> Dataset:
    """Read one split of a data set that `pack` wrote. Raises InputError where the file is damaged or not one."""
    try:
        checksum.verify(path)
        with safe_open(path, framework="pt") as file:
            classes = json.loads((file.metadata() or {})["description"])["classes"]
            return Dataset(file.get_tensor(f"{split}_images"), file.get_tensor(f"{split}_labels"), tuple(classes))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise damaged(path, "is not a packed data set", error) from error


def first(dataset: Dataset, count: int) -> Dataset:
    """The first `count` images of a data set, the classes in equal parts (differing by at most one) as far as each
    has enough of them."""
    place = torch.empty_like(dataset.labels)  # of each image among those of its class
    for label in range(len(dataset.classes)):
        of_class = dataset.labels == label
        place[of_class] = torch.arange(int(of_class.sum()))
    index = (place * len(dataset.classes) + dataset.labels).argsort()[:count].sort().values
    return Dataset(dataset.images[index], dataset.labels[index], dataset.classes)


def normalization(images: Tensor) -> tuple[list[float], list[float]]:
    """The mean and the standard deviation of each channel of uint8 images, on the scale [0, 1].

    A channel of one value has the standard deviation 1, so that it becomes 0, and not 0/0, when it is divided by it.
    `images`: uint8, N x C x H x W. Exact for any number of images: computed from the histogram of the 256 values.
    """
    values = torch.arange(256, dtype=torch.float64) / 255
    means, stds = [], []
    for channel in images.unbind(1):
        weights = torch.bincount(channel.flatten(), minlength=256).double()
        weights /= weights.sum()
        mean = (weights * values).sum()
        means.append(mean.item())
        std = (weights * (values - mean) ** 2).sum().sqrt().item()
        stds.append(std if weights.count_nonzero() > 1 else 1.0)
    return means, stds
