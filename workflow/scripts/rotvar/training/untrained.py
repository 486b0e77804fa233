"""The network as a training begins with it: for telling apart what the architecture does, if weights are random."""

import time

import pandas as pd
import torch
from torch import Tensor, nn

from rotvar import devices
from rotvar.data.packed import Dataset, normalization
from rotvar.evaluation import BATCH, classify
from rotvar.rotation import present

NORMALIZATIONS = (nn.BatchNorm1d, nn.BatchNorm2d)


def untrained(model: nn.Module, train: Dataset, test: Dataset, settle: bool = True) -> pd.DataFrame:
    """Leave the weights of `model`, on its own device, as they are; return a history of no epoch.

    If `settle`, batch normalizations take their running statistics from one pass over the training images as they are,
    in their own order (the mean over its batches). Without them the activations of deep random networks grow or vanish
    from layer to layer. Weights that are not random bring their own. The history has one row, epoch 0 of the split
    "test", with the columns of `training.train`.
    """
    began = time.perf_counter()
    device = next(model.parameters()).device
    mean, std = (torch.tensor(values) for values in normalization(train.images))
    if settle:
        _settle(model, train.images, mean.to(device), std.to(device))
    losses, corrects = classify(model, test, None, mean, std)
    row = (0, "test", losses.mean().item(), corrects.float().mean().item(), 0.0, time.perf_counter() - began)
    table = pd.DataFrame([row], columns=["epoch", "split", "loss", "accuracy", "learning_rate", "seconds"])
    table.attrs["resumed"] = []
    return table


@torch.no_grad()
def _settle(model: nn.Module, images: Tensor, mean: Tensor, std: Tensor) -> None:
    normalizations = [module for module in model.modules() if isinstance(module, NORMALIZATIONS)]
    momenta = [module.momentum for module in normalizations]
    for module in normalizations:
        module.reset_running_stats()
        module.momentum = None  # a mean over all batches
    training = model.training
    model.train()
    with devices.float32():
        for batch in images.tensor_split(-(-len(images) // BATCH)) if normalizations else ():
            model(present(batch.to(mean.device), None, mean, std))
    model.train(training)
    for module, momentum in zip(normalizations, momenta, strict=True):
        module.momentum = momentum
