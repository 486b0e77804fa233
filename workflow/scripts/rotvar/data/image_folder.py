"""A data set of one's own: a folder with a folder of images for each class.

Either `train` and `test` each hold the folders of the classes, or the folder holds them itself, and a fifth of each
class is the test set. What can be said of it without opening an image is said without PyTorch.
"""

import hashlib
import itertools
import random
import unicodedata
from pathlib import Path

from rotvar.catalogue import Info
from rotvar.errors import InputError

# In capitals, too
SUFFIXES = (
    ".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip
TEST_SHARE = 5  # one image in so many is a test image, where the folder does not say


def info(name: str, folder: str | Path, image_size: int, channels: int = 3) -> Info:
    """What the catalogue says of a data set. Raises InputError as `files` does."""
    splits = files(folder)
    counts = {split: sum(map(len, classes.values())) for split, classes in splits.items()}
    return Info(name, channels, image_size, tuple(splits["train"]), counts["train"], counts["test"])


def files(folder: str | Path) -> dict[str, dict[str, list[Path]]]:
    """The images of each class of each split ("train", "test"), classes and images in the order of their names.

    Raises InputError where there is no such folder, where it has fewer than two classes, where a class has no training
    image or fewer than two test images or a name that is no text, and where the two splits have different classes.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: it must hold a folder of images for each class")
    if (folder / "train").is_dir() and (folder / "test").is_dir():
        splits = {split: _classes(folder / split) for split in ("train", "test")}
    else:
        splits = {"train": {}, "test": {}}
        for name, images in _classes(folder).items():
            test = set(random.Random(name).sample(images, len(images) // TEST_SHARE))  # the same in every run
            splits["test"][name] = [image for image in images if image in test]
            splits["train"][name] = [image for image in images if image not in test]
    _check(folder, splits)
    return splits


def fingerprint(folder: str | Path) -> str:
    """A digest of the places and the sizes of the images: that they changed, without reading them."""
    digest = hashlib.sha256()
    for split, classes in files(folder).items():
        for image in itertools.chain(*classes.values()):
            line = f"{split}/{image.relative_to(folder)}/{image.stat().st_size}\n"
            digest.update(line.encode(errors="surrogateescape"))  # a file's name may be any bytes
    return digest.hexdigest()


def _classes(folder: Path) -> dict[str, list[Path]]:
    names = sorted(each for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
    for each in names:
        shown = each.name.encode(errors="surrogateescape").decode(errors="backslashreplace")
        if shown != each.name:
            raise InputError(f"{folder}: the name of the class '{shown}' is not UTF-8: rename its folder")
        if any(unicodedata.category(letter) == "Cc" for letter in each.name):
            raise InputError(f"{folder}: the name of the class {each.name!r} has control characters: rename its folder")
    return {
        each.name: sorted(file for file in each.rglob("*") if _is_image(file.relative_to(each)) and file.is_file())
        for each in names
    }


def _is_image(path: Path) -> bool:
    """Whether a path in a class is that of an image. What is hidden is not: thumbnails, and what macOS adds."""
    return path.suffix.lower() in SUFFIXES and not any(part.startswith(".") for part in path.parts)


def _check(folder: Path, splits: dict[str, dict[str, list[Path]]]) -> None:
    train, test = splits["train"], splits["test"]
    if different := sorted(train.keys() ^ test.keys()):
        raise InputError(f"{folder}: class '{different[0]}' is in one of train and test: it must be in both")
    if len(train) < 2:
        raise InputError(
            f"{folder} has {len(train)} folder(s) of images: it must have one for each of two classes or more"
        )
    for name in train:
        if not train[name] or len(test[name]) < 2:
            counts = f"{len(train[name])} training and {len(test[name])} test images"
            need = "at least one and two are needed (a fifth are test images by default)"
            raise InputError(f"{folder}: class '{name}' has {counts}, but {need}: images end in {', '.join(SUFFIXES)}")
