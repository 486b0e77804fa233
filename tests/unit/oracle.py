"""The measure written down literally: all activations kept, float64, no cleverness. What `measure` is held against."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from rotvar.rotation import present, rotate


def activations(
    model: nn.Module, images: torch.Tensor, angles: torch.Tensor, transform: Any = rotate
) -> dict[str, torch.Tensor]:
    """For a network that is an nn.Sequential: each module's output, N x R x ..."""
    outputs: dict[str, list[torch.Tensor]] = {}
    with torch.no_grad():
        for image in images:
            x = present(image.expand(len(angles), *image.shape), angles, transform=transform)
            for name, module in model.named_children():
                x = module(x)
                outputs.setdefault(name, []).append(x.clone())
    return {name: torch.stack(each).double() for name, each in outputs.items()}


def literal(a: np.ndarray) -> np.ndarray:
    """transformation_std, sample_std and normalized_variance (3 x units) of activations a(i, j), N x R x units."""
    transformation_std = a.std(axis=1, ddof=1).mean(axis=0)
    sample_std = a.std(axis=0, ddof=1).mean(axis=0)
    return np.stack([transformation_std, sample_std, ratio(transformation_std, sample_std)])


def ratio(transformation_std: np.ndarray, sample_std: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((transformation_std == 0) & (sample_std == 0), 1, transformation_std / sample_std)


def aggregated(a: np.ndarray, aggregation: str) -> np.ndarray:
    """The measure of one layer's activations, N x R x units or N x R x C x H x W, in one stratum."""
    if a.ndim == 3:
        return literal(a)
    a = a.reshape(*a.shape[:3], -1)
    if aggregation == "spatial":
        n, r, channels, positions = a.shape
        transformation_std, sample_std, _ = literal(a.reshape(n, r, -1)).reshape(3, channels, positions).mean(axis=2)
        return np.stack([transformation_std, sample_std, ratio(transformation_std, sample_std)])
    return literal({"mean": np.mean, "max": np.max, "sum": np.sum}[aggregation](a, axis=3))


def measure(
    a: dict[str, torch.Tensor], labels: torch.Tensor, classes: tuple[str, ...], aggregations: tuple[str, ...]
) -> pd.DataFrame:
    """The table of all layers, strata and aggregations, from the activations of all images."""
    blocks = []
    for layer, values in a.items():
        for aggregation in aggregations:
            by_class = [aggregated(values[labels == c].numpy(), aggregation) for c in range(len(classes))]
            strata = {"all": aggregated(values.numpy(), aggregation), "stratified": np.mean(by_class, axis=0)}
            strata |= dict(zip(classes, by_class, strict=True))
            for stratum, (transformation_std, sample_std, normalized) in strata.items():
                blocks.append(pd.DataFrame({
                    "layer": layer, "stratum": stratum, "aggregation": aggregation,
                    "unit": np.arange(len(normalized)), "transformation_std": transformation_std,
                    "sample_std": sample_std, "normalized_variance": normalized,
                }))  # fmt: skip
    return pd.concat(blocks, ignore_index=True)
