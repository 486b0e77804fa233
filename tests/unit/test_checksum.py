"""A file carries the digest of itself."""

import hashlib

import pytest

from rotvar.system import checksum

TEXT = b"before " + checksum.BLANK.encode() + b" after"


def test_the_digest_is_that_of_the_file_with_the_blank(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(TEXT)
    checksum.stamp(path)
    assert path.read_bytes() == b"before sha256:" + hashlib.sha256(TEXT).hexdigest().encode() + b" after"
    checksum.verify(path)


def test_of_several_places_the_first_counts(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(TEXT + TEXT)
    checksum.stamp(path)
    assert path.read_bytes().count(checksum.BLANK.encode()) == 1
    checksum.verify(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"no mark", "it has no checksum: it is damaged, or an earlier version wrote it"),
        (TEXT, "its checksum differs"),
        (TEXT[:30], "its checksum differs"),
        (b"sha256:", "its checksum differs"),
    ],
)
def test_other_files_are_refused(content, reason, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{reason}"):
        checksum.verify(path)


def test_every_flip_is_noticed(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(TEXT)
    checksum.stamp(path)
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(ValueError, match="^it"):
            checksum.verify(path)
