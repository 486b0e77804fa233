"""The state of a training on disk, so that one that was interrupted goes on where it was."""

import copy
import hashlib
import io
import json
import logging
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from rotvar.system import checksum
from rotvar.system.files import atomic

log = logging.getLogger("rotvar")

PREFIX = ".checkpoint-"  # hidden, because readers of whole folders (Arrow, `results.read`) skip hidden files


class Checkpoint:
    """The place of one training's state, in the folder of what the training will have made.

    Its name is a hash of what defines the training, so that another one never goes on from it.
    """

    def __init__(self, folder: str | Path, definition: dict[str, Any], files: Iterable[str | Path] = ()) -> None:
        """`definition`: everything the result depends on (JSON); `files`: those whose contents it depends on."""
        text = json.dumps([definition, [checksum.of(file) for file in files]], sort_keys=True)
        self.path = Path(folder) / f"{PREFIX}{hashlib.sha256(text.encode()).hexdigest()[:16]}.pt"

    def part(self, number: int) -> "Checkpoint":
        """The place of the state of one part of the work, beside this one's, which `remove` removes too."""
        part = copy.copy(self)
        part.path = self.path.with_name(f"{self.path.stem}-{number}{self.path.suffix}")
        return part

    def save(self, state: dict[str, Any]) -> None:
        """Write a state of tensors, numbers, text and containers of them, with its SHA-256. What was there before stays
        until the new one is whole."""
        buffer = io.BytesIO()  # PyTorch's own writer does not say that the disk is full
        torch.save(state, buffer)
        with atomic(self.path) as part:
            part.write_bytes(hashlib.sha256(buffer.getbuffer()).digest() + buffer.getbuffer())

    def load(self) -> dict[str, Any] | None:
        """The state that was saved, on the CPU; None where there is none or where it is damaged (which is logged)."""
        if not self.path.exists():
            return None
        try:
            content = self.path.read_bytes()
            digest, saved = content[:32], content[32:]
            if hashlib.sha256(saved).digest() != digest:
                raise ValueError("its checksum differs")
            state: dict[str, Any] = torch.load(io.BytesIO(saved), map_location="cpu", weights_only=True)
        except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
            log.warning("%s is damaged (%s): the training begins anew", self.path, error)
            return None
        return state

    def remove(self) -> None:
        """Remove this checkpoint and any other in its folder: those of other recipes, and parts of unfinished ones."""
        for file in self.path.parent.glob(f"*{PREFIX}*"):
            file.unlink(missing_ok=True)
