"""A reader that opens every file the moment it appears under its final name."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pandas as pd
from PIL import Image
from safetensors import safe_open
from watchdog.events import DirCreatedEvent, FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from rotvar import results
from rotvar.system import checksum

# Written line by line as the jobs go, or by the server's side of a download: no results
NO_RESULTS = ("logs", "benchmarks")


def read(file: Path) -> None:
    """Read a result whole; raises where it is not."""
    match file.suffix:
        case ".parquet":
            assert len(results.read(file))
        case ".safetensors":
            checksum.verify(file)
            with safe_open(file, framework="np") as tensors:
                assert [tensors.get_tensor(name) for name in tensors.keys()]  # noqa: SIM118
        case ".png":
            with Image.open(file) as image:
                image.load()
        case ".svg":
            ElementTree.parse(file)
        case ".csv":
            assert len(pd.read_csv(file))
            assert file.read_text().endswith("\n")
        case ".md" | ".tex" | ".sha256":
            assert file.read_text().endswith("\n")
        case ".html":
            assert file.read_text().rstrip().endswith("</html>")
        case _:
            raise AssertionError(f"no result has this suffix: {file}")


class Watcher(FileSystemEventHandler):
    """While the block runs: `checked` counts the files that appeared, `partial` names those that were not whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checked = 0
        self.partial: list[str] = []

    def on_created(self, event: FileSystemEvent) -> None:
        if isinstance(event, DirCreatedEvent):
            # What came before the folder was watched
            for file in Path(str(event.src_path)).rglob("*"):
                self.check(file)
        else:
            self.check(Path(str(event.src_path)))

    def on_moved(self, event: FileSystemEvent) -> None:
        self.check(Path(str(event.dest_path)))

    def check(self, file: Path) -> None:
        parts = file.relative_to(self.folder).parts
        if parts[0] in NO_RESULTS or any(part.startswith((".", "downloads_")) for part in parts) or file.is_dir():
            return
        try:
            read(file)
            self.checked += 1
        except Exception as error:
            if file.exists():  # else Snakemake has removed it to make it again
                self.partial.append(f"{file}: {error!r}")

    def __enter__(self) -> "Watcher":
        self.folder.mkdir(parents=True, exist_ok=True)
        self.observer = Observer()
        self.observer.schedule(self, str(self.folder), recursive=True)
        self.observer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.observer.stop()
        self.observer.join()
