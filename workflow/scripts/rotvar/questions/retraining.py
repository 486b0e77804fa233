"""Which layers must be retrained: a network retrained under another training, all of it frozen but one layer."""

import copy
import logging
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from rotvar import generators, training
from rotvar.activations import Layer, Recorder
from rotvar.columns import ALL, GROUP, NONE, TESTS
from rotvar.data.packed import Dataset
from rotvar.evaluation import accuracy
from rotvar.training.checkpoint import Checkpoint

log = logging.getLogger("rotvar")

GROUPS = {"convolution": "all convolutions", "fully connected": "all fully connected"}  # of the layers of a kind
COLUMNS = ["scheme", "layer_index", "kind", "parameters", "test", "n", "correct", "accuracy"]


@dataclass(frozen=True)
class Scheme:
    """What of a network is retrained: the modules of one layer, or of a group of them."""

    name: str
    kind: str  # convolution, fully connected, or GROUP
    modules: tuple[str, ...] | None  # None: the whole network
    layer_index: int | None = None  # of one layer: its place among all layers, as in measurements of variance


def schemes(model: nn.Module, image: Tensor) -> list[Scheme]:
    """Nothing; each layer alone, in execution order; all convolutions, all fully connected layers; the whole network.

    A layer is a module with weights of its own that is a convolution or a fully connected layer. A normalization has no
    task of its own: it is trained with the layer that is executed last before it, whatever it normalizes, and counted
    to that. Whatever else has weights (attention, a normalization before the first layer) is trained with the whole
    network alone. `image`: 1 x C x H x W, for finding the order; on the model's device.
    """
    modules = dict(model.named_modules())
    evaluated = copy.deepcopy(model).eval()
    with torch.no_grad():
        executed = Recorder(evaluated).outputs(image.repeat(2, 1, 1, 1))  # of one, a parameter may look like its output
    found: list[tuple[int, Layer, list[str]]] = []  # its place, the layer, its modules
    for index, layer in enumerate(executed):
        module = modules.get(layer.name)  # none for a function, nor where a module is called again
        if module and layer.kind in GROUPS and list(module.parameters()):
            found.append((index, layer, [layer.name]))
        elif module and layer.kind == "normalization" and found:
            found[-1][2].append(layer.name)
    single = [Scheme(layer.name, layer.kind, tuple(members), index) for index, layer, members in found]
    groups = [
        Scheme(name, GROUP, tuple(member for _, layer, members in found if layer.kind == kind for member in members))
        for kind, name in GROUPS.items()
    ]
    return [Scheme(NONE, GROUP, ()), *single, *(one for one in groups if one.modules), Scheme(ALL, GROUP, None)]


def parameters(model: nn.Module, scheme: Scheme) -> int:
    """How many numbers of the network a scheme trains."""
    trained = [model] if scheme.modules is None else [model.get_submodule(name) for name in scheme.modules]
    return sum(weights.numel() for weights in {weights for module in trained for weights in module.parameters()})


def retrain(
    model: nn.Module,
    train: Dataset,
    test: Dataset,
    *,
    mean: Tensor,
    std: Tensor,
    seed: int = 0,
    checkpoint: Checkpoint | None = None,
    **recipe: Any,
) -> pd.DataFrame:
    """Retrain copies of `model`, on its own device, each by one scheme: what it then gets right.

    Every scheme begins with the weights of `model` and with the same `seed`, and follows the same `recipe` (as
    `training.train` takes it, the augmentation included). `mean` and `std`: C, of the training set.

    checkpoint: where the schemes that are done are kept, and beside it the state of the one in training; a retraining
    that finds them goes on from there, to the same bits where `training.train` says so. SIGTERM and SIGINT raise
    Interrupted, as there. Remove the checkpoint when the result is kept.

    Returns a row for each scheme and test set (the two of the accuracy table): scheme, layer_index and kind of the
    layer (missing and GROUP in a group), parameters (how many were trained), test (unrotated, rotated), n (images),
    correct (of these), accuracy. `.attrs["resumed"]` lists the [scheme, epoch, step] that it went on from, if it did.
    """
    device = next(model.parameters()).device
    plan = schemes(model, torch.zeros(1, *train.images.shape[1:], device=device))
    done = (checkpoint.load() if checkpoint else None) or {"rows": [], "resumed": []}
    rows: list[tuple[Any, ...]] = done["rows"]
    resumed: list[list[Any]] = done["resumed"]
    for number in range(len(rows) // len(TESTS), len(plan)):
        scheme, network = plan[number], copy.deepcopy(model)
        count = parameters(model, scheme)
        log.info("scheme %d of %d: %s, %d parameters", number + 1, len(plan), scheme.name, count)
        part = checkpoint.part(number) if checkpoint else None
        if scheme.modules != ():
            generators.seed(seed)
            history = training.train(network, train, test, seed=seed, trained=scheme.modules, checkpoint=part, **recipe)
            resumed += [[scheme.name, *place] for place in history.attrs["resumed"]]
        for test_set, n, correct in _tested(network, test, mean, std):
            row = (scheme.name, scheme.layer_index, scheme.kind, count, test_set, n, correct, correct / n)
            rows.append(row)
            log.info("accuracy on the %s test set: %.4f", test_set, row[-1])
        if checkpoint and part:
            checkpoint.save({"rows": rows, "resumed": resumed})
            part.path.unlink(missing_ok=True)
    table = pd.DataFrame(rows, columns=COLUMNS).astype({"layer_index": "Int64"})
    table.attrs["resumed"] = resumed
    return table


def _tested(model: nn.Module, test: Dataset, mean: Tensor, std: Tensor) -> list[tuple[str, int, int]]:
    """Each test set, its images and how many of them are correct."""
    sums = accuracy(model, test, torch.empty(0), mean=mean, std=std).groupby("angle")[["n", "correct"]].sum()
    return [(name, int(sums["n"][angle]), int(sums["correct"][angle])) for name, angle in TESTS.items()]
