"""The measures written down literally: all activations kept, float64, no cleverness. What `measure` is held against."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch import nn

from rotvar.columns import MEASURES
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


def spread(a: np.ndarray) -> np.ndarray:
    """Of activations a(i, j), N x R x ...: transformation std and sample std, the same of variances for stds, and the
    variance over the rotations of the mean over the images (5 x ...)."""
    return np.stack([
        a.std(axis=1, ddof=1).mean(axis=0), a.std(axis=0, ddof=1).mean(axis=0),
        a.var(axis=1, ddof=1).mean(axis=0), a.var(axis=0, ddof=1).mean(axis=0), a.mean(axis=0).var(axis=0, ddof=1),
    ])  # fmt: skip


def literal(a: np.ndarray) -> np.ndarray:
    """transformation_std, sample_std and normalized_variance (3 x units) of activations a(i, j), N x R x units."""
    return measures(a[..., None])[:3]


def measures(a: np.ndarray, firing_rate: float | None = None) -> np.ndarray:
    """MEASURES x units, of activations N x R x units x positions. p-values are those of single units."""
    n, rotations, _, positions = a.shape
    transformation_std, sample_std, within, across, of_means = spread(a).mean(axis=2)
    f = ratio(n * of_means, across, of_zeros=0)
    p = stats.f.sf(f, rotations - 1, rotations * (n - 1)) if positions == 1 else np.full_like(f, np.nan)
    rates = np.full((2, len(f)), np.nan)
    if firing_rate is not None and positions == 1:
        rates = np.stack([firing(a[:, :, unit, 0], firing_rate) for unit in range(len(f))], axis=1)
    variance, distance = ratio(transformation_std, sample_std), np.sqrt(ratio(within, across))
    return np.stack([transformation_std, sample_std, variance, distance, f, p, *rates])


def ratio(above: np.ndarray, below: np.ndarray, of_zeros: float = 1) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((above == 0) & (below == 0), of_zeros, above / below)


def firing(a: np.ndarray, rate: float) -> tuple[float, float]:
    """The local and the global firing rate of one unit, a(i, j)."""
    a = a.astype(np.float32)
    threshold = sorted(a.ravel(), reverse=True)[int(rate * a.size)]
    fires = a > threshold
    trajectories = [fires[i].mean() for i in range(len(a)) for j in range(a.shape[1]) if fires[i, j]]
    return (float(np.mean(trajectories)), float(fires.mean())) if trajectories else (np.nan, np.nan)


def holm(p: np.ndarray) -> np.ndarray:
    """The p-values of tests that are done together, corrected step by step."""
    corrected, largest = np.empty_like(p), 0.0
    for step, index in enumerate(sorted(range(len(p)), key=lambda index: p[index])):
        largest = max(largest, min(1.0, (len(p) - step) * p[index]))
        corrected[index] = largest
    return corrected


def aggregated(a: np.ndarray, aggregation: str, firing_rate: float | None = None) -> np.ndarray:
    """The measures of one layer's activations, N x R x units or N x R x C x H x W, in one stratum."""
    a = a.reshape(*a.shape[:3], -1)
    if aggregation != "spatial":
        a = {"mean": np.mean, "max": np.max, "sum": np.sum}[aggregation](a, axis=3, keepdims=True)
    return measures(a, firing_rate)


def measure(
    a: dict[str, torch.Tensor],
    labels: torch.Tensor,
    classes: tuple[str, ...],
    aggregations: tuple[str, ...],
    firing_rate: float | None = None,
) -> pd.DataFrame:
    """The table of all layers, strata and aggregations, from the activations of all images."""
    blocks = []
    for layer, values in a.items():
        for aggregation in aggregations:
            by_class = [aggregated(values[labels == c].numpy(), aggregation, firing_rate) for c in range(len(classes))]
            strata = {"all": aggregated(values.numpy(), aggregation, firing_rate)}
            strata |= {"stratified": np.mean(by_class, axis=0), **dict(zip(classes, by_class, strict=True))}
            for stratum, found in strata.items():
                named = dict(zip(MEASURES, found, strict=True))
                units = np.arange(found.shape[1])
                about = dict(layer=layer, stratum=stratum, aggregation=aggregation, unit=units)
                blocks.append(pd.DataFrame({**about, **named}))
    table = pd.concat(blocks, ignore_index=True)
    together = ~table["aggregation"].isin(["mean", "max", "sum"])  # which have no tests and firing rates
    table.loc[together, ["p_value", "local_firing_rate", "global_firing_rate"]] = np.nan
    table.loc[table["stratum"] == "stratified", "p_value"] = np.nan
    for _, tests in table.groupby(["aggregation", "stratum"])["p_value"]:
        if tests.notna().all():
            table.loc[tests.index, "p_value"] = holm(tests.to_numpy())
    return table
