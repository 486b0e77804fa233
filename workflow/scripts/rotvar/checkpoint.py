"""The state of a training on disk, so that one that was interrupted goes on where it was."""

import hashlib
import json
import logging
import pickle
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from rotvar.files import atomic

log = logging.getLogger("rotvar")

PREFIX = ".checkpoint-"  # hidden, because readers of whole folders (Arrow, `results.read`) skip hidden files


class Checkpoint:
    """The place of one training's state, in the folder of what the training will have made.

    Its name is a hash of what defines the training, so that another one never goes on from it.
    """

    def __init__(self, folder: str | Path, definition: dict[str, Any], files: Iterable[str | Path] = ()) -> None:
        """`definition`: everything the result depends on (JSON); `files`: those whose contents it depends on."""
        text = json.dumps([definition, [_sum(file) for file in files]], sort_keys=True)
        self.path = Path(folder) / f"{PREFIX}{hashlib.sha256(text.encode()).hexdigest()[:16]}.pt"

    def save(self, state: dict[str, Any]) -> None:
        """Write a state of tensors, numbers, text and containers of them. What was there before stays until the new
        one is whole."""
        with atomic(self.path) as part:
            torch.save(state, part)

    def load(self) -> dict[str, Any] | None:
        """The state that was saved, on the CPU; None where there is none or where it is damaged (which is logged)."""
        if not self.path.exists():
            return None
        try:
            with zipfile.ZipFile(self.path) as archive:
                if damaged := archive.testzip():  # PyTorch does not look at the check sums
                    raise zipfile.BadZipFile(f"bad check sum of {damaged}")
            state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, pickle.UnpicklingError) as error:
            log.warning("%s is damaged (%s): the training begins anew", self.path, error)
            return None
        return state

    def remove(self) -> None:
        """Remove this checkpoint and any other in its folder: those of other recipes, and parts of unfinished ones."""
        for file in self.path.parent.glob(f"{PREFIX}*"):
            file.unlink()


def _sum(path: str | Path) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
