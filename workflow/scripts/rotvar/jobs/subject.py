"""What is measured: a trained network and the test set of a data set, and what the file of a result says of both."""

import time
from dataclasses import dataclass
from typing import Any, Self

import torch

from rotvar import devices, models
from rotvar.data import packed
from rotvar.jobs import provenance


@dataclass
class Subject:
    """The network `weights`, which must be as `expected` (`models.load`), on `device`, and the test set of the packed
    data set `dataset`: of the shape that the network was trained on, unless it is `foreign`."""

    weights: str
    dataset: str
    expected: dict[str, Any]
    device: torch.device
    foreign: bool = False

    def __post_init__(self) -> None:
        self.began = time.perf_counter()
        self.test = packed.read(self.dataset, "test")
        shape = {} if self.foreign else self.test.shape
        model, self.description = models.load(self.weights, **shape, **self.expected)
        self.model = model.to(self.device)
        # C each, of the images that the network was trained on
        self.mean, self.std = (torch.tensor(self.description[name]) for name in ("mean", "std"))

    @classmethod
    def of(cls, snakemake: Any, device: torch.device, *, foreign: bool = False) -> Self:
        """That of a job, whose rule names its input and parameters as the fields are named."""
        return cls(snakemake.input.weights, snakemake.input.dataset, snakemake.params.expected, device, foreign)

    def facts(self, configuration: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Where a result of it comes from; `configuration` is that of the measurement, beside the training's own."""
        return provenance.record(
            self.began,
            devices.describe(self.device),
            configuration=self.description["configuration"] | configuration,
            seed=self.description["seed"],
            **more,
        )
