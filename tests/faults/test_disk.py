"""A full disk: one sentence with the path and the bytes; what is whole stays; with more space the study goes on."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from amounts import times
from conftest import require
from processes import Study, nothing_left
from watcher import NO_RESULTS, read

SIZES = [192, *times(short=(), long=(64, 128, 256, 320, 384, 512))]  # kB


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mount a disk of so many kB, or give the one that is mounted another size; its folder."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(size: int) -> Path:
        how = ["remount,"] if os.path.ismount(folder) else [""]
        command = ["mount", "-t", "tmpfs", "-o", f"{how[0]}size={size}k", "tmpfs", folder]
        run = subprocess.run(command, capture_output=True, text=True)
        require(run.returncode == 0, f"only an administrator can mount a small disk ({run.stderr.strip()})")
        return folder

    yield mount
    if os.path.ismount(folder):
        subprocess.run(["umount", folder], check=True)


def results_in(study: Study) -> dict[str, bytes]:
    files = [file for file in study.results.rglob("*") if file.is_file()]
    names = [str(file.relative_to(study.results)) for file in files]
    return {
        name: file.read_bytes()
        for name, file in zip(names, files, strict=True)
        if not name.startswith(NO_RESULTS) and not file.name.startswith(".")
    }


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("size", SIZES)
def test_a_full_disk(size, tmp_path, disk):
    study = Study(tmp_path / "rotvar", results=str(disk(size)))
    with nothing_left(study):
        assert study.run() != 0
        assert study.errors(), study.log
        for sentence in study.errors():
            assert re.fullmatch(
                rf"Error: {disk(size)}/\S+ cannot be written \(No space left on device: [0-9,]+ bytes of the file were "
                r"written, [0-9,]+ are free\): free some space and run again",
                sentence,
            )
        made = results_in(study)
        for name in made:
            read(study.results / name)
        assert [file for file in study.litter() if not file.name.startswith(".checkpoint-")] == []
        disk(64_000)
        assert study.run() == 0, study.log
        assert made.items() <= results_in(study).items()  # nothing was made twice
