"""The data sets: downloaded and verified by torchvision, or copied from a mirror folder."""

import logging
import shutil
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path

import sklearn.datasets
import torch
import torchvision.datasets
from sklearn.model_selection import train_test_split
from torchvision.datasets.utils import check_integrity

from rotvar.errors import InputError
from rotvar.files import atomic
from rotvar.packed import SPLITS, Dataset, first, pack

log = logging.getLogger("rotvar")

TORCHVISION = {
    "mnist": torchvision.datasets.MNIST,
    "fashion_mnist": torchvision.datasets.FashionMNIST,
    "cifar10": torchvision.datasets.CIFAR10,
}
NAMES = ("digits", *TORCHVISION)


def prepare(
    name: str,
    path: str | Path,
    mirror: str | Path | None = None,
    train_images: int | None = None,
    test_images: int | None = None,
) -> None:
    """Pack both splits of a data set into one safetensors file at `path`.

    `train_images` and `test_images` keep only that many images of a split, as `first` chooses them. Downloads go to
    a folder beside `path`, so that an interrupted download goes on where it stopped; it is removed at the end.
    """
    downloads = Path(path).parent / f"downloads_{name}"
    splits = {}
    for split, count in zip(SPLITS, (train_images, test_images), strict=True):
        dataset = load(name, downloads, split, mirror)
        splits[split] = dataset if count is None else first(dataset, count)
        log.info("%s %s: %d images", name, split, len(splits[split]))
    pack(name, splits, path)
    shutil.rmtree(downloads, ignore_errors=True)


def load(name: str, root: str | Path, split: str, mirror: str | Path | None = None) -> Dataset:
    """Load one split ("train" or "test") of a data set, downloading it into `root` where it is not there yet.

    `mirror` is a folder laid out as torchvision lays it out; what it holds is copied instead of downloaded. Files
    from either source are checked against their published MD5 before they are read.

    Raises InputError for an unknown name or split and where the data can be neither found nor downloaded.
    """
    if name not in NAMES:
        raise InputError(f"unknown data set '{name}': choose one of {', '.join(NAMES)}")
    if split not in SPLITS:
        raise InputError(f"unknown split '{split}': choose one of {', '.join(SPLITS)}")
    if name == "digits":
        return _digits(split)
    if mirror is not None:
        _copy_from_mirror(name, Path(mirror), Path(root))
    _discard_unpacked(name, Path(root))
    try:
        source = TORCHVISION[name](root, train=split == "train", download=True)
    except (OSError, RuntimeError, HTTPException) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise InputError(
            f"{name} could not be downloaded ({reason}): check the network, or name a folder that holds it "
            "as data: mirror in the configuration"
        ) from error
    images = torch.as_tensor(source.data)
    # torchvision keeps grey images as N x H x W and colour images as N x H x W x C
    images = images.unsqueeze(1) if images.dim() == 3 else images.permute(0, 3, 1, 2).contiguous()
    return Dataset(images, torch.as_tensor(source.targets, dtype=torch.int64), tuple(source.classes))


def _digits(split: str) -> Dataset:
    """scikit-learn's 1,797 handwritten digits, 8 x 8 enlarged to 32 x 32; a fifth of each class is the test set."""
    bunch = sklearn.datasets.load_digits()
    train, test = train_test_split(range(len(bunch.target)), test_size=0.2, stratify=bunch.target, random_state=0)
    index = torch.tensor(sorted(train if split == "train" else test))
    images = torch.tensor(bunch.images, dtype=torch.float32)[index].unsqueeze(1)  # 0..16
    images = torch.nn.functional.interpolate(images, size=(32, 32), mode="bilinear") * (255 / 16)
    labels = torch.tensor(bunch.target, dtype=torch.int64)[index]
    return Dataset(images.round().to(torch.uint8), labels, tuple(str(name) for name in bunch.target_names))


def _copy_from_mirror(name: str, mirror: Path, root: Path) -> None:
    """Copy the original files that the mirror holds into `root`; one that fails its MD5 is left to the download."""
    if not mirror.is_dir():
        raise InputError(f"data: mirror: {mirror} is not a folder: create it or set the key to null")
    needed = [(file, md5) for file, md5 in _original_files(name) if not check_integrity(root / file, md5)]
    whole = []
    for file, md5 in needed:
        if check_integrity(mirror / file, md5):
            whole.append(file)
        elif (mirror / file).exists():
            log.warning("%s differs from the published file (MD5 %s): downloading it", mirror / file, md5)
    if name == "cifar10" and len(whole) < len(needed):
        return  # its files come in one archive, which torchvision leaves alone once the batches of images are there
    for file in whole:
        with atomic(root / file) as part:
            shutil.copyfile(mirror / file, part)


def _discard_unpacked(name: str, root: Path) -> None:
    """Remove what torchvision unpacked earlier: it would read it unchecked, even if it was interrupted half-way. It
    unpacks the archives, which it checks, again."""
    for file, md5 in _original_files(name):
        if file.suffix == ".gz" and check_integrity(root / file, md5):
            (root / file).with_suffix("").unlink(missing_ok=True)


def _original_files(name: str) -> Sequence[tuple[Path, str]]:
    """The published files of a data set: path under torchvision's root, MD5."""
    dataset = TORCHVISION[name]
    if name == "cifar10":
        files = [*dataset.train_list, *dataset.test_list, [dataset.meta["filename"], dataset.meta["md5"]]]
        return [(Path(dataset.base_folder, file), md5) for file, md5 in files]
    return [(Path(dataset.__name__, "raw", file), md5) for file, md5 in dataset.resources]
