"""Published files are read as data: nothing in them is run, whatever their bytes are, and a bad one is a sentence."""

import gzip
import hashlib
import os
import pickle
import tracemalloc
from pathlib import Path

import pytest
import torch
import torchvision.datasets
from hypothesis import given, settings
from hypothesis import strategies as st

from rotvar import datasets
from rotvar.data import download, originals
from rotvar.errors import InputError

PIXELS = bytes(range(5 * 3 * 2 * 2))  # 5 images of 3 x 2 x 2
LABELS = [3, 0, 9, 1, 1]


def idx_file(data: bytes, *shape: int, kind: int = 8) -> bytes:
    header = bytes([0, 0, kind, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)
    return gzip.compress(header + data, mtime=0)


def text(content: bytes) -> bytes:
    return pickle.SHORT_BINSTRING + bytes([len(content)]) + content


def integer(number: int) -> bytes:
    return pickle.BININT + number.to_bytes(4, "little", signed=True)


def name(module: str, of: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{of}\n".encode()


def array(data: bytes, *shape: int, kind: bytes = b"u1") -> bytes:
    """An array as NumPy wrote it under Python 2, which CIFAR's batches are from."""
    dtype = name("numpy", "dtype") + text(kind) + integer(0) + integer(1) + pickle.TUPLE3 + pickle.REDUCE
    state = pickle.MARK + integer(3) + text(b"|") + 3 * pickle.NONE + 2 * integer(-1) + integer(0) + pickle.TUPLE
    sizes = pickle.MARK + b"".join(map(integer, shape)) + pickle.TUPLE
    return b"".join([
        name("numpy.core.multiarray", "_reconstruct"), name("numpy", "ndarray"), integer(0), pickle.TUPLE1, text(b"b"),
        pickle.TUPLE3, pickle.REDUCE, pickle.BINPUT, b"\1",
        pickle.MARK, integer(1), sizes, dtype, state, pickle.BUILD, pickle.NEWFALSE,
        pickle.BINSTRING, len(data).to_bytes(4, "little"), data, pickle.TUPLE, pickle.BUILD,
    ])  # fmt: skip


def listing(*entries: bytes) -> bytes:
    return pickle.EMPTY_LIST + pickle.BINPUT + b"\2" + pickle.MARK + b"".join(entries) + pickle.APPENDS


def mapping(**entries: bytes) -> bytes:
    items = b"".join(text(key.encode()) + value for key, value in entries.items())
    return pickle.PROTO + b"\2" + pickle.EMPTY_DICT + pickle.MARK + items + pickle.SETITEMS + pickle.STOP


BATCH = mapping(
    batch_label=text(b"training batch 1 of 5"),
    labels=listing(*map(integer, LABELS)),
    data=array(PIXELS, 5, 12),
    filenames=listing(text(b"a.png"), text(b"b.png")),
)
META = mapping(label_names=listing(text(b"airplane"), text(b"bird")), num_vis=integer(3072))


def refused(parse, *arguments) -> str:
    """The sentence with which a reader refuses what it is given."""
    with pytest.raises(InputError) as error:
        parse(*arguments)
    sentence = str(error.value)
    assert "\n" not in sentence
    return sentence


# what is good is read


def test_an_idx_file_is_its_numbers():
    assert originals.idx(idx_file(PIXELS, 5, 3, 4), (5, 3, 4)).flatten().tolist() == list(PIXELS)
    assert originals.idx(idx_file(PIXELS, 60), (60,)).tolist() == list(PIXELS)


def test_a_batch_is_its_images_and_labels():
    images, labels = originals.cifar_batch(BATCH, (5, 3, 2, 2))
    assert images.shape == (5, 3, 2, 2) and images.dtype == torch.uint8
    assert images.flatten().tolist() == list(PIXELS)
    assert labels.tolist() == LABELS and labels.dtype == torch.int64


def test_the_names_of_classes():
    assert originals.cifar_names(META, "label_names") == ("airplane", "bird")


# what is bad is a sentence


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "holds no header of an IDX file of bytes, but 5 x 3 x 4 bytes are needed, and nothing after them"),
        (b"text", "is not a whole gzip archive (Error -3 while decompressing data: incorrect header check)"),
        (idx_file(PIXELS, 5, 4, 3), "holds 5 x 4 x 3 bytes or fewer, but 5 x 3 x 4 bytes are needed"),
        (idx_file(PIXELS, 60), "holds 60 bytes or fewer, but 5 x 3 x 4 bytes are needed"),
        (idx_file(PIXELS, 2**32 - 1, 2**32 - 1, 2**32 - 1), "holds 4294967295 x 4294967295 x 4294967295 bytes"),
        (idx_file(PIXELS, 5, 3, 4, kind=13), "holds no header of an IDX file of bytes"),
        (idx_file(PIXELS[:-1], 5, 3, 4), "holds 5 x 3 x 4 bytes or fewer"),
        (idx_file(PIXELS + b"!", 5, 3, 4), "and nothing after them"),
        (idx_file(PIXELS, 5, 3, 4)[:-9], "holds 5 x 3 x 4 bytes or fewer"),
    ],
)
def test_another_idx_file_is_a_sentence(content, sentence):
    assert sentence in refused(originals.idx, content, (5, 3, 4))


def changed(**entries: bytes) -> bytes:
    return mapping(**({"labels": listing(*map(integer, LABELS)), "data": array(PIXELS, 5, 12)} | entries))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is no pickle of arrays and plain containers"),
        (b"text", "is no pickle of arrays and plain containers"),
        (BATCH[:-5], "is no pickle of arrays and plain containers"),
        (pickle.dumps([1, 2], 2), "is no batch of 5 x 3 x 2 x 2 bytes and as many labels"),
        (mapping(labels=listing()), "is no batch of 5 x 3 x 2 x 2 bytes and as many labels (b'data')"),
        (changed(data=text(b"pixels")), "is no batch of 5 x 3 x 2 x 2 bytes"),
        (changed(data=array(PIXELS, 6, 10)[:-1] + pickle.BUILD), None),  # other rows and columns, as many bytes
        (changed(data=array(PIXELS[:-12], 4, 12)), "is no batch of 5 x 3 x 2 x 2 bytes"),
        (changed(data=array(PIXELS, 2**31 - 1, 2**31 - 1)), "is no pickle of arrays and plain containers (cannot"),
        (changed(data=array(PIXELS, 15, kind=b"i4")), "(an array of b'i4' is not one of bytes)"),
        (changed(data=array(PIXELS, 15, kind=b"O8")), "(an array of b'O8' is not one of bytes)"),
        (changed(labels=listing(integer(1))), "(1 labels that should be numbers)"),
        (changed(labels=listing(*[text(b"1")] * 5)), "(5 labels that should be numbers)"),
        (changed(labels=listing(*[pickle.LONG1 + b"\x09" + b"\xff" * 8 + b"\0"] * 5)), "is no batch of"),
    ],
)
def test_another_batch_is_a_sentence(content, sentence):
    if sentence is None:
        assert originals.cifar_batch(content, (5, 3, 2, 2))[0].flatten().tolist() == list(PIXELS)
    else:
        assert sentence in refused(originals.cifar_batch, content, (5, 3, 2, 2))


def test_names_that_are_not_there_are_a_sentence():
    assert "does not list the class names as 'fine_label_names'" in refused(
        originals.cifar_names, META, "fine_label_names"
    )


def test_only_what_was_published_is_parsed(tmp_path):
    (tmp_path / "batch").write_bytes(BATCH)
    md5 = hashlib.md5(BATCH).hexdigest()
    assert originals.read(tmp_path / "batch", md5, originals.cifar_batch, (5, 3, 2, 2))[1].tolist() == LABELS
    with (tmp_path / "batch").open("ab") as file:
        file.write(b"!")
    read = originals.read, tmp_path / "batch", md5
    assert f"{tmp_path / 'batch'} differs from the published file" in refused(*read, lambda content: pytest.fail())


# what is hostile does nothing


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.file,)


def payloads(file: Path) -> dict[str, bytes]:
    """Pickles that make a file, each in another way."""
    command = f"open({str(file)!r}, 'w')"
    call = pickle.MARK + text(command.encode()) + pickle.TUPLE + pickle.REDUCE + pickle.STOP
    return {
        "protocol 0": pickle.dumps(Touch(file), 0),
        "protocol 2": pickle.dumps(Touch(file), 2),
        "protocol 5": pickle.dumps({"data": Touch(file)}, 5),
        "eval": name("builtins", "eval") + call,
        "Python 2's": name("__builtin__", "eval") + call,
        "shell": name("posix", "system") + pickle.MARK + text(f"touch {file}".encode()) + pickle.TUPLE + pickle.REDUCE
        + pickle.STOP,
        "from NumPy": name("numpy.testing._private.utils", "runstring") + call,
        "attribute of an allowed one": name("numpy", "dtype.__class__") + call,
        "instance": pickle.MARK + text(command.encode()) + pickle.INST + b"builtins\neval\n" + pickle.STOP,
        "object": pickle.MARK + name("builtins", "eval") + text(command.encode()) + pickle.OBJ + pickle.STOP,
    }  # fmt: skip


@pytest.mark.parametrize("kind", payloads(Path()))
def test_nothing_that_a_pickle_says_is_run(kind, tmp_path):
    ran = tmp_path / "ran"
    payload = payloads(ran)[kind]
    assert "is no pickle of arrays and plain containers" in refused(originals.unpickled, payload)
    assert not ran.exists()


def test_the_payloads_would_run(tmp_path):
    """Else the test above would show nothing."""
    for kind in ("protocol 0", "protocol 2", "protocol 5", "eval", "shell", "instance", "object"):
        ran = tmp_path / kind.replace(" ", "_")
        pickle.loads(payloads(ran)[kind])
        assert ran.exists()


@pytest.mark.parametrize("value", [{1, 2}, bytearray(3), 2**80, "text", b"text"])
def test_what_cifar_does_not_use_is_refused(value):
    refused(originals.unpickled, pickle.dumps(value, 5))


@pytest.mark.parametrize("place", ["mirror", "downloads"])
@pytest.mark.parametrize("file", ["data_batch_1", "test_batch", "batches.meta"])
@pytest.mark.parametrize("passes", [False, True], ids=["another MD5", "the published MD5"])
def test_a_malicious_file_at_the_right_path_is_never_run(place, file, passes, tmp_path, monkeypatch):
    """Not even if its MD5 were the published one."""
    ran, downloads = tmp_path / "ran", tmp_path / "downloads"
    folder = (downloads if place == "downloads" else tmp_path / "mirror") / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    cifar = torchvision.datasets.CIFAR10
    contents = {each: BATCH for each, _ in cifar.train_list + cifar.test_list} | {cifar.meta["filename"]: META}
    contents[file] = pickle.dumps(Touch(ran), 2)
    for each, content in contents.items():
        (folder / each).write_bytes(content)
    md5s = {each: hashlib.md5(content).hexdigest() for each, content in contents.items()}
    if not passes:
        md5s[file] = dict(cifar.train_list + cifar.test_list).get(file, cifar.meta["md5"])
    for listed in ("train_list", "test_list"):
        monkeypatch.setattr(cifar, listed, [[each, md5s[each]] for each, _ in getattr(cifar, listed)])
    monkeypatch.setattr(cifar, "meta", cifar.meta | {"md5": md5s[cifar.meta["filename"]]})
    monkeypatch.setattr(cifar, "url", "http://127.0.0.1:9/nobody-listens")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "WAIT", 0)
    info = datasets.DATASETS["cifar10"].__class__("CIFAR10", 3, 2, ("airplane", "bird"), train=25, test=5)
    monkeypatch.setitem(datasets.DATASETS, "cifar10", info)
    split = "test" if file == "test_batch" else "train"
    sentence = refused(datasets.load, "cifar10", downloads, split, tmp_path / "mirror" if place == "mirror" else None)
    assert (f"{file} is no pickle of arrays" if passes else "cifar10 could not be downloaded") in sentence
    assert not ran.exists()


# what is damaged at random


def mutated(content: bytes) -> st.SearchStrategy[bytes]:
    """The content with some bytes replaced, removed, or put in."""
    place = st.integers(0, len(content))
    edit = st.tuples(place, st.integers(0, 8), st.binary(max_size=8))

    def apply(edits: list[tuple[int, int, bytes]]) -> bytes:
        changed = content
        for start, length, new in edits:
            changed = changed[:start] + new + changed[start + length :]
        return changed

    return st.lists(edit, min_size=1, max_size=4).map(apply)


def frugal(parse, *arguments) -> None:
    """Read, or refuse with one sentence; take less than 4 MB of memory either way."""
    tracemalloc.start()
    try:
        parse(*arguments)
    except InputError as error:
        assert str(error) and "\n" not in str(error)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 4_000_000


BOMB = gzip.compress(bytes(10**8))  # 100 kB


@pytest.mark.parametrize(
    ("parse", "content", "shape"),
    [
        (originals.idx, BOMB, (5, 3, 4)),
        (originals.idx, idx_file(PIXELS, *[2**32 - 1] * 3), (5, 3, 4)),
        (originals.idx, idx_file(PIXELS, *[2**16] * 255), (5, 3, 4)),
        (originals.cifar_batch, changed(data=array(PIXELS, *[2**31 - 1] * 40)), (5, 3, 2, 2)),
        (originals.cifar_batch, changed(data=array(PIXELS, *[2**31 - 1] * 2)), (5, 3, 2, 2)),
        *(
            (originals.cifar_batch, pickle.PROTO + b"\4" + opcode + pickle.STOP, (5, 3, 2, 2))
            for opcode in (
                pickle.NONE + pickle.LONG_BINPUT + b"\xff\xff\xff\x7f",  # the place of an entry in a list of 2**31
                pickle.LONG4 + b"\xff\xff\xff\x7f",
                pickle.BINSTRING + b"\xff\xff\xff\x7f",
                pickle.BINUNICODE8 + b"\xff" * 7 + b"\x0f",
                pickle.BYTEARRAY8 + b"\xff" * 4 + bytes(4),
                pickle.FRAME + b"\xff" * 4 + bytes(4),
            )
        ),
    ],
)
def test_a_number_in_a_file_takes_no_memory(parse, content, shape):
    frugal(parse, content, shape)


many = settings(max_examples=int(os.environ.get("ROTVAR_FUZZ", "500")), deadline=2000)


@many
@given(mutated(idx_file(PIXELS, 5, 3, 4)))
def test_damaged_archives_are_read_or_refused(content):
    frugal(originals.idx, content, (5, 3, 4))


@many
@given(mutated(gzip.decompress(idx_file(PIXELS, 5, 3, 4))).map(gzip.compress))
def test_damaged_idx_files_are_read_or_refused(content):
    frugal(originals.idx, content, (5, 3, 4))


@many
@given(mutated(BATCH))
def test_damaged_batches_are_read_or_refused(content):
    frugal(originals.cifar_batch, content, (5, 3, 2, 2))


@many
@given(mutated(META))
def test_damaged_names_are_read_or_refused(content):
    frugal(originals.cifar_names, content, "label_names")


@many
@given(st.binary(max_size=200))
def test_any_bytes_are_refused(content):
    frugal(originals.unpickled, content)
    frugal(originals.cifar_batch, content, (5, 3, 2, 2))
    frugal(originals.idx, content, (5, 3, 4))
