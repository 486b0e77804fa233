"""One training of the study: which network learns what from which images, and what its files say of that."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd
import torch
from torch import nn

from rotvar import devices, factory, models, training
from rotvar.data import packed
from rotvar.jobs import provenance
from rotvar.training import untrained
from rotvar.training.checkpoint import Checkpoint


@dataclass
class Assignment:
    """Train the network `name` on the packed data set `dataset`, on `device`.

    Its weights are random to begin with, or those of the one file in `begin_with`. `code`: the files that compute.
    """

    dataset: str
    name: str
    architecture: dict[str, Any]
    recipe: dict[str, Any]
    augmentation: dict[str, float]
    seed: int
    begin_with: Sequence[str]
    code: Sequence[str]
    device: torch.device

    def __post_init__(self) -> None:
        self.began = time.perf_counter()
        self.images = packed.read(self.dataset, "train")
        self.test = packed.read(self.dataset, "test")
        self.source = factory.source(self.architecture["factory"]) if "factory" in self.architecture else None

    @classmethod
    def of(cls, snakemake: Any, device: torch.device) -> Self:
        """That of a job, whose rule names its input, parameters and wildcards as the fields are named."""
        given, params, wildcards = snakemake.input, snakemake.params, snakemake.wildcards
        recipe = (params.architecture, params.recipe, params.augmentation, int(wildcards.seed))
        return cls(given.dataset, wildcards.model, *recipe, given.begin_with, [*given.code, *given.own_code], device)

    @property
    def configuration(self) -> dict[str, Any]:
        began = {"begin_with": Path(self.begin_with[0]).name} if self.begin_with else {}
        return {"architecture": self.architecture, "recipe": self.recipe, "augmentation": self.augmentation, **began}

    def checkpoint(self, folder: Path, **definition: Any) -> Checkpoint:
        """The place of its state in `folder`, which other data, weights to begin with or code do not go on from, nor
        what has another `definition` beside its own."""
        definition |= self.configuration | {"name": self.name, "seed": self.seed}
        return Checkpoint(folder, definition, filter(None, [self.dataset, *self.begin_with, *self.code, self.source]))

    def model(self) -> nn.Module:
        """The network as the training begins with it, on the device."""
        return models.begin(self.name, self.images.shape, self.architecture, self.seed, self.begin_with).to(self.device)

    def train(
        self, model: nn.Module, checkpoint: Checkpoint, snapshots: training.Snapshots | None = None
    ) -> pd.DataFrame:
        """`training.train` by the recipe, on the augmented images."""
        return training.train(
            model,
            self.images,
            self.test,
            augmentation=self.augmentation,
            seed=self.seed,
            checkpoint=checkpoint,
            snapshots=snapshots,
            **self.recipe,
        )

    def leave_untrained(self, model: nn.Module) -> pd.DataFrame:
        """`untrained.untrained`; weights that are not random bring their own statistics."""
        return untrained.untrained(model, self.images, self.test, settle=not self.begin_with)

    def facts(self, **more: Any) -> dict[str, Any]:
        """What its files say of where they come from."""
        if self.source:
            more["factory_sha256"] = hashlib.sha256(Path(self.source).read_bytes()).hexdigest()
        return provenance.record(
            self.began,
            devices.describe(self.device),
            configuration=self.configuration,
            seed=self.seed,
            train_images=len(self.images),
            test_images=len(self.test),
            **more,
        )

    def save(self, model: nn.Module, path: str, facts: dict[str, Any]) -> None:
        """Write the weights, with `facts` and what `models.load` needs to build the network again."""
        mean, std = packed.normalization(self.images.images)
        description = {"name": self.name, **self.images.shape, "options": self.architecture, "mean": mean, "std": std}
        models.save(model, path, description | facts)
