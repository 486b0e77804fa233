"""Servers that fail, each in its way: another is asked, or one sentence says so; a bad file never gets its name."""

import errno
import os
import random
import re
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torchvision.datasets
from amounts import times
from conftest import SHARED, require
from server import FAULTS, Server

from rotvar.data import download
from rotvar.data.packed import read
from rotvar.datasets import prepare
from rotvar.errors import InputError

SMALL = "t10k-labels-idx1-ubyte.gz"
SAID = {
    "refuses": "Connection refused",
    "stalls": r"it sent nothing for 0\.5 s",
    "stalls half-way": r"it sent nothing for 0\.5 s",
    "answers 500": "HTTP Error 500: Internal Server Error",
    "has no such file": "HTTP Error 404: Not Found",
    "is truncated": "the file is corrupted, or not the published one: its MD5 differs",
    "is changed": "the file is corrupted, or not the published one: its MD5 differs",
    "breaks off": r"the connection ended after [0-9,]+ of [0-9,]+ bytes",
}


@pytest.fixture(scope="module")
def mnist() -> Path:
    folder = SHARED / "datasets" / "mnist"
    require(folder.is_dir(), f"there is no {folder}")
    return folder


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "TIMEOUT", 0.5)
    monkeypatch.setattr(download, "WAIT", 0.01)


def md5(file: str) -> str:
    return dict(torchvision.datasets.MNIST.resources)[file]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_server_that_always_fails_is_one_sentence(fault, mnist, tmp_path, monkeypatch):
    with Server(mnist, fault) as server:
        monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [f"{server.url}/"])
        with pytest.raises(InputError) as raised:
            prepare("mnist", tmp_path / "mnist.safetensors", train_images=20, test_images=20)
    assert re.fullmatch(
        rf"mnist could not be downloaded \({server.url}/.*\.gz: .*{SAID[fault]}.*\): check the network, or name a "
        "folder that holds it as data: mirror in the configuration",
        str(raised.value),
    )
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []
    tries = 0 if fault == "refuses" else 1 if fault == "has no such file" else download.ATTEMPTS
    assert len(server.requests) == tries


@pytest.mark.parametrize("fault", FAULTS)
def test_a_good_server_after_a_bad_one_is_used(fault, mnist, tmp_path):
    with Server(mnist, fault) as bad, Server(mnist) as good:
        download.fetch([f"{bad.url}/{SMALL}", f"{good.url}/{SMALL}"], tmp_path / SMALL, md5(SMALL))
    assert (tmp_path / SMALL).read_bytes() == (mnist / SMALL).read_bytes()
    assert good.requests == [SMALL]
    assert list(tmp_path.iterdir()) == [tmp_path / SMALL]


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault not in ("refuses", "has no such file")])
def test_a_server_that_recovers_is_asked_again(fault, mnist, tmp_path):
    with Server(mnist, faults=(fault, fault)) as server:
        download.fetch([f"{server.url}/{SMALL}"], tmp_path / SMALL, md5(SMALL))
    assert (tmp_path / SMALL).read_bytes() == (mnist / SMALL).read_bytes()
    assert len(server.requests) == 3


def test_a_full_disk_is_not_blamed_on_the_servers(mnist, tmp_path, monkeypatch):
    def full(source, file):
        file.write(source.read(1000))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(download, "shutil", SimpleNamespace(copyfileobj=full))
    sentence = r"/t10k.* cannot be written \(No space left on device: "
    with Server(mnist) as server, pytest.raises(InputError, match=sentence):
        download.fetch([f"{server.url}/{SMALL}"], tmp_path / SMALL, md5(SMALL))
    assert server.requests == [SMALL]
    assert list(tmp_path.iterdir()) == []


def test_the_waits_between_the_attempts_grow(mnist, tmp_path, monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    with pytest.raises(OSError, match="refused"):
        download.fetch(["http://127.0.0.1:9/nothing"], tmp_path / SMALL, md5(SMALL))
    assert waits == [0.01, 0.02, 0.04]


def test_the_usual_patience(monkeypatch):
    monkeypatch.undo()
    assert (download.ATTEMPTS, download.TIMEOUT, download.WAIT) == (4, 30, 2)


@pytest.mark.timeout(1800)
def test_servers_that_fail_at_random_give_the_published_images(mnist, tmp_path, monkeypatch):
    """Two servers, of which each request meets some fault or none."""
    chance = random.Random(0)
    monkeypatch.setattr(download, "ATTEMPTS", 30)
    faults = [fault for fault in FAULTS if fault not in ("refuses", "has no such file")]
    with Server(mnist) as server:
        monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [f"{server.url}/"])
        prepare("mnist", tmp_path / "expected.safetensors", train_images=20, test_images=20)
    expected = (tmp_path / "expected.safetensors").read_bytes()
    for number in range(times(short=2, long=40)):
        first, second = ([chance.choice([*faults, *[None] * 4]) for _ in range(20)] for _ in range(2))
        with Server(mnist, faults=tuple(first)) as one, Server(mnist, faults=tuple(second)) as other:
            monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [f"{one.url}/", f"{other.url}/"])
            path = tmp_path / str(number) / "mnist.safetensors"
            prepare("mnist", path, train_images=20, test_images=20)
        assert path.read_bytes() == expected
        assert [file for file in path.parent.rglob("*") if file.is_file()] == [path]
        read(path, "train")
        shutil.rmtree(path.parent)
