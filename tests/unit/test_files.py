"""Files appear under their final name only when they are whole."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from copies import ROOT
from safetensors.torch import save_file

from rotvar.errors import InputError
from rotvar.system.files import atomic


def test_the_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "table.parquet"
    with atomic(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert (temporary.parent, temporary.suffix, temporary.name[0]) == (path.parent, ".parquet", ".")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(error), atomic(path) as temporary:
        temporary.write_text("half of the n")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_writing_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic(tmp_path / "table.csv"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    """Also where the writer is safetensors, which lets only the owner read its files."""
    usual = tmp_path / "usual"
    usual.touch()
    with atomic(tmp_path / "table.csv") as temporary:
        temporary.touch()
    with atomic(tmp_path / "weights.safetensors") as temporary:
        save_file({"weight": torch.zeros(2)}, temporary)
    for name in ("table.csv", "weights.safetensors"):
        assert (tmp_path / name).stat().st_mode == usual.stat().st_mode


def test_what_a_killed_process_left_of_the_file_goes(tmp_path: Path) -> None:
    """Of this file alone: another of the same folder may be written now."""
    kill = "import os, signal, sys; from rotvar.system.files import atomic\nwith atomic('table.csv') as part:\n"
    kill += "    part.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow" / "scripts")}
    subprocess.run([sys.executable, "-c", kill], cwd=tmp_path, env=environment)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".table.") and left.read_text() == "half"
    other = tmp_path / ".another.0123456789abcdef0123456789abcdef.csv"
    other.write_text("being written")
    with atomic(tmp_path / "table.csv") as temporary:
        temporary.write_text("whole")
    assert sorted(tmp_path.iterdir()) == [other, tmp_path / "table.csv"]


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.EROFS, r"\(Read-only file system\): name another folder as `results` in the configuration, or change"),
        (errno.EACCES, r"\(Permission denied\): name another folder"),
        (errno.ENOSPC, r"\(No space left on device: 4 bytes of the file were written, [0-9,]+ are free\): free some"),
        (errno.EDQUOT, r"\(Disk quota exceeded: 4 bytes of the file were written, [0-9,]+ are free\): free some space"),
    ],
)
def test_a_disk_that_refuses_is_one_sentence(number: int, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with pytest.raises(InputError, match=f"^{path} cannot be written {sentence}"), atomic(path) as temporary:
        temporary.write_text("half")
        raise OSError(number, "refused", str(temporary))
    assert list(tmp_path.iterdir()) == []


def test_what_safetensors_says_of_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No space left on device"), atomic(tmp_path / "a.safetensors"):
        raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")


@pytest.mark.parametrize(
    "error", [ConnectionResetError(errno.ECONNRESET, "reset"), PermissionError(errno.EACCES, "no", "/somewhere/else")]
)
def test_errors_of_other_things_stay_what_they_are(error: OSError, tmp_path: Path) -> None:
    with pytest.raises(type(error)), atomic(tmp_path / "table.csv") as temporary:
        temporary.touch()
        raise error
