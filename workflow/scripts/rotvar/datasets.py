"""The data sets: downloaded or copied from a mirror folder, and verified before they are read."""

import logging
import shutil
import struct
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sklearn.datasets
import torch
import torchvision.datasets
from PIL import Image, ImageOps
from PIL.Image import Resampling
from sklearn.model_selection import train_test_split
from torchvision.datasets.utils import check_integrity
from torchvision.transforms.functional import pil_to_tensor

from rotvar.catalogue import DATASETS
from rotvar.data import image_folder, originals
from rotvar.data.download import fetch
from rotvar.data.packed import SPLITS, Dataset, first, pack
from rotvar.errors import InputError, reason
from rotvar.system.files import atomic

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
    own: dict[str, Any] | None = None,
) -> None:
    """Pack both splits of a data set into one safetensors file at `path`.

    own: the arguments of `own_images` besides the split, for a data set of one's own.
    `train_images` and `test_images` keep only that many images of a split, as `first` chooses them. Downloads go to
    a folder beside `path`, so that an interrupted download goes on where it stopped; it is removed at the end.
    """
    downloads = Path(path).parent / f"downloads_{name}"
    splits = {}
    for split, count in zip(SPLITS, (train_images, test_images), strict=True):
        dataset = own_images(split=split, **own) if own else load(name, downloads, split, mirror)
        splits[split] = dataset if count is None else first(dataset, count)
        log.info("%s %s: %d images", name, split, len(splits[split]))
    pack(name, splits, path)
    shutil.rmtree(downloads, ignore_errors=True)


def load(name: str, root: str | Path, split: str, mirror: str | Path | None = None) -> Dataset:
    """Load one split ("train" or "test") of a data set, downloading it into `root` where it is not there yet.

    `mirror` is a folder laid out as torchvision lays it out (of CIFAR10 the archive is enough); what it holds is copied
    instead of downloaded. Files from either source are checked against their published MD5 before they are read, and
    nothing in them is run.

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
    try:
        _download(name, Path(root))
    except OSError as error:
        lacks = f", and {mirror} has no whole {_missing(name, Path(root))[0][0]}" if mirror else ""
        raise InputError(
            f"{name} could not be downloaded ({reason(error)}){lacks}: check the network, or name a folder that holds "
            "it as data: mirror in the configuration"
        ) from error
    _take_out(name, Path(root))
    return _read(name, Path(root), split)


def own_images(folder: str | Path, image_size: int, channels: int, split: str) -> Dataset:
    """One split of a folder of images as `image_folder.files` reads it: each image turned as its camera was held,
    resized to `image_size` pixels on its shorter side, and cropped to the square in its middle; in colours (`channels`
    3) or grey (1), whatever it was.

    Raises InputError as `image_folder.files` does, and for an image that cannot be read.
    """
    classes = image_folder.files(folder)[split]
    images = [_image(file, image_size, "RGB" if channels == 3 else "L") for files in classes.values() for file in files]
    labels = [label for label, files in enumerate(classes.values()) for _ in files]
    return Dataset(torch.stack(images), torch.tensor(labels), tuple(classes))


def _image(file: Path, size: int, mode: str) -> torch.Tensor:
    try:
        with Image.open(file) as opened:
            if opened.mode[0] in "IF":  # Pillow would cut them off at 255
                raise ValueError(f"its pixels have more than 8 bits: mode {opened.mode}")
            image = ImageOps.fit(ImageOps.exif_transpose(opened).convert(mode), (size, size), Resampling.BICUBIC)
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError) as error:
        raise InputError(f"{file} cannot be read as an image ({reason(error)}): mend it, or take it away") from error
    return pil_to_tensor(image)


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
    """Copy the original files that the mirror holds into `root`, and, where that is not all of them, the archive that
    they come in. A file that fails its MD5 is left to the download; InputError for one that cannot be read."""
    if not mirror.is_dir():
        raise InputError(f"data: mirror: {mirror} is not a folder: create it or set the key to null")
    for file, md5 in _missing(name, root):
        _copy(file, md5, mirror, root)
    dataset = TORCHVISION[name]
    if hasattr(dataset, "tgz_md5") and _missing(name, root):
        _copy(Path(dataset.filename), dataset.tgz_md5, mirror, root)


def _copy(file: Path, md5: str, mirror: Path, root: Path) -> None:
    try:
        (mirror / file).stat()  # of a folder that may not be searched the check would say that it lacks the file
        whole = check_integrity(mirror / file, md5)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise InputError(
            f"data: mirror: {mirror / file} cannot be read ({error.strerror or error}): "
            "let your user read it, or set the key to null"
        ) from error
    if whole:
        # Two open files, because shutil.copyfile says of a full disk that the original cannot be copied
        with (mirror / file).open("rb") as original, atomic(root / file) as part, part.open("wb") as target:
            shutil.copyfileobj(original, target)
    else:
        log.warning("%s differs from the published file (MD5 %s): it is not used", mirror / file, md5)


def _download(name: str, root: Path) -> None:
    """Download the original files that `root` lacks, or the archive that they come in."""
    dataset = TORCHVISION[name]
    missing = _missing(name, root)
    if missing and hasattr(dataset, "tgz_md5"):
        if not check_integrity(root / dataset.filename, dataset.tgz_md5):
            fetch([dataset.url], root / dataset.filename, dataset.tgz_md5)
        return
    for file, md5 in missing:
        fetch([f"{mirror}{file.name}" for mirror in dataset.mirrors], root / file, md5)


def _take_out(name: str, root: Path) -> None:
    """Copy the original files that `root` lacks out of the archive that they came in, each checked against its MD5.

    Whatever else the archive holds, and wherever that would unpack to, stays in it.
    """
    missing = _missing(name, root)
    if not missing:
        return
    archive = root / TORCHVISION[name].filename
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for file, md5 in missing:
                content = tar.extractfile(file.as_posix())
                if content is None:
                    raise tarfile.TarError(f"{file} is no file")
                with atomic(root / file) as part:
                    with part.open("wb") as copy:
                        shutil.copyfileobj(content, copy)
                    originals.verified(part, md5)
    except (KeyError, EOFError, tarfile.TarError, zlib.error) as error:
        raise InputError(f"{archive} does not hold the published files ({error}): delete it") from error


def _read(name: str, root: Path, split: str) -> Dataset:
    """One split from the published files in `root`; their content is checked against their MD5 as it is read."""
    dataset, info = TORCHVISION[name], DATASETS[name]
    images = info.train if split == "train" else info.test
    if not hasattr(dataset, "tgz_md5"):
        folder, md5s = root / dataset.__name__ / "raw", dict(dataset.resources)
        prefix, size = "train" if split == "train" else "t10k", (info.image_size, info.image_size)
        files = (f"{prefix}-images-idx3-ubyte.gz", f"{prefix}-labels-idx1-ubyte.gz")
        pixels, labels = (
            originals.read(folder / file, md5s[file], originals.idx, shape)
            for file, shape in zip(files, ((images, *size), (images,)), strict=True)
        )
        return Dataset(pixels.unsqueeze(1), labels.long(), tuple(dataset.classes))
    files = dataset.train_list if split == "train" else dataset.test_list
    shape = (images // len(files), info.channels, info.image_size, info.image_size)
    folder, meta = root / dataset.base_folder, dataset.meta
    batches = [originals.read(folder / file, md5, originals.cifar_batch, shape) for file, md5 in files]
    classes = originals.read(folder / meta["filename"], meta["md5"], originals.cifar_names, meta["key"])
    pixels, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    return Dataset(pixels, labels, classes)


def _missing(name: str, root: Path) -> list[tuple[Path, str]]:
    """The original files that are not in `root`, or not as they were published."""
    return [(file, md5) for file, md5 in _original_files(name) if not check_integrity(root / file, md5)]


def _original_files(name: str) -> Sequence[tuple[Path, str]]:
    """The published files of a data set: path under torchvision's root, MD5."""
    dataset = TORCHVISION[name]
    if hasattr(dataset, "tgz_md5"):
        files = [*dataset.train_list, *dataset.test_list, [dataset.meta["filename"], dataset.meta["md5"]]]
        return [(Path(dataset.base_folder, file), md5) for file, md5 in files]
    return [(Path(dataset.__name__, "raw", file), md5) for file, md5 in dataset.resources]
