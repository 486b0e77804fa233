"""One data set as a file that any job reads quickly: both splits packed as tensors."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from rotvar.errors import InputError
from rotvar.files import atomic

SPLITS = ("train", "test")


@dataclass(frozen=True)
class Dataset:
    """Images and their labels, one split of a data set."""

    images: Tensor  # uint8, N x C x H x W
    labels: Tensor  # int64, N; indexes `classes`
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)


def pack(name: str, splits: dict[str, Dataset], path: str | Path) -> None:
    """Write the splits of a data set ("train", "test") into one safetensors file."""
    tensors: dict[str, Tensor] = {}
    for split, dataset in splits.items():
        tensors |= {f"{split}_images": dataset.images, f"{split}_labels": dataset.labels}
    description = json.dumps({"name": name, "classes": splits["train"].classes})
    with atomic(path) as part:
        # One key: safetensors writes several in random order, and a file that differs makes everything stale
        save_file(tensors, part, metadata={"description": description})


def read(path: str | Path, split: str) -> Dataset:
    """Read one split of a data set that `pack` wrote. Raises InputError where the file is not one."""
    try:
        with safe_open(path, framework="pt") as file:
            classes = json.loads((file.metadata() or {})["description"])["classes"]
            return Dataset(file.get_tensor(f"{split}_images"), file.get_tensor(f"{split}_labels"), tuple(classes))
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise InputError(f"{path} is not a packed data set ({error}): delete it and run the workflow again") from error


def first(dataset: Dataset, count: int) -> Dataset:
    """The first `count` images of a data set, the classes in equal parts (differing by at most one)."""
    classes = len(dataset.classes)
    chosen = []
    for label in range(classes):
        share = count // classes + (label < count % classes)
        chosen.append(torch.nonzero(dataset.labels == label).flatten()[:share])
    index = torch.cat(chosen).sort().values
    return Dataset(dataset.images[index], dataset.labels[index], dataset.classes)


def normalization(images: Tensor) -> tuple[list[float], list[float]]:
    """The mean and the standard deviation of each channel of uint8 images, on the scale [0, 1].

    `images`: uint8, N x C x H x W. Exact for any number of images: computed from the histogram of the 256 values.
    """
    values = torch.arange(256, dtype=torch.float64) / 255
    means, stds = [], []
    for channel in images.unbind(1):
        weights = torch.bincount(channel.flatten(), minlength=256).double()
        weights /= weights.sum()
        mean = (weights * values).sum()
        means.append(mean.item())
        stds.append((weights * (values - mean) ** 2).sum().sqrt().item())
    return means, stds
