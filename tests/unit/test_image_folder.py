"""A folder of images, one folder a class, is a data set."""

import os
import re
import struct

import numpy as np
import pytest
import torch
from copies import ROOT
from PIL import Image
from torchvision.datasets.folder import IMG_EXTENSIONS

from rotvar import datasets
from rotvar.data import image_folder
from rotvar.data.packed import SPLITS, read
from rotvar.errors import InputError


def draw(file, width=20, height=10, colour=(200, 100, 0), mode="RGB"):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (width, height), colour).save(file)


@pytest.fixture
def flowers(tmp_path):
    """Ten images of each of two classes."""
    for name in ("rose", "daisy"):
        for number in range(10):
            draw(tmp_path / "flowers" / name / f"{number}.png")
    return tmp_path / "flowers"


def test_classes_are_the_folders_in_order_and_a_fifth_of_each_is_the_test_set(flowers):
    info = image_folder.info("flowers", flowers, 16)
    assert info.classes == ("daisy", "rose")
    assert (info.train, info.test, info.channels, info.image_size) == (16, 4, 3, 16)
    train, test = (image_folder.files(flowers)[split] for split in SPLITS)
    for name in info.classes:
        assert sorted(train[name] + test[name]) == sorted((flowers / name).iterdir())
        assert len(test[name]) == 2


def test_the_test_set_is_always_the_same_and_not_the_first_images(flowers):
    first = image_folder.files(flowers)
    assert image_folder.files(flowers) == first
    assert {name: [file.stem for file in files] for name, files in first["test"].items()} != {
        name: ["0", "1"] for name in ("daisy", "rose")
    }


def test_folders_train_and_test_say_which_is_which(tmp_path):
    for split, count in (("train", 3), ("test", 2)):
        for name in ("a", "b"):
            for number in range(count):
                draw(tmp_path / split / name / "deeper" / f"{number}.JPG")
    info = image_folder.info("own", tmp_path, 8, channels=1)
    assert (info.classes, info.train, info.test, info.channels) == (("a", "b"), 6, 4, 1)


def test_images_become_squares_of_one_size(flowers):
    draw(flowers / "rose" / "tall.png", width=5, height=50)
    dataset = datasets.own_images(flowers, 8, 3, "train")
    assert dataset.images.shape == (len(dataset), 3, 8, 8)
    assert dataset.images.dtype == torch.uint8
    assert dataset.images[0, :, 4, 4].tolist() == [200, 100, 0]
    assert datasets.own_images(flowers, 8, 1, "train").images.shape == (len(dataset), 1, 8, 8)
    assert dataset.labels.tolist() == sorted(dataset.labels.tolist())


def test_a_smaller_image_shows_the_mean_of_the_pixels_that_it_replaces(tmp_path):
    """And not one in so many of them, which would make coarse patterns of fine ones."""
    stripes = np.tile(np.uint8([0, 255]), (64, 32))
    for name in ("a", "b"):
        for number in range(10):
            file = tmp_path / name / f"{number}.png"
            file.parent.mkdir(exist_ok=True)
            Image.fromarray(stripes).save(file)
    inside = datasets.own_images(tmp_path, 8, 1, "test").images[..., 1:-1]
    assert inside.min() >= 120 and inside.max() <= 135


def test_the_middle_of_an_image_is_kept(tmp_path):
    pixels = np.zeros((4, 12), dtype=np.uint8)
    pixels[:, 4:8] = 255
    file = tmp_path / "image.png"
    Image.fromarray(pixels).save(file)
    assert (datasets._image(file, 4, "L") == 255).all()


def test_an_image_is_turned_as_its_camera_was_held(tmp_path):
    pixels = np.zeros((8, 8), dtype=np.uint8)
    pixels[:, :4] = 255  # bright on the left
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    Image.fromarray(pixels).save(tmp_path / "image.png", exif=exif)
    image = datasets._image(tmp_path / "image.png", 8, "L")
    assert (image[0, 0] == 255).all() and (image[0, -1] == 0).all()  # bright at the top


def test_every_kind_of_image_is_read(tmp_path):
    for mode, colour in (
        ("L", 100),
        ("P", 3),
        ("RGBA", (1, 2, 3, 0)),
        ("1", 1),
        ("CMYK", (1, 2, 3, 4)),
    ):
        file = tmp_path / ("image.tif" if mode == "CMYK" else "image.png")
        draw(file, colour=colour, mode=mode)
        assert datasets._image(file, 8, "RGB").shape == (3, 8, 8)


def test_suffixes_are_those_that_pillow_reads_and_the_page_names(tmp_path):
    for suffix in image_folder.SUFFIXES:
        draw(tmp_path / f"image{suffix}", mode="1" if suffix == ".pbm" else "RGB", colour=1 if suffix == ".pbm" else 9)
        assert datasets._image(tmp_path / f"image{suffix}", 8, "RGB").shape == (3, 8, 8)
    assert set(IMG_EXTENSIONS) <= set(image_folder.SUFFIXES)
    assert set(re.findall(r"`(\.[a-z]+)`", (ROOT / "docs" / "own.md").read_text())) == set(image_folder.SUFFIXES)


@pytest.mark.parametrize("mode", ["I;16", "F"])
def test_pixels_that_a_byte_does_not_hold_are_refused_not_cut_off(tmp_path, mode):
    draw(tmp_path / "image.tif", colour=1000, mode=mode)
    with pytest.raises(InputError, match=f"image.tif cannot be read as an image .its pixels .* 8 bits: mode {mode}"):
        datasets._image(tmp_path / "image.tif", 8, "L")


def test_hidden_files_are_no_images(flowers):
    before = image_folder.files(flowers)
    draw(flowers / "rose" / ".thumbnails" / "0.png")
    draw(flowers / "rose" / "._0.png")
    assert image_folder.files(flowers) == before


def test_the_packed_file_is_like_any_other(flowers, tmp_path):
    own = {"folder": flowers, "image_size": 8, "channels": 3}
    datasets.prepare("flowers", tmp_path / "flowers.safetensors", own=own, train_images=6)
    train, test = (read(tmp_path / "flowers.safetensors", split) for split in SPLITS)
    assert (len(train), len(test), train.classes) == (6, 4, ("daisy", "rose"))


def test_the_fingerprint_changes_with_the_files(flowers):
    before = image_folder.fingerprint(flowers)
    assert image_folder.fingerprint(flowers) == before
    (flowers / "rose" / "0.png").rename(flowers / "rose" / "other.png")
    renamed = image_folder.fingerprint(flowers)
    draw(flowers / "rose" / "other.png", width=300)
    resized = image_folder.fingerprint(flowers)
    (flowers / "rose" / "wild").mkdir()
    (flowers / "rose" / "other.png").rename(flowers / "rose" / "wild" / "other.png")  # which may make it a test image
    assert len({before, renamed, resized, image_folder.fingerprint(flowers)}) == 4


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda folder: folder.rename(folder.parent / "away"), "is not a folder: it must hold a folder of images"),
        (lambda folder: (folder / "rose").rename(folder.parent / "rose"), "has 1 folder.s. of images"),
        (
            lambda folder: (folder / "empty").mkdir(),
            "class 'empty' has 0 training and 0 test images.*: images end in .bmp, .gif, ",
        ),
        (lambda folder: draw(folder / "few" / "1.png"), "class 'few' has 1 training and 0 test images"),
        (
            lambda folder: [draw(folder / "few" / f"{number}.png") for number in range(5)],
            "class 'few' has 4 training and 1 test images",
        ),
        (
            lambda folder: [(folder / each).mkdir() for each in ("train", "test", "train/a")],
            "class 'a' is in one of train and test",
        ),
        (
            lambda folder: [(folder / each).mkdir() for each in ("train", "test", "test/b")],
            "class 'b' is in one of train and test",
        ),
    ],
)
def test_folders_that_are_no_data_set_are_refused(flowers, change, says):
    change(flowers)
    with pytest.raises(InputError, match=says):
        image_folder.files(flowers)


def test_the_name_of_an_image_may_be_any_bytes(flowers):
    before = image_folder.fingerprint(flowers)
    latin = flowers / "rose" / os.fsdecode(b"caf\xe9.png")
    (flowers / "rose" / "0.png").rename(latin)
    assert latin in [file for split in image_folder.files(flowers).values() for file in split["rose"]]
    assert image_folder.fingerprint(flowers) != before
    assert sum(len(datasets.own_images(flowers, 8, 3, split)) for split in SPLITS) == 20


def test_the_name_of_a_class_is_text(flowers):
    (flowers / "rose").rename(flowers / os.fsdecode(b"ros\xe9"))
    with pytest.raises(InputError, match=r"flowers: the name of the class 'ros\\xe9' is not UTF-8: rename its folder$"):
        image_folder.files(flowers)
    (flowers / os.fsdecode(b"ros\xe9")).rename(flowers / "rosé")
    assert image_folder.info("flowers", flowers, 8).classes == ("daisy", "rosé")


def test_the_name_of_a_class_is_text_that_figures_can_show(flowers):
    (flowers / "rose").rename(flowers / "ro\x07se\n")
    with pytest.raises(InputError, match=r"the name of the class 'ro\\x07se\\n' has control characters: rename its fo"):
        image_folder.files(flowers)


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + bytes(100), b"GIF89a" + bytes(3)])
def test_a_file_that_is_no_image_is_named(flowers, content):
    (flowers / "daisy" / "0.png").write_bytes(content)
    (flowers / "daisy" / "1.png").write_bytes(content)
    for split in SPLITS:
        if any(file.stem in "01" for file in image_folder.files(flowers)[split]["daisy"]):
            with pytest.raises(InputError, match=r"daisy/[01]\.png cannot be read as an image \("):
                datasets.own_images(flowers, 8, 3, split)


def test_a_turned_picture_whose_camera_wrote_what_cannot_be_kept_is_named(tmp_path):
    height, orientation = struct.pack("<HHI4s", 257, 2, 4, b"tall"), struct.pack("<HHIHH", 274, 3, 1, 6, 0)
    exif = b"Exif\0\0" + struct.pack("<2sHIH", b"II", 42, 8, 2) + height + orientation + bytes(4)
    Image.new("RGB", (9, 9)).save(tmp_path / "image.jpg", exif=exif)
    with pytest.raises(InputError, match="image.jpg cannot be read as an image"):
        datasets._image(tmp_path / "image.jpg", 8, "RGB")


def test_a_picture_that_would_fill_the_memory_is_refused(flowers, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(InputError, match="cannot be read as an image"):
        datasets.own_images(flowers, 8, 3, "train")
