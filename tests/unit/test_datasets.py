"""The data sets are the published ones: from the network, from a mirror and from the packed file alike."""

import errno
import hashlib
import io
import os
import re
import shutil
import socket
import tarfile
import threading
import urllib.request
from collections.abc import Callable, Iterator
from functools import cache, partial
from http.client import HTTPException
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
import torch
import torchvision.datasets

from rotvar import catalogue, datasets
from rotvar.data import download
from rotvar.data.packed import SPLITS, Dataset, read
from rotvar.datasets import load, prepare
from rotvar.errors import InputError

GREY = {"mnist": torchvision.datasets.MNIST, "fashion_mnist": torchvision.datasets.FashionMNIST}
IMAGES, LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


class Server:
    """The published archives at 127.0.0.1, and the names of the files that were asked for."""

    def __init__(self, folder: Path) -> None:
        self.requests: list[str] = []
        requests = self.requests

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                requests.append(Path(self.path).name)
                super().do_GET()

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder))
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "WAIT", 0.001)


def point_torchvision_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for dataset in GREY.values():
        monkeypatch.setattr(dataset, "mirrors", [f"{url}/{dataset.__name__}/raw/"])
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "url", f"{url}/cifar-10-python.tar.gz")


@pytest.fixture
def server(published_files: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """torchvision downloads from a server on this machine."""
    server = Server(published_files)
    point_torchvision_to(server.url, monkeypatch)
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision downloads from a port where nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        point_torchvision_to(f"http://127.0.0.1:{unused.getsockname()[1]}", monkeypatch)


@pytest.fixture(scope="module")
def original(published_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Dataset]:
    """What torchvision itself reads from the published files of a grey data set."""

    @cache
    def read_by_torchvision(name: str, split: str) -> Dataset:
        source = GREY[name](
            mirror_of(published_files, tmp_path_factory.mktemp("read")), split == "train", download=True
        )
        return Dataset(source.data.unsqueeze(1), source.targets, tuple(source.classes))

    return read_by_torchvision


def mirror_of(published_files: Path, folder: Path, damaged: str | None = None) -> Path:
    """A folder with the published files, one of them with its last byte changed."""
    mirror = Path(shutil.copytree(published_files, folder / "mirror", copy_function=os.link))
    if damaged:
        content = bytearray((mirror / damaged).read_bytes())
        content[-1] ^= 1
        (mirror / damaged).unlink()
        (mirror / damaged).write_bytes(content)
    return mirror


def assert_equal(one: Dataset, other: Dataset) -> None:
    assert torch.equal(one.images, other.images) and torch.equal(one.labels, other.labels)
    assert one.classes == other.classes


def assert_as_in_catalogue(dataset: Dataset, name: str, split: str) -> None:
    info = catalogue.DATASETS[name]
    count = info.train if split == "train" else info.test
    assert dataset.images.shape == (count, info.channels, info.image_size, info.image_size)
    assert dataset.labels.shape == (count,) and len(dataset) == count
    assert dataset.images.dtype == torch.uint8 and dataset.labels.dtype == torch.int64
    assert dataset.classes == info.classes
    assert dataset.labels.unique().tolist() == list(range(len(info.classes)))


# digits


@pytest.mark.parametrize("split", SPLITS)
def test_digits_has_the_shape_in_the_catalogue(split):
    assert_as_in_catalogue(load("digits", "nowhere", split), "digits", split)


def test_every_digit_of_scikit_learn_is_in_one_split_once():
    both = [load("digits", "nowhere", split) for split in SPLITS]
    given = sklearn.datasets.load_digits()
    together = torch.cat([dataset.images for dataset in both])
    assert len(together) == 1797
    assert len(together.unique(dim=0)) == len(np.unique(given.images, axis=0)) == 1797
    counts = sum(torch.bincount(dataset.labels) for dataset in both)
    assert counts.tolist() == np.bincount(given.target).tolist()


def test_a_fifth_of_each_digit_is_the_test_set():
    train, test = (torch.bincount(load("digits", "nowhere", split).labels) for split in SPLITS)
    assert ((test / (train + test) - 0.2).abs() < 0.005).all()


def test_digits_are_enlarged_from_8_to_32_pixels_and_from_16_greys_to_255():
    """Bilinear enlargement by 4: the two pixels about an original's centre lie 1/8 to either side of it."""
    dataset = load("digits", "nowhere", "train")
    assert dataset.images.max() == 255 and dataset.images.min() == 0
    first_zero = sklearn.datasets.load_digits().images[0]  # of class 0, and in the training set
    corner = dataset.images[0, 0, :2, :2]  # nearer to the border than the first centre: its value
    assert (corner == round(first_zero[0, 0] * 255 / 16)).all()
    row = dataset.images[0, 0, 0].reshape(8, 4)[1:-1]  # columns between the outer originals
    left, here, right = first_zero[0, :-2], first_zero[0, 1:-1], first_zero[0, 2:]
    expected = [3 / 8 * left + 5 / 8 * here, 1 / 8 * left + 7 / 8 * here, 7 / 8 * here + 1 / 8 * right]
    for column, values in enumerate(expected):
        assert row[:, column].tolist() == pytest.approx(values * 255 / 16, abs=0.501)


def test_digits_are_the_same_every_time():
    for split in SPLITS:
        assert_equal(load("digits", "nowhere", split), load("digits", "elsewhere", split))


# downloads


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", GREY)
def test_grey_data_sets_are_downloaded(name, split, server, original, tmp_path):
    dataset = load(name, tmp_path, split)
    assert_as_in_catalogue(dataset, name, split)
    assert_equal(dataset, original(name, split))
    assert dataset.classes == tuple(GREY[name].classes)


def test_what_has_been_downloaded_is_not_asked_for_again(server, tmp_path):
    load("mnist", tmp_path, "test")
    asked = sorted(set(server.requests))
    assert asked == sorted(file for file, _ in torchvision.datasets.MNIST.resources)
    server.requests.clear()
    load("mnist", tmp_path, "train")
    assert server.requests == []


def test_a_damaged_archive_is_downloaded_again(server, original, tmp_path):
    load("mnist", tmp_path, "test")
    server.requests.clear()
    (tmp_path / "MNIST" / "raw" / f"{LABELS}.gz").write_bytes(b"cut off")
    assert_equal(load("mnist", tmp_path, "test"), original("mnist", "test"))
    assert set(server.requests) == {f"{LABELS}.gz"}


def test_what_another_program_unpacked_is_not_read(offline, published_files, original, tmp_path):
    """torchvision itself would take any file of these names for the data, unchecked."""
    for folder, file in (("raw", IMAGES), ("raw", LABELS), ("processed", "training.pt"), ("processed", "test.pt")):
        planted = tmp_path / "MNIST" / folder / file
        planted.parent.mkdir(parents=True, exist_ok=True)
        planted.write_bytes(b"not what was published")
    assert_equal(load("mnist", tmp_path, "test", mirror=published_files), original("mnist", "test"))


def test_a_download_that_differs_from_the_published_file_is_refused(published_files, tmp_path, monkeypatch):
    server = Server(mirror_of(published_files, tmp_path, damaged=f"MNIST/raw/{LABELS}.gz"))
    point_torchvision_to(server.url, monkeypatch)
    with pytest.raises(InputError, match=r"^mnist could not be downloaded \(.*corrupted.*\): check the network"):
        load("mnist", tmp_path / "downloads", "test")
    server.http.shutdown()
    server.http.server_close()


@pytest.mark.parametrize("name", datasets.TORCHVISION)
def test_an_unreachable_server_is_one_sentence(name, offline, tmp_path):
    with pytest.raises(
        InputError, match=rf"^{name} could not be downloaded \(.+\): check the network, or name"
    ) as error:
        load(name, tmp_path, "train")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("broken", [TimeoutError(), ConnectionResetError("reset\nby peer"), HTTPException()])
def test_a_broken_connection_is_one_sentence(broken, monkeypatch, tmp_path):
    def urlopen(*_: object, **__: object) -> None:
        raise broken

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    with pytest.raises(InputError, match=r"^mnist could not be downloaded \(.+\): check the network") as error:
        load("mnist", tmp_path, "train")
    assert "\n" not in str(error.value)


# archives


def archive_of(file: Path, *members: tuple[tarfile.TarInfo, bytes]) -> str:
    """Write a tar archive of these members; its MD5."""
    with tarfile.open(file, "w:gz") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return hashlib.md5(file.read_bytes()).hexdigest()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    ("batch", "sentence"),
    [
        (member("cifar-10-batches-py/data_batch_1"), "differs from the published file"),
        (member("cifar-10-batches-py/data_batch_1", tarfile.SYMTYPE, "/etc/passwd"), "does not hold the published"),
        (member("cifar-10-batches-py/data_batch_1", tarfile.SYMTYPE, "../../outside"), "differs from the published"),
        (member("cifar-10-batches-py/data_batch_1", tarfile.LNKTYPE, "/etc/passwd"), "does not hold the published"),
        (member("cifar-10-batches-py/data_batch_1", tarfile.DIRTYPE), "does not hold the published files"),
        (member("cifar-10-batches-py/data_batch_1", tarfile.FIFOTYPE), "does not hold the published files"),
        (member("cifar-10-batches-py/another"), "does not hold the published files"),
    ],
    ids=lambda value: value.type.decode() + value.linkname if isinstance(value, tarfile.TarInfo) else "",
)
def test_an_archive_writes_nothing_outside_its_folder(batch, sentence, tmp_path, monkeypatch):
    """Not even one that passes for the published one: its MD5 is checked, and then of each file that is taken out."""
    served, root = tmp_path / "served", tmp_path / "folder" / "downloads"
    served.mkdir()
    evil = b"from the archive"
    intruders = [
        member("../outside"), member("../../outside"), member(str(tmp_path / "absolute")),
        member("cifar-10-batches-py/link", tarfile.SYMTYPE, str(tmp_path)), member("cifar-10-batches-py/link/through"),
    ]  # fmt: skip
    md5 = archive_of(
        served / "cifar-10-python.tar.gz",
        *((each, evil if each.isreg() else b"") for each in intruders),
        (batch, evil if batch.isreg() else b""),
    )
    server = Server(served)
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "url", f"{server.url}/cifar-10-python.tar.gz")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(InputError, match=r"^cifar10 could not be downloaded \(.*corrupted"):
        load("cifar10", root, "train")
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "tgz_md5", md5)
    with pytest.raises(InputError, match=sentence):
        load("cifar10", root, "train")
    server.http.shutdown()
    server.http.server_close()
    written = {file for file in tmp_path.rglob("*") if file.is_file()}
    assert written == {served / "cifar-10-python.tar.gz", root / "cifar-10-python.tar.gz"}


# mirrors


@pytest.mark.parametrize("name", GREY)
def test_the_mirror_is_used_before_any_download(name, server, published_files, original, tmp_path):
    dataset = load(name, tmp_path, "test", mirror=published_files)
    assert_equal(dataset, original(name, "test"))
    assert server.requests == []


def test_cifar10_from_a_mirror(server, published_files, tmp_path):
    for split in SPLITS:
        dataset = load("cifar10", tmp_path, split, mirror=published_files)
        source = torchvision.datasets.CIFAR10(published_files, train=split == "train")
        assert_as_in_catalogue(dataset, "cifar10", split)
        assert dataset.classes == tuple(source.classes)
        assert dataset.labels.tolist() == source.targets
        assert (dataset.images.numpy() == source.data.transpose(0, 3, 1, 2)).all()
    assert server.requests == []


@pytest.mark.parametrize("unpacked", ["nothing", "a damaged batch", "all but a batch"])
def test_of_cifar10_the_mirror_may_hold_the_archive(unpacked, offline, published_files, tmp_path, monkeypatch):
    batches = published_files / "cifar-10-batches-py"
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    with tarfile.open(mirror / "cifar-10-python.tar.gz", "w:gz", compresslevel=0) as tar:
        tar.add(batches, batches.name)
    md5 = hashlib.md5((mirror / "cifar-10-python.tar.gz").read_bytes()).hexdigest()
    if unpacked == "all but a batch":
        shutil.copytree(batches, mirror / batches.name, copy_function=os.link)
        (mirror / batches.name / "test_batch").unlink()
    if unpacked == "a damaged batch":
        (mirror / batches.name).mkdir()
        (mirror / batches.name / "test_batch").write_bytes(b"cut off")
    before = sorted(mirror.rglob("*"))
    with pytest.raises(InputError, match="could not be downloaded"):  # it is not the published archive
        load("cifar10", tmp_path / "downloads", "test", mirror=mirror)
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "tgz_md5", md5)
    dataset = load("cifar10", tmp_path / "downloads", "test", mirror=mirror)
    source = torchvision.datasets.CIFAR10(published_files, train=False)
    assert dataset.labels.tolist() == source.targets
    assert (dataset.images.numpy() == source.data.transpose(0, 3, 1, 2)).all()
    assert sorted(mirror.rglob("*")) == before


def test_the_mirror_is_left_as_it_was(published_files, tmp_path):
    before = sorted(published_files.rglob("*"))
    load("mnist", tmp_path, "test", mirror=published_files)
    assert sorted(published_files.rglob("*")) == before


def test_a_corrupted_file_of_the_mirror_is_downloaded_instead(server, published_files, original, tmp_path, caplog):
    mirror = mirror_of(published_files, tmp_path, damaged=f"MNIST/raw/{LABELS}.gz")
    dataset = load("mnist", tmp_path / "downloads", "test", mirror=mirror)
    assert_equal(dataset, original("mnist", "test"))
    assert set(server.requests) == {f"{LABELS}.gz"}
    assert f"{LABELS}.gz differs from the published file" in caplog.text


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("mnist", f"MNIST/raw/{IMAGES}.gz"),
        ("cifar10", "cifar-10-batches-py/test_batch"),
        ("cifar10", "cifar-10-batches-py/batches.meta"),
    ],
)
def test_a_corrupted_file_of_the_mirror_is_never_read(name, file, offline, published_files, tmp_path):
    mirror = mirror_of(published_files, tmp_path, damaged=file)
    sentence = rf"^{name} could not be downloaded \(.*refused.*\), and {mirror} has no whole {file}: check the network"
    with pytest.raises(InputError, match=sentence):
        load(name, tmp_path / "downloads", "test", mirror=mirror)


@pytest.mark.parametrize("name", datasets.TORCHVISION)
def test_a_mirror_laid_out_otherwise_is_told_what_it_lacks(name, offline, tmp_path):
    (tmp_path / "mirror").mkdir()
    first = {"mnist": "MNIST/raw/train-images-idx3-ubyte.gz", "cifar10": "cifar-10-batches-py/data_batch_1"}
    with pytest.raises(InputError, match=rf"mirror has no whole {first.get(name, 'FashionMNIST/raw/')}"):
        load(name, tmp_path / "downloads", "train", mirror=tmp_path / "mirror")


def test_the_mirror_mends_an_interrupted_download(server, published_files, tmp_path):
    archive = tmp_path / "MNIST" / "raw" / f"{IMAGES}.gz"
    archive.parent.mkdir(parents=True)
    archive.write_bytes(b"cut off")
    load("mnist", tmp_path, "test", mirror=published_files)
    assert server.requests == []


def test_a_mirror_that_is_no_folder_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"^data: mirror: .*nowhere is not a folder: create it or set the key"):
        load("mnist", tmp_path, "test", mirror=tmp_path / "nowhere")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("refused", ["stat", "open", "read"])
def test_a_mirror_that_cannot_be_read_is_one_sentence(number, refused, server, published_files, tmp_path, monkeypatch):
    """Also where the system says it of a folder (stat), or only while the file is read, and then without its name."""
    file, true_stat = published_files / "MNIST" / "raw" / f"{LABELS}.gz", Path.stat

    def refuse(path: Path) -> None:
        if path == file:
            raise OSError(number, os.strerror(number), *([] if refused == "read" else [str(path)]))

    def stat(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        refuse(path)
        return true_stat(path, follow_symlinks=follow_symlinks)

    def check_integrity(path: Path, md5: str) -> bool:
        refuse(path)
        return torchvision.datasets.utils.check_integrity(path, md5)

    if refused == "stat":
        monkeypatch.setattr(Path, "stat", stat)
    else:
        monkeypatch.setattr(datasets, "check_integrity", check_integrity)
    sentence = f"data: mirror: {file} cannot be read ({os.strerror(number)}): let your user read it, or set"
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}"):
        load("mnist", tmp_path, "test", mirror=published_files)
    assert server.requests == []


# names


def test_unknown_names_are_one_sentence():
    with pytest.raises(InputError, match=r"^unknown data set 'mnits': choose one of digits, mnist, .*cifar10$"):
        load("mnits", "nowhere", "train")
    with pytest.raises(InputError, match=r"^unknown split 'validation': choose one of train, test$"):
        load("digits", "nowhere", "validation")


def test_the_catalogue_lists_the_data_sets_that_can_be_loaded():
    assert set(catalogue.DATASETS) == set(datasets.NAMES)


# packed files


def test_a_packed_data_set_is_read_back_whole(tmp_path):
    path = tmp_path / "data" / "digits.safetensors"
    prepare("digits", path)
    for split in SPLITS:
        assert_equal(read(path, split), load("digits", tmp_path, split))


def test_packing_leaves_nothing_but_the_file(offline, published_files, tmp_path):
    path = tmp_path / "mnist.safetensors"
    prepare("mnist", path, mirror=published_files, train_images=30, test_images=20)
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [path]
    assert (len(read(path, "train")), len(read(path, "test"))) == (30, 20)
    assert read(path, "test").classes == catalogue.DATASETS["mnist"].classes


def test_packing_twice_gives_the_same_bytes(tmp_path):
    digests = []
    for path in (tmp_path / "1.safetensors", tmp_path / "2.safetensors"):
        prepare("digits", path, train_images=100, test_images=50)
        digests.append(hashlib.sha256(path.read_bytes()).hexdigest())
    assert digests[0] == digests[1]


def test_packing_that_fails_leaves_no_packed_file(offline, tmp_path):
    with pytest.raises(InputError, match="could not be downloaded"):
        prepare("mnist", tmp_path / "mnist.safetensors")
    assert not list(tmp_path.glob("*.safetensors"))
