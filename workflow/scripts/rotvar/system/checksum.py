"""The SHA-256 of a file, and one that a file carries of itself: whatever changes in it afterwards, a reader notices.

Safetensors and Parquet files hold text of ours uncompressed. `BLANK` goes into that text; `stamp` replaces it by the
digest of the whole file with `BLANK` in it, and `verify` computes that digest again. Other readers see one text more.
"""

import hashlib
import mmap
from pathlib import Path

_MARK = b"sha256:"
_DIGITS = 64
BLANK = _MARK.decode() + _DIGITS * "0"


def of(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stamp(path: str | Path) -> None:
    """Put the digest of the file in the place of the first `BLANK` in it."""
    with Path(path).open("rb+") as file, mmap.mmap(file.fileno(), 0) as content:
        position = content.find(BLANK.encode())
        assert position >= 0, f"{path} has no place for a checksum"
        digits = position + len(_MARK)
        content[digits : digits + _DIGITS] = _digest(content, position).encode()


def verify(path: str | Path) -> None:
    """Raise ValueError where the file is not as `stamp` left it."""
    if not Path(path).stat().st_size:
        raise ValueError("it is empty")
    with Path(path).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        position = content.find(_MARK)
        if position < 0:
            raise ValueError("it has no checksum: it is damaged, or an earlier version wrote it")
        digits = position + len(_MARK)
        if content[digits : digits + _DIGITS] != _digest(content, position).encode():
            raise ValueError("its checksum differs: it has been changed or damaged")


def _digest(content: mmap.mmap, position: int) -> str:
    """The digest of the file with the checksum at `position` blank."""
    blank = BLANK.encode()
    with memoryview(content) as view:
        digest = hashlib.sha256(view[:position])
        digest.update(blank)
        digest.update(view[position + len(blank) :])
    return digest.hexdigest()
