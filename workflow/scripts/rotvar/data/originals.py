"""The published files of MNIST's and CIFAR10's kind, read as data: whatever their bytes are, nothing in them is run.

Each file is read once, its digest is checked, and only the bytes that were checked are parsed. Archives are never
unpacked to disk.
"""

import hashlib
import io
import math
import pickle
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor

from rotvar.errors import InputError, reason

T = TypeVar("T")


def read(path: str | Path, md5: str, parse: Callable[..., T], *options: Any) -> T:
    """What `parse` makes of the content of a file, and of the options. Raises InputError, with the path, unless this
    content has the MD5 that was published, and where `parse` does."""
    content = verified(path, md5)
    try:
        return parse(content, *options)
    except InputError as error:
        raise InputError(f"{path} {error}") from error


def verified(path: str | Path, md5: str) -> bytes:
    """The content of a file. Raises InputError unless this content has the MD5 that was published."""
    content = Path(path).read_bytes()
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != md5:
        raise InputError(f"{path} differs from the published file (MD5 {found}, published {md5}): delete it")
    return content


def idx(content: bytes, shape: Sequence[int]) -> Tensor:
    """The uint8 numbers of an IDX file compressed with gzip, as MNIST's images (N x H x W) and labels (N) are.

    `shape`: what the file must have. Never takes more memory than that. Raises InputError for anything else.
    """
    header = bytes([0, 0, 8, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)  # 8: uint8
    expected = len(header) + math.prod(shape)
    unpacker = zlib.decompressobj(wbits=31)  # gzip
    try:
        data = unpacker.decompress(content, expected + 1)
    except zlib.error as error:
        raise InputError(f"is not a whole gzip archive ({error})") from error
    if data[: len(header)] != header or len(data) != expected or not unpacker.eof:
        found = _idx_header(data[:20])
        raise InputError(f"holds {found}, but {_times(shape)} bytes are needed, and nothing after them")
    return torch.frombuffer(bytearray(data[len(header) :]), dtype=torch.uint8).view(*shape)


def cifar_batch(content: bytes, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The images (uint8, `shape`: N x C x H x W) and labels (int64, N) of a batch of CIFAR's, which is a pickle.

    Raises InputError for anything else, and where there is anything in it but arrays of bytes and plain containers.
    """
    batch = unpickled(content)
    try:
        data, labels = batch[b"data"], batch.get(b"labels", batch.get(b"fine_labels"))
        images = torch.from_numpy(data.values.reshape(shape).copy())
        if len(labels) != len(images) or not all(isinstance(label, int) for label in labels):
            raise ValueError(f"{len(labels)} labels that should be numbers")
        return images, torch.tensor(labels, dtype=torch.int64)
    except (AttributeError, KeyError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"is no batch of {_times(shape)} bytes and as many labels ({error})") from error


def cifar_names(content: bytes, key: str) -> tuple[str, ...]:
    """The names of CIFAR's classes, in the order of its labels: the entry `key` of a pickle."""
    meta = unpickled(content)
    try:
        return tuple(name.decode("ascii") for name in meta[key.encode()])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"does not list the class names as '{key}' ({error})") from error


def unpickled(content: bytes) -> Any:
    """What a pickle holds, text as bytes. Raises InputError for one that is damaged, or holds anything but arrays of
    bytes, numbers, text and plain containers: nothing else is imported, and nothing is called."""
    try:
        return _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # a pickle is a program: a damaged one can fail in any way
        raise InputError(f"is no pickle of arrays and plain containers ({reason(error)})") from error


# What CIFAR's pickles are written with (protocol 2, by Python 2); no sets, objects, buffers
_OPCODES = b"".join([
    pickle.PROTO, pickle.STOP, pickle.MARK, pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.BININT, pickle.BININT1,
    pickle.BININT2, pickle.LONG1, pickle.BINFLOAT, pickle.BINSTRING, pickle.SHORT_BINSTRING, pickle.BINUNICODE,
    pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.EMPTY_LIST, pickle.APPEND,
    pickle.APPENDS, pickle.EMPTY_DICT, pickle.SETITEM, pickle.SETITEMS, pickle.BINPUT, pickle.LONG_BINPUT,
    pickle.BINGET, pickle.LONG_BINGET, pickle.GLOBAL, pickle.REDUCE, pickle.BUILD,
])  # fmt: skip


class _Unpickler(pickle._Unpickler):
    """Knows `_OPCODES` alone, and gives stand-ins for the three names that NumPy's arrays of bytes need alone.

    Python's own implementation: the one in C takes as much memory as a number in a damaged pickle says.
    """

    dispatch: ClassVar = {code: pickle._Unpickler.dispatch[code] for code in _OPCODES}

    def find_class(self, module: str, name: str) -> Any:
        found = {"_reconstruct": _Array, "ndarray": None, "dtype": _Byte}
        if module.partition(".")[0] == "numpy" and name in found:
            return found[name]
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed")


class _Byte:
    """Stands for NumPy's dtype: that of bytes, which has nothing to set."""

    def __init__(self, kind: bytes, *options: object) -> None:
        if kind != b"u1":
            raise ValueError(f"an array of {kind!r} is not one of bytes")

    def __setstate__(self, state: object) -> None:
        pass


class _Array:
    """Stands for NumPy's array, whose state is (version, shape, dtype, whether it is in Fortran's order, data)."""

    def __init__(self, *options: object) -> None:
        pass

    def __setstate__(self, state: tuple[int, tuple[int, ...], _Byte, bool, bytes]) -> None:
        _, shape, kind, fortran, data = state
        if not isinstance(kind, _Byte):
            raise TypeError(f"an array of {kind!r} is not one of bytes")
        self.values = np.frombuffer(data, np.uint8).reshape(shape, order="F" if fortran else "C")


def _idx_header(data: bytes) -> str:
    """What the first bytes of an IDX file say is in it."""
    if len(data) < 4 or data[:3] != b"\0\0\x08" or len(data) < 4 + 4 * data[3]:
        return "no header of an IDX file of bytes"
    sizes = [int.from_bytes(data[4 * place : 4 * place + 4], "big") for place in range(1, 1 + data[3])]
    return f"{_times(sizes)} bytes or fewer"


def _times(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
