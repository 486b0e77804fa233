"""What tmeasures gives for one small network: a program of its own, because tmeasures stays out of the environment.

python tmeasures_values.py ACTIVATIONS IMAGES OUT: the activations of each layer, N x R x ..., and the images and angles
that the network is given (safetensors, as `test_tmeasures` writes them); the values of each measure go to OUT.
"""

import importlib
import sys
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tmeasures_network import network
from torch import nn

from rotvar.rotation import rotate

sys.modules["tmeasures.visualization"] = types.ModuleType("tmeasures.visualization")  # draws, with other packages
tm = importlib.import_module("tmeasures")  # no statement, since it is not to be declared: its licence is the AGPL


class Kept(tm.np.activations_iterator.ActivationsIterator):
    """Activations that are there already, for tmeasures' measures in NumPy; a row or a column is one batch."""

    def __init__(self, layers: dict[str, np.ndarray]) -> None:
        self.layers = layers

    def layer_names(self) -> list[str]:
        return list(self.layers)

    def transformations_first(self) -> Iterator[tuple[int, list[tuple[np.ndarray, list[np.ndarray]]]]]:
        n, rotations = next(iter(self.layers.values())).shape[:2]
        for j in range(rotations):
            yield j, [(np.arange(n), [each[:, j].copy() for each in self.layers.values()])]

    def samples_first(self) -> Iterator[tuple[int, list[tuple[np.ndarray, list[np.ndarray]]]]]:
        n, rotations = next(iter(self.layers.values())).shape[:2]
        for i in range(n):
            yield i, [(np.arange(rotations), [each[i].copy() for each in self.layers.values()])]

    def get_transformations(self): ...
    def get_inverted_activations_iterator(self): ...
    def get_both_iterator(self): ...
    def get_normal_activations_iterator(self): ...


class Turn:
    """A rotation of ours, of one image or of the maps that it has in a layer."""

    def __init__(self, degrees: float) -> None:
        self.degrees = degrees

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        if image.dim() < 3:
            return image  # a layer without positions
        return rotate(image.unsqueeze(0), torch.tensor([self.degrees]))[0]

    def inverse(self) -> "Turn":
        return Turn(-self.degrees)


class Layers(tm.pytorch.ActivationsModule):
    def __init__(self, modules: nn.Sequential) -> None:
        super().__init__()
        self.sequence = modules

    def activation_names(self) -> list[str]:
        return [name for name, _ in self.sequence.named_children()]

    def forward_activations(self, batch: torch.Tensor) -> list[torch.Tensor]:
        outputs = []
        for module in self.sequence:
            batch = module(batch)
            outputs.append(batch)
        return outputs


def main(activations: str, images: str, out: str) -> None:
    layers = {name: each.double().numpy() for name, each in load_file(activations).items()}
    pooled = {name: each.reshape(*each.shape[:3], -1).mean(3) for name, each in layers.items()}
    squared = tm.np.DistanceAggregation(normalize=False, keep_shape=True, distance="sqeuclidean")
    given = load_file(images)
    turns = [Turn(float(degrees)) for degrees in given["angles"]]
    options = tm.pytorch.PyTorchMeasureOptions(batch_size=5, verbose=False)

    def by_position(measure: type) -> dict[str, torch.Tensor]:
        with torch.no_grad():
            average = tm.pytorch.AverageFeatureMaps()
            result = measure(average).eval(given["images"], turns, Layers(network()), options)
        return dict(zip(result.layer_names, result.layers, strict=True))

    def in_numpy(measure: Any, values: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
        result = measure.eval(Kept(values))
        return {name: torch.tensor(each) for name, each in zip(result.layer_names, result.layers, strict=True)}

    found = {
        "variance": by_position(tm.pytorch.NormalizedVarianceInvariance),
        "same_equivariance": by_position(tm.pytorch.NormalizedVarianceSameEquivariance),
        "f": in_numpy(tm.np.ANOVAFInvariance(), pooled),
        "squared_distance": in_numpy(tm.np.NormalizedDistanceInvariance(squared), layers),
        "squared_distance_of_means": in_numpy(tm.np.NormalizedDistanceInvariance(squared), pooled),
    }
    save_file({f"{kind}/{name}": each for kind, by_layer in found.items() for name, each in by_layer.items()}, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
